"""The GEMM micro-kernel: the loop under every matrix product and every convolution.

It computes one tile of C = A·B, MR rows by NR columns, as a sum of outer products:

    for k in range(depth):
        C[0:MR, 0:NR] += A[0:MR, k] · B[k, 0:NR]

The accumulators, all of the tile, stay in vector registers while k runs.  A step loads NR / LANES
vectors of B, and multiplies each of them by each of MR elements of A: MR·NR multiply-adds for
MR + NR loaded elements, which is what keeps the multipliers busy.  The loops around this one, which
block the matrices and pack panels that fit into the caches, are the callers'.

    K. Goto, R. van de Geijn.  Anatomy of high-performance matrix multiplication.  ACM Transactions
    on Mathematical Software 34(3), 2008.
    F. Van Zee, R. van de Geijn.  BLIS: A framework for rapidly instantiating BLAS functionality.
    ACM Transactions on Mathematical Software 41(3), 2015.

**Offset tables.**  BLIS packs both factors.  Here they are addressed through tables of offsets,

    out[i, j] = Σₖ a[rows[i] + depth_a[k]] · b[depth_b[k] + j]

and only b has to be contiguous, along j.  A packed panel is the table 0, NR, 2·NR, …; a matrix that
is left where it is has its row stride in the table; and the receptive fields of a convolution, the
columns of its im2col matrix, are a table of offsets into the image: an implicit GEMM, whose im2col
matrix is never stored.

**Instructions.**  LLVM does not arrive at this form from a loop over scalars, so its instructions
are generated here.  Their order is fixed, too (`order_after`): for some processors LLVM would load
the elements of A for many rows ahead and, out of registers, spill the accumulators to memory, which
took five times as long.  The code is compiled once (`outlined`), and kernels call it: inlined, it
would cost seconds of compilation in each of them.

**Runs.**  A caller says how many steps are summed in registers before they are added to out.
Convolutions and their input gradients, and products in linear layers, promise n·u·Σ|a||b|
(u = 2⁻²⁴), which a sum in any order keeps: they have no runs (UNBROKEN).  Gradients of weights sum
over a batch of any length and promise log₂ n·2u·Σ|a||b|: each step of a sum that has grown rounds
in the same direction where the factors are constant, so they take runs of RUN steps.  A run costs a
load, an addition and a store of the tile, 3 to 7 % of the time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import (
    carray,
    chunk_bounds,
    inlined,
    intrinsic,
    outlined,
)
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.simd.intrinsics import (
    FLOAT,
    INT,
    LANES,
    VECTOR,
    advance,
    broadcast,
    load,
    multiply_add,
    order_after,
    store,
    transpose_square,
)

_HAS_32_REGISTERS = level().registers == 32
# The register tile: 8 × 3 vectors take 24 registers of 32, 6 × 2 take 12 of 16.  The others hold
# the vectors of b and the element of a.
MR, NR_VECTORS = (8, 3) if _HAS_32_REGISTERS else (6, 2)
NR = NR_VECTORS * LANES
# A single row needs more vectors: enough for no multiply-add to wait for the one before it.
SINGLE_ROW_VECTORS = 8
# Rows and columns of a tile of dot products, each of which is accumulated in a vector.
DOT_TILE = (8, 3) if _HAS_32_REGISTERS else (4, 2)
DOT_TILE_SINGLE = (1, 9)  # the same for a single row
# Steps in a run where sums may be long, and the same of dot products, where each lane is a sum.
# Rounding in the same direction at each step costs a quarter of a run times the unit roundoff.
RUN, DOT_RUN = 32, 64
UNBROKEN = 2**40  # steps, more than there are: one run
MULTIPLY_ADDS_PER_NS = 50  # of one core, roughly

_ZERO_VECTOR = ir.Constant(VECTOR, [0.0] * LANES)


def pad_to_tiles(count: int) -> np.ndarray:
    """0 … count − 1, padded to full tiles: the last index repeats up to a multiple of MR."""
    return np.minimum(np.arange(-(-count // MR) * MR, dtype=np.int64), count - 1)


@inlined
def tile_count(vectors):
    """How many tiles cover this many vectors; `chunk_bounds` gives the vectors of each."""
    return (vectors + NR_VECTORS - 1) // NR_VECTORS


# Generating the loops.  Accumulators and their addresses are dicts: position in the tile → vector.

Tile = dict[tuple[int, int], Any]


def positions(rows: int, columns: int) -> list[tuple[int, int]]:
    """The positions in a tile."""
    return [(i, j) for i in range(rows) for j in range(columns)]


def accumulate(
    builder: Any,
    run: Any,
    count: Any,
    targets: Tile,
    add: Any,
    update: Callable[[Any, Tile], Tile],
    first: Tile | None = None,
    least: Any = None,
) -> None:
    """Store, or with `add` add, the sum over `for k in range(count)`, which has at least one step.

        for begin in range(0, count, run):
            accumulators = first
            for k in range(begin, min(begin + run, count)):
                accumulators = update(k, accumulators)
            total = accumulators if begin == 0 and not add else targets + accumulators
            targets = max(total, least)

    update    generates one step: from k and the accumulators, the new accumulators
    first     what the accumulators hold before the first step, zeros by default
    least     a number, none by default; NaN stays NaN
    """
    names = ("run", "step", "flush", "add", "clamp", "store", "end")
    blocks = {name: builder.function.append_basic_block(name) for name in names}
    start = builder.block
    builder.branch(blocks["run"])

    builder.position_at_end(blocks["run"])
    begin = builder.phi(INT)
    begin.add_incoming(INT(0), start)
    following_run = builder.add(begin, run)
    is_last = builder.icmp_signed(">=", following_run, count)
    end = builder.select(is_last, count, following_run)
    builder.branch(blocks["step"])

    builder.position_at_end(blocks["step"])
    k = builder.phi(INT)
    accumulators = {position: builder.phi(VECTOR) for position in targets}
    updated = update(k, accumulators)
    following = builder.add(k, INT(1))
    for position, accumulator in accumulators.items():
        before = first[position] if first else _ZERO_VECTOR
        accumulator.add_incoming(before, blocks["run"])
        accumulator.add_incoming(updated[position], blocks["step"])
    k.add_incoming(begin, blocks["run"])
    k.add_incoming(following, blocks["step"])
    builder.cbranch(builder.icmp_signed("<", following, end), blocks["step"], blocks["flush"])

    builder.position_at_end(blocks["flush"])
    adds = builder.or_(add, builder.icmp_signed("!=", begin, INT(0)))
    builder.cbranch(adds, blocks["add"], blocks["clamp"])

    builder.position_at_end(blocks["add"])
    sums = {
        position: builder.fadd(load(builder, target), updated[position])
        for position, target in targets.items()
    }
    builder.branch(blocks["clamp"])

    builder.position_at_end(blocks["clamp"])
    totals = {position: builder.phi(VECTOR) for position in targets}
    for position, total in totals.items():
        total.add_incoming(updated[position], blocks["flush"])
        total.add_incoming(sums[position], blocks["add"])
    if least is None:
        builder.branch(blocks["store"])
        builder.position_at_end(blocks["store"])
    else:
        totals = _clamp(builder, totals, least, blocks["store"])
    for position, target in targets.items():
        store(builder, totals[position], target)
    begin.add_incoming(following_run, blocks["store"])
    builder.cbranch(is_last, blocks["end"], blocks["run"])
    builder.position_at_end(blocks["end"])


def _clamp(builder: Any, totals: Tile, least: Any, following: Any) -> Tile:
    """At least a number, which takes no time if that is −∞, in the block that follows."""
    before, block = builder.block, builder.function.append_basic_block("clamped")
    clamps = builder.fcmp_ordered(">", least, ir.Constant(FLOAT, -np.inf))
    builder.cbranch(clamps, block, following)
    builder.position_at_end(block)
    vector = broadcast(builder, least)
    clamped = {
        position: builder.select(builder.fcmp_ordered("<", total, vector), vector, total)
        for position, total in totals.items()
    }
    builder.branch(following)
    builder.position_at_end(following)
    results = {position: builder.phi(VECTOR) for position in totals}
    for position, result in results.items():
        result.add_incoming(totals[position], before)
        result.add_incoming(clamped[position], block)
    return results


# The arguments of a tile: depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add;
# and of a tile of dot products: count, a, row_stride, b, offsets, sums.
_TILE = "i64 i64 f32* i64* i64* f32* i64* f32* i64 i64"
_DOTS = "i64 f32* i64 f32* i64* f32*"


def _register_tile(mr: int, vectors: int) -> Any:
    """The micro-kernel for a tile of mr rows and this many vectors."""

    @intrinsic(_TILE)
    def kernel(builder, depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add):
        fused = multiply_add(builder.module)
        rows = [builder.load(builder.gep(rows, [INT(i)])) for i in range(mr)]
        targets = {
            (i, v): builder.gep(out, [builder.add(builder.mul(row_stride, INT(i)), INT(v * LANES))])
            for i, v in positions(mr, vectors)
        }

        def outer_product(k, accumulators):
            b_row = builder.gep(b, [builder.load(builder.gep(depth_b, [k]))])
            a_column = builder.gep(a, [builder.load(builder.gep(depth_a, [k]))])
            b_vectors = [
                load(builder, builder.gep(b_row, [INT(v * LANES)])) for v in range(vectors)
            ]
            updated = {}
            for i in range(mr):
                factor = broadcast(builder, builder.load(builder.gep(a_column, [rows[i]])))
                for v in range(vectors):
                    summands = [factor, b_vectors[v], accumulators[i, v]]
                    updated[i, v] = builder.call(fused, summands)
                a_column = order_after(builder, a_column, [updated[i, v] for v in range(vectors)])
            return updated

        adds = builder.icmp_signed("!=", add, INT(0))
        accumulate(builder, run, depth, targets, adds, outer_product)

    return kernel


def _dot_products(rows: int, columns: int) -> Any:
    """sums[i, j] += aᵢ·bⱼ, lane by lane, for contiguous vectors of a and b."""

    @intrinsic(_DOTS)
    def kernel(builder, count, a, row_stride, b, offsets, sums):
        fused = multiply_add(builder.module)
        a_rows = [builder.gep(a, [builder.mul(row_stride, INT(i))]) for i in range(rows)]
        b_rows = [
            builder.gep(b, [builder.load(builder.gep(offsets, [INT(j)]))]) for j in range(columns)
        ]
        targets = {
            (i, j): builder.gep(sums, [INT((i * columns + j) * LANES)])
            for i, j in positions(rows, columns)
        }

        def products(k, accumulators):
            updated, offset = {}, builder.mul(k, INT(LANES))
            b_vectors = [load(builder, builder.gep(row, [offset])) for row in b_rows]
            for i in range(rows):
                a_vector = load(builder, builder.gep(a_rows[i], [offset]))
                for j in range(columns):
                    summands = [a_vector, b_vectors[j], accumulators[i, j]]
                    updated[i, j] = builder.call(fused, summands)
            return updated

        adds = ir.Constant(ir.IntType(1), 1)
        accumulate(builder, INT(DOT_RUN), count, targets, adds, products)

    return kernel


_one_vector, _two_vectors = _register_tile(MR, 1), _register_tile(MR, 2)
_three_vectors = _register_tile(MR, 3) if NR_VECTORS == 3 else _two_vectors
_single_row = _register_tile(1, SINGLE_ROW_VECTORS)
_dot_tile, _dot_single_row = _dot_products(*DOT_TILE), _dot_products(*DOT_TILE_SINGLE)


# What kernels call.


@outlined(f"i64 {_TILE}")
def micro_kernel(vectors, depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add):
    """out[i, j] = Σₖ a[rows[i] + depth_a[k]] · b[depth_b[k] + j], plus out[i, j] with `add`.

    A tile of MR rows × vectors·LANES columns.  vectors = 0 means a single row of
    SINGLE_ROW_VECTORS vectors.  The depth is at least 1.  After each `run` of steps, their sum is
    added to out: RUN where the error must not grow with the depth, as in gradients of weights; else
    UNBROKEN, which is faster.
    """
    if vectors == 3:
        _three_vectors(depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add)
    elif vectors == 2:
        _two_vectors(depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add)
    elif vectors == 1:
        _one_vector(depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add)
    else:
        _single_row(depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add)


@outlined("i64 i64 i64 i64 f32* i64* i64* f32* i64* f32* i64 i64")
def multiply_panels(
    count, vectors, depth, run, a, rows, depth_a, b, depth_b, out, row_stride, add
):  # fmt: skip
    """The same for `count` rows and any number of vectors of columns, tile by tile.

    Rows are computed up to full tiles.  For short sums, of which calls of the micro-kernel would
    take a good part.
    """
    panels = tile_count(vectors)
    for panel in range(panels):
        left, right = chunk_bounds(vectors, panel, panels)
        columns, tile = advance(b, left * LANES), advance(out, left * LANES)
        if right - left == 3:
            for i in range(0, count, MR):
                _three_vectors(
                    depth, run, a, advance(rows, i), depth_a, columns, depth_b,
                    advance(tile, i * row_stride), row_stride, add,
                )  # fmt: skip
        elif right - left == 2:
            for i in range(0, count, MR):
                _two_vectors(
                    depth, run, a, advance(rows, i), depth_a, columns, depth_b,
                    advance(tile, i * row_stride), row_stride, add,
                )  # fmt: skip
        else:
            for i in range(0, count, MR):
                _one_vector(
                    depth, run, a, advance(rows, i), depth_a, columns, depth_b,
                    advance(tile, i * row_stride), row_stride, add,
                )  # fmt: skip


@outlined("f32* i64 i64 i64 f32* i64")
def transpose_panel(source, row_stride, height, width, target, target_stride):
    """target[k, i] = source[i, k] for a matrix height × width.

    Rows of the target are padded with zeros to full vectors.  Squares are transposed in vector
    registers; those at the edges, element by element.
    """
    for i in range(0, height, LANES):
        rows = min(height - i, LANES)
        for k in range(0, width, LANES):
            columns = min(width - k, LANES)
            square = advance(source, i * row_stride + k)
            transposed = advance(target, k * target_stride + i)
            if rows == columns == LANES:
                transpose_square(square, row_stride, transposed, target_stride)
                continue
            x = carray(square, rows * row_stride)
            y = carray(transposed, columns * target_stride)
            for column in range(columns):
                for row in range(LANES):
                    value = x[row * row_stride + column] if row < rows else np.float32(0)
                    y[column * target_stride + row] = value


@outlined(f"i64 {_DOTS}")
def dot_tile(single, count, a, row_stride, b, offsets, sums):
    """sums[i, j] += a[i·row_stride + k] · b[offsets[j] + k] over `count` vectors, lane by lane.

    For a tile of DOT_TILE rows and columns, or DOT_TILE_SINGLE if it is a single row; each sum is
    a vector.
    """
    if single:
        _dot_single_row(count, a, row_stride, b, offsets, sums)
    else:
        _dot_tile(count, a, row_stride, b, offsets, sums)
