"""y and dx of a convolution, by one loop with two plans.

The lanes of a tile are positions in the picture, its rows are channels of the result, and k runs
over what is summed: the channels of the other side, and the places of the window.
"""

import numpy as np
from numba import carray, prange

from minidl.backends import threads
from minidl.backends.kernels.conv.implicit_gemm_plan import Plan
from minidl.backends.kernels.pool.max_pool_2x2 import pool_rows
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    copy_vector_masked,
    pointer,
    store_bias_clamp,
    zero_vector,
)
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    SINGLE_ROW_VECTORS,
    machine_code,
    micro_kernel,
    tile_count,
)

NO_MASK = np.empty((0, 0, 0, 0), np.float32)  # for `passes`, where nothing is held back
NO_ARGMAX = np.empty((0, 0, 0, 0), np.uint8)  # for `taken`, where y is not pooled


def correlate(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    least: float,
    plan: Plan,
    passes: np.ndarray = NO_MASK,
    taken: np.ndarray = NO_ARGMAX,
) -> None:
    """y = Σ x·w + b as the plan says, of x where `passes` is positive.

    With `taken`, only the largest of each square of two by two, at least 0, and its place.
    """
    units = x.shape[0] * plan.groups
    pieces = threads.pieces(units * plan.products / MULTIPLY_ADDS_PER_NS)
    splits = 1 if units % pieces == 0 else pieces
    space = scratch(pieces, plan.space + MR * (plan.run + LANES) + LANES)
    least = np.float32(least)
    _correlate(
        machine_code(), x, passes, weight, bias, y, taken, least, plan, splits, space, pieces
    )


@parallel
def _correlate(
    machine_code, x, passes, weight, bias, y, taken, least, plan, splits, scratch, pieces
):
    """Every picture and group, its outputs in `splits` parts."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0] * plan.groups * splits, piece, pieces)
        for unit in range(start, stop):
            panels = chunk_bounds(plan.rows.size // MR, unit % splits, splits)
            _correlate_part(
                machine_code, x, passes, weight, bias, y, taken, least, plan, scratch[piece],
                unit // splits, panels,
            )  # fmt: skip


@inner
def _correlate_part(
    machine_code, x, passes, weight, bias, y, taken, least, plan, scratch, unit, panels
):
    """Some panels of outputs of one group of one picture.

    Where the planes are large, a few rows of them go through all panels before the next rows do.
    """
    n, group = unit // plan.groups, unit % plan.groups
    planes = pointer(scratch, 0)
    begin = unit * plan.channels * plan.height * plan.width
    room = begin + plan.space <= x.size  # a tile reads behind the picture, but not behind x
    if plan.as_it_is and room and not passes.size:
        planes = pointer(x, begin)
    else:
        lay_out(x, passes, begin, plan, scratch)
    sums = scratch[plan.space :]
    weights = pointer(weight, group * plan.weight_group)
    for target in range(plan.targets.shape[0]):
        height, width, row, column = plan.targets[target, 2:]
        for first in range(0, height, plan.block):
            last = min(first + plan.block, height)
            for panel in range(panels[0], panels[1]):
                _sum_panel(machine_code, planes, weights, plan, target, first, last, panel, sums)
                for i in range(min(MR, plan.outputs - panel * MR)):
                    channel = group * plan.outputs + panel * MR + i
                    found, plane = pointer(sums, i * (plan.run + LANES)), y[n, channel]
                    if taken.size:
                        put_pooled(
                            found, plan.plane_columns, 2 * plan.plane_columns, y, taken,
                            n * y.shape[1] + channel, first // 2, last // 2, bias[channel],
                        )  # fmt: skip
                    elif plan.step_y == plan.step_x == 1:
                        begin = first * width
                        put_rows(
                            found, plan.plane_columns, 2 * plan.plane_columns,
                            pointer(plane, begin), width, last - first, plane.size - begin,
                            bias[channel], least,
                        )  # fmt: skip
                    else:
                        _put_apart(
                            found, plan.plane_columns, plane, width, last - first,
                            row + first * plan.step_y, plan.step_y, column, plan.step_x,
                            bias[channel], least,
                        )  # fmt: skip


@inner
def _sum_panel(machine_code, planes, weights, plan, target, first, last, panel, sums):
    """The sums of some rows of a panel of outputs."""
    begin, depth, _, width = plan.targets[target, :4]
    rows, stride = pointer(plan.rows, panel * MR), plan.run + LANES
    depth_a, depth_b = pointer(plan.depth_a, begin), pointer(plan.depth_b, begin)
    run = (last - first - 1) * plan.plane_columns + width
    if depth == 0:
        sums[:] = 0
        return
    vectors = (run + LANES - 1) // LANES
    if plan.outputs == 1:
        for j in range(0, run, SINGLE_ROW_VECTORS * LANES):
            seen = advance(planes, first * plan.plane_columns + j)
            micro_kernel(
                machine_code,
                0,
                depth,
                weights,
                rows,
                depth_a,
                seen,
                depth_b,
                pointer(sums, j),
                stride,
                0,
            )
        return
    count = tile_count(vectors)
    for part in range(count):
        begin, end = chunk_bounds(vectors, part, count)
        seen = advance(planes, first * plan.plane_columns + begin * LANES)
        width, out = end - begin, pointer(sums, begin * LANES)
        micro_kernel(
            machine_code, width, depth, weights, rows, depth_a, seen, depth_b, out, stride, 0
        )


@inner
def lay_out(x, passes, begin, plan, planes):
    """The planes of the channels of the picture that begins there in x, with zeros around it.

    What does not pass is 0 too.
    """
    rows, columns = plan.plane_rows, plan.plane_columns
    plane = 0
    for c in range(plan.channels):
        for phase in range(plan.phases.shape[0]):
            down, top, bottom, right, left, end = plan.phases[phase]
            _clear(pointer(planes, plane), top * columns)
            source = begin + (c * plan.height + top * plan.stride_y + down) * plan.width
            source += left * plan.stride_x + right
            line = plan.stride_y * plan.width
            target = pointer(planes, plane + top * columns)
            if plan.stride_x == 1:
                copy_rows(x, passes, source, line, target, columns, left, end, bottom - top)
            else:
                for i in range(bottom - top):
                    row = planes[plane + (top + i) * columns : plane + (top + i + 1) * columns]
                    row[:left], row[end:] = 0, 0
                    seen = carray(pointer(x, source + i * line), (end - left) * plan.stride_x)
                    for j in range(left, end):
                        row[j] = seen[(j - left) * plan.stride_x]
            _clear(pointer(planes, plane + bottom * columns), (rows - bottom) * columns)
            plane += rows * columns
    _clear(pointer(planes, plane), SINGLE_ROW_VECTORS * LANES)  # on the right of the last row


@inner
def _clear(target, count):
    """At least so many zeros: whole vectors."""
    for j in range(0, count, LANES):
        zero_vector(advance(target, j))


@inner
def copy_rows(x, passes, source, line, target, columns, left, end, height):
    """Rows of x, which lie a `line` apart, with zeros left and right of them.

    They are written in whole vectors, in order: what is too much is overwritten by what follows.
    """
    width = end - left
    whole = (width + LANES - 1) // LANES * LANES
    given, passing = pointer(x, source), pointer(passes, source)
    safe = height
    if source + (height - 1) * line + whole > x.size:
        safe = max(0, (x.size - source - whole) // line + 1)
    for j in range(0, left, LANES):
        zero_vector(advance(target, j))
    for i in range(safe):
        row, here = advance(target, i * columns), i * line
        for j in range(0, width, LANES):
            if passes.size:
                copy_vector_masked(
                    advance(given, here + j), advance(passing, here + j), advance(row, left + j)
                )
            else:
                copy_vector(advance(given, here + j), advance(row, left + j))
        for j in range(end, columns + left, LANES):  # and those on the left of the next row
            zero_vector(advance(row, j))
    for i in range(safe, height):
        row = carray(advance(target, i * columns), columns)
        row[:left], row[end:] = 0, 0
        for j in range(width):
            number = x.flat[source + i * line + j]
            row[left + j] = (
                number if not passes.size or passes.flat[source + i * line + j] > 0 else 0
            )


@inner
def copy_where_passed(x, passes, source, count, target, begin):
    """target[begin : begin + count] = numbers of x where `passes` is positive, else 0.

    They are written in whole vectors: what is too much is overwritten by what follows.
    """
    whole = min(count, max(0, x.size - source) // LANES * LANES)
    given, passing, copied = pointer(x, source), pointer(passes, source), pointer(target, begin)
    for j in range(0, whole, LANES):
        copy_vector_masked(advance(given, j), advance(passing, j), advance(copied, j))
    for j in range(whole, count):
        number = x.flat[source + j]
        target[begin + j] = number if passes.flat[source + j] > 0 else np.float32(0)


@inner
def put_rows(sums, down, line, y, width, height, room, bias, least):
    """Rows of sums, finished, into the rows of y, which has `room` numbers from there on.

    The rows of a pair lie so far `down` from each other, and pairs a `line` apart.  A row is
    written in whole vectors; what is too much lies in rows that are written later.
    """
    whole = (width + LANES - 1) // LANES * LANES
    safe = min(height, max(0, (room - whole) // width + 1))
    for i in range(safe):
        found = advance(sums, i // 2 * line + i % 2 * down)
        for j in range(0, whole, LANES):
            store_bias_clamp(advance(found, j), advance(y, i * width + j), bias, least)
    for i in range(safe, height):
        found = carray(advance(sums, i // 2 * line + i % 2 * down), width)
        row = carray(advance(y, i * width), width)
        for j in range(width):
            value = found[j] + bias
            row[j] = least if value < least else value


@inner
def put_pooled(sums, down, line, y, taken, plane, first, last, bias):
    """Pairs of rows of sums, pooled, into some rows of a plane of y, with their places."""
    height, width = y.shape[2:]
    last, begin = min(last, height), (plane * height + first) * width
    count = last - first
    pool_rows(
        sums, down, line, pointer(y, begin), pointer(taken, begin), width, count, count * width,
        bias, True,
    )  # fmt: skip


@inner
def _put_apart(sums, row_length, y, width, height, row, step_y, column, step_x, bias, least):
    """Rows of sums, finished, into every so-manieth row and column of y."""
    for i in range(height):
        found = carray(advance(sums, i * row_length), width)
        for j in range(width):
            value = found[j] + bias
            y[row + i * step_y, column + j * step_x] = least if value < least else value
