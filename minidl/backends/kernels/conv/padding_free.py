"""y and dx of a convolution, class by class, with no zero multiplied.

The rows of a tile are positions of one class, of several pictures, and its lanes are outputs.  So
the sums lie as a matrix [position, output], and are turned while they are written.
"""

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.conv.implicit_gemm import copy_where_passed
from minidl.backends.kernels.conv.padding_free_plan import Classes
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    gather_transpose,
    pointer,
    store_bias_clamp,
)
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    machine_code,
    micro_kernel,
    transpose_panel,
)

_TOGETHER = 1024  # positions of several pictures, so that each class fills its tiles
_NEAR = 6144  # weights that stay in the nearest cache beside what they are multiplied with
_SQUARE = LANES * LANES


def correlate_classes(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    least: float,
    plan: Classes,
    passes: np.ndarray,
) -> None:
    """y = max(Σ x·w + b, least) as the plan says, of x where `passes` is positive."""
    pictures, positions, pitch = len(x), plan.begins.size, plan.width * LANES
    pieces = threads.pieces(pictures * plan.groups * plan.products / MULTIPLY_ADDS_PER_NS)
    each = plan.groups * plan.blocks
    batch = max(1, min(pictures * each // pieces, pictures, _TOGETHER // positions))
    units = -(-pictures // batch) * each
    pieces = min(pieces, units)
    rows = batch * positions + len(plan.depths) * MR
    masked = batch * plan.summed + LANES if passes.size else 0
    packed = np.empty((plan.groups, plan.blocks, plan.weights * pitch), np.float32)
    tables = np.empty((pieces, rows + batch * positions), np.int64)
    space = scratch(pieces, _SQUARE + rows * pitch + masked)
    _correlate(
        machine_code(), x, passes, weight, packed, bias, y, np.float32(least), plan, batch, units, tables,
        space, pieces,
    )  # fmt: skip


@parallel
def _correlate(
    machine_code,
    x,
    passes,
    weight,
    packed,
    bias,
    y,
    least,
    plan,
    batch,
    units,
    tables,
    scratch,
    pieces,
):
    """Every block of outputs of every group, a batch of pictures at a time."""
    _pack(machine_code, weight, plan, packed)
    for piece in prange(pieces):
        start, stop = chunk_bounds(units, piece, pieces)
        for unit in range(start, stop):
            group, block = unit // plan.blocks % plan.groups, unit % plan.blocks
            first = unit // (plan.blocks * plan.groups) * batch
            _correlate_unit(
                machine_code, x, passes, packed[group, block], bias, y, least, plan, group, block,
                first, min(batch, x.shape[0] - first), tables[piece], scratch[piece],
            )  # fmt: skip


@inner
def _pack(machine_code, weight, plan, packed):
    """The weights as matrices [place, output], one for each block of outputs."""
    pitch, height = plan.width * LANES, plan.weights // plan.parts
    for group in range(plan.groups):
        for block in range(plan.blocks):
            outputs = min(pitch, plan.outputs - block * pitch)
            begin = group * plan.weight_group + block * pitch * plan.step
            for part in range(plan.parts):
                transpose_panel(
                    machine_code, pointer(weight, begin + part * plan.part), plan.step, outputs, height,
                    pointer(packed[group, block], part * height * pitch), pitch,
                )  # fmt: skip


@inner
def _correlate_unit(
    machine_code,
    x,
    passes,
    weights,
    bias,
    y,
    least,
    plan,
    group,
    block,
    first,
    pictures,
    tables,
    scratch,
):
    """A block of outputs of one group of some pictures."""
    pitch, positions = plan.width * LANES, plan.begins.size
    begin, size = (first * plan.groups + group) * plan.summed, plan.groups * plan.summed
    seen, square, sums = pointer(x, begin), scratch, scratch[_SQUARE:]
    if passes.size:
        masked = scratch[scratch.size - pictures * plan.summed - LANES :]
        for n in range(pictures):
            copy_where_passed(x, passes, begin + n * size, plan.summed, masked, n * plan.summed)
        seen, size = pointer(masked, 0), plan.summed
    places, rows = tables[: pictures * positions], tables[pictures * positions :]
    top = 0
    for index in range(plan.depths.shape[0]):
        bottom = _list_rows(plan, index, pictures, size, top, rows, places)
        _sum_class(machine_code, seen, weights, plan, index, block, rows, top, bottom, sums)
        top = bottom
    output = group * plan.outputs + block * pitch
    outputs = min(pitch, plan.outputs - block * pitch)
    for n in range(pictures):
        target = ((first + n) * y.shape[1] + output) * positions
        where = places[n * positions : (n + 1) * positions]
        _put(sums, where, pitch, y, target, bias[output : output + outputs], least, square)


@inner
def _list_rows(plan, index, pictures, size, row, rows, places):
    """Where the positions of a class begin in all pictures, and in which rows their sums will be.

    The last is named again until a tile is full; the row after it is returned.
    """
    for n in range(pictures):
        for i in range(plan.ends[index], plan.ends[index + 1]):
            rows[row] = n * size + plan.begins[i]
            places[n * plan.begins.size + plan.positions[i]] = row
            row += 1
    while row % MR:
        rows[row] = rows[row - 1]
        row += 1
    return row


@inner
def _sum_class(machine_code, seen, weights, plan, index, block, rows, top, bottom, sums):
    """The sums of the positions of a class, as many weights at a time as stay near."""
    first, depth = plan.depths[index]
    pitch = plan.width * LANES
    outputs = min(pitch, plan.outputs - block * pitch)
    vectors = (outputs + LANES - 1) // LANES
    if depth == 0:
        sums[top * pitch : bottom * pitch] = 0
    for k in range(first, first + depth, _NEAR // pitch):
        some = min(_NEAR // pitch, first + depth - k)
        depth_a, depth_b = pointer(plan.depth_a, k), pointer(plan.depth_b, k)
        for row in range(top, bottom, MR):
            micro_kernel(
                machine_code, vectors, some, seen, pointer(rows, row), depth_a, pointer(weights, 0),
                depth_b, pointer(sums, row * pitch), pitch, k > first,
            )  # fmt: skip


@inner
def _put(sums, places, pitch, y, target, bias, least, square):
    """y[output, position] = max(sums[position, output] + bias, least), LANES² at a time."""
    positions, outputs = places.size, bias.size
    if positions < LANES:
        for o in range(outputs):
            for i in range(positions):
                value = sums[places[i] * pitch + o] + bias[o]
                y.flat[target + o * positions + i] = least if value < least else value
        return
    for begin in range(0, positions, LANES):
        i = min(begin, positions - LANES)  # the last vector overlaps the one before
        for first in range(0, outputs, LANES):
            gather_transpose(pointer(sums, first), pointer(places, i), pitch, pointer(square, 0))
            for o in range(first, min(first + LANES, outputs)):
                store_bias_clamp(
                    pointer(square, (o - first) * LANES), pointer(y, target + o * positions + i),
                    bias[o], least,
                )  # fmt: skip
