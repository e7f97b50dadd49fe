"""dw and db of a convolution that was pooled by squares, with few weights for each output.

Of the four positions of a square, one got a gradient.  So nothing is spread over the others: for
each square, what the window saw at the one position is multiplied with the one number.  What it saw
everywhere in two rows is copied together beforehand, and serves all outputs.  Behind it a 1 is put,
whose sum is db.
"""

from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from minidl.backends import threads
from minidl.backends.kernels.conv import implicit_gemm_plan
from minidl.backends.kernels.conv.implicit_gemm import NO_MASK, lay_out
from minidl.backends.kernels.pool.max_pool_2x2 import NO_ARGMAX_TAP
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    advance,
    broadcast,
    float_pointer,
    gather_transpose,
    int_pointer,
    load,
    multiply_add,
    pointer,
    store,
)
from minidl.backends.window import Convolution

_TOGETHER = 4  # outputs whose sums grow at once, so that none waits for the one before
_TIME = 0.8  # nanoseconds for a square and an output


def is_worth_it(at: Convolution, channels: int) -> bool:
    """Whether the weights of an output, and the 1, fit into a vector."""
    return at.groups == 1 and channels * at.window[0] * at.window[1] < LANES


def pooled_weight_gradient(
    x: np.ndarray, dy: np.ndarray, taken: np.ndarray, at: Convolution
) -> tuple[np.ndarray, np.ndarray]:
    """dw and db, of dy at the places that were taken.

    The pictures x are finite: a NaN where nothing was taken would not be seen.
    """
    outputs, height, width = dy.shape[1:]
    plan = implicit_gemm_plan.forward(at, x.shape[1], outputs)
    depth = plan.depth_b.size
    places = np.append(plan.depth_b, [plan.depth_b[-1]] * (LANES - depth))
    pieces = min(threads.pieces(dy.size * _TIME), len(x))
    rows = -(-outputs // _TOGETHER) * _TOGETHER
    line = -(-2 * width // LANES) * LANES
    squares = np.tile(np.arange(width) * 2 * LANES, height)
    space = scratch(pieces, plan.space + (2 * line + rows) * LANES + rows * height * width)
    begins = np.empty((pieces, rows * height * width), np.int64)
    sums = np.zeros((pieces, rows, LANES))
    _pooled_weights(x, dy, taken, plan, places, squares, line, begins, sums, space, pieces)
    total = np.add.reduce(sums, axis=0)[:outputs].astype(np.float32)
    dw = total[:, :depth].reshape(outputs, x.shape[1], *at.window)
    return dw, np.ascontiguousarray(total[:, depth])


@parallel
def _pooled_weights(x, dy, taken, plan, places, squares, line, begins, sums, scratch, pieces):
    """The sums over the pictures of each piece."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        for n in range(start, stop):
            _add_picture(
                x, dy[n], taken[n], n, plan, places, squares, line, begins[piece], sums[piece],
                scratch[piece],
            )  # fmt: skip


@inner
def _add_picture(x, dy, taken, n, plan, places, squares, line, begins, sums, scratch):
    """What one picture contributes: its own sums first, which keeps them exact."""
    (outputs, height, width), rows = dy.shape, sums.shape[0]
    lay_out(x, NO_MASK, n * plan.channels * plan.height * plan.width, plan, scratch)
    seen = scratch[plan.space : plan.space + 2 * line * LANES]
    own = scratch[plan.space + seen.size : plan.space + seen.size + rows * LANES]
    factors = scratch[plan.space + seen.size + own.size :]
    own[:] = 0
    _list_taken(dy, taken, squares, line, begins, factors)
    for row in range(height):
        position = 2 * row * plan.plane_columns
        _see(pointer(scratch, position), plan.plane_columns, places, plan.depth_b.size, line, seen)
        for o in range(0, rows, _TOGETHER):
            begin = (o * height + row) * width
            _add_row(
                pointer(factors, begin), pointer(begins, begin), height * width, width,
                pointer(seen, 0), pointer(own, o * LANES),
            )  # fmt: skip
    for o in range(outputs):
        for k in range(LANES):
            sums[o, k] += own[o * LANES + k]


@inner
def _list_taken(dy, taken, squares, line, begins, factors):
    """Of each square, where what was seen at its place begins, and what that is multiplied with.

    The bits of a place tell whether it is below, and on the right.
    """
    plane = squares.size
    begins[dy.size :] = 0
    factors[dy.size :] = 0
    for o in range(dy.shape[0]):
        number, place = dy[o].reshape(-1), taken[o].reshape(-1)
        begin, factor = begins[o * plane : (o + 1) * plane], factors[o * plane : (o + 1) * plane]
        for i in range(plane):
            lower, right = np.int64(place[i]) >> 1 & 1, np.int64(place[i]) & 1
            begin[i] = squares[i] + (lower * line + right) * LANES
            factor[i] = number[i] if place[i] != NO_ARGMAX_TAP else np.float32(0)


@inner
def _see(planes, columns, places, depth, line, seen):
    """What the window sees at the positions of two rows, each time with a 1 behind it."""
    for i in range(2):
        for j in range(0, line, LANES):
            square = (i * line + j) * LANES
            position = advance(planes, i * columns + j)
            gather_transpose(position, pointer(places, 0), 1, pointer(seen, square))
            for lane in range(LANES):
                seen[square + lane * LANES + depth] = 1


@intrinsic
def _add_row(
    _: Any, factors: Any, begins: Any, plane: Any, width: Any, seen: Any, sums: Any
) -> Any:
    """Each row of sums += factor · what was seen, over a row of squares.

    For _TOGETHER outputs, whose squares lie a `plane` apart.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        factors, begins, plane, width, seen, sums = arguments
        apart = [builder.mul(plane, INT(i)) for i in range(_TOGETHER)]
        numbers = [builder.gep(factors, [far]) for far in apart]
        places = [builder.gep(begins, [far]) for far in apart]
        targets = [builder.gep(sums, [INT(i * LANES)]) for i in range(_TOGETHER)]
        begun = [load(builder, target) for target in targets]
        before = builder.block
        body, end = map(builder.function.append_basic_block, ("body", "end"))
        builder.branch(body)

        builder.position_at_end(body)
        j, grown, found = builder.phi(INT), [builder.phi(VECTOR) for _ in targets], []
        for number, place, total in zip(numbers, places, grown, strict=True):
            factor = broadcast(builder, builder.load(builder.gep(number, [j])))
            begin = builder.load(builder.gep(place, [j]))
            window = load(builder, builder.gep(seen, [begin]))
            found.append(builder.call(multiply_add(builder.module), [factor, window, total]))
        following = builder.add(j, INT(1))
        j.add_incoming(INT(0), before)
        j.add_incoming(following, body)
        for total, start, value in zip(grown, begun, found, strict=True):
            total.add_incoming(start, before)
            total.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", following, width), body, end)

        builder.position_at_end(end)
        for target, value in zip(targets, found, strict=True):
            store(builder, value, target)
        return context.get_dummy_value()

    return types.void(
        float_pointer, int_pointer, types.int64, types.int64, float_pointer, float_pointer
    ), generate
