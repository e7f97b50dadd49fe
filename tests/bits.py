"""The bits of every kernel, as digests: whether a change left all of them as they were.

    python -m tests.bits before.json            # on the old code
    python -m tests.bits after.json before.json # on the new: names what differs

Each case runs forward and backward on fixed random numbers, at one thread and at two.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl import nn, optim
from minidl.backends import threads

Case = tuple[str, Callable[[], list[Any]]]

# x, weight and settings of convolutions; they reach every algorithm, aligned and not.
CONVOLUTIONS = [
    ((2, 1, 28, 28), (32, 1, 3, 3), {}),
    ((8, 1, 28, 28), (32, 1, 3, 3), {}),
    ((2, 32, 13, 13), (64, 32, 3, 3), {}),
    ((2, 64, 28, 28), (64, 64, 3, 3), {"padding": 1}),
    ((1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    ((3, 64, 5, 5), (64, 64, 3, 3), {"padding": 1}),
    ((2, 64, 14, 14), (32, 64, 1, 1), {}),
    ((2, 16, 15, 15), (16, 1, 3, 3), {"padding": 1, "groups": 16}),
    ((2, 8, 17, 19), (12, 4, 5, 3), {"stride": 2, "padding": (2, 1), "groups": 2}),
    ((2, 6, 20, 21), (7, 6, 3, 3), {"dilation": 2, "padding": 3}),
    ((2, 3, 33, 31), (24, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 5, 9, 9), (1, 5, 3, 3), {"padding": 1}),
    ((4, 48, 7, 7), (96, 48, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 2, 64, 64), (3, 2, 4, 4), {"stride": 4}),
]
PRODUCTS = [
    (32, 1600, 128),
    (64, 784, 128),
    (3, 20, 32),
    (1, 7, 9),
    (200, 130, 70),
    (128, 512, 513),
]
ELEMENTWISE = (
    *("exp", "log", "erf", "sigmoid", "tanh", "relu"),
    *("leaky_relu", "elu", "gelu", "silu", "softplus", "sqrt"),
)
POOLS = [
    ((2, 3, 28, 28), (2,)),
    ((2, 4, 13, 15), (2,)),
    ((1, 2, 17, 16), (3, 2, 1)),
    ((2, 2, 9, 9), (3,)),
]


def _random(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return minidl.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def _gradients(function: Callable[..., Any], *inputs: Any) -> list[Any]:
    """The value of a function, and the gradient of Σ value·random at each input."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    y = function(*leaves)
    y.backward(_random(*y.shape, seed=99, dtype=str(y.dtype)))
    return [y.detach(), *(leaf.grad for leaf in leaves)]


def _layer(layer: nn.Module, x: Any) -> list[Any]:
    """The output of a layer, and the gradients of its input and parameters."""
    for i, parameter in enumerate(layer.parameters()):
        with minidl.no_grad():
            parameter[...] = _random(*parameter.shape, seed=i + 1) * 0.2
    values = _gradients(layer, x)
    return [*values, *(p.grad for p in layer.parameters()), *layer.state_dict().values()]


def _cases() -> Iterator[Case]:
    yield from _convolutions()
    for m, k, n in PRODUCTS:
        for dtype in ("float32", "float64"):
            arrays = (_random(m, k, dtype=dtype), _random(n, k, seed=1, dtype=dtype))
            bias = _random(n, seed=2, dtype=dtype)
            yield f"linear {m} {k} {n} {dtype}", lambda a=arrays: _gradients(minidl.linear, *a)
            yield (
                f"linear with bias {m} {k} {n} {dtype}",
                lambda a=(*arrays, bias): _gradients(minidl.linear, *a),
            )
        x = _random(m, k)
        yield (
            f"Linear ReLU {m} {k} {n}",
            lambda k=k, n=n, x=x: _layer(nn.Sequential(nn.Linear(k, n), nn.ReLU()), x),
        )
    yield from _pools()
    yield from _elementwise()
    yield from _rows()
    yield from _optimizers()


def _convolutions() -> Iterator[Case]:
    for x, w, settings in CONVOLUTIONS:
        name = f"{x} {w} {settings}"
        arrays = _random(*x), _random(*w, seed=1), _random(w[0], seed=2)
        yield (
            f"conv2d {name}",
            lambda a=arrays, s=settings: _gradients(lambda *t: minidl.conv2d(*t, **s), *a),
        )
        options = {"bias": True, **settings}

        def conv(x: Any = x, w: Any = w, options: Any = options) -> nn.Module:
            return nn.Conv2d(x[1], w[0], w[2:], **options)

        for following in ([nn.ReLU()], [nn.ReLU(), nn.MaxPool2d(2)], [nn.MaxPool2d(2), nn.ReLU()]):
            kinds = " ".join(type(module).__name__ for module in following)
            yield (
                f"Conv2d {kinds} {name}",
                lambda c=conv, f=following, a=arrays: _layer(nn.Sequential(c(), *f), a[0]),
            )
        groups = settings.get("groups", 1)
        options = {"stride": settings.get("stride", 1), "groups": groups}
        back = _random(x[0], w[0], 6, 7), arrays[1], _random(w[1] * groups, seed=3)
        yield (
            f"conv_transpose2d {name}",
            lambda b=back, o=options: _gradients(lambda *t: minidl.conv_transpose2d(*t, **o), *b),
        )


def _pools() -> Iterator[Case]:
    for shape, settings in POOLS:
        x = _random(*shape)
        for pool in (minidl.max_pool2d, minidl.avg_pool2d):
            yield (
                f"{pool.__name__} {shape} {settings}",
                lambda p=pool, s=settings, x=x: _gradients(lambda t: p(t, *s), x),
            )
        yield (
            f"ReLU MaxPool2d {shape} {settings}",
            lambda s=settings, x=x: _layer(nn.Sequential(nn.ReLU(), nn.MaxPool2d(*s)), x),
        )
        for size in (1, (3, 4)):
            yield (
                f"adaptive_avg_pool2d {shape} {size}",
                lambda s=size, x=x: _gradients(lambda t: minidl.adaptive_avg_pool2d(t, s), x),
            )


def _elementwise() -> Iterator[Case]:
    for name in ELEMENTWISE:
        function = getattr(minidl, name)
        for shape in ((7,), (3000,), (130, 257)):
            x = minidl.abs(_random(*shape)) if name in ("log", "sqrt") else _random(*shape) * 5
            yield f"{name} {shape}", lambda f=function, x=x: _gradients(f, x)
    x = _random(64, 300)
    yield "gelu tanh", lambda: _gradients(lambda t: minidl.gelu(t, approximate="tanh"), x)
    yield "dropout", lambda: _gradients(lambda t: minidl.dropout(t, 0.3, key=(5, 7)), x)
    yield "uniform_like", lambda: [minidl.uniform_like(x, (3, 11))]


def _rows() -> Iterator[Case]:
    for shape in ((64, 10), (33, 1000), (4, 7, 65)):
        x = _random(*shape) * 4
        for softmax in (minidl.softmax, minidl.log_softmax):
            for axis in (-1, 0):
                yield (
                    f"{softmax.__name__} {shape} {axis}",
                    lambda f=softmax, a=axis, x=x: _gradients(lambda t: f(t, axis=a), x),
                )
    target = np.random.default_rng(0).integers(0, 10, 64)
    for settings in ({}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {"ignore_index": 3}):
        yield (
            f"cross_entropy {settings}",
            lambda s=settings: _gradients(
                lambda t: minidl.cross_entropy(t, minidl.asarray(target), **s), _random(64, 10)
            ),
        )
    images = _random(8, 6, 11, 13)
    yield "BatchNorm2d", lambda: _layer(nn.BatchNorm2d(6), images)
    yield "BatchNorm2d evaluating", lambda: _layer(nn.BatchNorm2d(6).eval(), images)
    yield "BatchNorm1d", lambda: _layer(nn.BatchNorm1d(130), _random(64, 130))
    yield "GroupNorm", lambda: _layer(nn.GroupNorm(3, 6), images)
    yield "LayerNorm", lambda: _layer(nn.LayerNorm(257), _random(33, 257))
    ids = minidl.asarray(np.random.default_rng(0).integers(0, 50, (40, 9)))
    for sparse in (False, True):
        yield f"embedding sparse={sparse}", lambda s=sparse: _embedding(ids, s)


def _embedding(ids: Any, sparse: bool) -> list[Any]:
    weight = _random(50, 33).requires_grad_()
    y = minidl.embedding(weight, ids, sparse=sparse)
    y.backward(_random(*y.shape, seed=99))
    gradient = weight.grad
    return [y.detach(), minidl.asarray(gradient.dense()) if sparse else gradient]


def _optimizers() -> Iterator[Case]:
    makers = {
        "SGD": lambda p: optim.SGD(p, 0.1),
        "SGD momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        "Adam": lambda p: optim.Adam(p, 0.01),
        "Adam amsgrad": lambda p: optim.Adam(p, 0.01, amsgrad=True, weight_decay=0.1),
        "AdamW": lambda p: optim.AdamW(p, 0.01),
    }
    for name, make in makers.items():
        yield name, lambda make=make: _steps(make)


def _steps(make: Callable[..., Any]) -> list[Any]:
    parameters = [_random(*s, seed=i).requires_grad_() for i, s in enumerate([(7,), (300, 200)])]
    optimizer = make(parameters)
    for step in range(3):
        for parameter in parameters:
            parameter.grad = _random(*parameter.shape, seed=step + 10)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def _digest(values: list[Any]) -> str:
    found = hashlib.sha256()
    for value in values:
        array = value.numpy()
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


def digests() -> dict[str, str]:
    """The digest of each case, at one thread and at two."""
    found, before = {}, minidl.get_num_threads()
    try:
        for count in (1, 2):
            minidl.set_num_threads(count)
            for name, run in _cases():
                found[f"{name}, threads={count}"] = _digest(run())
    finally:
        minidl.set_num_threads(before)
    return found


def main(path: str, other: str | None = None) -> int:
    """Write the digests; with another file, name the cases that differ from it."""
    threads._WORTH = 500  # so that two threads share small work too
    found = digests()
    Path(path).write_text(json.dumps(found, indent=1) + "\n")
    if other is None:
        print(f"{len(found)} cases")
        return 0
    before = json.loads(Path(other).read_text())
    wrong = [name for name in sorted(before | found) if before.get(name) != found.get(name)]
    print(f"{len(found)} cases, {len(wrong)} differ", *wrong, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
