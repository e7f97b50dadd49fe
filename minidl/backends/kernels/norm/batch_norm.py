"""Batch norm: the moments of each channel in one pass, the result in another.

    y = (x − mean)·rstd·weight + bias,   rstd = 1 / √(var + eps)

    S. Ioffe, C. Szegedy.  Batch normalization: Accelerating deep network training by reducing
    internal covariate shift.  ICML 2015.

x is a matrix with a row for each sample and some columns for each channel.  Sums are taken for each
column, which vectorises, and then over the columns of a channel.  A block of channels that fills a
thousand columns is worked on at a time: the second pass finds it in the cache.

The moments are those of shifted data in float64, as in layer norm (`norm.layer_norm`, which says
why).

Saved are x, and five scalars of each channel.  Cost: 8 bytes an element forward, 12 back.
"""

from functools import cache
from typing import Any

import numpy as np

from minidl.backends import cpu, threads
from minidl.backends.kernels.norm.layer_norm import (
    BACKWARD_NS,
    BLOCK,
    FORWARD_NS,
    are_of_channels,
    is_positive,
)
from minidl.backends.kernels.runtime.kernel import as_contiguous, chunk_bounds, inlined, parallel

_COLUMNS = 1024  # columns of a block; a few vectors of them fit into the first-level cache


def batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = (x − mean)·rstd·weight + bias, and the mean and the variance of each channel.

    dx = weight·rstd·(dy − Σ dy / n − x̂·Σ dy·x̂ / n),   dweight = Σ dy·x̂,   dbias = Σ dy,
    where x̂ = (x − mean)·rstd.
    """
    if not are_of_channels(x, weight, bias) or not is_positive(eps):
        return NotImplemented
    y, table, pullback = _normalize(x, None, None, weight, bias, eps)
    statistics: Any = cpu.astype(table[:2], x.dtype)
    return (y, *statistics), lambda dy, *_: pullback(dy)


def batch_norm_inference(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·rstd·weight + bias, with a given mean and variance of each channel.

    dx = weight·rstd·dy,   dweight = Σ dy·x̂,   dbias = Σ dy,
    dmean = −weight·rstd·Σ dy,   dvar = −weight·rstd²·Σ dy·x̂ / 2.
    """
    if not are_of_channels(x, mean, var, weight, bias) or not is_positive(eps):
        return NotImplemented
    y, table, pullback = _normalize(x, mean, var, weight, bias, eps)

    def pullbacks(dy: np.ndarray) -> tuple:
        dx, products, sums = pullback(dy)
        _, _, rstd, scale, _ = table
        return dx, -scale * sums, -scale * rstd * products / 2, products, sums

    return y, pullbacks


def _normalize(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """y, its table, and the pullback that gives dx, Σ dy·x̂ and Σ dy.

    The rows of the table are mean, var, rstd, weight·rstd and bias of each channel.  Where mean and
    var are None, they are those of x.
    """
    shape, given = x.shape, mean is not None
    x = as_contiguous(x).reshape(shape[0], -1)
    table = np.empty((5, shape[1]))
    if given:
        table[0], table[1] = mean, var
    table[3] = 1 if weight is None else weight
    table[4] = 0 if bias is None else bias
    y = np.empty(shape, x.dtype)
    workspace = _workspace(x, shape[1], threads.chunks(x.size * FORWARD_NS))
    _forward(x, y.reshape(x.shape), table, eps, given, *workspace)

    def pullback(dy: np.ndarray) -> tuple:
        dx, sums = np.empty(shape, x.dtype), np.empty((2, shape[1]))
        dy = as_contiguous(dy).reshape(x.shape)
        workspace = _workspace(x, shape[1], threads.chunks(x.size * BACKWARD_NS))
        _backward(dy, x, dx.reshape(x.shape), table, sums, given, *workspace)
        return dx, *sums

    return y, table, pullback


def _workspace(
    x: np.ndarray, channels: int, chunks: int
) -> tuple[int, np.ndarray, np.ndarray, int]:
    """The rows that a channel is folded into, vectors of a block's columns, and the chunks.

    Each chunk has three vectors of float64, and six of the dtype of x.
    """
    size = x.shape[1] // channels
    rows = _folded_rows(size)
    length = size // rows
    width = length if rows > 1 else max(1, min(_COLUMNS // length, channels)) * length
    return rows, np.empty((chunks, 3, width)), np.empty((chunks, 6, width), x.dtype), chunks


@cache
def _folded_rows(size: int) -> int:
    """The rows to fold the elements of a channel into, so that its columns fit into a block."""
    for rows in range(1, size // 64 + 1):
        if size % rows == 0 and size // rows <= _COLUMNS:
            return rows
    return 1


@parallel(
    "F[n,chw] F[n,chw] f64[value,c] f64 bool i64 f64[chunk,v,k] F[chunk,v,k]", then=["_backward"]
)
def _forward(x, y, table, eps, given, rows, sums, vectors, chunk, chunks):
    """y, and the table; a chunk takes some of the channels, and a block of them at a time."""
    mean, var, rstd, scale, bias = table[0], table[1], table[2], table[3], table[4]
    length = x.shape[1] // mean.size // rows
    step = sums.shape[2] // length
    shift, slope, offset = vectors[chunk, 0], vectors[chunk, 1], vectors[chunk, 2]
    start, stop = chunk_bounds(mean.size, chunk, chunks)
    for channel in range(start, stop, step):
        channels = min(step, stop - channel)
        if not given:
            _moments(x, channel, channels, rows, length, sums[chunk], mean, var)
        for c in range(channels):
            k = channel + c
            rstd[k] = 1 / np.sqrt(var[k] + eps)
            scale[k] *= rstd[k]
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


@inlined
def _moments(x, channel, channels, rows, length, sums, mean, var):
    """The mean and the variance of some channels: shifted data, the shift an element of each.

    If that element is not finite, the shift is 0: the mean is a result here, and ±∞ is one.
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
        total = _sum_channel(first, c, length) / count
        mean[channel + c] = origin[c * length] + total
        var[channel + c] = _sum_channel(second, c, length) / count - total * total


@parallel(
    "F[n,chw] F[n,chw] F[n,chw] f64[value,c] f64[sum,c] bool i64 f64[chunk,v,k] F[chunk,v,k]",
)
def _backward(dy, x, dx, table, results, given, rows, sums, vectors, chunk, chunks):
    """dx, and Σ dy·x̂ and Σ dy of each channel; blocks as in `_forward`.

    dx = scale·dy, minus scale·(Σ dy / n + x̂·Σ dy·x̂ / n) unless mean and var are given.
    """
    mean, rstd, scale, products, totals = table[0], table[2], table[3], results[0], results[1]
    length = x.shape[1] // mean.size // rows
    count = np.inf if given else x.shape[0] * rows * length
    step = sums.shape[2] // length
    shift, dy_slope, x_slope = vectors[chunk, 0], vectors[chunk, 1], vectors[chunk, 2]
    offset = vectors[chunk, 3]
    start, stop = chunk_bounds(mean.size, chunk, chunks)
    for channel in range(start, stop, step):
        channels = min(step, stop - channel)
        _sum_products(dy, x, channel, channels, rows, length, sums[chunk], vectors[chunk], mean)
        for c in range(channels):
            k = channel + c
            rest = mean[k] - x.dtype.type(mean[k])
            totals[k] = _sum_channel(sums[chunk, 0], c, length)
            product = _sum_channel(sums[chunk, 1], c, length) - rest * totals[k]
            products[k] = product * rstd[k]
            slope = -scale[k] * rstd[k] * products[k] / count
            for j in range(c * length, (c + 1) * length):
                dy_slope[j] = scale[k]
                x_slope[j] = slope
                offset[j] = -scale[k] * totals[k] / count - slope * rest
        for i in range(x.shape[0] * rows):
            gradient = _columns(dy, i, channel, channels, rows, length)
            row = _columns(x, i, channel, channels, rows, length)
            out = _columns(dx, i, channel, channels, rows, length)
            if given:
                for j in range(row.size):
                    out[j] = gradient[j] * dy_slope[j]
            else:
                for j in range(row.size):
                    x_term = (row[j] - shift[j]) * x_slope[j] + offset[j]
                    out[j] = gradient[j] * dy_slope[j] + x_term


@inlined
def _sum_products(dy, x, channel, channels, rows, length, sums, vectors, mean):
    """Σ dy and Σ dy·(x − shift) of each column: BLOCK rows in the dtype of x, then in float64."""
    first, second = sums[0], sums[1]
    shift, partial_first, partial_second = vectors[0], vectors[4], vectors[5]
    for c in range(channels):
        for j in range(c * length, (c + 1) * length):
            shift[j] = mean[channel + c]
            first[j] = second[j] = partial_first[j] = partial_second[j] = 0
    for i in range(x.shape[0] * rows):
        gradient = _columns(dy, i, channel, channels, rows, length)
        row = _columns(x, i, channel, channels, rows, length)
        for j in range(row.size):
            partial_first[j] += gradient[j]
            partial_second[j] += gradient[j] * (row[j] - shift[j])
        if i % BLOCK == BLOCK - 1 or i == x.shape[0] * rows - 1:
            for j in range(row.size):
                first[j] += partial_first[j]
                second[j] += partial_second[j]
                partial_first[j] = partial_second[j] = 0


@inlined
def _columns(x, i, channel, channels, rows, length):
    """The columns of some channels in row i, where each sample is folded into `rows` rows."""
    begin = (channel * rows + i % rows) * length
    return x[i // rows, begin : begin + channels * length]


@inlined
def _sum_channel(columns, channel, length):
    """The sum over the columns of a channel."""
    total = 0.0
    for j in range(channel * length, (channel + 1) * length):
        total += columns[j]
    return total
