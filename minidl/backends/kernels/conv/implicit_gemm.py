"""Convolution by implicit GEMM, forward and backward.

    y[output, position] = Σₖ w[output, k] · patches[k, position]        k = (channel, a, b)

The lanes of a tile are positions in the image, its rows are output channels; the patches are
offsets into the packed image, not a matrix in memory (`implicit_gemm_plan.py` has the tables and
the references).

An image takes C·KH·KW·O multiply-adds for each of its OH·OW positions, the padding included, plus
what fills up the tiles; it reads the image once and the planes once for each MR outputs.
"""

from minidl.backends import threads
from minidl.backends.kernels.conv.implicit_gemm_plan import GEMM_TABLES, GemmPlan, GemmTables
from minidl.backends.kernels.conv.pack import (
    LAYOUT,
    OPERANDS,
    Layout,
    Operands,
    packed,
    store_phase,
    store_positions,
    store_rows,
)
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    pointer,
    prefetch_for_writing,
)
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    SINGLE_ROW_VECTORS,
    UNBROKEN,
    micro_kernel,
    tile_count,
)


def implicit_gemm(operands: Operands, plan: GemmPlan) -> None:
    """y = max(Σ w·patches + b, clamp_min), pooled if there is an argmax."""
    layout, tables = plan.layout, plan.tables
    units = len(operands.x) * tables.groups
    chunks = threads.chunks(units * plan.multiply_adds / MULTIPLY_ADDS_PER_NS)
    splits = 1 if units % chunks == 0 else chunks
    tiles = MR * max(tables.block_size + LANES, NR) + LANES
    workspace = scratch(chunks, layout.size + tiles)
    _images(operands, layout, tables, splits, workspace, chunks)


@parallel(
    f"{OPERANDS} {LAYOUT} {GEMM_TABLES} i64 f32[chunk,scratch]",
    then=[
        *("simd.micro_kernel:micro_kernel", "simd.micro_kernel:transpose_panel"),
        *("conv.weight_gradient:_sum_images", "conv.weight_gradient:_sum_chunks"),
    ],
)
def _images(operands, layout, tables, splits, workspace, chunk, chunks):
    """Each group of each image is a unit of work; its outputs may be split, too."""
    operands, layout, tables = Operands(*operands), Layout(*layout), GemmTables(*tables)
    channels = operands.x.shape[1] // tables.groups
    outputs = operands.y.shape[1] // tables.groups
    start, stop = chunk_bounds(operands.x.shape[0] * tables.groups * splits, chunk, chunks)
    for i in range(start, stop):
        panels = chunk_bounds(tables.rows.size // MR, i % splits, splits)
        _image(operands, layout, tables, channels, outputs, i // splits, panels, workspace[chunk])


@inner
def _image(operands, layout, tables, channels, outputs, unit, panels, workspace):
    """Some panels of MR outputs of one group of one image.

    Where the planes are large, a block of rows goes through all panels before the next block does.
    """
    group, columns = unit % tables.groups, layout.columns
    height, width = operands.weight.shape[2:]
    planes = packed(operands.x, operands.relu_mask, unit, channels, layout, workspace)
    weights = pointer(operands.weight, group * outputs * channels * height * width)
    accumulators, stride = workspace[layout.size :], tables.block_size + LANES
    for phase in range(tables.phases.shape[0]):
        k, depth, rows, width, row, column, step_y, step_x = tables.phases[phase]
        for first in range(0, rows, tables.block_rows):
            last = min(first + tables.block_rows, rows)
            patches, positions = (
                advance(planes, first * columns),
                (last - first - 1) * columns + width,
            )
            contiguous = step_y == step_x == 1 and columns == operands.y.shape[3]
            if contiguous and outputs > 1 and not operands.argmax.size:
                base = unit * outputs
                _multiply_and_store(
                    operands, weights, patches, tables, k, depth, outputs, base, group * outputs,
                    first * columns, positions, panels, accumulators,
                )  # fmt: skip
                continue
            for panel in range(panels[0], panels[1]):
                _multiply(
                    weights, patches, tables, k, depth, outputs, positions, panel, accumulators
                )
                for o in range(panel * MR, min(panel * MR + MR, outputs)):
                    source = pointer(accumulators, o % MR * stride)
                    bias, index = operands.bias[group * outputs + o], unit * outputs + o
                    if step_y == step_x == 1:
                        store_rows(
                            source, columns, 2 * columns, operands, bias, index, first, last, rows
                        )
                    else:
                        origin = row + first * step_y, column
                        size, step = (last - first, width), (step_y, step_x)
                        store_phase(source, columns, operands, bias, index, size, origin, step)


@inner
def _multiply_and_store(
    operands, weights, patches, tables, k, depth, outputs, index, channel, first, positions, panels,
    accumulators,
):  # fmt: skip
    """Some panels at some positions, if these follow each other in y: each tile is stored at once.

    So its accumulators stay in the first-level cache, and storing y overlaps with the next tile.
    """
    depth_a, depth_b = pointer(tables.depths[0], k), pointer(tables.depths[1], k)
    vectors, size = (positions + LANES - 1) // LANES, operands.y.shape[2] * operands.y.shape[3]
    tiles = tile_count(vectors)
    for panel in range(panels[0], panels[1]):
        rows = pointer(tables.rows, panel * MR)
        for tile in range(tiles):
            begin, end = chunk_bounds(vectors, tile, tiles)
            for o in range(panel * MR, min(panel * MR + MR, outputs)):
                target = pointer(operands.y, (index + o) * size + first + begin * LANES)
                for j in range(0, (end - begin) * LANES, LANES):
                    prefetch_for_writing(advance(target, j))
            micro_kernel(
                end - begin, depth, UNBROKEN, weights, rows, depth_a,
                advance(patches, begin * LANES), depth_b, pointer(accumulators, 0), NR, 0,
            )  # fmt: skip
            count = min(end * LANES, positions) - begin * LANES
            for o in range(panel * MR, min(panel * MR + MR, outputs)):
                store_positions(
                    pointer(accumulators, o % MR * NR), operands, operands.bias[channel + o],
                    index + o, first + begin * LANES, count,
                )  # fmt: skip


@inner
def _multiply(weights, patches, tables, k, depth, outputs, positions, panel, accumulators):
    """The accumulators of a panel of outputs at some positions, tile by tile."""
    rows, stride = pointer(tables.rows, panel * MR), tables.block_size + LANES
    depth_a, depth_b = pointer(tables.depths[0], k), pointer(tables.depths[1], k)
    if depth == 0:  # no tap reaches this phase
        accumulators[:] = 0
        return
    if outputs == 1:
        for j in range(0, positions, SINGLE_ROW_VECTORS * LANES):
            b, target = advance(patches, j), pointer(accumulators, j)
            micro_kernel(0, depth, UNBROKEN, weights, rows, depth_a, b, depth_b, target, stride, 0)
        return
    vectors = (positions + LANES - 1) // LANES
    tiles = tile_count(vectors)
    for tile in range(tiles):
        begin, end = chunk_bounds(vectors, tile, tiles)
        b, target = advance(patches, begin * LANES), pointer(accumulators, begin * LANES)
        micro_kernel(
            end - begin, depth, UNBROKEN, weights, rows, depth_a, b, depth_b, target, stride, 0
        )
