"""Rows of a table."""

from typing import Any

import numpy as np
from numba import prange

from minidl.backends import cpu, threads
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.rows import RowGradient
from minidl.errors import BoundsError


def embedding(weight: np.ndarray, ids: np.ndarray, *, sparse: bool = False) -> Any:
    """weight[ids];   the gradient: each row gets its dy, added up, or a RowGradient if sparse."""
    if weight.ndim != 2 or weight.dtype.char not in "fd" or ids.dtype.kind not in "iu":
        return NotImplemented
    if sparse is not True and sparse is not False:
        return NotImplemented
    shape, rows = weight.shape, np.ascontiguousarray(ids, np.int64).reshape(-1)
    y = np.empty((rows.size, shape[1]), weight.dtype)
    wrong = _take_rows(np.ascontiguousarray(weight), rows, y, threads.pieces(y.size * 0.2))
    if wrong >= 0:
        raise BoundsError(f"index {rows[wrong]} is outside 0 … {shape[0] - 1}")

    def dweight(dy: np.ndarray) -> Any:
        dy = dy.reshape(rows.size, shape[1])
        if sparse:
            return RowGradient(cpu, rows, dy, shape)
        gradient = np.empty(shape, dy.dtype)
        _add_rows(gradient, rows, np.ascontiguousarray(dy), threads.pieces(gradient.size * 0.2))
        return gradient

    return y.reshape(*ids.shape, shape[1]), (dweight, None)


@parallel
def _take_rows(table, rows, values, pieces):
    """values[i] = table[rows[i]];   the first i whose row does not exist, or −1."""
    wrong = np.full(pieces, -1)
    for piece in prange(pieces):
        start, stop = chunk_bounds(rows.size, piece, pieces)
        found = _take_rows_piece(table, rows[start:stop], values[start:stop])
        wrong[piece] = found + start if found >= 0 else -1
    for i in wrong:
        if i >= 0:
            return i
    return -1


@inner
def _take_rows_piece(table, rows, values):
    for i in range(rows.size):
        row = rows[i]
        if row < 0 or row >= table.shape[0]:
            return i
        source, target = table[row], values[i]
        for j in range(target.size):
            target[j] = source[j]
    return -1


@parallel
def _add_rows(table, rows, values, pieces):
    """table[r] = Σ values[i] over the i with rows[i] = r.

    Each piece has a part of the table to itself, so that no two add to one row, and in the order of
    the rows, so that the sum is the same however many pieces there are.
    """
    for piece in prange(pieces):
        start, stop = chunk_bounds(table.shape[0], piece, pieces)
        _add_rows_piece(table[start:stop], start, rows, values)


@inner
def _add_rows_piece(table, start, rows, values):
    table[:] = 0
    for i in range(rows.size):
        row = rows[i] - start
        if 0 <= row < table.shape[0]:
            source, target = values[i], table[row]
            for j in range(target.size):
                target[j] += source[j]
