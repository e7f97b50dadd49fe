"""The inner loop of a sparse matrix times a dense one (SpMM).

    C[o, :] += Σⱼ values[o, j] · B[offsets[o, j] : offsets[o, j] + LANES]

Each row of the sparse matrix holds as many values, each with the offset of the row of B that it
multiplies; a row of B, and one of C, is a vector.  Some rows run at the same time, so that no
multiply-add waits for the one before it.
"""

from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    broadcast,
    load,
    multiply_add,
    store,
)

SPARSE_ROWS = 4  # that run at the same time


@intrinsic("f32* i64* i64 i64 f32* f32*")
def sparse_times_dense(
    builder: Any, values: Any, offsets: Any, stride: Any, count: Any, b: Any, c: Any
) -> None:
    """SPARSE_ROWS rows of C += sparse · B, over `count` ≥ 1 values of each row.

    stride    of the rows of values and offsets
    """
    starts = [builder.mul(stride, INT(i)) for i in range(SPARSE_ROWS)]
    values = [builder.gep(values, [start]) for start in starts]
    offsets = [builder.gep(offsets, [start]) for start in starts]
    targets = [builder.gep(c, [INT(i * LANES)]) for i in range(SPARSE_ROWS)]
    before = builder.block
    body, end = map(builder.function.append_basic_block, ("body", "end"))
    builder.branch(body)

    builder.position_at_end(body)
    j, accumulators = builder.phi(INT), [builder.phi(VECTOR) for _ in targets]
    updated = []
    for row_values, row_offsets, accumulator in zip(values, offsets, accumulators, strict=True):
        value = broadcast(builder, builder.load(builder.gep(row_values, [j])))
        offset = builder.load(builder.gep(row_offsets, [j]))
        row = load(builder, builder.gep(b, [offset]))
        updated.append(builder.call(multiply_add(builder.module), [value, row, accumulator]))
    following = builder.add(j, INT(1))
    j.add_incoming(INT(0), before)
    j.add_incoming(following, body)
    zeros = ir.Constant(VECTOR, [0.0] * LANES)
    for accumulator, value in zip(accumulators, updated, strict=True):
        accumulator.add_incoming(zeros, before)
        accumulator.add_incoming(value, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)

    builder.position_at_end(end)
    for target, value in zip(targets, updated, strict=True):
        store(builder, builder.fadd(load(builder, target), value), target)
