"""Normalisation, with one pass over memory for the sums and one for the result.

The input is worked on in parts that stay in the cache: the channels of batch norm that fill a
thousand columns, a row of layer norm, a group of group norm.  So each part comes from memory once,
however often it is read.  What is saved for the gradient is the input, and two numbers of each
part: the mean, and inverse = 1 / √(var + eps).

Sums are float64.  A mean is split into `shift`, a number of the input's dtype, and the rest, which
goes into the constant that is added at last: x − shift is exact where x is close to the mean, so
that a large mean costs no digits.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.compile import parallel, share

_COLUMNS = 1024  # so many columns of a few vectors fit into the first-level cache
_FEW = 32  # so many numbers lose little when they are added up in float32
_FORWARD, _BACKWARD = 0.9, 1.2  # nanoseconds an element

_inline = njit(inline="always")
# A sum over a row in whatever order is fast.
_in_any_order = njit(fastmath={"reassoc", "contract"}, nogil=True)


def batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = (x − mean)·inverse·weight + bias, the mean and the variance of each channel.

    dx = weight·inverse·(dy − Σ dy / n − x̂·Σ dy·x̂ / n),   dweight = Σ dy·x̂,   dbias = Σ dy,
    where x̂ = (x − mean)·inverse.
    """
    if not _of_channels(x, weight, bias) or eps <= 0:
        return NotImplemented
    y, table, pullback = _batch(x, None, None, weight, bias, eps)
    mean, var, *_ = table.astype(x.dtype)
    return (y, mean, var), lambda dy, *_: pullback(dy)


def batch_norm_inference(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias, with a given mean and variance of each channel.

    dx = weight·inverse·dy,   dweight = Σ dy·x̂,   dbias = Σ dy,
    dmean = −weight·inverse·Σ dy,   dvar = −weight·inverse²·Σ dy·x̂ / 2.
    """
    if not _of_channels(x, mean, var, weight, bias):
        return NotImplemented
    y, table, pullback = _batch(x, mean, var, weight, bias, eps)

    def pullbacks(dy: np.ndarray) -> tuple:
        dx, products, sums = pullback(dy)
        _, _, inverse, scale, _ = table
        return dx, -scale * sums, -scale * inverse * products / 2, products, sums

    return y, pullbacks


def layer_norm(
    x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias over the last axes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not _are_ready(shape, x, weight, bias) or not shape or x.shape[-len(shape) :] != shape:
        return NotImplemented
    return _rows(x, weight, bias, eps, shape, math.prod(shape), 1)


def group_norm(
    x: Any, weight: Any = None, bias: Any = None, *, num_groups: int, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias over the channels of a group of each sample."""
    if not _of_channels(x, weight, bias) or num_groups < 1 or x.shape[1] % num_groups:
        return NotImplemented
    return _rows(x, weight, bias, eps, x.shape[1:2], math.prod(x.shape[1:]), num_groups)


def _of_channels(x: Any, *vectors: Any) -> bool:
    """Whether x is (N, C, …), and each of the vectors, where there is one, (C,)."""
    return type(x) is np.ndarray and x.ndim > 1 and _are_ready(x.shape[1:2], x, *vectors)


def _are_ready(shape: tuple[int, ...], x: Any, *vectors: Any) -> bool:
    """Whether the kernels are for x, and the vectors have its dtype and this shape."""
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return False
    return all(
        v is None or type(v) is np.ndarray and v.shape == shape and v.dtype == x.dtype
        for v in vectors
    )


# Batch norm: a sum for each column, and then over the columns of each channel.


def _batch(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """y, its table, and the pullback that gives dx, Σ dy·x̂ and Σ dy.

    The rows of the table are mean, var, inverse, weight·inverse and bias of each channel.  Where
    mean and var are None, they are those of x.
    """
    shape, known = x.shape, mean is not None
    x = np.ascontiguousarray(x).reshape(shape[0], -1)
    table = np.empty((5, shape[1]))
    if known:
        table[0], table[1] = mean, var
    table[3] = 1 if weight is None else weight
    table[4] = 0 if bias is None else bias
    y = np.empty(shape, x.dtype)
    room = _room(x, shape[1], threads.pieces(x.size * _FORWARD))
    _batch_forward(x, y.reshape(x.shape), table, eps, known, *room)

    def pullback(dy: np.ndarray) -> tuple:
        dx, found = np.empty(shape, x.dtype), np.empty((2, shape[1]))
        dy = np.ascontiguousarray(dy).reshape(x.shape)
        room = _room(x, shape[1], threads.pieces(x.size * _BACKWARD))
        _batch_backward(dy, x, dx.reshape(x.shape), table, found, known, *room)
        return dx, *found

    return y, table, pullback


def _room(x: np.ndarray, channels: int, pieces: int) -> tuple[int, np.ndarray, np.ndarray, int]:
    """How many rows a channel is; vectors for the columns that a piece does at a time; pieces.

    There are three vectors of float64 for each piece, and six of the dtype of x.
    """
    size = x.shape[1] // channels
    rows = _rows_of(size)
    length = size // rows
    width = length if rows > 1 else max(1, min(_COLUMNS // length, channels)) * length
    return rows, np.empty((pieces, 3, width)), np.empty((pieces, 6, width), x.dtype), pieces


@cache
def _rows_of(size: int) -> int:
    """Into how many rows to fold the elements of a channel, so that one has few enough columns."""
    for rows in range(1, size // 64 + 1):
        if size % rows == 0 and size // rows <= _COLUMNS:
            return rows
    return 1


@parallel
def _batch_forward(x, y, table, eps, known, rows, sums, vectors, pieces):
    """Each piece has some of the channels, and does about a thousand columns at a time."""
    mean, var, inverse, scale, bias = table[0], table[1], table[2], table[3], table[4]
    length = x.shape[1] // mean.size // rows
    count = x.shape[0] * length * rows
    step = sums.shape[2] // length
    for piece in prange(pieces):
        origin, first, second = sums[piece, 0], sums[piece, 1], sums[piece, 2]
        shift, slope, offset = vectors[piece, 0], vectors[piece, 1], vectors[piece, 2]
        start, stop = share(mean.size, piece, pieces)
        for channel in range(start, stop, step):
            channels = min(step, stop - channel)
            width = channels * length
            if not known:
                for c in range(channels):
                    near = x[0, (channel + c) * length * rows]
                    near = near if np.isfinite(near) else x.dtype.type(0)
                    for j in range(c * length, (c + 1) * length):
                        origin[j] = near
                        first[j] = second[j] = 0
                for i in range(x.shape[0] * rows):
                    n, begin = i // rows, (channel * rows + i % rows) * length
                    row = x[n, begin : begin + width]
                    for j in range(row.size):
                        centred = row[j] - origin[j]
                        first[j] += centred
                        second[j] += centred * centred
            for c in range(channels):
                k = channel + c
                if not known:
                    total = squares = 0.0
                    for j in range(c * length, (c + 1) * length):
                        total += first[j]
                        squares += second[j]
                    mean[k] = origin[c * length] + total / count
                    var[k] = _variance(total / count, squares / count)
                inverse[k] = 1 / np.sqrt(var[k] + eps)
                scale[k] *= inverse[k]
                rest = mean[k] - x.dtype.type(mean[k])
                for j in range(c * length, (c + 1) * length):
                    shift[j] = mean[k]
                    slope[j] = scale[k]
                    offset[j] = bias[k] - rest * scale[k]
            for i in range(x.shape[0] * rows):
                n, begin = i // rows, (channel * rows + i % rows) * length
                row, out = x[n, begin : begin + width], y[n, begin : begin + width]
                for j in range(row.size):
                    out[j] = (row[j] - shift[j]) * slope[j] + offset[j]


@parallel
def _batch_backward(dy, x, dx, table, found, known, rows, sums, vectors, pieces):
    """Each piece has some of the channels, and does about a thousand columns at a time.

    dx = scale·dy, and unless the mean is known, − scale·(Σ dy / n + x̂·Σ dy·x̂ / n) with it.
    """
    mean, inverse, scale, products, totals = table[0], table[2], table[3], found[0], found[1]
    length = x.shape[1] // mean.size // rows
    count = x.shape[0] * length * rows
    step = sums.shape[2] // length
    for piece in prange(pieces):
        first, second, shift = sums[piece, 0], sums[piece, 1], vectors[piece, 0]
        slope, slant, offset = vectors[piece, 1], vectors[piece, 2], vectors[piece, 3]
        some, others = vectors[piece, 4], vectors[piece, 5]
        start, stop = share(mean.size, piece, pieces)
        for channel in range(start, stop, step):
            channels = min(step, stop - channel)
            width = channels * length
            for c in range(channels):
                for j in range(c * length, (c + 1) * length):
                    shift[j] = mean[channel + c]
                    first[j] = second[j] = some[j] = others[j] = 0
            for i in range(x.shape[0] * rows):
                n, begin = i // rows, (channel * rows + i % rows) * length
                given, row = dy[n, begin : begin + width], x[n, begin : begin + width]
                for j in range(row.size):
                    some[j] += given[j]
                    others[j] += given[j] * (row[j] - shift[j])
                if i % _FEW == _FEW - 1 or i == x.shape[0] * rows - 1:
                    for j in range(row.size):
                        first[j] += some[j]
                        second[j] += others[j]
                        some[j] = others[j] = 0
            for c in range(channels):
                k = channel + c
                total = product = 0.0
                for j in range(c * length, (c + 1) * length):
                    total += first[j]
                    product += second[j]
                rest = mean[k] - x.dtype.type(mean[k])
                totals[k] = total
                products[k] = (product - rest * total) * inverse[k]
                tilt = 0.0 if known else -scale[k] * inverse[k] * products[k] / count
                level = 0.0 if known else -scale[k] * total / count
                for j in range(c * length, (c + 1) * length):
                    slope[j] = scale[k]
                    slant[j] = tilt
                    offset[j] = level - tilt * rest
            for i in range(x.shape[0] * rows):
                n, begin = i // rows, (channel * rows + i % rows) * length
                given, row, out = (
                    dy[n, begin : begin + width],
                    x[n, begin : begin + width],
                    dx[n, begin : begin + width],
                )
                if known:
                    for j in range(row.size):
                        out[j] = given[j] * slope[j]
                else:
                    for j in range(row.size):
                        out[j] = given[j] * slope[j] + ((row[j] - shift[j]) * slant[j] + offset[j])


@_inline
def _variance(mean, squares):
    """Σ (x − mean)² / n, from the means of x and x²; rounding does not get it below 0."""
    var = squares - mean * mean
    return 0.0 if var < 0 else var


# Layer and group norm: one row after the other.


def _rows(
    x: Any, weight: Any, bias: Any, eps: float, own: tuple[int, ...], sample: int, groups: int
) -> Any:
    """y and its pullback, where each sample, so many elements of x, is as many rows as groups.

    own    the shape of weight and bias; an element of theirs is for sample / size many of x
    """
    shape, wide = x.shape, (groups, sample // groups)
    x = np.ascontiguousarray(x).reshape(-1, wide[1])
    weight = np.ones(wide, x.dtype) if weight is None else _repeated(weight, wide)
    bias = np.zeros(wide, x.dtype) if bias is None else _repeated(bias, wide)
    y, mean, inverse = np.empty(shape, x.dtype), np.empty(len(x)), np.empty(len(x))
    pieces = threads.pieces(x.size * _FORWARD)
    _rows_forward(x, weight, bias, eps, mean, inverse, y.reshape(x.shape), pieces)

    def pullback(dy: np.ndarray) -> tuple:
        pieces = threads.pieces(x.size * _BACKWARD)
        dx = np.empty(shape, x.dtype)
        found, some = np.zeros((pieces, 2, *wide)), np.zeros((pieces, 2, wide[1]), x.dtype)
        dy, out = np.ascontiguousarray(dy).reshape(x.shape), dx.reshape(x.shape)
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
        start, stop = share(x.shape[0], piece, pieces)
        for position in range(start, stop):
            group, i = position // samples, position % samples * groups + position // samples
            mean[i], inverse[i] = _row_forward(x[i], weight[group], bias[group], eps, y[i])


@_inline
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
        start, stop = share(x.shape[0], piece, pieces)
        for position in range(start, stop):
            group, i = position // samples, position % samples * groups + position // samples
            _row_backward(dy[i], x[i], mean[i], inverse[i], weight[group], dx[i], products, sums)
            sample, last = position % samples, position == stop - 1
            if sample % _FEW == _FEW - 1 or sample == samples - 1 or last:
                for j in range(x.shape[1]):
                    found[piece, 0, group, j] += products[j]
                    found[piece, 1, group, j] += sums[j]
                    products[j] = sums[j] = 0


@_inline
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
    """The mean and the variance of a row, by differences from its first element."""
    origin = np.float64(x[0])
    first = second = 0.0
    for j in range(x.size):
        centred = x[j] - origin
        first += centred
        second += centred * centred
    first /= x.size
    return origin + first, _variance(first, second / x.size)


@_in_any_order
def _inner(dy, x, weight, shift):
    """Σ dy·weight and Σ dy·weight·(x − shift)."""
    total = product = 0.0
    for j in range(x.size):
        g = dy[j] * weight[j]
        total += g
        product += g * (x[j] - shift)
    return total, product
