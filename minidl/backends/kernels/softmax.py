"""Softmax and log-softmax: the safe softmax in three passes over a row that stays in the cache.

    m = max x;   eᵢ = exp(xᵢ − m), s = Σ eᵢ;   yᵢ = eᵢ / s, or (xᵢ − m) − log s

Subtracting the maximum keeps the exponentials from overflowing.  The three passes are over one row,
which memory delivers once; so the online softmax, which merges the first two passes at the price of
more exponentials (M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax, 2018),
would save nothing here.

The axis may be the last one, whose rows are contiguous, or another one: then a block of columns, a
few vectors wide, is worked on at a time.

Saved is y alone.  Cost: 8 bytes an element forward and 12 back; one exp an element, and another one
back for log-softmax.
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
    inner,
    parallel,
)
from minidl.backends.kernels.simd.math import (
    exp32,
    exp_shifted32,
    log32,
    wide_dot32,
    wide_sum32,
    xmuly32,
)

_F = np.float32
_TERMS = 6  # so many are added up in float32, before a float64 sum takes them (`norm.layer_norm`)
_BLOCK = 256  # columns of a block, where the axis is not the last one
_ACCUMULATORS = "f64[chunks,width] f32[chunks,two,width]"


def softmax(x: np.ndarray, *, axis: int = -1) -> Any:
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y)."""
    return _along(x, axis, logarithmic=False)


def log_softmax(x: np.ndarray, *, axis: int = -1) -> Any:
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy."""
    return _along(x, axis, logarithmic=True)


def _along(x: np.ndarray, axis: int, logarithmic: bool) -> Any:
    """The value along an axis, and its pullback."""
    if type(axis) is not int or not -x.ndim <= axis < x.ndim:
        return NotImplemented
    if not are_arrays("f", x) or not x.size:
        return NotImplemented
    after = axis % x.ndim + 1
    columns = math.prod(x.shape[after:])
    shape: tuple[int, ...] = (-1, x.shape[axis])
    forward, backward = _rows, _rows_back
    if columns > 1:
        shape, forward, backward = (*shape, columns), _columns, _columns_back
    y, chunks = np.empty(x.shape, _F), threads.chunks(1.2 * x.size)
    x = as_contiguous(x).reshape(shape)
    forward(x, y.reshape(shape), logarithmic, *_accumulators(chunks, columns), chunks)

    def dx(dy: np.ndarray) -> np.ndarray:
        result, chunks = np.empty(y.shape, _F), threads.chunks(0.8 * y.size)
        flat = y.reshape(shape), as_contiguous(dy).reshape(shape), result.reshape(shape)
        backward(*flat, logarithmic, *_accumulators(chunks, columns), chunks)
        return result

    return y, dx


def _accumulators(chunks: int, columns: int) -> tuple[np.ndarray, ...]:
    """What each chunk keeps of a block of columns: totals, and two lines of float32."""
    if columns == 1:
        return ()
    width = min(columns, _BLOCK)
    return np.empty((chunks, width)), np.empty((chunks, 2, width), _F)


# Along the last axis: (rows, axis).


@parallel("f32[rows,n] f32[rows,n] bool", then=["_rows_back"])
def _rows(x, y, logarithmic, chunk, chunks):
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for i in range(start, stop):
        _row(x[i], y[i], logarithmic)


@inlined
def _row(x, y, logarithmic):
    largest, total = exp_shifted32(x, y)
    if logarithmic:
        logarithm = log32(total)
        for j in range(x.size):
            y[j] = (x[j] - largest) - logarithm
    else:
        scale = _F(1) / total
        for j in range(x.size):
            y[j] *= scale


@parallel("f32[rows,n] f32[rows,n] f32[rows,n] bool")
def _rows_back(y, dy, dx, logarithmic, chunk, chunks):
    start, stop = chunk_bounds(y.shape[0], chunk, chunks)
    for i in range(start, stop):
        _row_back(y[i], dy[i], dx[i], logarithmic)


@inlined
def _row_back(y, dy, dx, logarithmic):
    if logarithmic:
        total = wide_sum32(dy)
        for j in range(y.size):
            dx[j] = dy[j] - xmuly32(total, exp32(y[j]))
    else:
        total = wide_dot32(dy, y)
        if total != total:  # 0·NaN, perhaps
            total = _F(0)
            for j in range(y.size):
                total += xmuly32(dy[j], y[j])
        for j in range(y.size):
            dx[j] = xmuly32(dy[j] - total, y[j])


# Along another axis: (outer, axis, columns), in blocks of columns.


@parallel(f"f32[outer,n,columns] f32[outer,n,columns] bool {_ACCUMULATORS}", then=["_columns_back"])
def _columns(x, y, logarithmic, totals, lines, chunk, chunks):
    blocks = (x.shape[2] - 1) // _BLOCK + 1
    start, stop = chunk_bounds(x.shape[0] * blocks, chunk, chunks)
    total, partial, largest = totals[chunk], lines[chunk, 0], lines[chunk, 1]
    for i in range(start, stop):
        outer, first = i // blocks, i % blocks * _BLOCK
        columns = slice(first, first + _BLOCK)
        _block(x[outer], y[outer], columns, logarithmic, total, partial, largest)


@inner
def _block(x, y, columns, logarithmic, total, partial, largest):
    """The passes of `_row`, for each of some columns; their totals are a line of float64."""
    width = y[0][columns].size
    for j in range(width):
        total[j], partial[j], largest[j] = 0, 0, x[0][columns][j]
    for i in range(1, x.shape[0]):
        row = x[i][columns]
        for j in range(width):
            largest[j] = row[j] if row[j] > largest[j] else largest[j]
    for i in range(x.shape[0]):
        row, result = x[i][columns], y[i][columns]
        for j in range(width):
            e = exp32(row[j] - largest[j])
            partial[j] += e
            result[j] = e
        if i % _TERMS == _TERMS - 1 or i == x.shape[0] - 1:
            _move(partial, total, width)
    scale = partial  # which is not needed any more
    for j in range(width):
        scale[j] = log32(_F(total[j])) if logarithmic else _F(1) / _F(total[j])
    for i in range(x.shape[0]):
        row, result = x[i][columns], y[i][columns]
        if logarithmic:
            for j in range(width):
                result[j] = (row[j] - largest[j]) - scale[j]
        else:
            for j in range(width):
                result[j] *= scale[j]


@inner
def _move(partial, total, width):
    """Add partial sums to the total, and start again from 0."""
    for j in range(width):
        total[j] += partial[j]
        partial[j] = 0


@parallel(f"f32[outer,n,columns] f32[outer,n,columns] f32[outer,n,columns] bool {_ACCUMULATORS}")
def _columns_back(y, dy, dx, logarithmic, totals, lines, chunk, chunks):
    blocks = (y.shape[2] - 1) // _BLOCK + 1
    start, stop = chunk_bounds(y.shape[0] * blocks, chunk, chunks)
    total, partial = totals[chunk], lines[chunk, 0]
    for i in range(start, stop):
        outer, first = i // blocks, i % blocks * _BLOCK
        columns = slice(first, first + _BLOCK)
        _block_back(y[outer], dy[outer], dx[outer], columns, logarithmic, total, partial)


@inner
def _block_back(y, dy, dx, columns, logarithmic, total, partial):
    width = y[0][columns].size
    for j in range(width):
        total[j], partial[j] = 0, 0
    for i in range(y.shape[0]):
        row, gradient = y[i][columns], dy[i][columns]
        if logarithmic:
            for j in range(width):
                partial[j] += gradient[j]
        else:
            for j in range(width):
                partial[j] += xmuly32(gradient[j], row[j])
        if i % _TERMS == _TERMS - 1 or i == y.shape[0] - 1:
            _move(partial, total, width)
    rounded = partial  # which is not needed any more
    for j in range(width):
        rounded[j] = total[j]
    for i in range(y.shape[0]):
        row, gradient, result = y[i][columns], dy[i][columns], dx[i][columns]
        if logarithmic:
            for j in range(width):
                result[j] = gradient[j] - xmuly32(rounded[j], exp32(row[j]))
        else:
            for j in range(width):
                result[j] = xmuly32(gradient[j] - rounded[j], row[j])
