"""SIMD intrinsics: vector instructions for loops that LLVM does not vectorise by itself.

A vector holds LANES float32, as many as a register of the processor that is compiled
for.  Kernels call the intrinsics;
the functions with a `builder` generate instructions of LLVM's intermediate representation inside
an intrinsic.  Addresses are raw: nothing is checked, loads and stores need no alignment, and each
moves LANES elements.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types

from minidl.backends.kernels.runtime.compile import intrinsic
from minidl.backends.kernels.runtime.target import vector_registers

_registers = vector_registers()
LANES = _registers.lanes  # float32 in a vector
HAS_32_REGISTERS = _registers.number == 32

FLOAT, INT = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
# Lanes of two vectors, numbered through: every second one; or alternately of one and the other.
EVEN_LANES, ODD_LANES = range(0, 2 * LANES, 2), range(1, 2 * LANES, 2)
INTERLEAVED = [lane // 2 + lane % 2 * LANES for lane in range(2 * LANES)]
float_pointer, int_pointer = types.CPointer(types.float32), types.CPointer(types.int64)


@intrinsic
def pointer(_: Any, array: Any, offset: Any) -> Any:
    """The address of element `offset` of a contiguous array, flattened."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), generate


@intrinsic
def pointer_from_address(_: Any, address: Any, like: Any) -> Any:
    """An integer as the address of elements of the same dtype as those of the array `like`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(address, like), generate


@intrinsic
def advance(_: Any, address: Any, count: Any) -> Any:
    """The address `count` elements further on."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return address(address, types.int64), generate


def load(builder: Any, address: Any) -> Any:
    """The vector at an address."""
    vector = builder.load(builder.bitcast(address, VECTOR.as_pointer()))
    vector.align = 4
    return vector


def store(builder: Any, vector: Any, address: Any) -> None:
    """Store a vector at an address."""
    builder.store(vector, builder.bitcast(address, VECTOR.as_pointer())).align = 4


def multiply_add(module: Any) -> Any:
    """The function a·b + c of vectors, fused (rounded once) where the processor can."""
    name = f"llvm.fmuladd.v{LANES}f32"
    declared = module.globals.get(name)
    return declared or ir.Function(module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)


def order_after(builder: Any, address: Any, vectors: list[Any]) -> Any:
    """The address, made to depend on these vectors: LLVM schedules no load from it before them.

    It is an inline-assembly instruction without code, which takes the vectors and returns the
    address.
    """
    kind = ir.FunctionType(address.type, [address.type, *(vector.type for vector in vectors)])
    takes = ",".join([_registers.constraint] * len(vectors))
    return builder.asm(kind, "", f"=r,0,{takes}", [address, *vectors], side_effect=False)


def broadcast(builder: Any, scalar: Any) -> Any:
    """A vector that holds a scalar in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    vector = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(vector, undefined, zeros)


@intrinsic
def store_bias_clamp(_: Any, source: Any, target: Any, bias: Any, clamp_min: Any) -> Any:
    """Copy a vector, plus a bias, at least clamp_min (NaN stays NaN): the epilogue of a product."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target, bias, clamp_min = arguments
        vector = builder.fadd(load(builder, source), broadcast(builder, bias))
        clamp_min = broadcast(builder, clamp_min)
        below = builder.fcmp_ordered("<", vector, clamp_min)
        store(builder, builder.select(below, clamp_min, vector), target)
        return context.get_dummy_value()

    return types.void(float_pointer, float_pointer, types.float32, types.float32), generate


@intrinsic
def copy_vector(_: Any, source: Any, target: Any) -> Any:
    """Copy a vector from one address to another."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        store(builder, load(builder, arguments[0]), arguments[1])
        return context.get_dummy_value()

    return types.void(float_pointer, float_pointer), generate


@intrinsic
def copy_vector_masked(_: Any, source: Any, y: Any, target: Any) -> Any:
    """Copy the lanes of a vector where y is positive, and zeros elsewhere: a ReLU's gradient."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, y, target = arguments
        zeros = ir.Constant(VECTOR, [0.0] * LANES)
        positive = builder.fcmp_ordered(">", load(builder, y), zeros)
        store(builder, builder.select(positive, load(builder, source), zeros), target)
        return context.get_dummy_value()

    return types.void(float_pointer, float_pointer, float_pointer), generate


@intrinsic
def zero_vector(_: Any, target: Any) -> Any:
    """Store a vector of zeros."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        store(builder, ir.Constant(VECTOR, [0.0] * LANES), arguments[0])
        return context.get_dummy_value()

    return types.void(float_pointer), generate


@intrinsic
def prefetch_for_writing(_: Any, address: Any) -> Any:
    """Have the cache line at an address fetched, which is to be written later.

    Else each of the stores, which are done in order, waits for its line.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        module = builder.module
        prefetch = module.globals.get("llvm.prefetch.p0") or ir.Function(
            module, kind, "llvm.prefetch.p0"
        )
        writing, everywhere, data = flag(1), flag(3), flag(1)
        address = builder.bitcast(arguments[0], byte)
        builder.call(prefetch, [address, writing, everywhere, data])
        return context.get_dummy_value()

    return types.void(float_pointer), generate


@intrinsic
def transpose_square(_: Any, source: Any, stride: Any, target: Any, target_stride: Any) -> Any:
    """Transpose a square of LANES × LANES elements; `stride`s are the distances of its rows."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, stride, target, target_stride = arguments
        rows = [builder.gep(source, [builder.mul(stride, INT(i))]) for i in range(LANES)]
        _transpose(builder, rows, target, target_stride)
        return context.get_dummy_value()

    return types.void(float_pointer, types.int64, float_pointer, types.int64), generate


@intrinsic
def gather_transpose(_: Any, source: Any, rows: Any, stride: Any, target: Any) -> Any:
    """Gather LANES rows by a table of indices, and transpose them into a contiguous square."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, table, stride, target = arguments
        indices = [builder.load(builder.gep(table, [INT(i)])) for i in range(LANES)]
        rows = [builder.gep(source, [builder.mul(stride, index)]) for index in indices]
        _transpose(builder, rows, target, INT(LANES))
        return context.get_dummy_value()

    return types.void(float_pointer, int_pointer, types.int64, float_pointer), generate


def _transpose(builder: Any, addresses: list[Any], target: Any, target_stride: Any) -> None:
    """Store the rows at these addresses as columns of the target.

    Off-diagonal blocks of half the size are exchanged, then those of a quarter inside these, and so
    on: log₂ LANES passes of shuffles (J. Eklundh, A fast computer method for matrix transposing,
    1972).
    """
    rows = [load(builder, address) for address in addresses]
    half = LANES // 2
    while half:
        upper = [lane - half + LANES if lane & half else lane for lane in range(LANES)]
        lower = [lane + LANES if lane & half else lane + half for lane in range(LANES)]
        for i in range(LANES):
            if not i & half:
                a, b = rows[i], rows[i + half]
                rows[i] = shuffle(builder, a, b, upper)
                rows[i + half] = shuffle(builder, a, b, lower)
        half //= 2
    for i in range(LANES):
        store(builder, rows[i], builder.gep(target, [builder.mul(target_stride, INT(i))]))


def shuffle(builder: Any, a: Any, b: Any, lanes: Iterable[int]) -> Any:
    """A vector of lanes of a (numbers 0 … LANES − 1) and of b (LANES … 2·LANES − 1)."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(lanes))
    return builder.shuffle_vector(a, b, mask)
