"""The gradient of the weights by dot products: few weights for each output, or few outputs.

Transposing dy, as `weight_gradient.py` does, would take longer than the products.  Here each weight
is a dot product of two runs through memory,

    dw[output, (channel, a, b)] = Σₖ dy[output, k] · plane[offset(channel, a, b) + k]

where dy is padded with zeros to rows as long as those of the packed image, so that what one tap
meets is contiguous.  Some outputs and taps together, a tile of dot products, share what is loaded.

An image takes C·KH·KW·O multiply-adds for each position of the padded rows, and O more copies.

The error does not grow with the number of positions: each lane of an accumulator is the sum of a
few runs, and is then added to totals in float64.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.conv import implicit_gemm_plan
from minidl.backends.kernels.conv.pack import (
    GRADIENT_OPERANDS,
    LAYOUT,
    GradientOperands,
    Layout,
    copy_rows,
    no_mask,
    pack_image,
    packed,
)
from minidl.backends.kernels.runtime.kernel import chunk_bounds, compiled, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.math import sum32
from minidl.backends.kernels.simd.micro_kernel import (
    DOT_RUN,
    DOT_TILE,
    DOT_TILE_SINGLE,
    MULTIPLY_ADDS_PER_NS,
    dot_tile,
)
from minidl.backends.window import Convolution

_L1_VECTORS = DOT_RUN  # of each row, that stay in the first-level cache while all taps use them
_RUNS = 16  # that are added to an accumulator before it is added to the totals


class DotTables(NamedTuple):
    """What the loops need to know; sizes are those of one group of one image."""

    groups: int
    taps: np.ndarray  # offset of each (channel, tap), padded to full tiles
    size: int  # elements of a padded feature map of dy, in whole vectors
    single: bool  # a tile of dot products has one row


_TABLES = "(i64 i64[tap] i64 bool)"


class DotPlan(NamedTuple):
    """The gradient of the weights by dot products, from images packed as in forward."""

    layout: Layout
    tables: DotTables
    depth: int  # weights of an output


def plan(at: Convolution, channels: int, outputs: int) -> DotPlan:
    """The tables, for all channels and outputs of all groups."""
    gemm = implicit_gemm_plan.forward(at, channels, outputs)
    depth, single = gemm.tables.depths[1].size, 2 * (outputs // at.groups) <= DOT_TILE[0]
    columns = _tile(single)[1]
    taps = np.minimum(np.arange(-(-depth // columns) * columns), depth - 1)
    tables = DotTables(
        at.groups,
        gemm.tables.depths[1][taps],
        -(-at.output[0] * gemm.layout.columns // LANES) * LANES,
        single,
    )
    return DotPlan(gemm.layout, tables, depth)


def _tile(single: bool) -> tuple[int, int]:
    return DOT_TILE_SINGLE if single else DOT_TILE


def weight_gradient_dot(operands: GradientOperands, plan: DotPlan) -> tuple[np.ndarray, np.ndarray]:
    """dw (outputs, weights) and db."""
    dy, layout, tables = operands.dy, plan.layout, plan.tables
    outputs = dy.shape[1] // tables.groups
    rows, columns = _tile(tables.single)
    work = dy.size * plan.depth / MULTIPLY_ADDS_PER_NS
    chunks = min(threads.chunks(work), len(dy) * tables.groups)
    tiles = -(-outputs // rows), tables.taps.size // columns
    accumulators = np.zeros((chunks, tables.groups, *tiles, rows, columns, LANES), np.float32)
    totals, db = np.zeros((chunks, dy.shape[1], plan.depth)), np.zeros((chunks, dy.shape[1]))
    runs = np.zeros((chunks, tables.groups), np.int64)
    workspace = scratch(chunks, layout.size + rows * tables.size + LANES)
    _sum_images(operands, layout, tables, workspace, accumulators, runs, totals, db, chunks)
    total = reduce(np.add, totals)  # in order
    dw = total.astype(np.float32)
    wrong = ~np.isfinite(dw)
    if wrong.any():
        _recompute(operands, layout, tables, workspace[0], wrong, total, dw)
    return dw, reduce(np.add, db).astype(np.float32)


@parallel(
    f"{GRADIENT_OPERANDS} {LAYOUT} {_TABLES} f32[chunk,scratch]"
    " f32[chunk,group,panel,tile,row,column,lane] i64[chunk,group] f64[chunk,o,k] f64[chunk,o]"
)
def _sum_images(operands, layout, tables, workspace, accumulators, runs, totals, db, chunk, chunks):
    """The sums over the images and groups of each chunk."""
    operands, layout, tables = GradientOperands(*operands), Layout(*layout), DotTables(*tables)
    outputs = db.shape[1] // tables.groups
    start, stop = chunk_bounds(operands.x.shape[0] * tables.groups, chunk, chunks)
    for unit in range(start, stop):
        group = unit % tables.groups
        own = slice(group * outputs, (group + 1) * outputs)
        runs[chunk, group] = _add_image(
            operands, layout, tables, unit, workspace[chunk], accumulators[chunk, group],
            totals[chunk, own], db[chunk, own], runs[chunk, group],
        )  # fmt: skip
    for group in range(tables.groups):
        own = slice(group * outputs, (group + 1) * outputs)
        _add_lanes(accumulators[chunk, group], totals[chunk, own])


@inner
def _add_image(operands, layout, tables, unit, workspace, accumulators, totals, db, runs):
    """Add what one group of one image contributes.

    `runs` are in the accumulators before; returned is how many are afterwards.
    """
    size = tables.size
    panels, tiles, rows, columns = accumulators.shape[:4]
    channels = operands.x.shape[1] // tables.groups
    planes = packed(operands.x, no_mask(operands.x), unit, channels, layout, workspace)
    padded, before = workspace[layout.size :], runs
    for panel in range(panels):
        first, runs = panel * rows, before
        for i in range(min(rows, db.size - first)):
            row = padded[i * size : (i + 1) * size + LANES]
            _pad(operands, layout.columns, unit * db.size + first + i, row)
            for start in range(0, size, _L1_VECTORS * LANES):
                db[first + i] += sum32(row[start : min(start + _L1_VECTORS * LANES, size)])
        for start in range(0, size, _L1_VECTORS * LANES):
            count = min(_L1_VECTORS, (size - start) // LANES)
            for tile in range(tiles):
                dot_tile(
                    tables.single, count, pointer(padded, start), size, advance(planes, start),
                    pointer(tables.taps, tile * columns), pointer(accumulators[panel, tile], 0),
                )  # fmt: skip
            runs += 1
            if runs >= _RUNS:
                _add_lanes(accumulators[panel : panel + 1], totals[first : first + rows])
                runs = 0
    return runs


@inner
def _add_lanes(accumulators, totals):
    """totals += the sums of the lanes of the accumulators, which are 0 afterwards."""
    rows, columns = accumulators.shape[2:4]
    for o in range(totals.shape[0]):
        for k in range(totals.shape[1]):
            lanes = accumulators[o // rows, k // columns, o % rows, k % columns]
            totals[o, k] += sum32(lanes)
    accumulators[:] = 0


@inner
def _pad(operands, columns, index, row):
    """A feature map of dy, in rows as long as those of the planes, with zeros between them."""
    dy = operands.dy
    height, width = dy.shape[2:]
    source, target = index * height * width, pointer(row, 0)
    copy_rows(dy, operands.relu_mask, source, width, target, columns, 0, width, height)
    row[height * columns :] = 0


@compiled(f"{GRADIENT_OPERANDS} {LAYOUT} {_TABLES} f32[scratch] bool[o,k] f64[o,k] f32[o,k]")
def _recompute(operands, layout, tables, workspace, wrong, totals, dw):
    """Sums that are not finite, from what is between the rows of dy left out.

    They may not be finite only because of what the planes hold there, times 0.
    """
    operands, layout, tables = GradientOperands(*operands), Layout(*layout), DotTables(*tables)
    outputs, channels = dw.shape[0] // tables.groups, operands.x.shape[1] // tables.groups
    row = workspace[layout.size : layout.size + tables.size + LANES]
    height, width = operands.dy.shape[2:]
    for unit in range(operands.x.shape[0] * tables.groups):
        pack_image(operands.x, no_mask(operands.x), unit, channels, layout, workspace)
        for i in range(outputs):
            o = unit % tables.groups * outputs + i
            _pad(operands, layout.columns, unit * outputs + i, row)
            for k in range(dw.shape[1]):
                if wrong[o, k]:
                    before = totals[o, k] if unit >= tables.groups else 0.0
                    values = workspace[tables.taps[k] :]
                    own = _dot_of_rows(values, row, layout.columns, height, width)
                    totals[o, k] = before + own
                    dw[o, k] = totals[o, k]


@inner
def _dot_of_rows(a, b, stride, height, width):
    """Σ a·b over rows that are `stride` apart, in float64."""
    total = 0.0
    for begin in range(0, height * stride, stride):
        for j in range(begin, begin + width):
            total += np.float64(a[j]) * b[j]
    return total
