"""Products of matrices from tiles, in the threads that minidl owns.

BLAS has threads of its own, which fight with Numba's for the cores.  So larger products are
computed here, as fast; for small ones, which BLAS computes in the thread that calls it, NumPy has
less to prepare.

The second matrix goes through the nearest cache in slices as wide as a tile: each is copied
together once, turned if need be, and then serves all rows of the first.
"""

from functools import lru_cache

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.compile import compiled, inner, parallel, plain, share
from minidl.backends.kernels.tile import COLUMNS, ROWS, SPEED, code, tile, tiles, turn, whole_tiles
from minidl.backends.kernels.vectors import LANES, clear, copy, pointer
from minidl.backends.kernels.workspace import scratch

_SMALL = 2**18  # products of two numbers; for more, OpenBLAS wakes its threads
_FEW = 8192  # numbers that NumPy adds up in less time than a kernel is called in
_DEPTH = 1024  # of a slice
_TURN = 20  # products that take as long as to turn a number into a slice
_LANES = np.arange(_DEPTH, dtype=np.int64) * COLUMNS  # where its rows begin


def product(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    least: float = -np.inf,
) -> np.ndarray:
    """max(a·b + bias, least) for matrices (m, k) and (k, n)."""
    (m, k), n = a.shape, b.shape[1]
    if m * n * k <= _SMALL or m < ROWS or a.dtype != np.float32:
        return _finished(a.dot(b), bias, least)
    turned = not b.flags.c_contiguous
    if turned and a.flags.c_contiguous and _cost(n, m) < _cost(m, n):
        return _finished(np.ascontiguousarray(product(b.T, a.T).T), bias, least)
    pieces = threads.pieces(m * n * k / SPEED)
    parts = 1 if -(-n // COLUMNS) % pieces == 0 else pieces
    b = plain(b.T if turned else b)
    a, row_length = (plain(a), k) if a.flags.c_contiguous else _turned(a)
    bias = np.zeros(0 if least == -np.inf else n, np.float32) if bias is None else plain(bias)
    out = np.empty((m, n), np.float32)
    slices = scratch(pieces, min(k, _DEPTH) * COLUMNS + ROWS * COLUMNS)
    least, tables = np.float32(least), (_steps(m, row_length), _steps(k, 1))
    _product(code(), a, b, turned, bias, least, out, *tables, parts, slices, pieces)
    return out


def _cost(m: int, n: int) -> int:
    """The time for so many rows and columns, in products: of whole tiles, and to turn columns."""
    return -(-m // ROWS) * ROWS * -(-n // LANES) * LANES + _TURN * n


def _finished(out: np.ndarray, bias: np.ndarray | None, least: float) -> np.ndarray:
    if bias is not None:
        out += bias
    if least != -np.inf:
        np.maximum(out, least, out=out)
    return out


def sum_rows(x: np.ndarray) -> np.ndarray:
    """Σᵢ xᵢⱼ, row after row, as NumPy adds them, but in vectors."""
    if x.size < _FEW or x.dtype != np.float32:
        return np.add.reduce(x, axis=0)
    total = np.zeros(x.shape[1], np.float32)
    _add_rows(plain(x), total)
    return total


@compiled
def _add_rows(x, total):
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(total.size):
            total[j] += row[j]


def _turned(a: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy of a, of which the columns lie in line, in rows; and how far apart these are."""
    m, k = a.shape
    row_length = -(-k // LANES) * LANES
    copied = np.empty((m, row_length), np.float32)
    _turn_columns(code(), plain(a.T), copied, threads.pieces(m * k / 4))
    return copied, row_length


@parallel
def _turn_columns(code, columns, rows, pieces):
    """rows = columnsᵀ, in bands of LANES rows."""
    height, width = columns.shape
    for piece in prange(pieces):
        start, stop = share(-(-width // LANES), piece, pieces)
        first, last = start * LANES, min(stop * LANES, width)
        source, target = pointer(columns, first), pointer(rows, first * rows.shape[1])
        turn(code, source, width, height, last - first, target, rows.shape[1])


@lru_cache(maxsize=256)
def _steps(count: int, step: int) -> np.ndarray:
    """0, step, 2·step, …, and the last again to fill a tile."""
    return whole_tiles(count) * step


@parallel
def _product(code, a, b, turned, bias, least, out, rows, depth, parts, slices, pieces):
    """Every slice of b, with the rows of a in so many parts."""
    m, n = out.shape
    vectors = -(-n // LANES)
    blocks = tiles(vectors)
    for piece in prange(pieces):
        start, stop = share(blocks * parts, piece, pieces)
        for unit in range(start, stop):
            first, last = share(-(-m // ROWS), unit % parts, parts)
            column, end = share(vectors, unit // parts, blocks)
            column, end = column * LANES, min(end * LANES, n)
            _block(code, a, b, turned, out, rows, depth, slices[piece], first, last, column, end)
            if bias.size:
                _finish(out, bias, least, first * ROWS, min(last * ROWS, m), column, end)


@inner
def _block(code, a, b, turned, out, rows, depth, slices, first, last, column, end):
    """Some panels of rows of a, times one slice of b."""
    (m, n), k = out.shape, b.shape[1] if turned else b.shape[0]
    width = end - column
    vectors = (width + LANES - 1) // LANES
    corner = slices[-ROWS * COLUMNS :]
    for begin in range(0, k, _DEPTH):
        length = min(_DEPTH, k - begin)
        _gather(code, b, turned, begin, length, column, width, slices)
        for panel in range(first, last):
            height = min(ROWS, m - panel * ROWS)
            whole = height == ROWS and width == vectors * LANES
            target = pointer(out, panel * ROWS * n + column) if whole else pointer(corner, 0)
            stride = n if whole else COLUMNS
            tile(
                code, vectors, length, pointer(a, 0), pointer(rows, panel * ROWS),
                pointer(depth, begin), pointer(slices, 0), pointer(_LANES, 0), target, stride,
                whole and begin > 0,
            )  # fmt: skip
            if not whole:
                for i in range(height):
                    for j in range(width):
                        before = out[panel * ROWS + i, column + j] if begin else np.float32(0)
                        out[panel * ROWS + i, column + j] = before + corner[i * COLUMNS + j]


@inner
def _gather(code, b, turned, begin, length, column, width, slices):
    """A slice of b, in rows of COLUMNS; 0 in the lanes behind its width."""
    if turned:
        stride = b.shape[1]
        source = pointer(b, column * stride + begin)
        turn(code, source, stride, width, length, pointer(slices, 0), COLUMNS)
        return
    for k in range(length):
        row, target = (begin + k) * b.shape[1] + column, k * COLUMNS
        whole = width - width % LANES
        for j in range(0, whole, LANES):
            copy(pointer(b, row + j), pointer(slices, target + j))
        if whole < width:
            clear(pointer(slices, target + whole))
            for j in range(whole, width):
                slices[target + j] = b[begin + k, column + j]


@inner
def _finish(out, bias, least, first, last, column, end):
    """Add the bias to some rows of a slice, and raise them to the least."""
    bias = bias[column:end]
    for i in range(first, last):
        row = out[i, column:end]
        for j in range(row.size):
            value = row[j] + bias[j]
            row[j] = least if value < least else value
