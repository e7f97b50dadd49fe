"""The one loop in which all products of matrices and convolutions spend their time.

    out[i, j] = Σₖ a[rows[i] + depth_a[k]] · b[depth_b[k] + j]

for ROWS values of i, and as many consecutive j as a few vectors hold.  All sums of this tile stay
in registers while k runs: for each k a few vectors of b are loaded, and each of ROWS numbers of a
is multiplied with all of them.  So one load serves several multiplications, which is what a
processor needs to be kept busy (K. Goto, R. van de Geijn 2008).

Where the factors lie is told by tables of offsets.  So nothing has to be copied into shape first: a
transposed matrix, or the pictures that a window sees, are only other tables.

LLVM does not find this form by itself, so its instructions are written out here.
"""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

_FEATURES = llvm.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f"))
LANES = 16 if _WIDE else 8 if _FEATURES.get("avx") else 4  # float32 numbers in a vector
# A tile of 6 × 4 vectors takes 24 registers of 32, one of 6 × 2 takes 12 of 16.
ROWS = 6
VECTORS = 4 if _WIDE or _FEATURES.get("neon") else 2
COLUMNS = VECTORS * LANES

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_floats, _ints = types.CPointer(types.float32), types.CPointer(types.int64)


@intrinsic
def pointer(_: Any, array: Any, offset: Any) -> Any:
    """The address of array[offset], for a contiguous array seen as flat."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), generate


@intrinsic
def moved(_: Any, address: Any, count: Any) -> Any:
    """An address, so many numbers further on."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return address(address, types.int64), generate


def _load(builder: Any, address: Any) -> Any:
    vector = builder.load(builder.bitcast(address, _VECTOR.as_pointer()))
    vector.align = 4
    return vector


def _store(builder: Any, vector: Any, address: Any) -> None:
    builder.store(vector, builder.bitcast(address, _VECTOR.as_pointer())).align = 4


def _multiply_add(module: Any) -> Any:
    """a·b + c, rounded once where the processor can."""
    name = f"llvm.fmuladd.v{LANES}f32"
    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)


def _spread(builder: Any, number: Any) -> Any:
    """A vector that holds a number in every lane."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    vector = builder.insert_element(undefined, number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(vector, undefined, zeros)


def _tile(rows_: int, vectors: int) -> Any:
    """The loop for a number of rows and of vectors, as an intrinsic of Numba."""
    places = [(i, v) for i in range(rows_) for v in range(vectors)]

    @intrinsic
    def loop(_: Any, depth: Any, a: Any, rows: Any, depth_a: Any, b: Any, depth_b: Any, out: Any,
             stride: Any, add: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            depth, a, rows, depth_a, b, depth_b, out, stride, add = arguments
            multiply_add = _multiply_add(builder.module)
            function = builder.function
            rows = [builder.load(builder.gep(rows, [_INT(i)])) for i in range(rows_)]
            targets = {
                (i, v): builder.gep(
                    out, [builder.add(builder.mul(stride, _INT(i)), _INT(v * LANES))]
                )
                for i, v in places
            }
            before = builder.block
            fetch, body, after = map(function.append_basic_block, ("fetch", "body", "after"))
            builder.cbranch(builder.icmp_signed("!=", add, _INT(0)), fetch, body)

            builder.position_at_end(fetch)  # begin with what is there
            begun = {place: _load(builder, targets[place]) for place in places}
            builder.branch(body)

            builder.position_at_end(body)
            k = builder.phi(_INT)
            sums = {place: builder.phi(_VECTOR) for place in places}
            right = builder.gep(b, [builder.load(builder.gep(depth_b, [k]))])
            left = builder.gep(a, [builder.load(builder.gep(depth_a, [k]))])
            vector = [_load(builder, builder.gep(right, [_INT(v * LANES)])) for v in range(vectors)]
            grown = {}
            for i in range(rows_):
                factor = _spread(builder, builder.load(builder.gep(left, [rows[i]])))
                for v in range(vectors):
                    grown[i, v] = builder.call(multiply_add, [factor, vector[v], sums[i, v]])
            following = builder.add(k, _INT(1))
            for block, start in ((before, None), (fetch, begun)):
                k.add_incoming(_INT(0), block)
                for place in places:
                    zero = ir.Constant(_VECTOR, [0.0] * LANES)
                    sums[place].add_incoming(start[place] if start else zero, block)
            k.add_incoming(following, body)
            for place in places:
                sums[place].add_incoming(grown[place], body)
            builder.cbranch(builder.icmp_signed("<", following, depth), body, after)

            builder.position_at_end(after)
            for place in places:
                _store(builder, grown[place], targets[place])
            return context.get_dummy_value()

        integer = types.int64
        arguments = (integer, _floats, _ints, _ints, _floats, _ints, _floats, integer, integer)
        return types.void(*arguments), generate

    return loop


_one, _two = _tile(ROWS, 1), _tile(ROWS, 2)
_three, _four = (_tile(ROWS, 3), _tile(ROWS, 4)) if VECTORS == 4 else (_two, _two)


@njit(nogil=True)
def tile(vectors, depth, a, rows, depth_a, b, depth_b, out, stride, add):
    """A tile of ROWS × vectors·LANES sums over `depth`; with `add`, added to what `out` holds.

    The rows of `out` lie `stride` apart.
    """
    if vectors == 4:
        _four(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    elif vectors == 3:
        _three(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    elif vectors == 2:
        _two(depth, a, rows, depth_a, b, depth_b, out, stride, add)
    else:
        _one(depth, a, rows, depth_a, b, depth_b, out, stride, add)


_single = _tile(1, VECTORS)


@njit(nogil=True)
def strip(depth, a, rows, depth_a, b, depth_b, out, stride, add):
    """A tile of a single row and COLUMNS sums."""
    _single(depth, a, rows, depth_a, b, depth_b, out, stride, add)


@intrinsic
def write(_: Any, source: Any, target: Any, bias: Any, least: Any) -> Any:
    """A vector from one address to another, plus a bias, and not below the least (NaN stays)."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target, bias, least = arguments
        vector = builder.fadd(_load(builder, source), _spread(builder, bias))
        least = _spread(builder, least)
        below = builder.fcmp_ordered("<", vector, least)
        _store(builder, builder.select(below, least, vector), target)
        return context.get_dummy_value()

    return types.void(_floats, _floats, types.float32, types.float32), generate


@intrinsic
def copy(_: Any, source: Any, target: Any) -> Any:
    """A vector from one address to another."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _store(builder, _load(builder, arguments[0]), arguments[1])
        return context.get_dummy_value()

    return types.void(_floats, _floats), generate


@intrinsic
def copy_passed(_: Any, source: Any, y: Any, target: Any) -> Any:
    """A vector from one address to another where y is positive, and zeros elsewhere."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, y, target = arguments
        zeros = ir.Constant(_VECTOR, [0.0] * LANES)
        positive = builder.fcmp_ordered(">", _load(builder, y), zeros)
        _store(builder, builder.select(positive, _load(builder, source), zeros), target)
        return context.get_dummy_value()

    return types.void(_floats, _floats, _floats), generate


@intrinsic
def clear(_: Any, target: Any) -> Any:
    """A vector of zeros at an address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _store(builder, ir.Constant(_VECTOR, [0.0] * LANES), arguments[0])
        return context.get_dummy_value()

    return types.void(_floats), generate


@intrinsic
def transpose(_: Any, source: Any, stride: Any, target: Any, target_stride: Any) -> Any:
    """A square of LANES × LANES numbers, rows to columns; the rows lie so far apart.

    Blocks of half the size change places, then blocks of a quarter inside these, and so on
    (J. O. Eklundh 1972).
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, stride, target, target_stride = arguments
        rows = [
            _load(builder, builder.gep(source, [builder.mul(stride, _INT(i))]))
            for i in range(LANES)
        ]
        half = LANES // 2
        while half:
            upper = [lane - half + LANES if lane & half else lane for lane in range(LANES)]
            lower = [lane + LANES if lane & half else lane + half for lane in range(LANES)]
            for i in range(LANES):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i] = _shuffle(builder, a, b, upper)
                    rows[i + half] = _shuffle(builder, a, b, lower)
            half //= 2
        for i in range(LANES):
            _store(builder, rows[i], builder.gep(target, [builder.mul(target_stride, _INT(i))]))
        return context.get_dummy_value()

    return types.void(_floats, types.int64, _floats, types.int64), generate


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Lanes of a (0 … LANES − 1) and of b (after those)."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)
    return builder.shuffle_vector(a, b, mask)


@njit(nogil=True)
def turn(source, stride, height, width, target, target_stride):
    """target[k, i] = source[i, k]; 0 in the lanes behind the height, until a vector is full."""
    for i in range(0, height, LANES):
        high = min(height - i, LANES)
        for k in range(0, width, LANES):
            wide = min(width - k, LANES)
            corner, place = moved(source, i * stride + k), moved(target, k * target_stride + i)
            if high == wide == LANES:
                transpose(corner, stride, place, target_stride)
                continue
            rest = carray(corner, high * stride)
            rest_target = carray(place, wide * target_stride)
            for column in range(wide):
                for row in range(LANES):
                    number = rest[row * stride + column] if row < high else np.float32(0)
                    rest_target[column * target_stride + row] = number
