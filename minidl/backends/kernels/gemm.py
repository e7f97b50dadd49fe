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
from minidl.backends.kernels.runtime.compile import (
    as_contiguous,
    chunk_bounds,
    compiled,
    inner,
    parallel,
)
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, copy_vector, pointer, zero_vector
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    machine_code,
    micro_kernel,
    pad_to_tiles,
    tile_count,
    transpose_panel,
)

_SMALL = 2**18  # products of two numbers; for more, OpenBLAS wakes its threads
_FEW = 8192  # numbers that NumPy adds up in less time than a kernel is called in
_DEPTH = 1024  # of a slice
_TURN = 20  # products that take as long as to turn a number into a slice
_LANES = np.arange(_DEPTH, dtype=np.int64) * NR  # where its rows begin


def product(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    least: float = -np.inf,
) -> np.ndarray:
    """max(a·b + bias, least) for matrices (m, k) and (k, n)."""
    (m, k), n = a.shape, b.shape[1]
    if m * n * k <= _SMALL or m < MR or a.dtype != np.float32:
        return _finished(a.dot(b), bias, least)
    turned = not b.flags.c_contiguous
    if turned and a.flags.c_contiguous and _cost(n, m) < _cost(m, n):
        return _finished(np.ascontiguousarray(product(b.T, a.T).T), bias, least)
    pieces = threads.pieces(m * n * k / MULTIPLY_ADDS_PER_NS)
    parts = 1 if -(-n // NR) % pieces == 0 else pieces
    b = as_contiguous(b.T if turned else b)
    a, row_length = (as_contiguous(a), k) if a.flags.c_contiguous else _turned(a)
    bias = (
        np.zeros(0 if least == -np.inf else n, np.float32) if bias is None else as_contiguous(bias)
    )
    out = np.empty((m, n), np.float32)
    slices = scratch(pieces, min(k, _DEPTH) * NR + MR * NR)
    least, tables = np.float32(least), (_steps(m, row_length), _steps(k, 1))
    _product(machine_code(), a, b, turned, bias, least, out, *tables, parts, slices, pieces)
    return out


def _cost(m: int, n: int) -> int:
    """The time for so many rows and columns, in products: of whole tiles, and to turn columns."""
    return -(-m // MR) * MR * -(-n // LANES) * LANES + _TURN * n


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
    _add_rows(as_contiguous(x), total)
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
    _turn_columns(machine_code(), as_contiguous(a.T), copied, threads.pieces(m * k / 4))
    return copied, row_length


@parallel
def _turn_columns(machine_code, columns, rows, pieces):
    """rows = columnsᵀ, in bands of LANES rows."""
    height, width = columns.shape
    for piece in prange(pieces):
        start, stop = chunk_bounds(-(-width // LANES), piece, pieces)
        first, last = start * LANES, min(stop * LANES, width)
        source, target = pointer(columns, first), pointer(rows, first * rows.shape[1])
        transpose_panel(machine_code, source, width, height, last - first, target, rows.shape[1])


@lru_cache(maxsize=256)
def _steps(count: int, step: int) -> np.ndarray:
    """0, step, 2·step, …, and the last again to fill a tile."""
    return pad_to_tiles(count) * step


@parallel
def _product(machine_code, a, b, turned, bias, least, out, rows, depth, parts, slices, pieces):
    """Every slice of b, with the rows of a in so many parts."""
    m, n = out.shape
    vectors = -(-n // LANES)
    blocks = tile_count(vectors)
    for piece in prange(pieces):
        start, stop = chunk_bounds(blocks * parts, piece, pieces)
        for unit in range(start, stop):
            first, last = chunk_bounds(-(-m // MR), unit % parts, parts)
            column, end = chunk_bounds(vectors, unit // parts, blocks)
            column, end = column * LANES, min(end * LANES, n)
            _block(
                machine_code,
                a,
                b,
                turned,
                out,
                rows,
                depth,
                slices[piece],
                first,
                last,
                column,
                end,
            )
            if bias.size:
                _finish(out, bias, least, first * MR, min(last * MR, m), column, end)


@inner
def _block(machine_code, a, b, turned, out, rows, depth, slices, first, last, column, end):
    """Some panels of rows of a, times one slice of b."""
    (m, n), k = out.shape, b.shape[1] if turned else b.shape[0]
    width = end - column
    vectors = (width + LANES - 1) // LANES
    corner = slices[-MR * NR :]
    for begin in range(0, k, _DEPTH):
        length = min(_DEPTH, k - begin)
        _gather(machine_code, b, turned, begin, length, column, width, slices)
        for panel in range(first, last):
            height = min(MR, m - panel * MR)
            whole = height == MR and width == vectors * LANES
            target = pointer(out, panel * MR * n + column) if whole else pointer(corner, 0)
            stride = n if whole else NR
            micro_kernel(
                machine_code, vectors, length, pointer(a, 0), pointer(rows, panel * MR),
                pointer(depth, begin), pointer(slices, 0), pointer(_LANES, 0), target, stride,
                whole and begin > 0,
            )  # fmt: skip
            if not whole:
                for i in range(height):
                    for j in range(width):
                        before = out[panel * MR + i, column + j] if begin else np.float32(0)
                        out[panel * MR + i, column + j] = before + corner[i * NR + j]


@inner
def _gather(machine_code, b, turned, begin, length, column, width, slices):
    """A slice of b, in rows of COLUMNS; 0 in the lanes behind its width."""
    if turned:
        stride = b.shape[1]
        source = pointer(b, column * stride + begin)
        transpose_panel(machine_code, source, stride, width, length, pointer(slices, 0), NR)
        return
    for k in range(length):
        row, target = (begin + k) * b.shape[1] + column, k * NR
        whole = width - width % LANES
        for j in range(0, whole, LANES):
            copy_vector(pointer(b, row + j), pointer(slices, target + j))
        if whole < width:
            zero_vector(pointer(slices, target + whole))
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
