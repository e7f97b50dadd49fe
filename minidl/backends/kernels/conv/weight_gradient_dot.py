"""dw and db of a convolution with few weights for each output, or with few outputs.

Turning dy, as `conv_weights` does, would not pay.  Here each weight is a dot product: dy is laid
out in rows as long as those of the planes, with zeros between them, and what a place of the window
sees is a run through a plane.  Some outputs and some places together share what is loaded.
"""

from functools import lru_cache

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.conv import implicit_gemm_plan
from minidl.backends.kernels.conv.implicit_gemm import NO_MASK, copy_rows, lay_out
from minidl.backends.kernels.conv.implicit_gemm_plan import Plan
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.math import dot32, sum32
from minidl.backends.kernels.simd.micro_kernel import (
    DOT_TILE,
    DOT_TILE_SINGLE,
    MULTIPLY_ADDS_PER_NS,
    dot_tile,
    machine_code,
)
from minidl.backends.window import Convolution

_FEW = 40  # weights of an output
_NEAR = 64  # vectors of each row that stay in the nearest cache while all places use them


def is_worth_it(plan: Plan) -> bool:
    """Whether this is the cheaper way."""
    return plan.outputs < LANES or plan.depth_a.size <= _FEW


def few_weights(
    x: np.ndarray, dy: np.ndarray, y: np.ndarray, at: Convolution, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """dw (outputs, weights) and db (outputs,), of dy where y is positive."""
    outputs, depth = dy.shape[1], plan.depth_a.size
    run = -(-dy.shape[2] * plan.plane_columns // LANES) * LANES
    pieces = min(threads.pieces(dy.size * depth / MULTIPLY_ADDS_PER_NS), len(dy) * plan.groups)
    lone = 2 * plan.outputs <= DOT_TILE[0]
    rows, columns = DOT_TILE_SINGLE if lone else DOT_TILE
    lines, blocks = -(-plan.outputs // rows), -(-depth // columns)
    shape = (pieces, plan.groups, lines, blocks, rows, columns, LANES)
    sums, totals = np.zeros(shape, np.float32), np.zeros((pieces, outputs), np.float32)
    dw = np.empty((outputs, depth), np.float32)
    space = scratch(pieces, plan.space + rows * run + LANES)
    begins = _begins(at, x.shape[1], outputs, columns)
    _few_weights(machine_code(), x, dy, y, plan, begins, run, lone, space, sums, totals, dw, pieces)
    return dw, totals[0]


@lru_cache(maxsize=256)
def _begins(at: Convolution, channels: int, outputs: int, columns: int) -> np.ndarray:
    """Where what each place of the window sees begins; the last again to fill a tile."""
    places = implicit_gemm_plan.forward(at, channels, outputs).depth_b
    return places[np.minimum(np.arange(-(-places.size // columns) * columns), places.size - 1)]


@parallel
def _few_weights(
    machine_code, x, dy, y, plan, begins, run, lone, scratch, sums, totals, dw, pieces
):
    """The sums over the pictures and groups of each piece, and then over pieces and lanes."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0] * plan.groups, piece, pieces)
        for unit in range(start, stop):
            group = unit % plan.groups
            first = group * plan.outputs
            _add_picture(
                machine_code, x, dy, y, unit, plan, begins, run, lone, scratch[piece],
                sums[piece, group], totals[piece, first : first + plan.outputs],
            )  # fmt: skip
    for piece in range(1, pieces):
        for o in range(totals.shape[1]):
            totals[0, o] += totals[piece, o]
    rows, columns = sums.shape[4:6]
    for o in range(dw.shape[0]):
        group, output = o // plan.outputs, o % plan.outputs
        for k in range(dw.shape[1]):
            total = np.float32(0)
            for piece in range(pieces):
                parts = sums[piece, group, output // rows, k // columns, output % rows, k % columns]
                total += sum32(parts)
            dw[o, k] = total
    _sum_again(x, dy, y, plan, run, scratch[0], dw)


@inner
def _add_picture(machine_code, x, dy, y, unit, plan, begins, run, lone, scratch, sums, totals):
    """What one group of one picture contributes."""
    begin = unit * plan.channels * plan.height * plan.width
    planes = pointer(scratch, 0)
    if plan.as_it_is and begin + plan.space <= x.size:
        planes = pointer(x, begin)
    else:
        lay_out(x, NO_MASK, begin, plan, scratch)
    lines, blocks, rows, columns = sums.shape[:4]
    spread = scratch[plan.space :]
    for line in range(lines):
        first = line * rows
        for i in range(min(rows, plan.outputs - first)):
            row = spread[i * run : (i + 1) * run + LANES]
            _spread(dy, y, unit * plan.outputs + first + i, plan, row)
            totals[first + i] += sum32(row[:run])
        for start in range(0, run, _NEAR * LANES):
            count = min(_NEAR, (run - start) // LANES)
            for block in range(blocks):
                dot_tile(
                    machine_code, lone, count, pointer(spread, start), run, advance(planes, start),
                    pointer(begins, block * columns), pointer(sums[line, block], 0),
                )  # fmt: skip


@inner
def _spread(dy, y, plane, plan, row):
    """A plane of dy, in rows as long as those of the planes, with zeros between and behind them."""
    height, width = dy.shape[2:]
    columns = plan.plane_columns
    copy_rows(dy, y, plane * height * width, width, pointer(row, 0), columns, 0, width, height)
    row[height * columns :] = 0


@inner
def _sum_again(x, dy, y, plan, run, scratch, dw):
    """Sums that are not finite, from nothing but what a place of the window sees.

    They may be so only because of what lies between the rows, times 0.
    """
    wrong = ~np.isfinite(dw)
    if not wrong.any():
        return
    row = scratch[plan.space : plan.space + run + LANES]
    height, width = dy.shape[2:]
    for unit in range(x.shape[0] * plan.groups):
        lay_out(x, NO_MASK, unit * plan.channels * plan.height * plan.width, plan, scratch)
        for i in range(plan.outputs):
            o = unit % plan.groups * plan.outputs + i
            _spread(dy, y, unit * plan.outputs + i, plan, row)
            for k in range(dw.shape[1]):
                if wrong[o, k]:
                    before = dw[o, k] if unit >= plan.groups else np.float32(0)
                    seen = scratch[plan.depth_b[k] :]
                    dw[o, k] = before + _dot_of_rows(seen, row, plan.plane_columns, height, width)


@inner
def _dot_of_rows(a, b, length, height, width):
    """Σ a·b over so many rows, which begin `length` apart."""
    total = np.float32(0)
    for begin in range(0, height * length, length):
        total += dot32(a[begin : begin + width], b[begin : begin + width])
    return total
