"""The gradient of the weights behind 2 × 2 max pooling, for few weights of each output.

Of the four positions under a pooling window one has a gradient, at its argmax.  So dy, seen from
the convolution, is a sparse matrix [output, position], and

    dw[output, (channel, a, b)] = Σⱼ dy[output, j] · patches[position(output, j), (channel, a, b)]

is a sparse matrix times a dense one (SpMM).  For each row of windows the patches of two rows of
positions are copied together, an im2col (K. Chellapilla et al. 2006) of rows of one vector, which
serves all outputs.  Behind the elements of a patch is a 1, whose sum is db.

An image takes one multiply-add of a vector for each element of dy, a quarter of what the
convolution has positions, and writes LANES elements for each position.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.conv import implicit_gemm_plan
from minidl.backends.kernels.conv.pack import (
    GRADIENT_OPERANDS,
    LAYOUT,
    GradientOperands,
    Layout,
    no_mask,
    pack_image,
)
from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, gather_transpose, pointer
from minidl.backends.kernels.simd.max_pool import NO_ARGMAX_TAP
from minidl.backends.kernels.simd.sparse_product import SPARSE_ROWS, sparse_times_dense
from minidl.backends.window import Convolution

_NANOSECONDS = 0.8  # for an element of dy
_RUN = 32  # windows whose products are summed in registers
_RUNS = 32  # that are added in float32 before their sum is added in float64


class PooledTables(NamedTuple):
    """What the loops need to know."""

    depth: int  # weights of an output
    taps: np.ndarray  # offset of each (channel, tap); the last one again until a vector is full
    windows: np.ndarray  # offset of the upper left patch of each window of an image
    row_length: int  # positions of a row, in whole vectors


_TABLES = "(i64 i64[lane] i64[window] i64)"


class PooledPlan(NamedTuple):
    """The gradient of the weights behind pooling, from images packed as in forward."""

    layout: Layout
    tables: PooledTables


def plan(at: Convolution, channels: int, outputs: int) -> PooledPlan:
    """The tables of a convolution of one group."""
    gemm = implicit_gemm_plan.forward(at, channels, outputs)
    depth = gemm.tables.depths[1].size
    height, width = (n // 2 for n in at.output)
    tables = PooledTables(
        depth,
        gemm.tables.depths[1][np.minimum(np.arange(LANES), depth - 1)],
        np.tile(np.arange(width) * 2 * LANES, height),
        -(-2 * width // LANES) * LANES,
    )
    return PooledPlan(gemm.layout, tables)


def weight_gradient_pooled(
    operands: GradientOperands, plan: PooledPlan
) -> tuple[np.ndarray, np.ndarray]:
    """dw (outputs, weights) and db.

    x must be finite: a NaN under a position without a gradient would not be noticed.
    """
    dy, layout, tables = operands.dy, plan.layout, plan.tables
    outputs, windows = dy.shape[1], tables.windows.size
    chunks = min(threads.chunks(dy.size * _NANOSECONDS), len(dy))
    rows = -(-outputs // SPARSE_ROWS) * SPARSE_ROWS
    workspace = scratch(
        chunks, layout.size + (2 * tables.row_length + rows) * LANES + rows * windows
    )
    offsets = np.empty((chunks, rows * windows), np.int64)
    sums = np.zeros((chunks, rows, LANES))
    _sum_images(operands, layout, tables, offsets, sums, workspace, chunks)
    total = np.add.reduce(sums, axis=0)[:outputs].astype(np.float32)
    return total[:, : tables.depth], np.ascontiguousarray(total[:, tables.depth])


@parallel(
    f"{GRADIENT_OPERANDS} {LAYOUT} {_TABLES} i64[chunk,value] f64[chunk,o,lane] f32[chunk,scratch]"
)
def _sum_images(operands, layout, tables, offsets, sums, workspace, chunk, chunks):
    """The sums over the images of each chunk."""
    operands, layout, tables = GradientOperands(*operands), Layout(*layout), PooledTables(*tables)
    start, stop = chunk_bounds(operands.x.shape[0], chunk, chunks)
    for n in range(start, stop):
        _add_image(operands, layout, tables, n, offsets[chunk], sums[chunk], workspace[chunk])


@inner
def _add_image(operands, layout, tables, n, offsets, sums, workspace):
    """What one image contributes: runs of windows are summed in float32, and these in float64."""
    rows = sums.shape[0]
    outputs, height, width = operands.dy.shape[1:]
    x = operands.x
    pack_image(x, no_mask(x), n, x.shape[1], layout, workspace)
    end = layout.size + 2 * tables.row_length * LANES
    patches, own = workspace[layout.size : end], workspace[end : end + rows * LANES]
    values, runs = workspace[end + rows * LANES :], 0
    own[:] = 0
    _list_values(operands.dy[n], operands.argmax[n], tables, offsets, values)
    for row in range(height):
        _copy_patches(pointer(workspace, 2 * row * layout.columns), layout.columns, tables, patches)
        for left in range(0, width, _RUN):
            count = min(_RUN, width - left)
            for o in range(0, rows, SPARSE_ROWS):
                begin = (o * height + row) * width + left
                sparse_times_dense(
                    pointer(values, begin), pointer(offsets, begin), height * width, count,
                    pointer(patches, 0), pointer(own, o * LANES),
                )  # fmt: skip
            runs += 1
            if runs == _RUNS:
                _add_sums(own, sums, outputs)
                runs = 0
    _add_sums(own, sums, outputs)


@inner
def _add_sums(own, sums, outputs):
    """sums += own, which is 0 afterwards."""
    for o in range(outputs):
        for k in range(LANES):
            sums[o, k] += own[o * LANES + k]
    own[:] = 0


@inner
def _list_values(dy, argmax, tables, offsets, values):
    """The sparse matrix: dy of each window, and the offset of the patch at its argmax.

    The two bits of a tap say whether it is in the lower row, and whether on the right.
    """
    windows = tables.windows.size
    offsets[dy.size :] = 0
    values[dy.size :] = 0
    for o in range(dy.shape[0]):
        begin, end = o * windows, (o + 1) * windows
        gradients = carray(pointer(dy, begin), windows)
        taps = carray(pointer(argmax, begin), windows)
        own_offsets, own_values = offsets[begin:end], values[begin:end]
        for i in range(windows):
            lower, right = np.int64(taps[i]) >> 1 & 1, np.int64(taps[i]) & 1
            own_offsets[i] = tables.windows[i] + (lower * tables.row_length + right) * LANES
            own_values[i] = gradients[i] if taps[i] != NO_ARGMAX_TAP else np.float32(0)


@inner
def _copy_patches(planes, columns, tables, patches):
    """The patches at the positions of two rows, each with a 1 behind it."""
    for i in range(2):
        for j in range(0, tables.row_length, LANES):
            square = (i * tables.row_length + j) * LANES
            position = advance(planes, i * columns + j)
            gather_transpose(position, pointer(tables.taps, 0), 1, pointer(patches, square))
            for lane in range(LANES):
                patches[square + lane * LANES + tables.depth] = 1
