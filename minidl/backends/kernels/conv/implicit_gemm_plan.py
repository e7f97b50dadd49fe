"""Offset tables for the implicit-GEMM kernel.

A convolution is a matrix product: im2col (K. Chellapilla et al. 2006) copies the receptive field of
each output, C·KH·KW elements, into a column of a matrix of patches, and

    y[output, position] = Σₖ w[output, k] · patches[k, position]        k = (channel, a, b)

Implicit GEMM (S. Chetlur et al. 2014, arXiv:1410.0759) never stores that matrix.  Here, row k of it
is an offset into the packed image (`pack.py`), `depths[1, k]`, as in the indirect convolution
(M. Dukhan 2019, arXiv:1907.02129): at output (i, j) and stride s, tap (a, b) meets

    plane (a·d mod s, b·d mod s)    at    i·columns + j + (a·d div s)·columns + b·d div s

So one offset serves all positions, counted as if a row of outputs were as long as a row of the
plane.  The few positions between the end of a row and the beginning of the next are computed and
not stored; there are fewer of them because the padding on the right of a row is that on the left of
the next.

**The input gradient** has the same form.  Row y = s·t + r of dx gets something from tap a only if
(r + p − a·d) is a multiple of s, and then from row t + (r + p − a·d)/s of dy.  So each of the s·s
phases of dx is a convolution of stride 1 over dy, with the taps that reach it.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.conv.pack import Layout, layout_of
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import pad_to_tiles
from minidl.backends.window import Convolution

_L2_ELEMENTS = 131_072  # that the second-level cache holds, with something to spare


class GemmTables(NamedTuple):
    """What the loops need to know; sizes are those of one group of one image."""

    groups: int
    # (n, 8), of y: first k, depth, rows, columns, first row, first column, and the steps between.
    phases: np.ndarray
    block_rows: int  # rows of y that are computed at a time
    block_size: int  # positions from the first to the last of them, in whole vectors
    # The factors, as the micro-kernel takes them: the weights are a, the planes are b.
    rows: np.ndarray  # offset of the weights of each output, padded to full tiles
    depths: np.ndarray  # (2, n): offset of weight k, and of row k of the patches


GEMM_TABLES = "(i64 i64[phase,8] i64 i64 i64[o] i64[2,k])"


class GemmPlan(NamedTuple):
    """An implicit GEMM of one group of one image."""

    layout: Layout
    tables: GemmTables
    multiply_adds: int
    computed: float  # multiply-adds of full tiles


@planned
def forward(at: Convolution, channels: int, outputs: int) -> GemmPlan:
    """y, of all channels and outputs of all groups."""
    channels, outputs = channels // at.groups, outputs // at.groups
    (sy, sx), (dy, dx), (kh, kw) = at.stride, at.dilation, at.window
    taps = [(a * dy, b * dx) for a in range(kh) for b in range(kw)]
    phases = sorted({(y % sy, x % sx) for y, x in taps})
    plane = tuple(
        n + d * (k - 1) // s
        for n, d, k, s in zip(at.output, at.dilation, at.window, at.stride, strict=True)
    )
    if at.stride == (1, 1):  # all of the image, so that it may be used in place
        height, width = (n + 2 * p for n, p in zip(at.image, at.padding, strict=True))
        plane = height, _row_length(width, at.padding[1], at.padding[1], at.output[1])
    offsets = [
        phases.index((y % sy, x % sx)) * plane[0] * plane[1] + y // sy * plane[1] + x // sx
        for y, x in taps
    ]
    channel_size = len(phases) * plane[0] * plane[1]
    depth = channels * kh * kw
    patches = np.add.outer(np.arange(channels) * channel_size, offsets).ravel()
    origins = [(y - at.padding[0], x - at.padding[1]) for y, x in phases]
    in_place = at.padding == (0, 0) and at.stride == (1, 1)
    block_rows, block_size = _block(channels, at.output[0], plane[1], at.output[1])
    tables = GemmTables(
        at.groups,
        np.array([[0, depth, *at.output, 0, 0, 1, 1]], np.int64),
        block_rows,
        block_size,
        pad_to_tiles(outputs) * depth,
        np.array([np.arange(depth), patches], np.int64),
    )
    layout = layout_of(channels, at.image, at.stride, plane, origins, in_place=in_place)
    return _plan(layout, tables, outputs, outputs * depth * at.output[0] * plane[1])


def backward(at: Convolution, channels: int, outputs: int) -> GemmPlan:
    """dx: the outputs are packed, the channels are computed."""
    channels, outputs = channels // at.groups, outputs // at.groups
    axes = [  # for each phase of dx along an axis: the taps that reach it, and the shift in dy
        [
            [(a, (r + p - a * d) // s) for a in range(k) if (r + p - a * d) % s == 0]
            for r in range(min(s, n))
        ]
        for n, k, s, p, d in zip(
            at.image, at.window, at.stride, at.padding, at.dilation, strict=True
        )
    ]
    first = [min([shift for phase in axis for _, shift in phase], default=0) for axis in axes]
    last = [max([shift for phase in axis for _, shift in phase], default=0) for axis in axes]
    height, width = (
        -(-n // s) + high - low
        for n, s, low, high in zip(at.image, at.stride, first, last, strict=True)
    )
    right = width + first[1] - at.output[1]
    plane = height, _row_length(width, -first[1], right, -(-at.image[1] // at.stride[1]))
    kh, kw = at.window
    phases: list[tuple[int, ...]] = []
    depth_a: list[int] = []
    depth_b: list[int] = []
    for r, rows in enumerate(axes[0]):
        for q, columns in enumerate(axes[1]):
            height = -(-(at.image[0] - r) // at.stride[0])
            width = -(-(at.image[1] - q) // at.stride[1])
            depth = outputs * len(rows) * len(columns)
            phases.append((len(depth_a), depth, height, width, r, q, *at.stride))
            for o, (a, i), (b, j) in product(range(outputs), rows, columns):
                depth_a.append((o * channels * kh + a) * kw + b)
                depth_b.append((o * plane[0] + i - first[0]) * plane[1] + j - first[1])
    in_place = first == [0, 0] and plane == at.output
    block_rows, block_size = _block(outputs, phases[0][2], plane[1], phases[0][3])
    tables = GemmTables(
        at.groups,
        np.array(phases, np.int64),
        block_rows,
        block_size,
        pad_to_tiles(channels) * (kh * kw),
        np.array([depth_a, depth_b], np.int64),
    )
    origins = [(first[0], first[1])]
    layout = layout_of(outputs, at.output, (1, 1), plane, origins, in_place=in_place)
    return _plan(layout, tables, channels, channels * len(depth_a) * phases[0][2] * plane[1])


def _plan(layout: Layout, tables: GemmTables, outputs: int, multiply_adds: int) -> GemmPlan:
    return GemmPlan(layout, tables, multiply_adds, multiply_adds * tables.rows.size / outputs)


def _row_length(width: int, left: int, right: int, columns: int) -> int:
    """The length of a plane's row, if its padding on the right is that on the left of the next.

    That can be no more than LANES elements: so many zeros are packed behind the last row.
    """
    return max(width - max(min(left, right, LANES), 0), columns)


def _block(channels: int, rows: int, row_length: int, columns: int) -> tuple[int, int]:
    """How many rows of y to compute at a time, and the positions from the first to the last.

    The planes are read once for each MR outputs.  If they do not fit into the second-level cache,
    the rows that a block reads are to fit into half of it.
    """
    if channels * rows * row_length > _L2_ELEMENTS:
        rows = min(rows, max(1, _L2_ELEMENTS // 2 // (channels * row_length)))
    return rows, -(-((rows - 1) * row_length + columns) // LANES) * LANES
