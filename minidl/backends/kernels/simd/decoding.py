"""The two products of attention with few queries: a row of logits, and a weighted sum of values.

Each reads a matrix row by row, where it lies in memory, once.  No lane is a query, as in blocks of
many: a vector holds the logits of LANES keys, or LANES numbers of a value.
"""

from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import chunk_bounds, intrinsic, outlined
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
    shuffle,
    store,
)

_HAS_32_REGISTERS = level().registers == 32
# Sums side by side, enough for no multiply-add to wait for the one before it: in logits, those of
# so many keys; in weighted sums, CHAINS for each of up to 4 vectors.
_KEYS_AT_ONCE = min(8, LANES)
CHAINS, _WIDEST = 4 if _HAS_32_REGISTERS else 2, 4
_ZERO_VECTOR = ir.Constant(VECTOR, [0.0] * LANES)


@intrinsic("i64 i64 f32* i64 f32* f32*")
def _logits_of_lanes(
    builder: Any, vectors: Any, count: Any, keys: Any, stride: Any, query: Any, target: Any
) -> None:
    """The products of a query and LANES keys, of which those beyond `count` repeat the last."""
    fused = multiply_add(builder.module)
    last = builder.sub(count, INT(1))
    sums: list[Any] = []
    for first in range(0, LANES, _KEYS_AT_ONCE):
        rows = []
        for i in range(first, first + _KEYS_AT_ONCE):
            is_there = builder.icmp_signed("<", INT(i), last)
            index = builder.select(is_there, INT(i), last)
            rows.append(builder.gep(keys, [builder.mul(index, stride)]))

        def add(k: Any, sums: list[Any], rows: list[Any] = rows) -> list[Any]:
            offset = [builder.mul(k, INT(LANES))]
            factor = load(builder, builder.gep(query, offset))
            vectors = [load(builder, builder.gep(row, offset)) for row in rows]
            return [builder.call(fused, [x, factor, y]) for x, y in zip(vectors, sums, strict=True)]

        sums += loop(builder, vectors, [_ZERO_VECTOR] * _KEYS_AT_ONCE, add)
    store(builder, _summed(builder, sums), target)


def _summed(builder: Any, vectors: list[Any]) -> Any:
    """A vector whose lane i is the sum of the lanes of vector i.

    Of two vectors, halves are exchanged and added, then quarters inside these, and so on: log₂ LANES
    passes, each over half as many vectors as the one before.
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


def _weighted_sum(vectors: int) -> Any:
    """target += Σ weight·row, over CHAINS rows in each of `steps` steps, in so many vectors."""

    @intrinsic("i64 f32* f32* i64* f32*")
    def kernel(builder, steps, weights, rows, offsets, target):
        fused = multiply_add(builder.module)

        def add(k, sums):
            first, updated = builder.mul(k, INT(CHAINS)), []
            for chain in range(CHAINS):
                index = [builder.add(first, INT(chain))]
                weight = broadcast(builder, builder.load(builder.gep(weights, index)))
                row = builder.gep(rows, [builder.load(builder.gep(offsets, index))])
                for v in range(vectors):
                    x = load(builder, builder.gep(row, [INT(v * LANES)]))
                    updated.append(builder.call(fused, [x, weight, sums[chain * vectors + v]]))
            return updated

        sums = loop(builder, steps, [_ZERO_VECTOR] * (CHAINS * vectors), add)
        chains = CHAINS
        while chains > 1:
            chains //= 2
            middle = chains * vectors
            pairs = zip(sums[:middle], sums[middle:], strict=True)
            sums = [builder.fadd(a, b) for a, b in pairs]
        for v in range(vectors):
            address = builder.gep(target, [INT(v * LANES)])
            store(builder, builder.fadd(load(builder, address), sums[v]), address)

    return kernel


_one, _two, _three, _four = (_weighted_sum(vectors) for vectors in (1, 2, 3, _WIDEST))


# What kernels call.


@outlined("i64 i64 f32* i64 f32* f32*")
def logits_of_query(vectors, count, keys, stride, query, target):
    """target[i] = Σⱼ keys[i·stride + j]·query[j] for LANES keys, in `vectors` full vectors.

    Those beyond `count`, which is at least 1, repeat the last one.
    """
    _logits_of_lanes(vectors, count, keys, stride, query, target)


@outlined("i64 i64 f32* f32* i64* f32*")
def add_weighted(vectors, steps, weights, rows, offsets, target):
    """target[j] += Σₖ weights[k]·rows[offsets[k] + j] over CHAINS·steps rows; steps is at least 1.

    `vectors` full vectors of each row are read.
    """
    panels = (vectors + _WIDEST - 1) // _WIDEST
    for panel in range(panels):
        left, right = chunk_bounds(vectors, panel, panels)
        own, y = advance(rows, left * LANES), advance(target, left * LANES)
        if right - left == 1:
            _one(steps, weights, own, offsets, y)
        elif right - left == 2:
            _two(steps, weights, own, offsets, y)
        elif right - left == 3:
            _three(steps, weights, own, offsets, y)
        else:
            _four(steps, weights, own, offsets, y)
