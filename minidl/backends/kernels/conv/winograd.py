"""y and dx of a convolution, square by square, with fewer products.

The lanes of a tile are squares, its rows are outputs, and k runs over the channels.  What is summed
before and after the products is summed in vectors.
"""

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.conv.implicit_gemm import lay_out, put_pooled, put_rows
from minidl.backends.kernels.conv.winograd_plan import PRODUCTS, Winograd
from minidl.backends.kernels.runtime.compile import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer, transpose_square
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    machine_code,
    micro_kernel,
    tile_count,
    transpose_panel,
)
from minidl.backends.kernels.simd.winograd_transform import (
    finish_squares,
    see_squares,
    transform_windows,
)

_WEIGHTS = 9  # of a window
_TURNED = -(-_WEIGHTS // LANES) * LANES  # rows of a matrix that is turned in whole squares
_PANEL = MR * NR + LANES  # sums of a panel; an odd number of lines, to spread in the cache


def correlate_winograd(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    least: float,
    plan: Winograd,
    passes: np.ndarray,
    taken: np.ndarray,
) -> bool:
    """y = max(Σ x·w + b, least) as the plan says, of x where `passes` is positive.

    With `taken`, only the largest of each square, at least 0, and its place.

    Whether that is right: among numbers that are not finite, or nearly so, the sums may be NaN
    where other ways of adding give an infinity or a number.
    """
    windows = weight.size // _WEIGHTS
    u = np.empty((PRODUCTS, -(-windows // LANES) * LANES + LANES), np.float32)
    pieces = threads.pieces(windows)
    _transform(machine_code(), weight, windows, u, scratch(pieces, _TURNED * LANES), pieces)
    units = x.shape[0] * plan.groups
    pieces = threads.pieces(units * plan.products / MULTIPLY_ADDS_PER_NS)
    splits = 1 if units % pieces == 0 else pieces
    finite = np.zeros((pieces, LANES), np.float32)
    sums = PRODUCTS * (plan.pitch + _PANEL) + MR * 4 * plan.run + 2 * LANES
    space, least = scratch(pieces, plan.space + sums), np.float32(least)
    _correlate(
        machine_code(), x, passes, u, bias, y, taken, least, plan, splits, finite, space, pieces
    )
    return not finite.any()


@parallel
def _transform(machine_code, weight, windows, u, turned, pieces):
    """u[product, window] of every window, LANES of them at a time."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(u.shape[1] // LANES - 1, piece, pieces)
        rows = pointer(turned[piece], 0)
        for first in range(start * LANES, stop * LANES, LANES):
            source, some = pointer(weight, first * _WEIGHTS), min(LANES, windows - first)
            if (first + LANES - 1) * _WEIGHTS + _TURNED <= weight.size:
                for i in range(0, _WEIGHTS, LANES):
                    transpose_square(advance(source, i), _WEIGHTS, advance(rows, i * LANES), LANES)
            else:
                transpose_panel(machine_code, source, _WEIGHTS, some, _WEIGHTS, rows, LANES)
            transform_windows(rows, pointer(u, first), u.shape[1])


@parallel
def _correlate(
    machine_code, x, passes, u, bias, y, taken, least, plan, splits, finite, scratch, pieces
):
    """Every picture and group, its rows of squares in `splits` parts."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0] * plan.groups * splits, piece, pieces)
        for unit in range(start, stop):
            squares = chunk_bounds((plan.rows + 1) // 2, unit % splits, splits)
            _correlate_part(
                machine_code, x, passes, u, bias, y, taken, least, plan, unit // splits, squares,
                finite[piece], scratch[piece],
            )  # fmt: skip


@inner
def _correlate_part(
    machine_code, x, passes, u, bias, y, taken, least, plan, unit, squares, finite, scratch
):
    """Some rows of squares of one group of one picture."""
    lay_out(x, passes, unit * plan.channels * plan.height * plan.width, plan, scratch)
    group, line, plane = unit % plan.groups, plan.plane_columns, plan.rows * plan.columns
    v, m, pairs = _parts(scratch[plan.space :], plan)
    for first in range(squares[0], squares[1], plan.block):
        last = min(first + plan.block, squares[1])
        run = (last - first - 1) * (line // 2) + (plan.columns + 1) // 2
        vectors = (run + LANES - 1) // LANES
        begin, end = 2 * first * plan.columns, min(2 * last, plan.rows) * plan.columns
        _see(pointer(scratch, first * line), plan, vectors, v)
        for panel in range(plan.begins.size // MR):
            outputs = min(MR, plan.outputs - panel * MR)
            _sum_panel(machine_code, u, v, plan, group, panel, outputs, vectors, m, pairs, finite)
            for i in range(outputs):
                output = panel * MR + i
                own = bias[group * plan.outputs + output]
                if taken.size:
                    put_pooled(
                        pointer(pairs[i], 0), 2 * plan.run, line, y, taken,
                        unit * plan.outputs + output, first, last, own,
                    )  # fmt: skip
                    continue
                target = pointer(y, (unit * plan.outputs + output) * plane + begin)
                put_rows(
                    pointer(pairs[i], 0), 2 * plan.run, line, target, plan.columns,
                    (end - begin) // plan.columns, end - begin, own, least,
                )  # fmt: skip


@inner
def _parts(scratch, plan):
    """Memory for v and m, and for the upper and lower rows of the squares of some outputs."""
    m = PRODUCTS * plan.pitch
    pairs = m + PRODUCTS * _PANEL
    return (
        scratch[:m].reshape(PRODUCTS, plan.pitch),
        scratch[m:pairs].reshape(PRODUCTS, _PANEL),
        scratch[pairs : pairs + MR * 4 * plan.run].reshape(MR, 2, 2 * plan.run),
    )


@inner
def _see(planes, plan, vectors, v):
    """v[product, channel, square] of so many squares."""
    plane = plan.plane_rows * plan.plane_columns
    for c in range(plan.channels):
        for j in range(vectors):
            see_squares(
                advance(planes, 2 * c * plane + 2 * j * LANES), plan.plane_columns, plane,
                pointer(v, c * plan.run + j * LANES), plan.pitch,
            )  # fmt: skip


@inner
def _sum_panel(machine_code, u, v, plan, group, panel, outputs, vectors, m, pairs, finite):
    """The upper and the lower rows of the squares of some outputs.

    As many squares at a time as a tile has, so that their sixteen products stay in the nearest
    cache until they are added.
    """
    begins, count = pointer(plan.begins, panel * MR), tile_count(vectors)
    depth_a, depth_b = pointer(plan.depth_a, 0), pointer(plan.depth_b, 0)
    for part in range(count):
        first, last = chunk_bounds(vectors, part, count)
        for product in range(PRODUCTS):
            micro_kernel(
                machine_code, last - first, plan.channels,
                pointer(u[plan.order[product]], group * plan.weight_group), begins, depth_a,
                pointer(v[product], first * LANES), depth_b, pointer(m[product], 0), NR, 0,
            )  # fmt: skip
        for i in range(outputs):
            for j in range(first, last):
                finish_squares(
                    pointer(m, i * NR + (j - first) * LANES), _PANEL,
                    pointer(pairs[i, 0], 2 * j * LANES), pointer(pairs[i, 1], 2 * j * LANES),
                    pointer(finite, 0),
                )  # fmt: skip
