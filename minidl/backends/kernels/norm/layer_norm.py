"""Layer and group norm: one row after the other.

A row is read from memory once: its sums are taken, and its result is written, while it is in the
cache.  What is saved for the gradient is the input, and two numbers of each row: the mean, and
inverse = 1 / √(var + eps).

Sums are float64.  A mean is split into `shift`, a number of the input's dtype, and the rest, which
goes into the constant that is added at last: x − shift is exact where x is close to the mean, so
that a large mean costs no digits.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, parallel

FEW = 32  # so many numbers lose little when they are added up in float32
FORWARD, BACKWARD = 0.9, 1.2  # nanoseconds an element

inline = njit(inline="always")
_in_any_order = njit(fastmath={"reassoc", "contract"}, nogil=True)  # for a sum over a row


def layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias over the last axes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not are_ready(shape, x, weight, bias) or not shape or x.shape[-len(shape) :] != shape:
        return NotImplemented
    if not is_positive(eps):
        return NotImplemented
    return _rows(x, weight, bias, eps, shape, math.prod(shape), 1)


def group_norm(
    x: Any, weight: Any = None, bias: Any = None, *, num_groups: int, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias over the channels of a group of each sample."""
    if not of_channels(x, weight, bias) or num_groups < 1 or x.shape[1] % num_groups:
        return NotImplemented
    if not is_positive(eps):
        return NotImplemented
    return _rows(x, weight, bias, eps, x.shape[1:2], math.prod(x.shape[1:]), num_groups)


def is_positive(eps: Any) -> bool:
    """Whether it is a float above 0, as nearly always; the body judges the others."""
    return isinstance(eps, float) and eps > 0


def of_channels(x: Any, *vectors: Any) -> bool:
    """Whether x is (N, C, …), and each of the vectors, where there is one, (C,)."""
    return type(x) is np.ndarray and x.ndim > 1 and are_ready(x.shape[1:2], x, *vectors)


def are_ready(shape: tuple[int, ...], x: Any, *vectors: Any) -> bool:
    """Whether the kernels are for x, and the vectors have its dtype and this shape."""
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return False
    return all(
        v is None or type(v) is np.ndarray and v.shape == shape and v.dtype == x.dtype
        for v in vectors
    )


def _rows(
    x: Any, weight: Any, bias: Any, eps: float, own: tuple[int, ...], sample: int, groups: int
) -> Any:
    """y and its pullback, where each sample, so many elements of x, is as many rows as groups.

    own    the shape of weight and bias; an element of theirs is for sample / size many of x
    """
    shape, wide = x.shape, (groups, sample // groups)
    x = as_contiguous(x).reshape(-1, wide[1])
    weight = np.ones(wide, x.dtype) if weight is None else _repeated(weight, wide)
    bias = np.zeros(wide, x.dtype) if bias is None else _repeated(bias, wide)
    y, mean, inverse = np.empty(shape, x.dtype), np.empty(len(x)), np.empty(len(x))
    pieces = threads.pieces(x.size * FORWARD)
    _rows_forward(x, weight, bias, eps, mean, inverse, y.reshape(x.shape), pieces)

    def pullback(dy: np.ndarray) -> tuple:
        pieces = threads.pieces(x.size * BACKWARD)
        dx = np.empty(shape, x.dtype)
        found, some = np.zeros((pieces, 2, *wide)), np.zeros((pieces, 2, wide[1]), x.dtype)
        dy, out = as_contiguous(dy).reshape(x.shape), dx.reshape(x.shape)
        _rows_backward(dy, x, mean, inverse, weight, out, found, some, pieces)
        return dx, *found.sum(axis=0).reshape(2, *own, -1).sum(axis=-1)

    return y, pullback


def _repeated(vector: np.ndarray, wide: tuple[int, int]) -> np.ndarray:
    """Each element as often as it takes to fill a table of this shape."""
    return np.repeat(vector.reshape(-1), math.prod(wide) // vector.size).reshape(wide)


@parallel
def _rows_forward(x, weight, bias, eps, mean, inverse, y, pieces):
    """Each piece has some of the rows; those of one group follow one another."""
    groups = weight.shape[0]
    samples = x.shape[0] // groups
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        for position in range(start, stop):
            group, i = position // samples, position % samples * groups + position // samples
            mean[i], inverse[i] = _row_forward(x[i], weight[group], bias[group], eps, y[i])


@inline
def _row_forward(x, weight, bias, eps, y):
    """y = (x − mean)·inverse·weight + bias of a row; the mean and the inverse."""
    mean, var = _moments(x)
    inverse = 1 / np.sqrt(var + eps)
    shift = x.dtype.type(mean)
    rest = mean - shift
    slope, offset = x.dtype.type(inverse), x.dtype.type(-rest * inverse)
    for j in range(x.size):
        y[j] = ((x[j] - shift) * slope + offset) * weight[j] + bias[j]
    return mean, inverse


@parallel
def _rows_backward(dy, x, mean, inverse, weight, dx, found, some, pieces):
    """Each piece has some of the rows, and its own sums for the gradients of weight and bias."""
    groups = weight.shape[0]
    samples = x.shape[0] // groups
    for piece in prange(pieces):
        products, sums = some[piece, 0], some[piece, 1]
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        for position in range(start, stop):
            group, i = position // samples, position % samples * groups + position // samples
            _row_backward(dy[i], x[i], mean[i], inverse[i], weight[group], dx[i], products, sums)
            sample, last = position % samples, position == stop - 1
            if sample % FEW == FEW - 1 or sample == samples - 1 or last:
                for j in range(x.shape[1]):
                    found[piece, 0, group, j] += products[j]
                    found[piece, 1, group, j] += sums[j]
                    products[j] = sums[j] = 0


@inline
def _row_backward(dy, x, mean, inverse, weight, dx, products, sums):
    """With g = dy·weight, dx = inverse·(g − Σ g / n − x̂·Σ g·x̂ / n);   dy·x̂ and dy are added up."""
    shift = x.dtype.type(mean)
    rest = mean - shift
    total, product = _inner(dy, x, weight, shift)
    slope = (product - rest * total) * inverse**3 / x.size
    scale, slant = x.dtype.type(inverse), x.dtype.type(-slope)
    unit = x.dtype.type(rest * inverse)
    offset = x.dtype.type(slope * rest - inverse * total / x.size)
    for j in range(x.size):
        centred = x[j] - shift
        dx[j] = dy[j] * weight[j] * scale + (centred * slant + offset)
        products[j] += dy[j] * (centred * scale - unit)
        sums[j] += dy[j]


@_in_any_order
def _moments(x):
    """The mean and the variance of a row, Σ d² / n − (Σ d / n)², d = x − its first element.

    No digits are lost in that difference: since the element is one of x, the second term is less
    than n times the result (Chan, Golub, LeVeque 1983).
    """
    origin = np.float64(x[0])
    first = second = 0.0
    for j in range(x.size):
        centred = x[j] - origin
        first += centred
        second += centred * centred
    first /= x.size
    return origin + first, second / x.size - first * first


@_in_any_order
def _inner(dy, x, weight, shift):
    """Σ dy·weight and Σ dy·weight·(x − shift)."""
    total = product = 0.0
    for j in range(x.size):
        g = dy[j] * weight[j]
        total += g
        product += g * (x[j] - shift)
    return total, product
