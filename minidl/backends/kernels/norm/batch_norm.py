"""Batch norm: a sum for each column, and then over the columns of each channel.

The channels that fill a thousand columns are worked on at a time, so that they stay in the cache:
they come from memory once, however often they are read.  What is saved for the gradient is the
input, and a few numbers of each channel.  Precision is kept as in layer norm: see `norm`.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import prange

from minidl.backends import cpu, threads
from minidl.backends.kernels.norm.layer_norm import (
    BACKWARD,
    FEW,
    FORWARD,
    inline,
    is_positive,
    of_channels,
)
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, parallel

_COLUMNS = 1024  # so many columns of a few vectors fit into the first-level cache


def batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = (x − mean)·inverse·weight + bias, the mean and the variance of each channel.

    dx = weight·inverse·(dy − Σ dy / n − x̂·Σ dy·x̂ / n),   dweight = Σ dy·x̂,   dbias = Σ dy,
    where x̂ = (x − mean)·inverse.
    """
    if not of_channels(x, weight, bias) or not is_positive(eps):
        return NotImplemented
    y, table, pullback = _batch(x, None, None, weight, bias, eps)
    mean, var = cpu.astype(table[:2], x.dtype)
    return (y, mean, var), lambda dy, *_: pullback(dy)


def batch_norm_inference(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·inverse·weight + bias, with a given mean and variance of each channel.

    dx = weight·inverse·dy,   dweight = Σ dy·x̂,   dbias = Σ dy,
    dmean = −weight·inverse·Σ dy,   dvar = −weight·inverse²·Σ dy·x̂ / 2.
    """
    if not of_channels(x, mean, var, weight, bias) or not is_positive(eps):
        return NotImplemented
    y, table, pullback = _batch(x, mean, var, weight, bias, eps)

    def pullbacks(dy: np.ndarray) -> tuple:
        dx, products, sums = pullback(dy)
        _, _, inverse, scale, _ = table
        return dx, -scale * sums, -scale * inverse * products / 2, products, sums

    return y, pullbacks


def _batch(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """y, its table, and the pullback that gives dx, Σ dy·x̂ and Σ dy.

    The rows of the table are mean, var, inverse, weight·inverse and bias of each channel.  Where
    mean and var are None, they are those of x.
    """
    shape, known = x.shape, mean is not None
    x = as_contiguous(x).reshape(shape[0], -1)
    table = np.empty((5, shape[1]))
    if known:
        table[0], table[1] = mean, var
    table[3] = 1 if weight is None else weight
    table[4] = 0 if bias is None else bias
    y = np.empty(shape, x.dtype)
    room = _room(x, shape[1], threads.pieces(x.size * FORWARD))
    _batch_forward(x, y.reshape(x.shape), table, eps, known, *room)

    def pullback(dy: np.ndarray) -> tuple:
        dx, found = np.empty(shape, x.dtype), np.empty((2, shape[1]))
        dy = as_contiguous(dy).reshape(x.shape)
        room = _room(x, shape[1], threads.pieces(x.size * BACKWARD))
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
    step = sums.shape[2] // length
    for piece in prange(pieces):
        shift, slope, offset = vectors[piece, 0], vectors[piece, 1], vectors[piece, 2]
        start, stop = chunk_bounds(mean.size, piece, pieces)
        for channel in range(start, stop, step):
            channels = min(step, stop - channel)
            if not known:
                _find_moments(x, channel, channels, rows, length, sums[piece], mean, var)
            for c in range(channels):
                k = channel + c
                inverse[k] = 1 / np.sqrt(var[k] + eps)
                scale[k] *= inverse[k]
                rest = mean[k] - x.dtype.type(mean[k])
                for j in range(c * length, (c + 1) * length):
                    shift[j] = mean[k]
                    slope[j] = scale[k]
                    offset[j] = bias[k] - rest * scale[k]
            for i in range(x.shape[0] * rows):
                row = _columns(x, i, channel, channels, rows, length)
                out = _columns(y, i, channel, channels, rows, length)
                for j in range(row.size):
                    out[j] = (row[j] - shift[j]) * slope[j] + offset[j]


@inline
def _find_moments(x, channel, channels, rows, length, sums, mean, var):
    """The mean and the variance of some channels, by differences from an element of each.

    As in `norm._moments`; but a mean is asked for even where that element is infinite.
    """
    origin, first, second = sums[0], sums[1], sums[2]
    count = x.shape[0] * rows * length
    for c in range(channels):
        element = x[0, (channel + c) * rows * length]
        for j in range(c * length, (c + 1) * length):
            origin[j] = element if np.isfinite(element) else 0.0
            first[j] = second[j] = 0
    for i in range(x.shape[0] * rows):
        row = _columns(x, i, channel, channels, rows, length)
        for j in range(row.size):
            difference = row[j] - origin[j]
            first[j] += difference
            second[j] += difference * difference
    for c in range(channels):
        total = _sum_of(first, c, length) / count
        mean[channel + c] = origin[c * length] + total
        var[channel + c] = _sum_of(second, c, length) / count - total * total


@parallel
def _batch_backward(dy, x, dx, table, found, known, rows, sums, vectors, pieces):
    """Each piece has some of the channels, and does about a thousand columns at a time.

    dx = scale·dy, and unless the mean is known, − scale·(Σ dy / n + x̂·Σ dy·x̂ / n) with it.
    """
    mean, inverse, scale, products, totals = table[0], table[2], table[3], found[0], found[1]
    length = x.shape[1] // mean.size // rows
    count = np.inf if known else x.shape[0] * rows * length
    step = sums.shape[2] // length
    for piece in prange(pieces):
        shift, slope, slant = vectors[piece, 0], vectors[piece, 1], vectors[piece, 2]
        offset = vectors[piece, 3]
        start, stop = chunk_bounds(mean.size, piece, pieces)
        for channel in range(start, stop, step):
            channels = min(step, stop - channel)
            _sum_products(dy, x, channel, channels, rows, length, sums[piece], vectors[piece], mean)
            for c in range(channels):
                k = channel + c
                rest = mean[k] - x.dtype.type(mean[k])
                totals[k] = _sum_of(sums[piece, 0], c, length)
                product = _sum_of(sums[piece, 1], c, length) - rest * totals[k]
                products[k] = product * inverse[k]
                tilt = -scale[k] * inverse[k] * products[k] / count
                for j in range(c * length, (c + 1) * length):
                    slope[j] = scale[k]
                    slant[j] = tilt
                    offset[j] = -scale[k] * totals[k] / count - tilt * rest
            for i in range(x.shape[0] * rows):
                given = _columns(dy, i, channel, channels, rows, length)
                row = _columns(x, i, channel, channels, rows, length)
                out = _columns(dx, i, channel, channels, rows, length)
                if known:
                    for j in range(row.size):
                        out[j] = given[j] * slope[j]
                else:
                    for j in range(row.size):
                        out[j] = given[j] * slope[j] + ((row[j] - shift[j]) * slant[j] + offset[j])


@inline
def _sum_products(dy, x, channel, channels, rows, length, sums, vectors, mean):
    """Σ dy and Σ dy·(x − shift) of each column; a few at a time in the dtype of x, as is fast."""
    first, second = sums[0], sums[1]
    shift, some, others = vectors[0], vectors[4], vectors[5]
    for c in range(channels):
        for j in range(c * length, (c + 1) * length):
            shift[j] = mean[channel + c]
            first[j] = second[j] = some[j] = others[j] = 0
    for i in range(x.shape[0] * rows):
        given = _columns(dy, i, channel, channels, rows, length)
        row = _columns(x, i, channel, channels, rows, length)
        for j in range(row.size):
            some[j] += given[j]
            others[j] += given[j] * (row[j] - shift[j])
        if i % FEW == FEW - 1 or i == x.shape[0] * rows - 1:
            for j in range(row.size):
                first[j] += some[j]
                second[j] += others[j]
                some[j] = others[j] = 0


@inline
def _columns(x, i, channel, channels, rows, length):
    """Row i of some channels."""
    begin = (channel * rows + i % rows) * length
    return x[i // rows, begin : begin + channels * length]


@inline
def _sum_of(columns, channel, length):
    """The sum of the columns of a channel."""
    total = 0.0
    for j in range(channel * length, (channel + 1) * length):
        total += columns[j]
    return total
