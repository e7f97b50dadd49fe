"""Layer norm and group norm: a row at a time, its moments in one pass, the result in another.

    y = (x − mean)·rstd·weight + bias,   rstd = 1 / √(var + eps)

    J. Ba, J. Kiros, G. Hinton.  Layer normalization.  2016.
    Y. Wu, K. He.  Group normalization.  ECCV 2018.

A row is read from memory once; the second pass finds it in the cache.  In group norm, a row is a
group of channels of one sample.

**Precision.**  Sums are float64.  The variance is that of shifted data, Σ d² / n − (Σ d / n)² with
d = x − shift: it needs one pass, where subtracting the mean needs two, and no division for each
element, as Welford's updates do (T. Chan, G. Golub, R. LeVeque.  Algorithms for computing the
sample variance.  The American Statistician 37(3), 1983).  To normalise, the mean is split into
`shift`, its rounding to the input's dtype, and the rest, which goes into the constant term:
x − shift is exact where x is close to the mean, so that a large mean costs no digits.  Sums of many
float64 would lose digits in float64: large arrays are for the body.

Saved are x, and mean and rstd of each row.  Cost: 8 bytes an element forward, 12 back.
"""

import math
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    inlined,
    parallel,
    reassociating,
)

# So many terms are added up in the dtype of x, before a float64 sum takes them: within
# max(1, log₂ n)·ε·Σ|terms| in any order, as n − 1 ≤ 2·log₂ n.
BLOCK = 6
_LARGEST64 = 4096  # elements of float64 arrays for the kernels, whose sums are of float64 alone
FORWARD_NS, BACKWARD_NS = 0.9, 1.2  # nanoseconds an element


def layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·rstd·weight + bias over the last axes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not are_of_shape(shape, x, weight, bias) or not shape or x.shape[-len(shape) :] != shape:
        return NotImplemented
    if not is_positive(eps):
        return NotImplemented
    return _normalize_rows(x, weight, bias, eps, shape, math.prod(shape), 1)


def group_norm(
    x: Any, weight: Any = None, bias: Any = None, *, num_groups: int, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·rstd·weight + bias over the channels of a group of each sample."""
    if not are_of_channels(x, weight, bias) or num_groups < 1 or x.shape[1] % num_groups:
        return NotImplemented
    if not is_positive(eps):
        return NotImplemented
    return _normalize_rows(x, weight, bias, eps, x.shape[1:2], math.prod(x.shape[1:]), num_groups)


def is_positive(eps: Any) -> bool:
    """Whether eps is a positive float, the usual case; the body judges any other."""
    return isinstance(eps, float) and eps > 0


def are_of_channels(x: Any, *vectors: Any) -> bool:
    """Whether the kernels are for x (N, C, …) and vectors (C,), each of which may be None."""
    return x.ndim > 1 and are_of_shape(x.shape[1:2], x, *vectors)


def are_of_shape(shape: tuple[int, ...], x: Any, *vectors: Any) -> bool:
    """Whether the kernels are for x and vectors of this shape, each of which may be None."""
    if not are_arrays("fd", x, optional=vectors) or not x.size:
        return False
    if x.dtype.char == "d" and x.size > _LARGEST64:
        return False
    return all(v is None or v.shape == shape for v in vectors)


def _normalize_rows(
    x: Any,
    weight: Any,
    bias: Any,
    eps: float,
    parameter_shape: tuple[int, ...],
    sample_size: int,
    groups: int,
) -> Any:
    """y and its pullback, where each sample of x consists of as many rows as groups.

    An element of the parameters belongs to sample_size / parameters elements of a sample.
    """
    shape, table = x.shape, (groups, sample_size // groups)
    x = as_contiguous(x).reshape(-1, table[1])
    weight = np.ones(table, x.dtype) if weight is None else _repeat(weight, table)
    bias = np.zeros(table, x.dtype) if bias is None else _repeat(bias, table)
    y, mean, rstd = np.empty(shape, x.dtype), np.empty(len(x)), np.empty(len(x))
    chunks = threads.chunks(x.size * FORWARD_NS)
    _rows_forward(x, weight, bias, eps, mean, rstd, y.reshape(x.shape), chunks)

    def pullback(dy: np.ndarray) -> tuple:
        chunks = threads.chunks(x.size * BACKWARD_NS)
        dx = np.empty(shape, x.dtype)
        sums, partial = np.zeros((chunks, 2, *table)), np.zeros((chunks, 2, table[1]), x.dtype)
        dy, out = as_contiguous(dy).reshape(x.shape), dx.reshape(x.shape)
        _rows_backward(dy, x, mean, rstd, weight, out, sums, partial, chunks)
        return dx, *sums.sum(axis=0).reshape(2, *parameter_shape, -1).sum(axis=-1)

    return y, pullback


def _repeat(vector: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Each element repeated as often as it takes to fill an array of this shape."""
    return np.repeat(vector.reshape(-1), math.prod(shape) // vector.size).reshape(shape)


@parallel("F[row,k] F[group,k] F[group,k] f64 f64[row] f64[row] F[row,k]", then=["_rows_backward"])
def _rows_forward(x, weight, bias, eps, mean, rstd, y, chunk, chunks):
    """y, and mean and rstd of each row; a chunk takes rows of one group after the other."""
    groups = weight.shape[0]
    samples = x.shape[0] // groups
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for position in range(start, stop):
        group, i = position // samples, position % samples * groups + position // samples
        mean[i], rstd[i] = _row_forward(x[i], weight[group], bias[group], eps, y[i])


@inlined
def _row_forward(x, weight, bias, eps, y):
    """y = (x − mean)·rstd·weight + bias of a row; its mean and rstd."""
    mean, var = _moments(x)
    rstd = 1 / np.sqrt(var + eps)
    shift = x.dtype.type(mean)
    rest = mean - shift
    slope, offset = x.dtype.type(rstd), x.dtype.type(-rest * rstd)
    for j in range(x.size):
        y[j] = ((x[j] - shift) * slope + offset) * weight[j] + bias[j]
    return mean, rstd


@parallel(
    "F[row,k] F[row,k] f64[row] f64[row] F[group,k] F[row,k] f64[chunk,sum,group,k] F[chunk,sum,k]",
)
def _rows_backward(dy, x, mean, rstd, weight, dx, sums, partial, chunk, chunks):
    """dx, and Σ dy·x̂ and Σ dy over the samples, the gradients of weight and bias.

    Each chunk has sums of its own, and partial sums of BLOCK samples in the dtype of x.
    """
    groups = weight.shape[0]
    samples = x.shape[0] // groups
    products, totals = partial[chunk, 0], partial[chunk, 1]
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for position in range(start, stop):
        group, i = position // samples, position % samples * groups + position // samples
        _row_backward(dy[i], x[i], mean[i], rstd[i], weight[group], dx[i], products, totals)
        sample, last = position % samples, position == stop - 1
        if sample % BLOCK == BLOCK - 1 or sample == samples - 1 or last:
            for j in range(x.shape[1]):
                sums[chunk, 0, group, j] += products[j]
                sums[chunk, 1, group, j] += totals[j]
                products[j] = totals[j] = 0


@inlined
def _row_backward(dy, x, mean, rstd, weight, dx, products, totals):
    """dx = rstd·(g − Σ g / n − x̂·Σ g·x̂ / n), g = dy·weight;   products += dy·x̂, totals += dy."""
    shift = x.dtype.type(mean)
    rest = mean - shift
    total, product = _weighted_sums(dy, x, weight, shift)
    slope = (product - rest * total) * rstd**3 / x.size
    scale, x_slope = x.dtype.type(rstd), x.dtype.type(-slope)
    x_hat_offset = x.dtype.type(rest * rstd)
    offset = x.dtype.type(slope * rest - rstd * total / x.size)
    for j in range(x.size):
        centred = x[j] - shift
        dx[j] = dy[j] * weight[j] * scale + (centred * x_slope + offset)
        products[j] += dy[j] * (centred * scale - x_hat_offset)
        totals[j] += dy[j]


@reassociating
def _moments(x):
    """The mean and the variance of a row: Σ d² / n − (Σ d / n)², d = x − its first element.

    No digits are lost in that difference: since the shift is an element of x, the second term is
    less than n times the result (Chan, Golub, LeVeque 1983).
    """
    origin = np.float64(x[0])
    first = second = 0.0
    for j in range(x.size):
        centred = x[j] - origin
        first += centred
        second += centred * centred
    first /= x.size
    return origin + first, second / x.size - first * first


@reassociating
def _weighted_sums(dy, x, weight, shift):
    """Σ dy·weight and Σ dy·weight·(x − shift)."""
    total = product = 0.0
    for j in range(x.size):
        g = dy[j] * weight[j]
        total += g
        product += g * (x[j] - shift)
    return total, product
