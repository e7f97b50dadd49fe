"""Four rows of a table at a time: their products with a vector, and sums of their multiples.

A sum y += Σᵢ cᵢ·rowᵢ, row by row, reads and writes y once for each row; and a dot product, row by
row, adds the lanes of one vector at its end, which takes longer than the products of a short row.
With four rows y is read and written once for the four, and the lanes of four vectors are added
together, in log₂ LANES passes.
"""

from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.simd.dot_rows import row_sums
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    broadcast,
    load,
    loop,
    multiply_add,
    shuffle,
    store,
)

ROWS = 4  # at a time
DOUBLES = LANES // 2  # float64 in a vector
_FOUR = ir.VectorType(ir.FloatType(), ROWS)
_VECTOR64 = ir.VectorType(ir.DoubleType(), DOUBLES)


@intrinsic("i64 f32* i64* f32* f32* f32* f32*")
def add_normal_product(
    builder: Any, vectors: Any, table: Any, offsets: Any, x: Any, weights: Any, targets: Any, y: Any
) -> None:
    """y += Σᵢ (targetᵢ − weightᵢ·(rowᵢ·x))·rowᵢ over ROWS rows of `vectors` ≥ 1 times LANES."""
    rows = _rows(builder, table, offsets)
    products = _dot_products(builder, vectors, rows, x)
    weight, target = load(builder, weights, _FOUR), load(builder, targets, _FOUR)
    factors = builder.fsub(target, builder.fmul(weight, products))
    _add_multiples(builder, VECTOR, vectors, rows, _lanes(builder, factors), y)


@intrinsic("i64 f32* i64 f32* f32*")
def subtract_rows(
    builder: Any, vectors: Any, table: Any, stride: Any, factors: Any, y: Any
) -> None:
    """y −= Σᵢ factorᵢ·table[i·stride …] over ROWS rows of `vectors` ≥ 1 times LANES."""
    rows = [builder.gep(table, [builder.mul(stride, INT(i))]) for i in range(ROWS)]
    negative = builder.fneg(load(builder, factors, _FOUR))
    _add_multiples(builder, VECTOR, vectors, rows, _lanes(builder, negative), y)


@intrinsic("i64 f64* i64 f64* i64 f64*")
def subtract_rows_64(
    builder: Any, vectors: Any, table: Any, stride: Any, factors: Any, apart: Any, y: Any
) -> None:
    """y −= Σᵢ factors[i·apart]·table[i·stride …] over ROWS rows of `vectors` times DOUBLES."""
    rows = [builder.gep(table, [builder.mul(stride, INT(i))]) for i in range(ROWS)]
    places = [builder.gep(factors, [builder.mul(apart, INT(i))]) for i in range(ROWS)]
    negative = [builder.fneg(builder.load(place)) for place in places]
    _add_multiples(builder, _VECTOR64, vectors, rows, negative, y)


def _rows(builder: Any, table: Any, offsets: Any) -> list[Any]:
    """The addresses of rows, from a table of their offsets."""
    loaded = [builder.load(builder.gep(offsets, [INT(i)])) for i in range(ROWS)]
    return [builder.gep(table, [offset]) for offset in loaded]


def _dot_products(builder: Any, vectors: Any, rows: list[Any], x: Any) -> Any:
    """The products of ROWS rows with x, as one vector."""
    fused = multiply_add(builder.module, VECTOR)

    def update(k: Any, sums: list[Any]) -> list[Any]:
        offset = builder.mul(k, INT(LANES))
        factor = load(builder, builder.gep(x, [offset]))
        loaded = [load(builder, builder.gep(row, [offset])) for row in rows]
        return [builder.call(fused, [a, factor, s]) for a, s in zip(loaded, sums, strict=True)]

    zeros = [ir.Constant(VECTOR, [0.0] * LANES)] * ROWS
    return _lane_sums(builder, loop(builder, vectors, zeros, update))


def _lane_sums(builder: Any, vectors: list[Any]) -> Any:
    """The sums of the lanes of ROWS vectors, as one vector."""
    lanes = LANES
    while lanes > ROWS:  # halves of one vector are added
        lanes //= 2
        halves = [
            [shuffle(builder, v, v, range(begin, begin + lanes)) for begin in (0, lanes)]
            for v in vectors
        ]
        vectors = [builder.fadd(low, high) for low, high in halves]
    return row_sums(builder, vectors)


def _lanes(builder: Any, vector: Any) -> list[Any]:
    """The numbers in a vector."""
    return [builder.extract_element(vector, ir.IntType(32)(i)) for i in range(ROWS)]


def _add_multiples(
    builder: Any, kind: Any, vectors: Any, rows: list[Any], factors: list[Any], y: Any
) -> None:
    """y += Σᵢ factorᵢ·rowᵢ."""
    fused = multiply_add(builder.module, kind)
    factors = [broadcast(builder, factor, kind) for factor in factors]

    def update(k: Any, _: list[Any]) -> list[Any]:
        offset = builder.mul(k, INT(kind.count))
        place = builder.gep(y, [offset])
        total = load(builder, place, kind)
        for factor, row in zip(factors, rows, strict=True):
            vector = load(builder, builder.gep(row, [offset]), kind)
            total = builder.call(fused, [factor, vector, total])
        store(builder, total, place)
        return []

    loop(builder, vectors, [], update)
