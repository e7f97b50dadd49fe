"""Padding-free convolution: a GEMM for each region of the output, forward and backward.

At the edges of an image, windows reach into the padding.  The implicit GEMM multiplies by the zeros
there.  Here the output positions are partitioned into regions by the taps that are inside the image
(the interior; each edge, or several strips of it; each corner): the windows of a region have the
same taps, at the same offsets from where each of them begins.  So a region is an ordinary GEMM,

    y[position, output] = Σₖ x[begin[position] + depth_a[k]] · w[depth_b[k], output]

where k runs over the channels and the taps of the region: an indirect convolution (M. Dukhan 2019,
arXiv:1907.02129) without its zero buffer.  Stride and dilation only change the tables.  So does the
direction: for the input gradient, the positions are those of dx, which some taps reach, each from
an offset of its own in dy.

The rows of a tile are positions of one region, of several images, and its lanes are outputs; the
accumulators are transposed while they are written.  An image takes as many multiply-adds as there
are pairs of an output position and a tap inside the image, times C·O.  For small images with many
channels these are far fewer: a 3×3 window on 7×7 images with padding 1 meets 361 of 441 taps.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.conv.pack import OPERANDS, Operands, copy_masked, store_transposed
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    pointer,
    transpose_square,
)
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    UNBROKEN,
    micro_kernel,
    tile_count,
    transpose_panel,
)
from minidl.backends.window import Convolution

_POSITIONS = 1024  # of several images together, so that each region fills its tiles
_L2_WEIGHTS = 131_072  # that stay in the second-level cache beside what they are multiplied by
_SQUARE = LANES * LANES

# The receptive field of one position on an axis: where it begins, and its taps inside the image,
# each with its offset from there.
Field = tuple[int, tuple[tuple[int, int], ...]]


class PaddingFreeTables(NamedTuple):
    """What the loops need to know; sizes are those of one group of one image."""

    groups: int
    # The regions, and their positions one after the other.
    depths: np.ndarray  # (n, 2): the first k of a region, and how many it has
    bounds: np.ndarray  # (n + 1): where the positions of each region begin, and where the last end
    begins: np.ndarray  # where the receptive field of a position begins
    positions: np.ndarray  # its index in y
    depth_a: np.ndarray  # offset of element k of a receptive field
    depth_b: np.ndarray  # offset of the weights that it is multiplied by
    # The packed weights: for each block of outputs a matrix [(channel, tap), output].
    blocks: int
    width: int  # vectors of outputs in a block
    weight_rows: int  # of a matrix
    parts: int  # parts of it, one below the other, that are apart in w
    part_stride: int
    output_stride: int


_TABLES = (
    "(i64 i64[region,2] i64[bound] i64[position] i64[position] i64[k] i64[k]"
    " i64 i64 i64 i64 i64 i64)"
)


class PaddingFreePlan(NamedTuple):
    """A convolution by regions of one group of one image."""

    tables: PaddingFreeTables
    multiply_adds: int


def forward(at: Convolution, channels: int, outputs: int, limit: int) -> PaddingFreePlan | None:
    """y, of all channels and outputs of all groups; None if it takes more than `limit` products."""
    channels, outputs = channels // at.groups, outputs // at.groups
    depth = channels * at.window[0] * at.window[1]
    fields = _fields(at, _forward_axis)
    weights = {"weight_rows": depth, "parts": 1, "part_stride": 0, "output_stride": depth}
    return _plan(at, fields, at.image, channels, outputs, weights, limit)


def backward(at: Convolution, channels: int, outputs: int, limit: int) -> PaddingFreePlan | None:
    """dx: the outputs are summed over, the channels are computed; or None."""
    channels, outputs = channels // at.groups, outputs // at.groups
    taps = at.window[0] * at.window[1]
    fields = _fields(at, _backward_axis)
    weights = {"weight_rows": outputs * taps, "parts": outputs, "part_stride": channels * taps}
    weights["output_stride"] = taps
    return _plan(at, fields, at.output, outputs, channels, weights, limit)


def _fields(at: Convolution, axis: Callable[..., list[Field]]) -> tuple[list[Field], ...]:
    """The receptive fields on both axes."""
    each = at.image, at.window, at.stride, at.padding, at.dilation, at.output
    return tuple(axis(*numbers) for numbers in zip(*each, strict=True))


def _forward_axis(
    image: int, window: int, stride: int, padding: int, dilation: int, output: int
) -> list[Field]:
    """Output i begins at i·s, and has tap a at offset a·d − p."""
    taps = [(a, a * dilation - padding) for a in range(window)]
    return [
        (begin, tuple((a, offset) for a, offset in taps if 0 <= begin + offset < image))
        for begin in range(0, output * stride, stride)
    ]


def _backward_axis(
    image: int, window: int, stride: int, padding: int, dilation: int, output: int
) -> list[Field]:
    """Position s·t + r of dx begins at t of dy, and tap a reaches it from (r + p − a·d)/s."""
    fields = []
    for t, r in (divmod(i, stride) for i in range(image)):
        shifts = [(a, divmod(r + padding - a * dilation, stride)) for a in range(window)]
        taps = [(a, offset) for a, (offset, rest) in shifts if rest == 0]
        fields.append((t, tuple((a, offset) for a, offset in taps if 0 <= t + offset < output)))
    return fields


def _plan(
    at: Convolution,
    fields: tuple[list[Field], ...],
    image: tuple[int, ...],
    summed: int,
    outputs: int,
    weights: dict[str, int],
    limit: int,
) -> PaddingFreePlan | None:
    """The tables, from the receptive fields in an image of `summed` channels on its two axes."""
    vectors = -(-outputs // LANES)
    blocks = tile_count(vectors)
    width = -(-vectors // blocks)
    pairs = math.prod(sum(len(taps) for _, taps in axis) for axis in fields)  # (position, tap)
    multiply_adds = vectors * LANES * summed * pairs
    if multiply_adds > limit:
        return None
    regions: dict[Any, list[tuple[int, int]]] = {}
    for position, ((top, rows), (left, columns)) in enumerate(product(*fields)):
        regions.setdefault((rows, columns), []).append((position, top * image[1] + left))
    channel = np.arange(summed, dtype=np.int64)
    depths: list[tuple[int, int]] = []
    depth_a: list[int] = []
    depth_b: list[int] = []
    for rows, columns in regions:
        taps = list(product(rows, columns))
        offsets = [i * image[1] + j for (_, i), (_, j) in taps]
        indices = [a * at.window[1] + b for (a, _), (b, _) in taps]
        depths.append((len(depth_a), summed * len(taps)))
        depth_a.extend(np.add.outer(channel * image[0] * image[1], offsets).ravel())
        row = np.add.outer(channel * at.window[0] * at.window[1], indices)
        depth_b.extend((row * width * LANES).ravel())
    ordered = np.array([member for members in regions.values() for member in members], np.int64)
    tables = PaddingFreeTables(
        at.groups,
        np.array(depths, np.int64),
        np.cumsum([0, *map(len, regions.values())], dtype=np.int64),
        np.ascontiguousarray(ordered[:, 1]),
        np.ascontiguousarray(ordered[:, 0]),
        np.array(depth_a, np.int64),
        np.array(depth_b, np.int64),
        blocks,
        width,
        **weights,
    )
    return PaddingFreePlan(tables, multiply_adds)


def padding_free(operands: Operands, plan: PaddingFreePlan) -> None:
    """y = max(Σ x·w + b, clamp_min)."""
    images, tables = len(operands.x), plan.tables
    positions, stride = tables.begins.size, tables.width * LANES
    chunks = threads.chunks(images * tables.groups * plan.multiply_adds / MULTIPLY_ADDS_PER_NS)
    matrices = tables.groups * tables.blocks
    batch = _images_at_a_time(images, matrices, chunks, max(1, _POSITIONS // positions))
    units = -(-images // batch) * matrices
    chunks = min(chunks, units)
    rows = batch * positions + len(tables.depths) * MR
    masked = batch * operands.relu_mask.size // (images * tables.groups) + LANES
    offsets = np.empty((chunks, rows + batch * positions), np.int64)
    weights = tables.weight_rows * stride
    workspace = scratch(chunks, weights + _SQUARE + rows * stride + masked)
    _batches(operands, tables, batch, units, offsets, workspace, chunks)


def _images_at_a_time(images: int, matrices: int, chunks: int, most: int) -> int:
    """How many images to compute together: if possible, as many as leave each chunk its own."""
    own = images // chunks if images % chunks == 0 else images * matrices // chunks
    own = max(1, min(own, images))
    return -(-own // -(-own // most))  # in equal parts


@parallel(
    f"{OPERANDS} {_TABLES} i64 i64 i64[chunk,row] f32[chunk,scratch]",
    then=[
        *("simd.micro_kernel:micro_kernel", "simd.micro_kernel:transpose_panel"),
        *("conv.weight_gradient:_sum_images", "conv.weight_gradient:_sum_chunks"),
    ],
)
def _batches(operands, tables, batch, units, offsets, workspace, chunk, chunks):
    """Each block of outputs of each group of a batch of images is a unit of work.

    The weights of a block are packed just before they are used, so that they are in the cache.
    """
    operands, tables = Operands(*operands), PaddingFreeTables(*tables)
    matrices, size = tables.groups * tables.blocks, tables.weight_rows * tables.width * LANES
    start, stop = chunk_bounds(units, chunk, chunks)
    weights, own = workspace[chunk, :size], workspace[chunk, size:]
    for matrix in range(matrices):
        first = start + (matrix - start) % matrices
        if first < stop:
            _pack_weights(operands, tables, matrix, weights, own)
        for unit in range(first, stop, matrices):
            _batch(operands, tables, weights, unit, batch, offsets[chunk], own)


@inner
def _pack_weights(operands, tables, matrix, weights, square):
    """A matrix [(channel, tap), output] of the weights: w transposed, part by part.

    The rows of a part are few where it is that of one output, in backward.  Then w is transposed in
    whole squares, `square`, and what is needed is copied out of them.
    """
    weight, stride = operands.weight, tables.width * LANES
    height, row_stride = tables.weight_rows // tables.parts, tables.output_stride
    outputs = operands.bias.size // tables.groups
    group, first = matrix // tables.blocks, matrix % tables.blocks * stride
    begin = group * (weight.size // tables.groups) + first * row_stride
    reach = (LANES - 1) * row_stride + (height + LANES - 1) // LANES * LANES
    columns = min(stride, outputs - first)
    for part in range(tables.parts):
        for o in range(0, columns, LANES):
            offset = begin + part * tables.part_stride + o * row_stride
            source, count = pointer(weight, offset), min(LANES, columns - o)
            target = pointer(weights, part * height * stride + o)
            if count < LANES or offset + reach > weight.size:
                transpose_panel(source, row_stride, count, height, target, stride)
                continue
            for k in range(0, height, LANES):
                transpose_square(advance(source, k), row_stride, pointer(square, 0), LANES)
                for i in range(min(LANES, height - k)):
                    copy_vector(pointer(square, i * LANES), advance(target, (k + i) * stride))


@inner
def _batch(operands, tables, weights, unit, batch, offsets, workspace):
    """A block of outputs of one group of some images."""
    x, relu_mask, stride = operands.x, operands.relu_mask, tables.width * LANES
    positions, groups = tables.begins.size, tables.groups
    matrix, block = unit // tables.blocks, unit % tables.blocks
    group, first = matrix % groups, matrix // groups * batch
    images = min(batch, x.shape[0] - first)
    size = x.size // (x.shape[0] * groups)
    begin, distance = (first * groups + group) * size, groups * size
    values, square, accumulators = pointer(x, begin), workspace, workspace[_SQUARE:]
    if relu_mask.size:
        masked = workspace[workspace.size - images * size - LANES :]
        for n in range(images):
            copy_masked(x, relu_mask, begin + n * distance, size, masked, n * size)
        values, distance = pointer(masked, 0), size
    row_of, rows = offsets[: images * positions], offsets[images * positions :]
    outputs = operands.bias.size // groups
    count = min(stride, outputs - block * stride)
    vectors, top = (count + LANES - 1) // LANES, 0
    for region in range(tables.depths.shape[0]):
        bottom = _list_rows(tables, region, images, distance, top, rows, row_of)
        _multiply(values, weights, tables, region, vectors, rows, top, bottom, accumulators)
        top = bottom
    for n in range(images):
        index = ((first + n) * groups + group) * outputs + block * stride
        own = row_of[n * positions : (n + 1) * positions]
        store_transposed(accumulators, own, stride, operands, index, count, square)


@inner
def _list_rows(tables, region, images, distance, row, rows, row_of):
    """rows: the offset of each receptive field of a region, padded to full tiles.

    row_of: the row of each position of each image.  The first row after the region is returned.
    """
    for n in range(images):
        for i in range(tables.bounds[region], tables.bounds[region + 1]):
            rows[row] = n * distance + tables.begins[i]
            row_of[n * tables.begins.size + tables.positions[i]] = row
            row += 1
    while row % MR:
        rows[row] = rows[row - 1]
        row += 1
    return row


@inner
def _multiply(values, weights, tables, region, vectors, rows, top, bottom, accumulators):
    """The accumulators of a region, by as many weights at a time as stay in the cache."""
    first, depth = tables.depths[region]
    stride = tables.width * LANES
    if depth == 0:
        accumulators[top * stride : bottom * stride] = 0
    for k in range(first, first + depth, _L2_WEIGHTS // stride):
        count = min(_L2_WEIGHTS // stride, first + depth - k)
        depth_a, depth_b = pointer(tables.depth_a, k), pointer(tables.depth_b, k)
        for row in range(top, bottom, MR):
            micro_kernel(
                vectors, count, UNBROKEN, values, pointer(rows, row), depth_a, pointer(weights, 0),
                depth_b, pointer(accumulators, row * stride), stride, k > first,
            )  # fmt: skip
