"""The gradients of the weights of a recurrent layer, from those of its gates.

    [dW_ih | dW_hh] = Σ dgatesᵀ · [x | h]        db = Σ dgates

where the sums are over all steps of all sequences: a GEMM whose depth is T·N.  Backward comes from
the last step to the first, in blocks of steps, and each block is added here while it is in a cache.

The gates are the rows of a tile, and lie side by side as the micro-kernel reads them; the columns,
of x and h, are packed into panels, without the steps that a mask leaves out: NaN there has no
influence, and they cost nothing.

Rounding: the micro-kernel adds products in runs of 32, as for every sum over a batch; after each
1024 products, their sum is added in float64.  The order does not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recurrent.panels import copy, pack_panel, padded
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inlined, inner, parallel
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import aligned, scratch
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    RUN,
    micro_kernel,
    pad_to_tiles,
    tile_count,
)

BLOCK = 512  # rows of gates that stay in the second-level cache
_PRODUCTS = 1024  # that are added in float32
_DEPTH = 128  # rows of a panel that stays in the first-level cache
_PANEL_ROWS = np.arange(_DEPTH, dtype=np.int64) * NR


class Columns(NamedTuple):
    """Which columns of [x | h] are multiplied by which gates, and where they are in the sums."""

    rows_x: np.ndarray  # the gates that have a factor x, padded to full tiles
    rows_h: np.ndarray  # those that have a factor h
    split: int  # columns before it are cut into panels, and those from it on anew
    second: int  # where those from `split` on begin in the sums


class WeightGradient:
    """The sums, to which one block of steps after the other is added."""

    def __init__(self, inputs: int, outputs: int, gates: int, shared: int, products: int) -> None:
        """For x (n, inputs), h (n, outputs) and dgates (n, gates), n = products in all.

        shared    so many gates have both factors x and h; of the others, the first half has x, the
                  second h
        """
        self.inputs, self.outputs, self.count = inputs, outputs, (gates + shared) // 2
        self.columns = _columns(inputs, outputs, gates, shared)
        rows = len(self.columns.rows_x)
        width = self.columns.second + padded(inputs + outputs - self.columns.split)
        self.sums = aligned(rows, width + LANES)  # rows in different sets of caches
        self.totals = np.empty(self.sums.shape if products > _PRODUCTS else (0, 0))
        self.biases = np.zeros(gates)
        self.filled = 0  # products in the sums
        self.is_first = True  # these are the first sums: the totals are empty

    def add(self, dgates: np.ndarray, x: np.ndarray, h: np.ndarray, mask: np.ndarray) -> None:
        """Add a block: (n or more, stride), (n, inputs), (n, outputs) and (n,) or empty."""
        live = np.flatnonzero(mask) if mask.size else np.arange(len(x))
        if not live.size:
            return
        chunks = threads.chunks(live.size * self.sums.size / MULTIPLY_ADDS_PER_NS)
        _add_block(
            dgates[: len(x)],
            x,
            h,
            live,
            live * dgates.shape[1],
            self.columns,
            self.sums,
            self.totals,
            self.filled,
            self.is_first,
            self.biases,
            scratch(chunks, _DEPTH * NR),
            chunks,
        )
        for step in range(0, live.size, _DEPTH):
            depth = min(_DEPTH, live.size - step)
            self.is_first = self.is_first and not _is_full.py_func(self.filled, depth)
            self.filled = _after.py_func(self.filled, depth)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """dW_ih and dW_hh."""
        joint = self.columns.split > self.inputs
        second = self.inputs if joint else self.columns.second
        if not self.filled:
            self.sums[:] = 0
        dw_ih = np.empty((self.count, self.inputs), np.float32)
        dw_hh = np.empty((self.count, self.outputs), np.float32)
        chunks = threads.chunks(self.sums.size * 0.3)
        totals = self.totals[:0] if self.is_first else self.totals
        _finish(self.sums, totals, second, dw_ih, dw_hh, chunks)
        return dw_ih, dw_hh


@planned
def _columns(inputs: int, outputs: int, gates: int, shared: int) -> Columns:
    apart = (gates - shared) // 2
    rows = pad_to_tiles(shared + apart)
    if not apart:
        return Columns(rows, rows, inputs + outputs, padded(inputs + outputs))
    return Columns(rows, np.where(rows < shared, rows, rows + apart), inputs, padded(inputs))


@parallel(
    "f32[k,stride] f32[k,in] f32[k,out] i64[live] i64[live] (i64[gate] i64[gate] i64 i64)"
    " f32[gate,column] f64[gate,column] i64 bool f64[gates] f32[chunks,size]",
)
def _add_block(
    dgates, x, h, live, depths, columns, sums, totals, filled, is_first, biases, workspace,
    chunk, chunks,
):  # fmt: skip
    """Each chunk has some of the gates: a part of the rows of all sums."""
    columns = Columns(*columns)
    count = x.shape[1] + h.shape[1]
    pieces_x = tile_count((columns.split + LANES - 1) // LANES)
    pieces = pieces_x + tile_count((count - columns.split + LANES - 1) // LANES)
    for step in range(0, live.size, _DEPTH):  # whose gates stay in the second-level cache
        depth = min(_DEPTH, live.size - step)
        if _is_full(filled, depth):
            _add_to_totals(sums, totals, is_first, chunk, chunks)
            is_first = False
        for piece in range(pieces):
            if piece < pieces_x:
                rows, begin, end, column = columns.rows_x, 0, columns.split, 0
                left, right = _vectors(begin, end, piece, pieces_x)
            else:
                rows, begin, end, column = columns.rows_h, columns.split, count, columns.second
                left, right = _vectors(begin, end, piece - pieces_x, pieces - pieces_x)
            _add_columns(
                dgates, x, h, live, depths, step, depth, rows,
                begin + left, min(begin + right, end), sums, column + left,
                0 < filled <= _PRODUCTS - depth, workspace[chunk], chunk, chunks,
            )  # fmt: skip
        filled = _after(filled, depth)
    left, right = chunk_bounds(biases.size, chunk, chunks)
    _add_biases(dgates, biases, left, right)


@inlined
def _vectors(begin, end, piece, pieces):
    """The columns of a piece: full vectors, from the first of begin … end − 1 on."""
    left, right = chunk_bounds((end - begin + LANES - 1) // LANES, piece, pieces)
    return left * LANES, right * LANES


@inlined
def _is_full(filled, depth):
    """Whether so many products more are too many for the float32 sums."""
    return filled + depth > _PRODUCTS


@inlined
def _after(filled, depth):
    """How many products are in the float32 sums after some more; full ones begin anew."""
    return depth if filled + depth > _PRODUCTS else filled + depth


@inlined
def _own_rows(rows, chunk, chunks):
    """The rows of a chunk, whole tiles."""
    start, stop = chunk_bounds(rows // MR, chunk, chunks)
    return start * MR, stop * MR


@inner
def _add_to_totals(sums, totals, is_first, chunk, chunks):
    """Add the sums of a chunk in float64."""
    start, stop = _own_rows(sums.shape[0], chunk, chunks)
    for i in range(start, stop):
        total, new = totals[i], sums[i]
        if is_first:
            for j in range(new.size):
                total[j] = new[j]
        else:
            for j in range(new.size):
                total[j] += new[j]


@inner
def _add_columns(
    dgates, x, h, live, depths, step, depth, rows, left, right, sums, column, add, panel,
    chunk, chunks,
):  # fmt: skip
    """The products of some steps with columns left … right − 1 of [x | h], for a chunk of rows.

    They are added to the sums, or with `add` False replace them, from `column` on.
    """
    vectors, width = (right - left + LANES - 1) // LANES, sums.shape[1]
    pack_panel(x, h, left, right, live[step : step + depth], pointer(panel, 0))
    start, stop = _own_rows(rows.size, chunk, chunks)
    for row in range(start, stop, MR):
        micro_kernel(
            vectors, depth, RUN, pointer(dgates, 0), pointer(rows, row), pointer(depths, step),
            pointer(panel, 0), pointer(_PANEL_ROWS, 0),
            pointer(sums, row * width + column), width, add,
        )  # fmt: skip


@inner
def _add_biases(dgates, biases, left, right):
    """biases[left:right] += Σ dgates; four at a time are added in float32."""
    n = dgates.shape[0]
    total = biases[left:right]
    for k in range(0, n - n % 4, 4):
        a, b = dgates[k, left:right], dgates[k + 1, left:right]
        c, d = dgates[k + 2, left:right], dgates[k + 3, left:right]
        for j in range(total.size):
            total[j] += (a[j] + b[j]) + (c[j] + d[j])
    for k in range(n - n % 4, n):
        a = dgates[k, left:right]
        for j in range(total.size):
            total[j] += a[j]


@parallel("f32[gate,column] f64[gate,column] i64 f32[gates,in] f32[gates,out]")
def _finish(sums, totals, second, dw_ih, dw_hh, chunk, chunks):
    """What both sums are together: dW_ih, and dW_hh, which begins at column `second`."""
    start, stop = chunk_bounds(dw_ih.shape[0], chunk, chunks)
    for i in range(start, stop):
        first, later = sums[i], sums[i, second:]
        if totals.size:
            _add_pairs(first, totals[i], dw_ih[i])
            _add_pairs(later, totals[i, second:], dw_hh[i])
        else:
            copy(pointer(first, 0), pointer(dw_ih[i], 0), dw_ih.shape[1])
            copy(pointer(later, 0), pointer(dw_hh[i], 0), dw_hh.shape[1])


@inner
def _add_pairs(x, totals, result):
    for j in range(result.size):
        result[j] = x[j] + totals[j]
