"""softmax and its logarithm: each row, or each block of columns, once, while it is in the cache."""

import math
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, inner, parallel
from minidl.backends.kernels.simd.math import dot32, exp32, exp_shifted32, log32, sum32

_F = np.float32
_COLUMNS = 256  # that are done side by side, where the axis is not the last one


def softmax(x: np.ndarray, *, axis: int = -1) -> Any:
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y)."""
    return _along(x, axis, logarithmic=False)


def log_softmax(x: np.ndarray, *, axis: int = -1) -> Any:
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy."""
    return _along(x, axis, logarithmic=True)


def _along(x: np.ndarray, axis: int, logarithmic: bool) -> Any:
    """The value along an axis, and its pullback, for float32."""
    if type(axis) is not int or not -x.ndim <= axis < x.ndim or x.dtype != _F or not x.size:
        return NotImplemented
    after = axis % x.ndim + 1
    inner = math.prod(x.shape[after:])
    if inner == 1:
        shape, forward, backward = (-1, x.shape[axis]), _rows, _rows_back
    else:
        shape, forward, backward = (-1, x.shape[axis], inner), _columns, _columns_back
    y = np.empty(x.shape, _F)
    forward(x.reshape(shape), y.reshape(shape), logarithmic, threads.pieces(1.2 * x.size))

    def dx(dy: np.ndarray) -> np.ndarray:
        result = np.empty(y.shape, _F)
        dy = as_contiguous(dy)
        pieces = threads.pieces(0.8 * y.size)
        backward(y.reshape(shape), dy.reshape(shape), result.reshape(shape), logarithmic, pieces)
        return result

    return y, dx


# Along the last axis: (rows, axis).


@parallel
def _rows(x, y, logarithmic, pieces):
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        for i in range(start, stop):
            _row(x[i], y[i], logarithmic)


@njit(inline="always")
def _row(x, y, logarithmic):
    largest, total = exp_shifted32(x, y)
    if logarithmic:
        logarithm = np.log(total)
        for j in range(x.size):
            y[j] = (x[j] - largest) - logarithm
    else:
        scale = _F(1) / total
        for j in range(x.size):
            y[j] *= scale


@parallel
def _rows_back(y, dy, dx, logarithmic, pieces):
    for piece in prange(pieces):
        start, stop = chunk_bounds(y.shape[0], piece, pieces)
        for i in range(start, stop):
            _row_back(y[i], dy[i], dx[i], logarithmic)


@njit(inline="always")
def _row_back(y, dy, dx, logarithmic):
    if logarithmic:
        total = sum32(dy)
        for j in range(y.size):
            dx[j] = dy[j] - exp32(y[j]) * total
    else:
        total = dot32(dy, y)
        for j in range(y.size):
            dx[j] = y[j] * (dy[j] - total)


# Along another axis: (outer, axis, inner), in blocks of so many of the inner.


@parallel
def _columns(x, y, logarithmic, pieces):
    blocks = (x.shape[2] - 1) // _COLUMNS + 1
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0] * blocks, piece, pieces)
        for i in range(start, stop):
            outer, first = i // blocks, i % blocks * _COLUMNS
            _block(x[outer], y[outer], slice(first, first + _COLUMNS), logarithmic)


@inner
def _block(x, y, columns, logarithmic):
    largest = x[0][columns].copy()
    width, total = largest.size, np.zeros(largest.size, _F)
    for i in range(1, x.shape[0]):
        row = x[i][columns]
        for j in range(width):
            largest[j] = row[j] if row[j] > largest[j] else largest[j]
    for i in range(x.shape[0]):
        row, result = x[i][columns], y[i][columns]
        for j in range(width):
            e = exp32(row[j] - largest[j])
            total[j] += e
            result[j] = e
    for j in range(width):
        total[j] = log32(total[j]) if logarithmic else _F(1) / total[j]
    for i in range(x.shape[0]):
        row, result = x[i][columns], y[i][columns]
        if logarithmic:
            for j in range(width):
                result[j] = (row[j] - largest[j]) - total[j]
        else:
            for j in range(width):
                result[j] *= total[j]


@parallel
def _columns_back(y, dy, dx, logarithmic, pieces):
    blocks = (y.shape[2] - 1) // _COLUMNS + 1
    for piece in prange(pieces):
        start, stop = chunk_bounds(y.shape[0] * blocks, piece, pieces)
        for i in range(start, stop):
            outer, first = i // blocks, i % blocks * _COLUMNS
            columns = slice(first, first + _COLUMNS)
            _block_back(y[outer], dy[outer], dx[outer], columns, logarithmic)


@inner
def _block_back(y, dy, dx, columns, logarithmic):
    width = y[0][columns].size
    total = np.zeros(width, _F)
    for i in range(y.shape[0]):
        row, gradient = y[i][columns], dy[i][columns]
        if logarithmic:
            for j in range(width):
                total[j] += gradient[j]
        else:
            for j in range(width):
                total[j] += gradient[j] * row[j]
    for i in range(y.shape[0]):
        row, gradient, result = y[i][columns], dy[i][columns], dx[i][columns]
        if logarithmic:
            for j in range(width):
                result[j] = gradient[j] - exp32(row[j]) * total[j]
        else:
            for j in range(width):
                result[j] = row[j] * (gradient[j] - total[j])
