"""dw and db of a convolution.

Here k runs over the positions of dy, the rows of a tile are places of the window in a channel, and
its lanes are outputs.  For that dy is turned, a chunk of positions at a time.  Where that does not
pay, `conv_few_weights` takes over.
"""

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.conv import implicit_gemm_plan
from minidl.backends.kernels.conv.implicit_gemm import NO_MASK, copy_where_passed, lay_out
from minidl.backends.kernels.conv.weight_gradient_dot import few_weights, is_worth_it
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, pointer, transpose_square
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    machine_code,
    micro_kernel,
    tile_count,
    transpose_panel,
)
from minidl.backends.window import Convolution

_CHUNK = 128  # positions of dy that are kept in the nearest cache


def weight_gradient(
    x: np.ndarray, dy: np.ndarray, y: np.ndarray, at: Convolution
) -> tuple[np.ndarray, np.ndarray]:
    """dw and db: for every place of the window Σ seen·dy, and Σ dy."""
    channels, outputs = x.shape[1], dy.shape[1]
    plan = implicit_gemm_plan.forward(at, channels, outputs)
    if is_worth_it(plan):
        dw, db = few_weights(x, dy, y, at, plan)
        return dw.reshape(outputs, channels // at.groups, *at.window), db
    positions = implicit_gemm_plan.positions(at, channels, outputs, _CHUNK)
    pieces = min(threads.pieces(dy.size * plan.depth_a.size / MULTIPLY_ADDS_PER_NS), len(dy))
    lanes = -(-plan.outputs // LANES) * LANES
    sums = np.empty((pieces, at.groups, positions.places.size, lanes), np.float32)
    totals = np.zeros((pieces, outputs), np.float32)
    dw = np.empty((at.groups, plan.outputs, plan.depth_a.size), np.float32)
    space = scratch(pieces, plan.space + 2 * _CHUNK * NR)
    _weights(machine_code(), x, dy, y, plan, positions, space, sums, totals, dw, pieces)
    return dw.reshape(outputs, channels // at.groups, *at.window), totals[0]


@parallel
def _weights(machine_code, x, dy, y, plan, positions, scratch, sums, totals, dw, pieces):
    """The sums over the pictures of each piece, and then over the pieces, in order."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        for first in range(start, stop, positions.pictures):
            last = min(first + positions.pictures, stop)
            for group in range(plan.groups):
                _weights_of_pictures(
                    machine_code, x, dy, y, first, last, group, plan, positions, scratch[piece],
                    sums[piece, group], totals[piece], first > start,
                )  # fmt: skip
    for piece in range(1, pieces):
        _add(sums[piece], sums[0])
        for o in range(totals.shape[1]):
            totals[0, o] += totals[piece, o]
    for group in range(plan.groups):
        _put(sums[0, group], dw[group])


@inner
def _weights_of_pictures(
    machine_code, x, dy, y, first, last, group, plan, positions, scratch, sums, totals, add
):
    """What one group of some pictures contributes, chunk by chunk of their positions."""
    planes = pointer(scratch, 0)
    begin = (first * plan.groups + group) * plan.channels * plan.height * plan.width
    if plan.as_it_is:
        planes = pointer(x, begin)
    else:
        lay_out(x, NO_MASK, begin, plan, scratch)
    chunk, rows = scratch[plan.space :], scratch[plan.space + _CHUNK * NR :]
    count, lanes = dy.shape[2] * dy.shape[3], sums.shape[1]
    vectors = lanes // LANES
    blocks = tile_count(vectors)
    for start in range(0, count, _CHUNK):
        length = min(_CHUNK, count - start)  # all of them, if there are several pictures
        seen, depth = pointer(positions.seen, start), length * (last - first)
        for block in range(blocks):
            lane, end = chunk_bounds(vectors, block, blocks)
            width, lane = end - lane, lane * LANES
            output, outputs = group * plan.outputs + lane, min(width * LANES, plan.outputs - lane)
            for n in range(first, last):
                begin = (n * plan.groups * plan.outputs + output) * count + start
                source, stride = pointer(dy, begin), count
                if y.size:
                    for i in range(outputs):
                        copy_where_passed(dy, y, begin + i * count, length, rows, i * _CHUNK)
                    source, stride = pointer(rows, 0), _CHUNK
                target = pointer(chunk, (n - first) * length * NR)
                transpose_panel(machine_code, source, stride, outputs, length, target, NR)
            _add_up(chunk, depth, rows[:outputs], totals[output : output + outputs])
            for place in range(0, positions.places.size, MR):
                micro_kernel(
                    machine_code, width, depth, planes, pointer(positions.places, place), seen,
                    pointer(chunk, 0), pointer(positions.lanes, 0),
                    pointer(sums, place * lanes + lane), lanes, add or start > 0,
                )  # fmt: skip


@inner
def _add_up(chunk, length, sums, totals):
    """totals += the sums over the positions of a chunk, each of which has a row of COLUMNS."""
    sums[:] = 0
    for k in range(length):
        row = chunk[k * NR : k * NR + sums.size]
        for o in range(sums.size):
            sums[o] += row[o]
    for o in range(sums.size):
        totals[o] += sums[o]


@inner
def _add(one, other):
    """other += one."""
    one, other = one.reshape(one.size), other.reshape(one.size)
    for i in range(one.size):
        other[i] += one[i]


@inner
def _put(sums, dw):
    """dw[output, place] = sums[place, output], in squares where there is room for them."""
    outputs, places = dw.shape
    for o in range(0, outputs, LANES):
        for k in range(0, places, LANES):
            if o + LANES <= outputs and k + LANES <= places:
                source, target = k * sums.shape[1] + o, o * places + k
                transpose_square(pointer(sums, source), sums.shape[1], pointer(dw, target), places)
                continue
            for i in range(o, min(o + LANES, outputs)):
                for j in range(k, min(k + LANES, places)):
                    dw[i, j] = sums[j, i]
