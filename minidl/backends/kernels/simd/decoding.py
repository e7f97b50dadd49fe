"""The two products of attention with few queries: a row of logits, and a weighted sum of values.

Each reads a matrix row by row, where it lies in memory, once.  No lane is a query, as in blocks of
many: a vector holds the logits of LANES keys, or LANES numbers of a value.
"""

from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, intrinsic, outlined
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    advance,
    broadcast,
    load,
    loop,
    multiply_add,
    prefetch,
    shuffle,
    store,
)

_HAS_32_REGISTERS = level().registers == 32
# Sums side by side, enough for no multiply-add to wait for the one before it: in logits, those of
# so many keys; in weighted sums, CHAINS for each vector of a value, of which there are a few.
_KEYS_AT_ONCE = min(8, LANES) if _HAS_32_REGISTERS else 4
CHAINS, _WIDEST = 2, 4
_PAIR_WIDEST = 4 if _HAS_32_REGISTERS else 2  # vectors of a value for two queries
_ZERO_VECTOR = ir.Constant(VECTOR, [0.0] * LANES)


def _logits_of_lanes(queries: int) -> Any:
    """The products of so many queries and LANES keys, of which those from `count` on repeat."""

    @intrinsic("i64 i64 f32* i64 f32* i64 f32* i64")
    def kernel(builder, vectors, count, keys, stride, query, query_stride, target, target_stride):
        fused = multiply_add(builder.module)
        last = builder.sub(count, INT(1))
        factors = [builder.gep(query, [builder.mul(query_stride, INT(i))]) for i in range(queries)]
        sums: list[list[Any]] = [[] for _ in factors]
        for first in range(0, LANES, _KEYS_AT_ONCE):
            rows = []
            for i in range(first, first + _KEYS_AT_ONCE):
                is_there = builder.icmp_signed("<", INT(i), last)
                index = builder.select(is_there, INT(i), last)
                rows.append(builder.gep(keys, [builder.mul(index, stride)]))

            def add(k: Any, sums: list[Any], rows: list[Any] = rows) -> list[Any]:
                offset = [builder.mul(k, INT(LANES))]
                own = [load(builder, builder.gep(factor, offset)) for factor in factors]
                numbers = [load(builder, builder.gep(row, offset)) for row in rows]
                if queries > 1:  # one is done before the next rows would have been fetched
                    ahead = builder.add(offset[0], builder.mul(stride, INT(LANES)))
                    for row in rows:
                        prefetch(builder, builder.gep(row, [ahead]), writing=0)
                products = [(x, factor) for factor in own for x in numbers]
                return [
                    builder.call(fused, [*product, total])
                    for product, total in zip(products, sums, strict=True)
                ]

            found = loop(builder, vectors, [_ZERO_VECTOR] * (queries * _KEYS_AT_ONCE), add)
            for i in range(queries):
                sums[i] += found[i * _KEYS_AT_ONCE : (i + 1) * _KEYS_AT_ONCE]
        for i in range(queries):
            address = builder.gep(target, [builder.mul(target_stride, INT(i))])
            store(builder, _summed(builder, sums[i]), address)

    return kernel


def _summed(builder: Any, vectors: list[Any]) -> Any:
    """A vector whose lane i is the sum of the lanes of vector i.

    Of two vectors, halves are exchanged and added, then quarters inside these, and so on: log₂
    LANES passes, each over half as many vectors as the one before.
    """
    half = LANES // 2
    while half:
        upper = [lane + LANES if lane & half else lane for lane in range(LANES)]
        lower = [lane - half + LANES if lane & half else lane + half for lane in range(LANES)]
        pairs = zip(vectors[:half], vectors[half:], strict=True)
        vectors = [
            builder.fadd(shuffle(builder, a, b, upper), shuffle(builder, a, b, lower))
            for a, b in pairs
        ]
        half //= 2
    return vectors[0]


def _weighted_sums(queries: int, vectors: int) -> Any:
    """target += Σ weight·row for so many queries, over CHAINS rows in each of `steps` steps."""

    @intrinsic("i64 f32* i64 f32* i64* f32* i64")
    def kernel(builder, steps, weights, weights_stride, rows, offsets, target, target_stride):
        fused = multiply_add(builder.module)
        of_query = [
            builder.gep(weights, [builder.mul(weights_stride, INT(i))]) for i in range(queries)
        ]

        def add(k, sums):
            first, updated = builder.mul(k, INT(CHAINS)), []
            for chain in range(CHAINS):
                index = [builder.add(first, INT(chain))]
                row = builder.gep(rows, [builder.load(builder.gep(offsets, index))])
                numbers = [
                    load(builder, builder.gep(row, [INT(v * LANES)])) for v in range(vectors)
                ]
                for own in of_query:
                    weight = broadcast(builder, builder.load(builder.gep(own, index)))
                    for x in numbers:
                        updated.append(builder.call(fused, [x, weight, sums[len(updated)]]))
            return updated

        sums = loop(builder, steps, [_ZERO_VECTOR] * (CHAINS * queries * vectors), add)
        each = queries * vectors
        for position in range(each):
            total = sums[position]
            for chain in range(1, CHAINS):
                total = builder.fadd(total, sums[chain * each + position])
            i, v = divmod(position, vectors)
            offset = builder.add(builder.mul(target_stride, INT(i)), INT(v * LANES))
            address = builder.gep(target, [offset])
            store(builder, builder.fadd(load(builder, address), total), address)

    return kernel


def _in_panels(queries: int, widest: int) -> Any:
    """The weighted sums of so many queries, `widest` vectors of a value at a time or fewer."""
    widths = [_weighted_sums(queries, vectors) for vectors in range(1, widest + 1)]
    one, two, three, four = [*widths, *widths[-1:] * (4 - widest)]

    @inner
    def sums(vectors, steps, weights, weights_stride, rows, offsets, target, target_stride):
        panels = (vectors + widest - 1) // widest
        for panel in range(panels):
            left, right = chunk_bounds(vectors, panel, panels)
            columns, y = advance(rows, left * LANES), advance(target, left * LANES)
            if right - left == 1:
                one(steps, weights, weights_stride, columns, offsets, y, target_stride)
            elif right - left == 2:
                two(steps, weights, weights_stride, columns, offsets, y, target_stride)
            elif right - left == 3:
                three(steps, weights, weights_stride, columns, offsets, y, target_stride)
            else:
                four(steps, weights, weights_stride, columns, offsets, y, target_stride)

    return sums


_one_query, _two_queries = _logits_of_lanes(1), _logits_of_lanes(2)
_sums_of_one = _in_panels(1, _WIDEST)
_sums_of_two = _in_panels(2, _PAIR_WIDEST)


# What kernels call, for several queries, whose rows are `…_stride` elements apart.


@outlined("i64 i64 i64 f32* i64 f32* i64 f32* i64")
def logits_of_queries(
    queries, vectors, count, keys, stride, query, query_stride, target, target_stride
):  # fmt: skip
    """target[q, i] = Σⱼ keys[i·stride + j]·query[q, j] for LANES keys, in `vectors` full vectors.

    Those from `count` on, which is at least 1, repeat the last one before.
    """
    for q in range(0, queries - 1, 2):
        own, result = advance(query, q * query_stride), advance(target, q * target_stride)
        _two_queries(vectors, count, keys, stride, own, query_stride, result, target_stride)
    if queries % 2:
        q = queries - 1
        own, result = advance(query, q * query_stride), advance(target, q * target_stride)
        _one_query(vectors, count, keys, stride, own, query_stride, result, target_stride)


@outlined("i64 i64 i64 f32* i64 f32* i64* f32* i64")
def add_weighted(
    queries, vectors, steps, weights, weights_stride, rows, offsets, target, target_stride
):  # fmt: skip
    """target[q, j] += Σₖ weights[q, k]·rows[offsets[k] + j] over CHAINS·steps rows; steps ≥ 1.

    `vectors` full vectors of each row are read.
    """
    for q in range(0, queries - 1, 2):
        own, y = advance(weights, q * weights_stride), advance(target, q * target_stride)
        _sums_of_two(vectors, steps, own, weights_stride, rows, offsets, y, target_stride)
    if queries % 2:
        q = queries - 1
        own, y = advance(weights, q * weights_stride), advance(target, q * target_stride)
        _sums_of_one(vectors, steps, own, weights_stride, rows, offsets, y, target_stride)
