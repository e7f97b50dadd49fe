"""How errors of sums grow with the number of terms, here and in PyTorch.

A result is compared with that of float64, in units of ε·Σ|terms|, ε the distance from 1 to the next
number of the dtype: a bound of max(1, log₂ n) such units is promised for reductions, and for
gradients of biases and of weights (`minidl.backends.reductions`).  For what is not a sum of given
terms, such as a norm, the unit is ε times the result.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

import minidl
from minidl import optim


class Case(NamedTuple):
    """The same computation in both libraries, on arrays of n elements or so, and in float64."""

    shapes: Callable[[int], Sequence[tuple[int, ...]]]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    exact: Callable[..., np.ndarray]
    terms: Callable[..., np.ndarray] | None = None  # Σ|terms|; default: |exact|


class Growth(NamedTuple):
    """The errors of one computation, for each number of elements; None where it is impossible."""

    name: str
    ours: list[float | None]
    theirs: list[float | None]


def _gradient(library: Any, function: Callable[..., Any], at: Any, dy: Any) -> Any:
    """The gradient at zeros of the shape of `at`, for this gradient of the result."""
    x = library.zeros_like(at)
    x.requires_grad = True
    function(x).backward(dy)
    return x.grad


def _torch() -> Any:
    return import_module("torch")


def _functional() -> Any:
    return import_module("torch.nn.functional")


def _rows(n: int, width: int) -> tuple[int, int]:
    return max(1, n // width), width


def _images(n: int) -> tuple[int, ...]:
    return max(1, n // 128), 2, 8, 8


def _taps(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The gradient of the weight of a 3×3 convolution."""
    taps = [x[:, :, a : a + 6, b : b + 6] for a in range(3) for b in range(3)]
    flat = dy.transpose(1, 0, 2, 3).reshape(dy.shape[1], -1)
    columns = [tap.transpose(1, 0, 2, 3).reshape(x.shape[1], -1) for tap in taps]
    sums = np.stack([flat @ column.T for column in columns], axis=-1)
    return sums.reshape(dy.shape[1], x.shape[1], 3, 3)


def _standardised(x: np.ndarray, axis: int) -> np.ndarray:
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=axis, keepdims=True) + 1e-5)


def _log_sum(x: np.ndarray, axis: int) -> np.ndarray:
    return np.log(np.exp(x).sum(axis=axis))


def _norm_of_gradients(library: Any, clip: Callable[..., Any], x: Any) -> Any:
    p = library.zeros_like(x)
    p.requires_grad = True
    p.grad = x
    return clip([p], 1e9)


def _ids(n: int) -> np.ndarray:
    return np.arange(n) % 3


def _of_thirds(x: np.ndarray) -> np.ndarray:
    return np.stack([x[i::3].sum(axis=0) for i in range(3)])


_CASES: dict[str, Case] = {
    "sum": Case(lambda n: [(n,)], lambda x: x.sum(), lambda x: x.sum(), lambda x: x.sum(), np.sum),
    "sum, axis 0 of (n/4, 4)": Case(
        lambda n: [_rows(n, 4)],
        lambda x: x.sum(axis=0),
        lambda x: x.sum(0),
        lambda x: x.sum(axis=0),
    ),
    "sum, axis 1 of (4, n/4)": Case(
        lambda n: [_rows(n, 4)[::-1]],
        lambda x: x.sum(axis=1),
        lambda x: x.sum(1),
        lambda x: x.sum(axis=1),
    ),
    "mean, axis 0": Case(
        lambda n: [_rows(n, 4)],
        lambda x: x.mean(axis=0),
        lambda x: x.mean(0),
        lambda x: x.mean(axis=0),
    ),
    "var, axis 0": Case(
        lambda n: [_rows(n, 4)],
        lambda x: x.var(axis=0),
        lambda x: x.var(0, correction=0),
        lambda x: x.var(axis=0),
    ),
    "cumulative_sum, axis 0": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.cumulative_sum(x, axis=0)[-1],
        lambda x: x.cumsum(0)[-1],
        lambda x: x.sum(axis=0),
    ),
    "logsumexp, axis 0": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.logsumexp(x, axis=0),
        lambda x: x.logsumexp(0),
        lambda x: _log_sum(x, 0),
    ),
    "vector_norm": Case(
        lambda n: [(n,)],
        minidl.linalg.vector_norm,
        lambda x: x.norm(),
        lambda x: np.sqrt((x * x).sum()),
    ),
    "clip_grad_norm_": Case(
        lambda n: [_rows(n, 4)],
        lambda x: _norm_of_gradients(minidl, optim.clip_grad_norm_, x),
        lambda x: _norm_of_gradients(_torch(), _torch().nn.utils.clip_grad_norm_, x),
        lambda x: np.sqrt((x * x).sum()),
    ),
    "softmax, axis 0": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.softmax(x, axis=0)[:100],
        lambda x: x.softmax(0)[:100],
        lambda x: np.exp(x[:100] - _log_sum(x, 0)),
    ),
    "mse_loss": Case(
        lambda n: [(n,), (n,)],
        minidl.mse_loss,
        lambda x, y: _functional().mse_loss(x, y),
        lambda x, y: ((x - y) ** 2).mean(),
    ),
    "cross_entropy": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.cross_entropy(x, minidl.asarray(_ids(len(x)))),
        lambda x: _functional().cross_entropy(x, _torch().from_numpy(_ids(len(x)))),
        lambda x: (_log_sum(x, 1) - x[np.arange(len(x)), _ids(len(x))]).mean(),
    ),
    "layer_norm over n": Case(
        lambda n: [_rows(n, n // 2)],
        lambda x: minidl.layer_norm(x, normalized_shape=x.shape[1])[:, :100],
        lambda x: _functional().layer_norm(x, x.shape[1:])[:, :100],
        lambda x: _standardised(x, 1)[:, :100],
        lambda x: np.ones(1),
    ),
    "batch_norm": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.batch_norm(x)[0][:100],
        lambda x: _functional().batch_norm(x, None, None, training=True)[:100],
        lambda x: _standardised(x, 0)[:100],
        lambda x: np.ones(1),
    ),
    "global avg_pool2d": Case(
        lambda n: [(1, 1, *_rows(n, 10))],
        lambda x: minidl.avg_pool2d(x, x.shape[2:]),
        lambda x: _functional().avg_pool2d(x, tuple(x.shape[2:])),
        lambda x: x.mean(axis=(2, 3), keepdims=True),
    ),
    "gradient of a broadcast bias": Case(
        lambda n: [_rows(n, 4)],
        lambda dy: _gradient(minidl, lambda b: b + minidl.zeros_like(dy), dy[0], dy),
        lambda dy: _gradient(_torch(), lambda b: b + _torch().zeros_like(dy), dy[0], dy),
        lambda dy: dy.sum(axis=0),
    ),
    "gradient of layer_norm's weight": Case(
        lambda n: [_rows(n, 4), _rows(n, 4)],
        lambda x, dy: _gradient(
            minidl, lambda w: minidl.layer_norm(x, w, normalized_shape=4), x[0], dy
        ),
        lambda x, dy: _gradient(_torch(), lambda w: _functional().layer_norm(x, (4,), w), x[0], dy),
        lambda x, dy: (_standardised(x, 1) * dy).sum(axis=0),
        lambda x, dy: np.abs(_standardised(x, 1) * dy).sum(axis=0),
    ),
    "gradient of batch_norm's bias": Case(
        lambda n: [_rows(n, 4), _rows(n, 4)],
        lambda x, dy: _gradient(minidl, lambda b: minidl.batch_norm(x, None, b)[0], x[0], dy),
        lambda x, dy: _gradient(
            _torch(),
            lambda b: _functional().batch_norm(x, None, None, None, b, training=True),
            x[0],
            dy,
        ),
        lambda x, dy: dy.sum(axis=0),
    ),
    "gradient of an embedding": Case(
        lambda n: [_rows(n, 4)],
        lambda dy: _gradient(
            minidl, lambda w: minidl.embedding(w, minidl.asarray(_ids(len(dy)))), dy[:3], dy
        ),
        lambda dy: _gradient(
            _torch(),
            lambda w: _functional().embedding(_torch().from_numpy(_ids(len(dy))), w),
            dy[:3],
            dy,
        ),
        _of_thirds,
    ),
    "segment_sum": Case(
        lambda n: [_rows(n, 4)],
        lambda x: minidl.segment_sum(x, minidl.asarray(_ids(len(x))), 3),
        lambda x: _torch().zeros_like(x[:3]).index_add(0, _torch().from_numpy(_ids(len(x))), x),
        _of_thirds,
    ),
    "gradient of linear's bias": Case(
        lambda n: [_rows(n, 4), _rows(n, 4)],
        lambda x, dy: _gradient(
            minidl, lambda b: minidl.linear(x, minidl.eye(4, dtype=x.dtype), b), x[0], dy
        ),
        lambda x, dy: _gradient(
            _torch(), lambda b: _functional().linear(x, _torch().eye(4, dtype=x.dtype), b), x[0], dy
        ),
        lambda x, dy: dy.sum(axis=0),
    ),
    "gradient of linear's weight": Case(
        lambda n: [_rows(n, 4), _rows(n, 4)],
        lambda x, dy: _gradient(minidl, lambda w: minidl.linear(x, w), x[:4], dy),
        lambda x, dy: _gradient(_torch(), lambda w: _functional().linear(x, w), x[:4], dy),
        lambda x, dy: dy.T @ x,
    ),
    "gradient of conv2d's weight": Case(
        lambda n: [_images(n), (*_images(n)[:2], 6, 6)],
        lambda x, dy: _gradient(
            minidl, lambda w: minidl.conv2d(x, w), minidl.zeros((2, 2, 3, 3), dtype=x.dtype), dy
        ),
        lambda x, dy: _gradient(
            _torch(),
            lambda w: _functional().conv2d(x, w),
            _torch().zeros((2, 2, 3, 3), dtype=x.dtype),
            dy,
        ),
        _taps,
    ),
    "matmul (2, n/2) (n/2, 2)": Case(
        lambda n: [(2, n // 2), (n // 2, 2)],
        lambda x, y: x @ y,
        lambda x, y: x @ y,
        lambda x, y: x @ y,
    ),
}


def measured(largest: int, dtype: str, names: Sequence[str] = ()) -> Iterator[Growth]:
    """The errors for 10², 10³, … up to the largest number of elements, uniform in [0, 1)."""
    sizes = [10**k for k in range(2, len(str(largest)))]
    for name in names or _CASES:
        both = [_errors(_CASES[name], n, dtype) for n in sizes]
        yield Growth(name, [ours for ours, _ in both], [theirs for _, theirs in both])


def _errors(case: Case, n: int, dtype: str) -> list[float | None]:
    """The errors of both sides."""
    rng = np.random.default_rng(n)
    arrays = [rng.random(shape, "float32").astype(dtype) for shape in case.shapes(n)]
    wide = [x.astype("float64") for x in arrays]
    exact = case.exact(*wide)
    unit = np.finfo(dtype).eps * np.abs((case.terms or case.exact)(*wide))
    del wide
    if np.max(np.abs(exact)) > np.finfo(dtype).max:
        return [None, None]
    sides = [(case.ours, minidl.asarray), (case.theirs, _torch().from_numpy)]
    return [_error(compute, [make(x) for x in arrays], exact, unit) for compute, make in sides]


def _error(
    compute: Callable[..., Any], arrays: list[Any], exact: np.ndarray, unit: np.ndarray
) -> float | None:
    """The largest error, in units; None for what PyTorch does not do in this dtype."""
    try:
        found = compute(*arrays)
    except RuntimeError:
        return None
    return float(np.max(np.abs(np.asarray(found.detach(), "float64") - exact) / unit))


def table(growths: Iterator[Growth], dtype: str) -> Table:
    """A line for each computation, with minidl's and PyTorch's errors side by side."""
    shown = Table(title=f"{dtype}: errors in ε·Σ|terms|, minidl / PyTorch")
    shown.add_column("computation")
    for growth in growths:
        if len(shown.columns) == 1:
            for k in range(len(growth.ours)):
                shown.add_column(f"10^{k + 2}", justify="right")
        pairs = zip(growth.ours, growth.theirs, strict=True)
        shown.add_row(growth.name, *(" / ".join(map(_number, pair)) for pair in pairs))
    return shown


def _number(error: float | None) -> str:
    return "–" if error is None else f"{error:.2g}"
