"""Winograd convolution F(2×2, 3×3), forward and backward.

Two neighbouring outputs of a filter g of three taps need four elements d and, taken directly, six
products.  S. Winograd (Arithmetic complexity of computations, 1980) needs four, m = u·v:

    u = (g₀, (g₀ + g₁ + g₂)/2, (g₀ − g₁ + g₂)/2, g₂)    v = (d₀ − d₂, d₁ + d₂, d₂ − d₁, d₁ − d₃)
                                                        y = (m₀ + m₁ + m₂, m₁ − m₂ − m₃)

Nested on both axes that gives a 2×2 tile of outputs from a 4×4 tile of the input, in 16 products
instead of 36.  The transforms of y are linear, so channels are summed before them: what is left are
16 GEMMs, U [output, channel] · V [channel, tile]  (A. Lavin, S. Gray.  Fast algorithms for
convolutional neural networks.  2015, arXiv:1509.09308; `simd/winograd_transform.py` has the
transforms).

An image takes 4·C·O multiply-adds for each output position instead of 9·C·O, and transforms of 32
additions for each 4×4 tile and channel of the input, and of 24 for each output tile.

**Packing.**  Even rows are one phase plane, odd rows another, so the tiles of a row of tiles follow
each other in memory, and rows of tiles follow each other, too; only the tile between two of them is
computed in vain.

**The input gradient** is a convolution by the filters rotated by 180°.  Rotating g exchanges u₀ and
u₃ on each axis, so it is the same U in another order.
"""

from typing import Any, NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.conv.pack import (
    LAYOUT,
    OPERANDS,
    Layout,
    Operands,
    layout_of,
    pack_image,
    store_rows,
)
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer, transpose_square
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    UNBROKEN,
    micro_kernel,
    pad_to_tiles,
    tile_count,
    transpose_panel,
)
from minidl.backends.kernels.simd.winograd_transform import (
    transform_filters,
    transform_inputs,
    transform_outputs,
)
from minidl.backends.window import Convolution

_PRODUCTS = 16  # for each tile
_TAPS = 9  # of a filter
_TRANSPOSED = -(-_TAPS // LANES) * LANES  # rows of a matrix that is transposed in whole squares
_PANEL = MR * NR + LANES  # accumulators of a panel; an odd number of cache lines, to spread them
_L2_ELEMENTS = 150_000  # of V that the second-level cache holds


class WinogradTables(NamedTuple):
    """What the loops need to know; sizes are those of one group of one image."""

    groups: int
    rows: int  # of outputs
    columns: int
    block_rows: int  # rows of tiles that are computed at a time
    block_size: int  # tiles from the first to the last of them, in whole vectors
    v_stride: int  # between the V of two products
    # The factors.
    order: np.ndarray  # the U that belongs to each V
    begins: np.ndarray  # offset of the U of each output, padded to full tiles of the GEMM
    depths: np.ndarray  # (2, channels): offset of U of channel k, and of V


_TABLES = "(i64 i64 i64 i64 i64 i64 i64[product] i64[o] i64[2,c])"


class WinogradPlan(NamedTuple):
    """A convolution of one group of one image."""

    layout: Layout
    tables: WinogradTables
    multiply_adds: int
    computed: float  # multiply-adds of full tiles of the GEMMs
    transforms: tuple[int, int]  # channels that are transformed before the GEMMs, and after them


def forward(at: Convolution, channels: int, outputs: int) -> WinogradPlan | None:
    """y, of all channels and outputs of all groups; None if the window or its steps are others."""
    channels, outputs = channels // at.groups, outputs // at.groups
    strides = channels, 1
    return _plan(at, at.image, at.padding, at.output, channels, outputs, strides, range(4))


def backward(at: Convolution, channels: int, outputs: int) -> WinogradPlan | None:
    """dx: the outputs are packed, the channels are computed; or None."""
    channels, outputs = channels // at.groups, outputs // at.groups
    padding = tuple(2 - p for p in at.padding)
    rotated = (3, 1, 2, 0)
    return _plan(at, at.output, padding, at.image, outputs, channels, (1, channels), rotated)


def _plan(
    at: Convolution,
    image: tuple[int, ...],
    padding: tuple[int, ...],
    output: tuple[int, ...],
    channels: int,
    outputs: int,
    strides: tuple[int, int],
    order: range | tuple[int, ...],
) -> WinogradPlan | None:
    """The tables, where U of output o and channel c is at o·strides[0] + c·strides[1]."""
    if at.window != (3, 3) or at.stride != (1, 1) or at.dilation != (1, 1) or min(padding) < 0:
        return None
    rows, columns = (-(-n // 2) for n in output)  # of tiles
    row_length = columns + 1

    def size(rows: int) -> int:
        return -(-((rows - 1) * row_length + columns) // LANES) * LANES

    def computed(block: int) -> int:
        """The tiles that are computed, by blocks of so many rows of them."""
        return rows // block * size(block) + (size(rows % block) if rows % block else 0)

    fitting = [
        n for n in range(1, rows + 1) if n == 1 or _PRODUCTS * channels * size(n) <= _L2_ELEMENTS
    ]
    block = min(reversed(fitting), key=computed)
    origins = [(r - padding[0], -padding[1]) for r in (0, 1)]
    tables = WinogradTables(
        at.groups,
        output[0],
        output[1],
        block,
        size(block),
        channels * size(block) + LANES,
        np.array([4 * i + j for i in order for j in order], np.int64),
        pad_to_tiles(outputs) * strides[0],
        np.outer((strides[1], size(block)), np.arange(channels)),
    )
    multiply_adds = _PRODUCTS * computed(block) * channels * outputs
    return WinogradPlan(
        layout_of(channels, image, (2, 1), (rows + 1, 2 * row_length), origins),
        tables,
        multiply_adds,
        multiply_adds * tables.begins.size / outputs,
        (channels, outputs),
    )


class _Buffers(NamedTuple):
    """Where a thread has memory for V, for M, and for the rows of tiles of MR outputs."""

    v: Any  # [product, channel, tile]
    m: Any  # [product, output, tile]
    pairs: Any  # [output, upper or lower, column]


def winograd(operands: Operands, plan: WinogradPlan) -> bool:
    """y = max(Σ x·w + b, clamp_min), pooled if there is an argmax.

    Returns whether y is right: among elements that are not finite, or nearly so, the transforms may
    give NaN where other algorithms give an infinity or a number.
    """
    filters = operands.weight.size // _TAPS
    u = np.empty((_PRODUCTS, -(-filters // LANES) * LANES + LANES), np.float32)
    chunks = threads.chunks(filters)
    transposed = scratch(chunks, _TRANSPOSED * LANES)
    _transform_filters(operands.weight, filters, u, transposed, chunks)
    layout, tables = plan.layout, plan.tables
    units = len(operands.x) * tables.groups
    chunks = threads.chunks(units * plan.multiply_adds / MULTIPLY_ADDS_PER_NS)
    splits = 1 if units % chunks == 0 else chunks
    finite = np.zeros((chunks, LANES), np.float32)
    tiles = _PRODUCTS * (tables.v_stride + _PANEL) + MR * 4 * tables.block_size + 2 * LANES
    workspace = scratch(chunks, layout.size + tiles)
    _images(operands, u, layout, tables, splits, finite, workspace, chunks)
    return not finite.any()


@parallel("f32[o,c,a,b] i64 f32[product,oc] f32[chunk,scratch]")
def _transform_filters(weight, filters, u, transposed, chunk, chunks):
    """u[product, filter] of every filter, LANES of them at a time."""
    start, stop = chunk_bounds(u.shape[1] // LANES - 1, chunk, chunks)
    taps = pointer(transposed[chunk], 0)
    for first in range(start * LANES, stop * LANES, LANES):
        source, count = pointer(weight, first * _TAPS), min(LANES, filters - first)
        if (first + LANES - 1) * _TAPS + _TRANSPOSED <= weight.size:
            for i in range(0, _TAPS, LANES):
                transpose_square(advance(source, i), _TAPS, advance(taps, i * LANES), LANES)
        else:
            transpose_panel(source, _TAPS, count, _TAPS, taps, LANES)
        transform_filters(taps, pointer(u, first), u.shape[1])


@parallel(f"{OPERANDS} f32[product,oc] {LAYOUT} {_TABLES} i64 f32[chunk,lane] f32[chunk,scratch]")
def _images(operands, u, layout, tables, splits, finite, workspace, chunk, chunks):
    """Each group of each image is a unit of work; its rows of tiles may be split, too."""
    operands, layout, tables = Operands(*operands), Layout(*layout), WinogradTables(*tables)
    start, stop = chunk_bounds(operands.x.shape[0] * tables.groups * splits, chunk, chunks)
    for i in range(start, stop):
        rows = chunk_bounds((tables.rows + 1) // 2, i % splits, splits)
        _image(operands, u, layout, tables, i // splits, rows, finite[chunk], workspace[chunk])


@inner
def _image(operands, u, layout, tables, unit, tile_rows, finite, workspace):
    """Some rows of tiles of one group of one image, a block of them at a time."""
    group, row_length = unit % tables.groups, layout.columns // 2
    channels = operands.x.shape[1] // tables.groups
    outputs = operands.y.shape[1] // tables.groups
    pack_image(operands.x, operands.relu_mask, unit, channels, layout, workspace)
    buffers = _split(pointer(workspace, layout.size), tables)
    length = 2 * tables.block_size  # of a row of tiles
    for first in range(tile_rows[0], tile_rows[1], tables.block_rows):
        last = min(first + tables.block_rows, tile_rows[1])
        tiles = (last - first - 1) * row_length + (tables.columns + 1) // 2
        vectors = (tiles + LANES - 1) // LANES
        _transform_block(
            pointer(workspace, first * layout.columns), layout, tables, channels, vectors, buffers.v
        )
        top, bottom = 2 * first, min(2 * last, tables.rows)
        for panel in range(tables.begins.size // MR):
            count = min(MR, outputs - panel * MR)
            _multiply(
                u, group * outputs * channels, buffers, tables, channels, panel, count, vectors,
                finite,
            )  # fmt: skip
            for i in range(count):
                o = panel * MR + i
                store_rows(
                    advance(buffers.pairs, 2 * i * length), length, layout.columns, operands,
                    operands.bias[group * outputs + o], unit * outputs + o, top, bottom, bottom,
                )  # fmt: skip


@inner
def _split(workspace, tables):
    m = advance(workspace, _PRODUCTS * tables.v_stride)
    return _Buffers(workspace, m, advance(m, _PRODUCTS * _PANEL))


@inner
def _transform_block(planes, layout, tables, channels, vectors, v):
    """v[product, channel, tile] of some vectors of tiles."""
    plane = layout.rows * layout.columns
    for c in range(channels):
        for j in range(vectors):
            transform_inputs(
                advance(planes, 2 * c * plane + 2 * j * LANES), layout.columns, plane,
                advance(v, c * tables.block_size + j * LANES), tables.v_stride,
            )  # fmt: skip


@inner
def _multiply(u, offset, buffers, tables, channels, panel, count, vectors, finite):
    """M = U·V and its transforms: the upper and the lower rows of the tiles of some outputs.

    One tile of the GEMM at a time, so that its sixteen products are still in the first-level cache
    when they are transformed.
    """
    begins, parts = pointer(tables.begins, panel * MR), tile_count(vectors)
    depth_a, depth_b = pointer(tables.depths[0], 0), pointer(tables.depths[1], 0)
    v, m, pairs = buffers
    length = 2 * tables.block_size
    for part in range(parts):
        first, last = chunk_bounds(vectors, part, parts)
        for product in range(_PRODUCTS):
            micro_kernel(
                last - first, channels, UNBROKEN, pointer(u[tables.order[product]], offset),
                begins, depth_a, advance(v, product * tables.v_stride + first * LANES), depth_b,
                advance(m, product * _PANEL), NR, 0,
            )  # fmt: skip
        for i in range(count):
            upper = advance(pairs, 2 * i * length)
            lower = advance(upper, length)
            for j in range(first, last):
                transform_outputs(
                    advance(m, i * NR + (j - first) * LANES), _PANEL,
                    advance(upper, 2 * j * LANES), advance(lower, 2 * j * LANES),
                    pointer(finite, 0),
                )  # fmt: skip
