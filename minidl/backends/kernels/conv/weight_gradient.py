"""The gradient of the weights, by implicit GEMM.

    dw[(channel, a, b), output] = Σₖ patches[(channel, a, b), k] · dyᵀ[k, output]        db = Σₖ dyᵀ

where k runs over the positions of dy and over the images.  The rows of a tile are taps in a
channel, its lanes are outputs.  The patches are offsets into the packed image, as in forward; dy is
transposed, a block of positions at a time (the KC of K. Goto, R. van de Geijn 2008), and each block
serves all taps.

An image takes C·KH·KW·O multiply-adds for each position of dy.  Each thread accumulates its own
images; the partial sums are added in order, so that the result is the same each time.  The error
does not grow with the number of positions: the micro-kernel sums runs of them in registers, and
where there are many runs, blocks of these are added in float64.
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
    copy_masked,
    no_mask,
    pack_image,
)
from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, pointer, transpose_square
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    RUN,
    micro_kernel,
    pad_to_tiles,
    tile_count,
    transpose_panel,
)
from minidl.backends.window import Convolution

_KC = 448  # positions of dy that stay in the second-level cache
_RUNS = 32  # that are added in float32 before their sum is added in float64


class WeightTables(NamedTuple):
    """What the loops need to know; sizes are those of one group of one image."""

    groups: int
    images: int  # that are summed over together, since one has few positions
    taps: np.ndarray  # offset of each (channel, tap), padded to full tiles
    patches: np.ndarray  # offset of the patch of position k
    lanes: np.ndarray  # offset of position k in a transposed block of dy


_TABLES = "(i64 i64 i64[tap] i64[k] i64[k])"


class WeightPlan(NamedTuple):
    """The gradient of the weights, from images packed as in forward."""

    layout: Layout
    tables: WeightTables
    depth: int  # weights of an output


def plan(at: Convolution, channels: int, outputs: int) -> WeightPlan:
    """The tables, for all channels and outputs of all groups."""
    gemm = implicit_gemm_plan.forward(at, channels, outputs)
    layout, taps = gemm.layout, gemm.tables.depths[1]
    rows, columns = (np.arange(n, dtype=np.int64) for n in at.output)
    images = max(1, _KC // (rows.size * columns.size))
    distance = channels * at.image[0] * at.image[1] if layout.in_place else layout.size
    offsets = np.arange(images, dtype=np.int64) * distance
    positions = np.add.outer(rows * layout.columns, columns)
    tables = WeightTables(
        at.groups,
        images,
        taps[pad_to_tiles(taps.size)],
        np.add.outer(offsets, positions).ravel(),
        np.arange(_KC, dtype=np.int64) * NR,
    )
    return WeightPlan(layout, tables, taps.size)


def weight_gradient(operands: GradientOperands, plan: WeightPlan) -> tuple[np.ndarray, np.ndarray]:
    """dw (groups, outputs, weights) and db."""
    dy, layout, tables = operands.dy, plan.layout, plan.tables
    work = dy.size * plan.depth / MULTIPLY_ADDS_PER_NS
    chunks = min(threads.chunks(work), len(dy))
    outputs = dy.shape[1] // tables.groups
    lanes = -(-outputs // LANES) * LANES
    accumulators = np.empty((chunks, tables.groups, tables.taps.size, lanes), np.float32)
    runs = _run_count(dy.shape[2] * dy.shape[3], tables.images, -(-len(dy) // chunks))
    totals = np.zeros(accumulators.shape if runs > _RUNS else (chunks, tables.groups, 0, 0))
    db = np.zeros((chunks, dy.shape[1]))
    dw = np.empty((tables.groups, outputs, plan.depth), np.float32)
    workspace = scratch(chunks, tables.images * layout.size + 2 * _KC * NR)
    _sum_images(operands, layout, tables, workspace, accumulators, totals, db, chunks)
    _sum_chunks(accumulators, totals, dw, chunks)
    return dw, reduce(np.add, db).astype(np.float32)


def _run_count(positions: int, together: int, images: int) -> int:
    """How many runs the micro-kernel sums for so many images, some of them together."""
    blocks, rest = divmod(positions, _KC)
    of_some = blocks * (_KC // RUN) + -(-rest * together // RUN)
    return -(-images // together) * of_some


@parallel(
    f"{GRADIENT_OPERANDS} {LAYOUT} {_TABLES} f32[chunk,scratch]"
    " f32[chunk,group,tap,o] f64[chunk,group,tap,o] f64[chunk,o]"
)
def _sum_images(operands, layout, tables, workspace, accumulators, totals, db, chunk, chunks):
    """The sums over the images of each chunk."""
    operands, layout, tables = GradientOperands(*operands), Layout(*layout), WeightTables(*tables)
    start, stop = chunk_bounds(operands.x.shape[0], chunk, chunks)
    runs = 0
    for first in range(start, stop, tables.images):
        last, before = min(first + tables.images, stop), runs
        for group in range(tables.groups):
            runs = _add_images(
                operands, layout, tables, group, first, last, workspace[chunk],
                accumulators[chunk, group], totals[chunk, group], db[chunk], before,
            )  # fmt: skip
    if totals.size and runs:
        own = accumulators[chunk]
        _add(pointer(own, 0), pointer(totals[chunk], 0), own.size)


@parallel("f32[chunk,group,tap,o] f64[chunk,group,tap,o] f32[group,o,tap]")
def _sum_chunks(accumulators, totals, dw, chunk, chunks):
    """Their sums over the chunks, in order; this chunk is of weights, in whole vectors."""
    sums, groups, _, lanes = accumulators.shape
    start, stop = chunk_bounds((dw.shape[2] + LANES - 1) // LANES, chunk, chunks)
    first, last = start * LANES, min(stop * LANES, dw.shape[2])
    count = (last - first) * lanes
    for group in range(groups):
        own = pointer(accumulators[0, group], first * lanes)
        if totals.size:
            total = pointer(totals[0, group], first * lanes)
            for i in range(1, sums):
                _add(pointer(totals[i, group], first * lanes), total, count)
            _round(total, own, count)
        else:
            for i in range(1, sums):
                _add(pointer(accumulators[i, group], first * lanes), own, count)
        _store_transposed(accumulators[0, group], dw[group], first, last)


@inner
def _add_images(
    operands, layout, tables, group, first, last, workspace, accumulators, totals, db, runs
):
    """Add what one group of some images contributes, block by block of their positions.

    `runs` of the micro-kernel are in the accumulators before; returned is how many are afterwards.
    """
    x, dy = operands.x, operands.dy
    groups = tables.groups
    channels, outputs = x.shape[1] // groups, dy.shape[1] // groups
    planes, unit = pointer(workspace, 0), first * groups + group
    if layout.in_place:
        planes = pointer(x, unit * channels * x.shape[2] * x.shape[3])
    else:
        for n in range(last - first):
            planes_of_n = workspace[n * layout.size :]
            pack_image(x, no_mask(x), unit + n * groups, channels, layout, planes_of_n)
    block = workspace[tables.images * layout.size :]
    rows = block[_KC * NR :]
    count, lanes = dy.shape[2] * dy.shape[3], accumulators.shape[1]
    vectors = lanes // LANES
    panels = tile_count(vectors)
    for start in range(0, count, _KC):
        length = min(_KC, count - start)  # all of them, if there are several images
        depth = length * (last - first)
        for panel in range(panels):
            lane, end = chunk_bounds(vectors, panel, panels)
            width, lane = end - lane, lane * LANES
            output, some = group * outputs + lane, min(width * LANES, outputs - lane)
            for n in range(first, last):
                begin = (n * groups * outputs + output) * count + start
                target = pointer(block, (n - first) * length * NR)
                _transpose(operands, begin, count, some, length, rows, target)
            _add_positions(block, depth, rows[:some], db[output : output + some])
            for tap in range(0, tables.taps.size, MR):
                micro_kernel(
                    width, depth, RUN, planes, pointer(tables.taps, tap),
                    pointer(tables.patches, start), pointer(block, 0), pointer(tables.lanes, 0),
                    pointer(accumulators, tap * lanes + lane), lanes, runs > 0,
                )  # fmt: skip
        runs += (depth + RUN - 1) // RUN
        if totals.size and runs >= _RUNS:
            _add(pointer(accumulators, 0), pointer(totals, 0), accumulators.size)
            runs = 0
    return runs


@inner
def _transpose(operands, begin, stride, outputs, length, rows, target):
    """The block of dy that begins there, [output, position], to [position, output]."""
    dy, relu_mask = operands.dy, operands.relu_mask
    source = pointer(dy, begin)
    if relu_mask.size:
        for i in range(outputs):
            copy_masked(dy, relu_mask, begin + i * stride, length, rows, i * _KC)
        source, stride = pointer(rows, 0), _KC
    transpose_panel(source, stride, outputs, length, target, NR)


@inner
def _add_positions(block, length, sums, db):
    """db += the sums over the positions of a block, each of which has a row of NR; in runs."""
    for start in range(0, length, RUN):
        sums[:] = 0
        for k in range(start, min(start + RUN, length)):
            row = block[k * NR : k * NR + sums.size]
            for o in range(sums.size):
                sums[o] += row[o]
        _add(pointer(sums, 0), pointer(db, 0), sums.size)


@inner
def _add(source, target, count):
    """target += source, so many elements."""
    source, target = carray(source, count), carray(target, count)
    for i in range(count):
        target[i] += source[i]


@inner
def _round(source, target, count):
    """target = source, so many elements."""
    source, target = carray(source, count), carray(target, count)
    for i in range(count):
        target[i] = source[i]


@inner
def _store_transposed(accumulators, dw, first, last):
    """dw[output, weight] = accumulators[weight, output] of some weights, in squares if they fit."""
    outputs, depth = dw.shape
    stride = accumulators.shape[1]
    for o in range(0, outputs, LANES):
        for k in range(first, last, LANES):
            if o + LANES <= outputs and k + LANES <= depth:
                source, target = pointer(accumulators, k * stride + o), pointer(dw, o * depth + k)
                transpose_square(source, stride, target, depth)
                continue
            for i in range(o, min(o + LANES, outputs)):
                for j in range(k, min(k + LANES, depth)):
                    dw[i, j] = accumulators[j, i]
