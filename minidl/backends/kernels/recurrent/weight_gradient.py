"""The gradients of the weights of a recurrent layer, from those of its gates.

    [dW_ih | dW_hh] = Σ dgatesᵀ · [x | h]        db = Σ dgates

where the sums are over all steps of all sequences: a GEMM whose depth is T·N.  Backward comes from
the last step to the first, in blocks of steps, and each block is added here while it is in a cache.

The gates are the rows of a tile, and lie side by side as the micro-kernel reads them; the columns,
of x and h, are packed into panels, without the steps that a mask leaves out: NaN there has no
influence, and they cost nothing.

Rounding: the micro-kernel adds products in runs of 32, as for every sum over a batch; after each
BLOCK of steps, their sum is added in float64.  The order does not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recurrent.panels import pack_panel, padded, panel_count
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import scratch
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

BLOCK = 1024  # products that are summed in float32
_DEPTH = 128  # rows of a panel that stays in the first-level cache
_PANEL_ROWS = np.arange(_DEPTH, dtype=np.int64) * NR


class Columns(NamedTuple):
    """Which columns of [x | h] are multiplied by which gates.

    rows      the gates that have a factor x, and those that have a factor h
    split     the columns before it are cut into panels, and those from it on anew, since they have
              other gates; or the number of all columns
    second    where those from `split` on begin in the result
    """

    rows_x: np.ndarray
    rows_h: np.ndarray
    split: int
    second: int


class WeightGradient:
    """The sums, to which one block of steps after the other is added."""

    def __init__(self, inputs: int, outputs: int, gates: int, reset: int, products: int) -> None:
        """For x (…, inputs), h (…, outputs) and dgates (…, gates), and sums of so many products.

        reset    of a GRU, the gates from this one on, which are of h, in place of as many before
                 it, which are of x
        """
        self.inputs, self.outputs, self.count = inputs, outputs, reset or gates
        self.columns = _columns(inputs, outputs, gates, reset)
        rows = len(self.columns.rows_x)
        width = self.columns.second + padded(inputs + outputs - self.columns.split)
        self.sums = np.zeros((rows, width), np.float32)
        self.totals = np.zeros(self.sums.shape if products > BLOCK else (0, 0))
        self.biases = np.zeros(gates)

    def add(self, dgates: np.ndarray, x: np.ndarray, h: np.ndarray, mask: np.ndarray) -> None:
        """Add a block: (n or more, stride), (n, inputs), (n, outputs) and (n,) or empty."""
        live = np.flatnonzero(mask) if mask.size else np.arange(len(x))
        if not live.size:
            return
        work = live.size * self.sums.size / MULTIPLY_ADDS_PER_NS
        chunks = threads.chunks(work)
        _add_block(
            dgates[: len(x)],
            x,
            h,
            live,
            live * dgates.shape[1],
            self.columns,
            self.sums,
            self.totals,
            self.biases,
            scratch(chunks, _DEPTH * NR),
            chunks,
        )

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """dW_ih and dW_hh."""
        sums = self.totals if self.totals.size else self.sums
        joint = self.columns.split > self.inputs
        second = self.inputs if joint else self.columns.second
        return tuple(
            sums[: self.count, begin : begin + size].astype(np.float32)
            for begin, size in ((0, self.inputs), (second, self.outputs))
        )

    def bias(self, gates: np.ndarray) -> np.ndarray:
        """db of these gates."""
        return self.biases[gates].astype(np.float32)


@planned
def _columns(inputs: int, outputs: int, gates: int, reset: int) -> Columns:
    rows = pad_to_tiles(reset or gates)
    if not reset:
        return Columns(rows, rows, inputs + outputs, padded(inputs + outputs))
    shared = 2 * reset - gates
    return Columns(rows, rows + np.where(rows >= shared, reset - shared, 0), inputs, padded(inputs))


@parallel(
    "f32[k,stride] f32[k,in] f32[k,out] i64[live] i64[live] (i64[gate] i64[gate] i64 i64)"
    " f32[gate,column] f64[gate,column] f64[gates] f32[chunks,size]",
)
def _add_block(
    dgates, x, h, live, depths, columns, sums, totals, biases, workspace, chunk, chunks
):  # fmt: skip
    """Each chunk has some panels of columns, or parts of their rows; and some of the biases."""
    columns = Columns(*columns)
    end = x.shape[1] + h.shape[1]
    first = tile_count((columns.split + LANES - 1) // LANES)
    pieces = first + tile_count((end - columns.split + LANES - 1) // LANES)
    parts = 1 if pieces % chunks == 0 else chunks
    start, stop = chunk_bounds(pieces * parts, chunk, chunks)
    for unit in range(start, stop):
        piece, part = unit // parts, unit % parts
        if piece < first:
            begin, column, rows = 0, 0, columns.rows_x
            vectors = (columns.split + LANES - 1) // LANES
            left, right = chunk_bounds(vectors, piece, first)
        else:
            begin, column, rows = columns.split, columns.second, columns.rows_h
            vectors = (end - columns.split + LANES - 1) // LANES
            left, right = chunk_bounds(vectors, piece - first, pieces - first)
        last = min(begin + right * LANES, columns.split if piece < first else end)
        top, bottom = chunk_bounds(rows.size // MR, part, parts)
        _add_columns(
            dgates, x, h, live, depths, rows, begin + left * LANES, last, sums, totals,
            top * MR, bottom * MR, column + left * LANES, workspace[chunk],
        )  # fmt: skip
    left, right = chunk_bounds(biases.size, chunk, chunks)
    _add_biases(dgates, biases, left, right)


@inner
def _add_columns(
    dgates, x, h, live, depths, rows, left, right, sums, totals, top, bottom, column, workspace
):
    """Add the products of columns left … right − 1 of [x | h] to rows top … bottom − 1."""
    vectors = (right - left + LANES - 1) // LANES
    width = sums.shape[1]
    for begin in range(0, live.size, _DEPTH):
        depth = min(_DEPTH, live.size - begin)
        pack_panel(x, h, left, right, live[begin : begin + depth], pointer(workspace, 0))
        for row in range(top, bottom, MR):
            micro_kernel(
                vectors, depth, RUN, pointer(dgates, 0), pointer(rows, row),
                pointer(depths, begin), pointer(workspace, 0), pointer(_PANEL_ROWS, 0),
                pointer(sums, row * width + column), width, begin % BLOCK > 0,
            )  # fmt: skip
        if totals.size and ((begin + depth) % BLOCK == 0 or begin + depth == live.size):
            for i in range(top, bottom):
                total, part = totals[i, column:], sums[i, column:]
                for j in range(vectors * LANES):
                    total[j] += part[j]


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
