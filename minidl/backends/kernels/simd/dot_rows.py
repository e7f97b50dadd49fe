"""Dot products of the rows of a matrix with one vector, ROWS rows at a time.

Such a product reads each weight once, and takes as long as that.  Each of ROWS rows has a vector of
as many lanes, in which its products are added.  The sums of the lanes come last, for all rows
together: in log₂ ROWS passes two vectors become one, with half as many lanes for each row, until
one vector holds a number of each.  Row by row that would take as many instructions as the products.

The vectors have 256 bits at most.  Wider ones would be no faster, since the weights come from the
second-level cache; and where a step of a network takes microseconds, they lower the processor's
clock for the Python code before and after it as well.
"""

from functools import partial
from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.simd.intrinsics import (
    FLOAT,
    INT,
    LANES,
    load,
    loop,
    multiply_add,
    shuffle,
    store,
)

ROWS = min(LANES, 8)
_VECTOR = ir.VectorType(FLOAT, ROWS)
_ZERO_VECTORS = [ir.Constant(_VECTOR, [0.0] * ROWS)] * ROWS
_PRODUCT = "i64 f32* i64 f32*"  # vectors of a row, the matrix, the distance of its rows, the factor


@intrinsic(f"{_PRODUCT} f32*")
def dot_rows_of_one(builder: Any, count: Any, a: Any, stride: Any, x: Any, out: Any) -> None:
    """out[i] = Σₖ a[i·stride + k]·x[k] for ROWS rows i, and `count` ≥ 1 times ROWS k."""
    store(builder, row_sums(builder, _products(builder, count, a, stride, x, _ZERO_VECTORS)), out)


@intrinsic(f"{_PRODUCT} {_PRODUCT} f32*")
def dot_rows_of_two(
    builder: Any,
    count: Any,
    a: Any,
    stride: Any,
    x: Any,
    count_b: Any,
    b: Any,
    stride_b: Any,
    y: Any,
    out: Any,
) -> None:
    """The same, plus Σₖ b[i·stride_b + k]·y[k]."""
    sums = _products(builder, count, a, stride, x, _ZERO_VECTORS)
    sums = _products(builder, count_b, b, stride_b, y, sums)
    store(builder, row_sums(builder, sums), out)


def _products(builder: Any, count: Any, a: Any, stride: Any, x: Any, sums: list[Any]) -> list[Any]:
    """The sums of each row, lane by lane, with these products added."""
    rows = [builder.gep(a, [builder.mul(stride, INT(i))]) for i in range(ROWS)]
    return loop(builder, count, sums, partial(_add_products, builder, rows, x))


def _add_products(builder: Any, rows: list[Any], x: Any, k: Any, sums: list[Any]) -> list[Any]:
    """The sums after the k-th vector of each row."""
    fused, offset = multiply_add(builder.module, _VECTOR), builder.mul(k, INT(ROWS))
    factor = load(builder, builder.gep(x, [offset]), _VECTOR)
    vectors = [load(builder, builder.gep(row, [offset]), _VECTOR) for row in rows]
    return [
        builder.call(fused, [vector, factor, total])
        for vector, total in zip(vectors, sums, strict=True)
    ]


def row_sums(builder: Any, vectors: list[Any]) -> Any:
    """The sums of the lanes of vectors, with as many lanes as they are, as one vector."""
    count = len(vectors)
    half = count // 2
    while half:
        first = [lane - half + count if lane & half else lane for lane in range(count)]
        second = [lane + count if lane & half else lane + half for lane in range(count)]
        vectors = [
            builder.fadd(shuffle(builder, a, b, first), shuffle(builder, a, b, second))
            for a, b in zip(vectors[:half], vectors[half:], strict=True)
        ]
        half //= 2
    return vectors[0]
