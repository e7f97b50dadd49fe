"""Pooling, normalisation, fully connected layers, embedding, losses, and optimisers."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import minidl
from minidl import nn, ops, optim
from tests.bits.support import (
    DTYPES,
    Case,
    gradients,
    integers,
    of_layer,
    random,
    special,
)

POOLS = [  # feature maps, window, stride and padding
    ((2, 3, 28, 28), (2,)),
    ((2, 4, 13, 15), (2,)),
    ((1, 2, 17, 16), (3, 2, 1)),
    ((2, 2, 9, 9), (3,)),
    ((2, 3, 12, 9), (7, 1, 3)),
    ((3, 1, 14, 17), ((7, 5), (2, 1))),
    ((1, 2, 12, 13), ((3, 2), (1, 3), (1, 1))),
]
PRODUCTS = [
    (32, 1600, 128),
    (64, 784, 128),
    (3, 20, 32),
    (1, 7, 9),
    (200, 130, 70),
    (128, 512, 513),
]
NORMALIZED = (5, 6, 11, 12), (3, 4, 20, 17), (2, 3, 1), (64, 30), (7, 1, 40), (2, 8, 240), (1, 4, 3)
OPTIMIZERS = {
    "SGD": partial(optim.SGD, lr=0.1),
    "SGD momentum": partial(optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "SGD Nesterov": partial(optim.SGD, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "Adam": partial(optim.Adam, lr=0.01),
    "Adam amsgrad": partial(optim.Adam, lr=0.01, amsgrad=True, weight_decay=0.1),
    "AdamW": partial(optim.AdamW, lr=0.01, amsgrad=True),
}
ROW_OPTIMIZERS = {
    "SGD": partial(optim.SGD, lr=0.1),
    "Adagrad": partial(optim.Adagrad, lr=0.1),
    "SparseAdam": partial(optim.SparseAdam, lr=0.01),
    "lazy Adam amsgrad": partial(optim.Adam, lr=0.01, amsgrad=True, weight_decay=0.1, lazy=True),
    "lazy AdamW": partial(optim.AdamW, lr=0.01, lazy=True),
}


def cases() -> Iterator[Case]:
    for dtype in DTYPES:
        yield from _pools(dtype)
        yield from _norms(dtype)
        yield from _embeddings(dtype)
        yield from _bags(dtype)
        for name, make in OPTIMIZERS.items():
            yield f"{name} {dtype}", partial(_steps, make, dtype)
        for name, make in ROW_OPTIMIZERS.items():
            yield f"rows {name} {dtype}", partial(_row_steps, make, dtype)
    yield from _linear()
    yield from _losses()


def _pools(dtype: str) -> Iterator[Case]:
    for shape, window in POOLS:
        for values in (random, special):
            x, name = values(*shape, dtype=dtype), f"{shape} {window} {values.__name__} {dtype}"
            for pool in (nn.MaxPool2d, nn.AvgPool2d):
                yield f"{pool.__name__} {name}", partial(of_layer, pool(*window), x)
            pool = nn.Sequential(nn.MaxPool2d(*window), nn.ReLU())
            yield f"MaxPool2d ReLU {name}", partial(of_layer, pool, x)
            yield f"max_pool2d with indices {name}", partial(_indices, x)
            for size in (1, (3, 4), 2):
                adaptive = nn.AdaptiveAvgPool2d(size)
                yield f"AdaptiveAvgPool2d {size} {name}", partial(of_layer, adaptive, x)


def _indices(x: Any) -> list[Any]:
    return list(minidl.max_pool2d(x, 3, 2, 1, 2, ceil_mode=True, return_indices=True))


def _norms(dtype: str) -> Iterator[Case]:
    for shape in NORMALIZED:
        x, channels = random(*shape, dtype=dtype) * 3 + 2, shape[1]
        name = f"{shape} {dtype}"
        weight, bias, mean, var = (random(channels, seed=i, dtype=dtype) for i in range(1, 5))
        given = mean, minidl.abs(var) + 0.5
        yield f"batch_norm {name}", partial(gradients, _batch_norm, x, weight, bias)
        yield f"batch_norm moments {name}", partial(_moments, x)
        for parameters in ((), (weight, bias)):
            yield (
                f"batch_norm_inference {len(parameters)} {name}",
                partial(gradients, ops.batch_norm_inference, x, *given, *parameters),
            )
        for groups in {1, channels}:
            group_norm = partial(ops.group_norm, num_groups=groups)
            yield f"group_norm {groups} {name}", partial(gradients, group_norm, x, weight, bias)
        tail = shape[-1:]
        layer_norm = partial(ops.layer_norm, normalized_shape=tail)
        of_tail = (random(*tail, seed=i, dtype=dtype) for i in (7, 8))
        yield f"layer_norm {name}", partial(gradients, layer_norm, x, *of_tail)
        yield f"layer_norm alone {name}", partial(gradients, layer_norm, x)
    images = random(4, 6, 11, 13, dtype=dtype)
    for layer in (nn.BatchNorm2d(6), nn.BatchNorm2d(6).eval(), nn.GroupNorm(3, 6)):
        name = f"{type(layer).__name__} training={layer.training} {dtype}"
        yield name, partial(of_layer, layer.to(images.dtype), images)


def _batch_norm(*arrays: Any) -> Any:
    return ops.batch_norm(*arrays)[0]


def _moments(x: Any) -> list[Any]:
    return list(ops.batch_norm(x))


def _embeddings(dtype: str) -> Iterator[Case]:
    for n, rows, width in ((10, 5, 3), (1000, 50, 17), (3000, 4000, 33), (20, 50, 1)):
        table, ids = random(rows, width, dtype=dtype), integers(rows, n)
        for sparse in (False, True):
            name = f"embedding {n} {rows} {width} sparse={sparse} {dtype}"
            yield name, partial(_embedding, table, ids, sparse)


def _bags(dtype: str) -> Iterator[Case]:
    table, weights = random(300, 33, dtype=dtype), random(40, 20, seed=1, dtype=dtype)
    bagged = partial(minidl.embedding_bag, padding_idx=3)
    for mode in ("sum", "mean", "max"):
        bags = lambda table, mode=mode: bagged(table, integers(300, 40, 20), mode=mode)
        yield f"embedding_bag {mode} {dtype}", partial(gradients, bags, table)
    weighted = lambda *arrays: bagged(
        arrays[0], integers(300, 40, 20), per_sample_weights=arrays[1], mode="sum"
    )
    yield f"embedding_bag weighted {dtype}", partial(gradients, weighted, table, weights)


def _embedding(table: Any, ids: Any, sparse: bool) -> list[Any]:
    weight = table.detach().requires_grad_()
    y = minidl.embedding(weight, ids, sparse=sparse)
    y.backward(random(*y.shape, seed=99, dtype=str(y.dtype)))
    gradient = weight.grad
    return [y.detach(), minidl.asarray(gradient.dense()) if sparse else gradient]


def _steps(make: Callable[..., Any], dtype: str) -> list[Any]:
    shapes = (7,), (300, 200), (5001,)
    parameters = [random(*s, seed=i, dtype=dtype).requires_grad_() for i, s in enumerate(shapes)]
    optimizer = make(parameters)
    for step in range(3):
        for parameter in parameters:
            parameter.grad = random(*parameter.shape, seed=step + 10, dtype=dtype)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def _row_steps(make: Callable[..., Any], dtype: str) -> list[Any]:
    table = random(4000, 33, dtype=dtype).requires_grad_()
    optimizer = make([table])
    for step in range(3):
        optimizer.zero_grad()
        y = minidl.embedding(table, integers(4000 - step, 1000), sparse=True)
        y.backward(random(*y.shape, seed=step + 10, dtype=dtype))
        optimizer.step()
    return [table.detach()]


def _linear() -> Iterator[Case]:
    for m, k, n in PRODUCTS:
        for dtype in DTYPES:
            x, weight, bias = (
                random(*shape, seed=i, dtype=dtype)
                for i, shape in enumerate([(m, k), (n, k), (n,)])
            )
            name = f"{m} {k} {n} {dtype}"
            yield f"linear {name}", partial(gradients, minidl.linear, x, weight)
            yield f"linear with bias {name}", partial(gradients, minidl.linear, x, weight, bias)
        layers = nn.Sequential(nn.Linear(k, n), nn.ReLU())
        yield f"Linear ReLU {m} {k} {n}", partial(of_layer, layers, random(m, k))


def _losses() -> Iterator[Case]:
    for shape in ((64, 10), (7, 1000), (1, 3), (300, 33)):
        for values in (random, special):
            logits = values(*shape)
            for dtype in ("int64", "uint8"):
                target = integers(min(shape[1], 100), shape[0], dtype=dtype)
                for settings in ({}, {"reduction": "sum"}, {"ignore_index": 2}):
                    loss = partial(_cross_entropy, target, settings)
                    name = f"cross_entropy {shape} {values.__name__} {dtype} {settings}"
                    yield name, partial(gradients, loss, logits)


def _cross_entropy(target: Any, settings: dict[str, Any], logits: Any) -> Any:
    return minidl.cross_entropy(logits, target, **settings)
