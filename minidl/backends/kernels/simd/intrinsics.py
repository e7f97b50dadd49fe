"""SIMD intrinsics: vector instructions for loops that LLVM does not vectorise by itself.

A vector holds LANES float32, as many as a register of the processors that kernels are compiled for.
Kernels call the intrinsics, each of which is a function from a `builder` of instructions of LLVM's
intermediate representation, and the values of its arguments, to the value of the result; the other
functions with a `builder` are parts of these.  Addresses are raw: nothing is checked, loads and
stores need no alignment, and each moves LANES elements.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.runtime.level import level

LANES = level().lanes  # float32 in a vector

FLOAT, INT = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
# Lanes of two vectors, numbered through: every second one; or alternately of one and the other.
EVEN_LANES, ODD_LANES = range(0, 2 * LANES, 2), range(1, 2 * LANES, 2)
INTERLEAVED = [lane // 2 + lane % 2 * LANES for lane in range(2 * LANES)]


@intrinsic("T[*] i64 -> T*")
def pointer(builder: Any, array: Any, offset: Any) -> Any:
    """The address of element `offset` of a contiguous array, flattened."""
    return builder.gep(array, [offset])


@intrinsic("T[*] -> i64")
def address_of(builder: Any, array: Any) -> Any:
    """The address of a contiguous array, as an integer."""
    return builder.ptrtoint(array, INT)


@intrinsic("i64 T[*] -> T*")
def pointer_from_address(builder: Any, address: Any, like: Any) -> Any:
    """An integer as the address of elements of the same dtype as those of the array `like`."""
    return builder.inttoptr(address, like.type)


@intrinsic("T* i64 -> T*")
def advance(builder: Any, address: Any, count: Any) -> Any:
    """The address `count` elements further on."""
    return builder.gep(address, [count])


def load(builder: Any, address: Any, kind: Any = VECTOR) -> Any:
    """The vector at an address."""
    vector = builder.load(builder.bitcast(address, kind.as_pointer()))
    vector.align = 4
    return vector


def store(builder: Any, vector: Any, address: Any) -> None:
    """Store a vector at an address."""
    builder.store(vector, builder.bitcast(address, vector.type.as_pointer())).align = 4


def multiply_add(module: Any, kind: Any = VECTOR) -> Any:
    """The function a·b + c of vectors, fused (rounded once) where the processor can."""
    name = f"llvm.fmuladd.v{kind.count}f{32 if kind.element == FLOAT else 64}"
    declared = module.globals.get(name)
    return declared or ir.Function(module, ir.FunctionType(kind, [kind] * 3), name)


def order_after(builder: Any, address: Any, vectors: list[Any]) -> Any:
    """The address, made to depend on these vectors: LLVM schedules no load from it before them.

    It is an inline-assembly instruction without code, which takes the vectors and returns the
    address.
    """
    kind = ir.FunctionType(address.type, [address.type, *(vector.type for vector in vectors)])
    takes = ",".join([level().constraint] * len(vectors))
    return builder.asm(kind, "", f"=r,0,{takes}", [address, *vectors], side_effect=False)


def broadcast(builder: Any, scalar: Any, kind: Any = VECTOR) -> Any:
    """A vector that holds a scalar in every lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    vector = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(vector, undefined, zeros)


@intrinsic("f32* f32* f32 f32")
def store_bias_clamp(builder: Any, source: Any, target: Any, bias: Any, clamp_min: Any) -> None:
    """Copy a vector, plus a bias, at least clamp_min (NaN stays NaN): the epilogue of a product."""
    vector = builder.fadd(load(builder, source), broadcast(builder, bias))
    clamp_min = broadcast(builder, clamp_min)
    below = builder.fcmp_ordered("<", vector, clamp_min)
    store(builder, builder.select(below, clamp_min, vector), target)


@intrinsic("f32* f32*")
def copy_vector(builder: Any, source: Any, target: Any) -> None:
    """Copy a vector from one address to another."""
    store(builder, load(builder, source), target)


@intrinsic("f32* f32* f32*")
def copy_vector_masked(builder: Any, source: Any, y: Any, target: Any) -> None:
    """Copy the lanes of a vector where y is positive, and zeros elsewhere: a ReLU's gradient."""
    zeros = ir.Constant(VECTOR, [0.0] * LANES)
    positive = builder.fcmp_ordered(">", load(builder, y), zeros)
    store(builder, builder.select(positive, load(builder, source), zeros), target)


@intrinsic("f32*")
def zero_vector(builder: Any, target: Any) -> None:
    """Store a vector of zeros."""
    store(builder, ir.Constant(VECTOR, [0.0] * LANES), target)


@intrinsic("T*")
def prefetch_for_reading(builder: Any, address: Any) -> None:
    """Have the cache line at an address fetched, which is to be read later."""
    prefetch(builder, address)


@intrinsic("T*")
def prefetch_for_writing(builder: Any, address: Any) -> None:
    """Have the cache line at an address fetched, which is to be written later.

    Else each of the stores, which are done in order, waits for its line.
    """
    prefetch(builder, address, writing=1)


def prefetch(builder: Any, address: Any, writing: int = 0) -> None:
    """Have the cache line at an address fetched, for reading (0) or writing (1)."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    module, name = builder.module, "llvm.prefetch.p0"
    prefetch = module.globals.get(name) or ir.Function(module, kind, name)
    everywhere, data = flag(3), flag(1)
    builder.call(prefetch, [builder.bitcast(address, byte), flag(writing), everywhere, data])


@intrinsic("f32* i64 f32* i64")
def transpose_square(
    builder: Any, source: Any, stride: Any, target: Any, target_stride: Any
) -> None:
    """Transpose a square of LANES × LANES elements; `stride`s are the distances of its rows."""
    rows = [builder.gep(source, [builder.mul(stride, INT(i))]) for i in range(LANES)]
    _transpose(builder, rows, target, target_stride)


@intrinsic("f32* i64* i64 f32*")
def gather_transpose(builder: Any, source: Any, rows: Any, stride: Any, target: Any) -> None:
    """Gather LANES rows by a table of indices, and transpose them into a contiguous square."""
    indices = [builder.load(builder.gep(rows, [INT(i)])) for i in range(LANES)]
    addresses = [builder.gep(source, [builder.mul(stride, index)]) for index in indices]
    _transpose(builder, addresses, target, INT(LANES))


def _transpose(builder: Any, addresses: list[Any], target: Any, target_stride: Any) -> None:
    """Store the rows at these addresses as columns of the target."""
    store_columns(builder, [load(builder, address) for address in addresses], target, target_stride)


def store_columns(builder: Any, rows: list[Any], target: Any, target_stride: Any) -> None:
    """Store LANES vectors as columns of the target.

    Off-diagonal blocks of half the size are exchanged, then those of a quarter inside these, and so
    on: log₂ LANES passes of shuffles (J. Eklundh, A fast computer method for matrix transposing,
    1972).
    """
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


def loop(builder: Any, count: Any, start: list[Any], update: Callable[..., list[Any]]) -> list[Any]:
    """The vectors after `for k in range(count): vectors = update(k, vectors)`, for a count ≥ 1."""
    before = builder.block
    body, end = map(builder.function.append_basic_block, ("body", "end"))
    builder.branch(body)
    builder.position_at_end(body)
    k, vectors = builder.phi(INT), [builder.phi(vector.type) for vector in start]
    updated = update(k, vectors)
    following = builder.add(k, INT(1))
    k.add_incoming(INT(0), before)
    k.add_incoming(following, body)
    for vector, first, last in zip(vectors, start, updated, strict=True):
        vector.add_incoming(first, before)
        vector.add_incoming(last, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)
    return updated


def shuffle(builder: Any, a: Any, b: Any, lanes: Iterable[int]) -> Any:
    """A vector of lanes of a (numbers from 0 on) and of b (from the number of lanes on)."""
    lanes = list(lanes)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(a, b, mask)
