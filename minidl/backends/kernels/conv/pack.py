"""Packing images into planes, and the epilogues that write results.

The algorithms of this folder differ in what they multiply.  How they read an image and how they
write y is the same, and is here.

**Packing** copies an image once, with the zeros of its padding, so that the loops know no edges:
4 bytes read and written per element, where im2col (K. Chellapilla et al. 2006) writes KH·KW times
as many.  For a stride s it is split into s·s phase planes, of which plane (r, q) holds every s-th
row from row r on, and of these every s-th column from column q on (a polyphase decomposition): what
one tap of the window meets, from one output to the next, is then contiguous.  In backward, dy is
read through the mask of a ReLU while it is packed.

**Named tuples** hold what the loops take; beside each stands its type, for the signatures of
kernels.  A kernel receives them as plain tuples, and names them again.

**Epilogues** do in the pass that writes y what would else be passes of their own: adding the bias,
clamping at 0 (ReLU), 2 × 2 max pooling.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.pool.max_pool_2x2 import pool_rows
from minidl.backends.kernels.runtime.kernel import carray, inlined, inner
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    copy_vector_masked,
    gather_transpose,
    pointer,
    store_bias_clamp,
    zero_vector,
)
from minidl.backends.kernels.simd.micro_kernel import SINGLE_ROW_VECTORS

NO_MASK = np.empty((0, 0, 0, 0), np.float32)
NO_ARGMAX = np.empty((0, 0, 0, 0), np.uint8)
NO_CLAMP = np.float32(-np.inf)


class Operands(NamedTuple):
    """What a convolution reads and writes; for the input gradient, x is dy and y is dx."""

    x: np.ndarray
    relu_mask: np.ndarray  # x counts as 0 where this is not positive; or NO_MASK
    weight: np.ndarray
    bias: np.ndarray  # one element for each channel of y
    y: np.ndarray
    argmax: np.ndarray  # if y is pooled, the tap of each maximum; or NO_ARGMAX
    clamp_min: np.float32  # y is at least this; or NO_CLAMP


OPERANDS = "(f32[n,c,h,w] f32[n,c,h,w] f32[o,c,a,b] f32[o] f32[n,o,i,j] u8[n,o,i,j] f32)"


class GradientOperands(NamedTuple):
    """What the gradient of the weights reads."""

    x: np.ndarray
    dy: np.ndarray
    relu_mask: np.ndarray  # dy counts as 0 where this is not positive; or NO_MASK
    argmax: np.ndarray  # if y was pooled, the tap of each maximum, where dy belongs; or NO_ARGMAX


GRADIENT_OPERANDS = "(f32[n,c,h,w] f32[n,o,i,j] f32[n,o,i,j] u8[n,o,i,j])"


class Layout(NamedTuple):
    """How an image, the channels of one group, is packed: phase planes of each channel in turn."""

    rows: int  # of a plane
    columns: int
    phases: np.ndarray  # (n, 8): for each plane, what `_visible` gives of its rows and columns
    size: int  # elements of all planes, and of what a tile may read beyond them
    in_place: bool  # the image is its own plane


LAYOUT = "(i64 i64 i64[phase,8] i64 bool)"


def layout_of(
    channels: int,
    image: tuple[int, ...],
    stride: tuple[int, ...],
    plane: tuple[int, ...],
    origins: Sequence[tuple[int, int]],
    *,
    in_place: bool = False,
) -> Layout:
    """The layout of an image (H, W) in phase planes of the shape `plane`.

    origins    the row and column of the image at the origin of each plane; negative in the padding
    """
    rows, columns = plane
    phases = [
        _visible(y, stride[0], image[0], rows) + _visible(x, stride[1], image[1], columns)
        for y, x in origins
    ]
    size = channels * len(origins) * rows * columns + SINGLE_ROW_VECTORS * LANES
    return Layout(rows, columns, np.array(phases, np.int64), size, in_place)


def _visible(origin: int, stride: int, length: int, count: int) -> tuple[int, int, int, int]:
    """Of an axis of a plane, whose index i shows index i·stride + origin of the image's axis.

    Origin and stride, the first of the `count` indices that is inside the image, and the first
    beyond it.
    """
    first = min(max(-(origin // stride), 0), count)
    return origin, stride, first, max(min((length - 1 - origin) // stride + 1, count), first)


# Packing.


@inlined
def no_mask(x):
    """A mask of no elements, for what is read as it is."""
    return x[:0]


@inlined
def packed(x, relu_mask, unit, channels, layout, scratch):
    """The address of the planes of an image: in x itself where that is possible, else in `scratch`.

    A tile reads beyond the end of the image, but must not read beyond x.
    """
    planes, offset = pointer(scratch, 0), unit * channels * x.shape[2] * x.shape[3]
    if layout.in_place and offset + layout.size <= x.size and not relu_mask.size:
        planes = pointer(x, offset)
    else:
        pack_image(x, relu_mask, unit, channels, layout, scratch)
    return planes


@inner
def pack_image(x, relu_mask, unit, channels, layout, planes):
    """Pack an image of x: so many channels, one group of one sample.

    There may be a mask only where the stride along a row is 1.
    """
    height, width = x.shape[2:]
    columns, plane = layout.columns, 0
    for c in range(unit * channels, (unit + 1) * channels):
        for phase in range(layout.phases.shape[0]):
            origin_y, stride_y, top, bottom, origin_x, stride_x, left, right = layout.phases[phase]
            source = (c * height + top * stride_y + origin_y) * width + left * stride_x + origin_x
            row_stride = stride_y * width
            target = pointer(planes, plane + top * columns)
            _zero(pointer(planes, plane), top * columns)
            if stride_x == 1:
                count = bottom - top
                copy_rows(x, relu_mask, source, row_stride, target, columns, left, right, count)
            else:
                for i in range(bottom - top):
                    start = plane + (top + i) * columns
                    row = planes[start : start + columns]
                    row[:left], row[right:] = 0, 0
                    values = carray(pointer(x, source + i * row_stride), (right - left) * stride_x)
                    for j in range(left, right):
                        row[j] = values[(j - left) * stride_x]
            _zero(pointer(planes, plane + bottom * columns), (layout.rows - bottom) * columns)
            plane += layout.rows * columns
    _zero(pointer(planes, plane), SINGLE_ROW_VECTORS * LANES)  # to the right of the last row


@inner
def _zero(target, count):
    """At least this many zeros, in whole vectors."""
    for j in range(0, count, LANES):
        zero_vector(advance(target, j))


@inner
def copy_rows(x, relu_mask, source, row_stride, target, columns, left, right, height):
    """Rows of x, to columns left … right − 1 of rows of the target, with zeros in the others.

    They are written in whole vectors, in order: what is written beyond the end of a row is
    overwritten by the next.
    """
    width = right - left
    padded = (width + LANES - 1) // LANES * LANES
    values, mask = pointer(x, source), pointer(relu_mask, source)
    safe = height
    if source + (height - 1) * row_stride + padded > x.size:
        safe = max(0, (x.size - source - padded) // row_stride + 1)
    for j in range(0, left, LANES):
        zero_vector(advance(target, j))
    for i in range(safe):
        row, start = advance(target, i * columns), i * row_stride
        for j in range(0, width, LANES):
            if relu_mask.size:
                copy_vector_masked(
                    advance(values, start + j), advance(mask, start + j), advance(row, left + j)
                )
            else:
                copy_vector(advance(values, start + j), advance(row, left + j))
        for j in range(right, columns + left, LANES):  # and those on the left of the next row
            zero_vector(advance(row, j))
    for i in range(safe, height):
        row = carray(advance(target, i * columns), columns)
        row[:left], row[right:] = 0, 0
        for j in range(width):
            k = source + i * row_stride + j
            row[left + j] = x.flat[k] if not relu_mask.size or relu_mask.flat[k] > 0 else 0


@inner
def copy_masked(x, relu_mask, source, count, target, begin):
    """target[begin : begin + count] = elements of x, or 0 where the mask is not positive.

    They are written in whole vectors: what is written beyond their end is overwritten later.
    """
    safe = min(count, max(0, x.size - source) // LANES * LANES)
    values, mask, copied = pointer(x, source), pointer(relu_mask, source), pointer(target, begin)
    for j in range(0, safe, LANES):
        copy_vector_masked(advance(values, j), advance(mask, j), advance(copied, j))
    for j in range(safe, count):
        positive = relu_mask.flat[source + j] > 0
        target[begin + j] = x.flat[source + j] if positive else np.float32(0)


# Epilogues.  A feature map of y is given by its index among all N·C of them.


@inlined
def store_rows(accumulators, row_stride, pair_stride, operands, bias, index, first, last, end):
    """Rows first … last − 1 of the convolution: bias, clamp, and pooling if there is an argmax.

    Their accumulators are in pairs of rows, `pair_stride` apart; the rows of a pair are
    `row_stride` apart.  Without pooling, y may be overwritten up to row `end`.
    """
    y, argmax = operands.y, operands.argmax
    height, width = y.shape[2:]
    if argmax.size:
        begin = (index * height + first // 2) * width
        count = min(last // 2, height) - first // 2
        pool_rows(
            accumulators, row_stride, pair_stride, pointer(y, begin), pointer(argmax, begin), width,
            count, count * width, bias, True,
        )  # fmt: skip
    else:
        _clamp_rows(
            accumulators, row_stride, pair_stride, pointer(y, (index * height + first) * width),
            width, last - first, (end - first) * width, bias, operands.clamp_min,
        )  # fmt: skip


@inlined
def store_positions(accumulators, operands, bias, index, first, count):
    """So many positions of the convolution, from position `first` on, without pooling."""
    y = operands.y
    size = y.shape[2] * y.shape[3]
    _clamp_rows(
        accumulators, 0, 0, pointer(y, index * size + first), count, 1, size - first, bias,
        operands.clamp_min,
    )  # fmt: skip


@inner
def _clamp_rows(accumulators, row_stride, pair_stride, y, width, height, room, bias, clamp_min):
    """Rows of y, in whole vectors as long as these are among the `room` elements of y."""
    padded = (width + LANES - 1) // LANES * LANES
    safe = min(height, max(0, (room - padded) // width + 1))
    for i in range(safe):
        source = advance(accumulators, i // 2 * pair_stride + i % 2 * row_stride)
        for j in range(0, padded, LANES):
            store_bias_clamp(advance(source, j), advance(y, i * width + j), bias, clamp_min)
    for i in range(safe, height):
        source = carray(advance(accumulators, i // 2 * pair_stride + i % 2 * row_stride), width)
        row = carray(advance(y, i * width), width)
        for j in range(width):
            value = source[j] + bias
            row[j] = clamp_min if value < clamp_min else value


@inlined
def store_phase(accumulators, row_stride, operands, bias, index, size, origin, step):
    """The same of rows of a phase of y: from an origin, every step-th row and column of it."""
    (height, width), clamp_min = operands.y.shape[2:], operands.clamp_min
    y = carray(pointer(operands.y, index * height * width), height * width)
    for i in range(size[0]):
        source = carray(advance(accumulators, i * row_stride), size[1])
        begin = (origin[0] + i * step[0]) * width + origin[1]
        for j in range(size[1]):
            value = source[j] + bias
            y[begin + j * step[1]] = clamp_min if value < clamp_min else value


@inner
def store_transposed(accumulators, rows, stride, operands, index, count, square):
    """Bias and clamp of `count` feature maps, whose accumulators are [position, channel].

    Those of a position are in row `rows[position]`; `square` is memory of LANES².
    """
    y, clamp_min, positions = operands.y, operands.clamp_min, rows.size
    channel, begin = index % operands.bias.size, index * positions
    bias = operands.bias[channel : channel + count]
    if positions < LANES:
        for o in range(count):
            for i in range(positions):
                value = accumulators[rows[i] * stride + o] + bias[o]
                y.flat[begin + o * positions + i] = clamp_min if value < clamp_min else value
        return
    for left in range(0, positions, LANES):
        i = min(left, positions - LANES)  # the last vector overlaps the one before it
        for first in range(0, count, LANES):
            gather_transpose(
                pointer(accumulators, first), pointer(rows, i), stride, pointer(square, 0)
            )
            for o in range(first, min(first + LANES, count)):
                store_bias_clamp(
                    pointer(square, (o - first) * LANES), pointer(y, begin + o * positions + i),
                    bias[o], clamp_min,
                )  # fmt: skip
