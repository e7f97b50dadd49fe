"""The one loop in which all products of matrices and convolutions spend their time.

    out[i, j] = Σₖ a[rows[i] + depth_a[k]] · b[depth_b[k] + j]

for ROWS values of i, and as many consecutive j as a few vectors hold.  All sums of this tile stay
in registers while k runs: for each k a few vectors of b are loaded, and each of ROWS numbers of a
is multiplied with all of them.  So one load serves several multiplications, which is what a
processor needs to be kept busy (K. Goto, R. van de Geijn 2008).

Where the factors lie is told by tables of offsets.  So nothing has to be copied into shape first: a
transposed matrix, or the pictures that a window sees, are only other tables.

LLVM does not find this form by itself, so its instructions are written out here, and their order is
fixed: for some processors it would load the factors of many rows ahead, and for want of registers
keep the sums in memory, which took five times as long.

They are compiled once, and called through their address: a kernel that had them inside would take
Numba seconds more.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from minidl.backends.kernels.runtime.compile import compile_to_address
from minidl.backends.kernels.simd.intrinsics import (
    HAS_32_REGISTERS,
    INT,
    LANES,
    VECTOR,
    advance,
    broadcast,
    float_pointer,
    int_pointer,
    load,
    multiply_add,
    order_after,
    store,
    transpose_square,
)

# A tile of 8 × 3 vectors takes 24 registers of 32, one of 6 × 2 takes 12 of 16.
MR, NR_VECTORS = (8, 3) if HAS_32_REGISTERS else (6, 2)
NR = NR_VECTORS * LANES
SINGLE_ROW_VECTORS = (
    8  # vectors of a single row: enough sums for none to wait for the one before it
)
DOT_TILE = (8, 3) if HAS_32_REGISTERS else (4, 2)  # rows and columns of a tile of dot products
DOT_TILE_SINGLE = (1, 9)  # the same for a single row
MULTIPLY_ADDS_PER_NS = 50  # products that a core adds up in a nanosecond, roughly

# depth, a, rows, depth_a, b, depth_b, out, stride, add
_LOOP = (
    types.int64,
    float_pointer,
    int_pointer,
    int_pointer,
    float_pointer,
    int_pointer,
    float_pointer,
    types.int64,
    types.int64,
)


def pad_to_tiles(count: int) -> np.ndarray:
    """0 … count − 1, and the last one again until the number of them is a multiple of ROWS."""
    return np.minimum(np.arange(-(-count // MR) * MR, dtype=np.int64), count - 1)


@njit(inline="always")
def tile_count(vectors):
    """How many tiles are needed for so many vectors; each gets its `share` of them."""
    return (vectors + NR_VECTORS - 1) // NR_VECTORS


def _tile(rows_: int, vectors: int) -> Any:
    """The loop for a number of rows and of vectors, as an intrinsic of Numba."""
    places = [(i, v) for i in range(rows_) for v in range(vectors)]

    @intrinsic
    def loop(_: Any, depth: Any, a: Any, rows: Any, depth_a: Any, b: Any, depth_b: Any, out: Any,
             stride: Any, add: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            depth, a, rows, depth_a, b, depth_b, out, stride, add = arguments
            fused = multiply_add(builder.module)
            function = builder.function
            rows = [builder.load(builder.gep(rows, [INT(i)])) for i in range(rows_)]
            targets = {
                (i, v): builder.gep(out, [builder.add(builder.mul(stride, INT(i)), INT(v * LANES))])
                for i, v in places
            }
            before = builder.block
            fetch, body, end = map(function.append_basic_block, ("fetch", "body", "end"))
            builder.cbranch(builder.icmp_signed("!=", add, INT(0)), fetch, body)

            builder.position_at_end(fetch)  # begin with what is there
            begun = {place: load(builder, targets[place]) for place in places}
            builder.branch(body)

            builder.position_at_end(body)
            k = builder.phi(INT)
            sums = {place: builder.phi(VECTOR) for place in places}
            right = builder.gep(b, [builder.load(builder.gep(depth_b, [k]))])
            left = builder.gep(a, [builder.load(builder.gep(depth_a, [k]))])
            vector = [load(builder, builder.gep(right, [INT(v * LANES)])) for v in range(vectors)]
            grown = {}
            for i in range(rows_):
                factor = broadcast(builder, builder.load(builder.gep(left, [rows[i]])))
                for v in range(vectors):
                    grown[i, v] = builder.call(fused, [factor, vector[v], sums[i, v]])
                left = order_after(builder, left, [grown[i, v] for v in range(vectors)])
            following = builder.add(k, INT(1))
            for block, start in ((before, None), (fetch, begun)):
                k.add_incoming(INT(0), block)
                for place in places:
                    zero = ir.Constant(VECTOR, [0.0] * LANES)
                    sums[place].add_incoming(start[place] if start else zero, block)
            k.add_incoming(following, body)
            for place in places:
                sums[place].add_incoming(grown[place], body)
            builder.cbranch(builder.icmp_signed("<", following, depth), body, end)

            builder.position_at_end(end)
            for place in places:
                store(builder, grown[place], targets[place])
            return context.get_dummy_value()

        return types.void(*_LOOP), generate

    return loop


_one, _two = _tile(MR, 1), _tile(MR, 2)
_three = _tile(MR, 3) if NR_VECTORS == 3 else _two
_single = _tile(1, SINGLE_ROW_VECTORS)


def _any_tile(vectors, depth, a, rows, depth_a, b, depth_b, out, stride, add):
    """The loop for this number of vectors; a single row of them for 0."""
    if vectors == 3:
        _three(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    elif vectors == 2:
        _two(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    elif vectors == 1:
        _one(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    else:
        _single(depth, a, rows, depth_a, b, depth_b, out, stride, add)


def _dots(rows: int, columns: int) -> Any:
    """sums[i, j] += aᵢ·bⱼ, lane by lane, for vectors of a and b that lie one after the other."""
    places = [(i, j) for i in range(rows) for j in range(columns)]

    @intrinsic
    def loop(_: Any, count: Any, a: Any, stride: Any, b: Any, begins: Any, sums: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            count, a, stride, b, begins, sums = arguments
            fused = multiply_add(builder.module)
            lefts = [builder.gep(a, [builder.mul(stride, INT(i))]) for i in range(rows)]
            rights = [
                builder.gep(b, [builder.load(builder.gep(begins, [INT(j)]))])
                for j in range(columns)
            ]
            targets = {
                (i, j): builder.gep(sums, [INT((i * columns + j) * LANES)]) for i, j in places
            }
            before, function = builder.block, builder.function
            body, end = map(function.append_basic_block, ("body", "end"))
            begun = {place: load(builder, targets[place]) for place in places}
            builder.branch(body)

            builder.position_at_end(body)
            k = builder.phi(INT)
            grown = {place: builder.phi(VECTOR) for place in places}
            for place in places:
                grown[place].add_incoming(begun[place], before)
            found, offset = {}, builder.mul(k, INT(LANES))
            right = [load(builder, builder.gep(address, [offset])) for address in rights]
            for i in range(rows):
                left = load(builder, builder.gep(lefts[i], [offset]))
                for j in range(columns):
                    found[i, j] = builder.call(fused, [left, right[j], grown[i, j]])
            following = builder.add(k, INT(1))
            k.add_incoming(INT(0), before)
            k.add_incoming(following, body)
            for place in places:
                grown[place].add_incoming(found[place], body)
            builder.cbranch(builder.icmp_signed("<", following, count), body, end)

            builder.position_at_end(end)
            for place in places:
                store(builder, found[place], targets[place])
            return context.get_dummy_value()

        return types.void(
            types.int64, float_pointer, types.int64, float_pointer, int_pointer, float_pointer
        ), generate

    return loop


_many_dots, _lone_dots = _dots(*DOT_TILE), _dots(*DOT_TILE_SINGLE)


def _any_dots(lone, count, a, stride, b, begins, sums):
    """The loop for a single row, or for several."""
    if lone:
        _lone_dots(count, a, stride, b, begins, sums)
    else:
        _many_dots(count, a, stride, b, begins, sums)


def _turn(source, stride, height, width, target, target_stride):
    """target[k, i] = source[i, k]; 0 in the lanes behind the height, until a vector is full."""
    for i in range(0, height, LANES):
        high = min(height - i, LANES)
        for k in range(0, width, LANES):
            wide = min(width - k, LANES)
            corner, place = advance(source, i * stride + k), advance(target, k * target_stride + i)
            if high == wide == LANES:
                transpose_square(corner, stride, place, target_stride)
                continue
            rest = carray(corner, high * stride)
            rest_target = carray(place, wide * target_stride)
            for column in range(wide):
                for row in range(LANES):
                    number = rest[row * stride + column] if row < high else np.float32(0)
                    rest_target[column * target_stride + row] = number


_TILE = types.void(types.int64, *_LOOP)
_DOTS = types.void(
    types.int64, types.int64, float_pointer, types.int64, float_pointer, int_pointer, float_pointer
)
_TURN = types.void(float_pointer, types.int64, types.int64, types.int64, float_pointer, types.int64)


class MachineCode(NamedTuple):
    """Where the machine code lies that kernels call."""

    micro_kernel: int
    transpose_panel: int
    dot_tile: int


@cache
def machine_code() -> MachineCode:
    """The machine code, compiled when it is first asked for."""
    dot_tile = compile_to_address(_any_dots, _DOTS)
    return MachineCode(
        compile_to_address(_any_tile, _TILE), compile_to_address(_turn, _TURN), dot_tile
    )


def _calling(name: str) -> Any:
    """How an intrinsic calls the machine code of this name, which its first argument holds."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        machine_code, *rest = arguments
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in rest])
        address = builder.extract_value(machine_code, MachineCode._fields.index(name))
        builder.call(builder.inttoptr(address, kind.as_pointer()), rest)
        return context.get_dummy_value()

    return generate


@intrinsic
def micro_kernel(_: Any, machine_code: Any, vectors: Any, depth: Any, a: Any, rows: Any, depth_a: Any, b: Any,
         depth_b: Any, out: Any, stride: Any, add: Any) -> Any:  # fmt: skip
    """A tile of ROWS × vectors·LANES sums over `depth`; with `add`, added to what `out` holds.

    With vectors = 0 it is a single row of LONG vectors.  The rows of `out` lie `stride` apart.
    """
    return types.void(machine_code, *_TILE.args), _calling("micro_kernel")


@intrinsic
def transpose_panel(_: Any, machine_code: Any, source: Any, stride: Any, height: Any, width: Any, target: Any,
         target_stride: Any) -> Any:  # fmt: skip
    """target[k, i] = source[i, k] for a matrix height × width, whose rows lie `stride` apart.

    The lanes behind the height, until a vector is full, become 0.
    """
    return types.void(machine_code, *_TURN.args), _calling("transpose_panel")


@intrinsic
def dot_tile(_: Any, machine_code: Any, lone: Any, count: Any, a: Any, stride: Any, b: Any, begins: Any,
         sums: Any) -> Any:  # fmt: skip
    """sums[i, j] += a[i·stride + …]·b[begins[j] + …] over `count` vectors, lane by lane.

    For DOTS rows and columns, or LONE_DOTS; each sum is a vector.
    """
    return types.void(machine_code, *_DOTS.args), _calling("dot_tile")
