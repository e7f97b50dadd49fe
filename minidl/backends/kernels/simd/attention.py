"""The elementwise passes of attention, over a block of logits that stays in the cache.

A block holds the logits s[key, query] of some keys (rows) and queries (columns, one lane each): so
the maximum and the sum of a softmax are taken lane by lane, and no vector is reduced.  Each pass
goes down one column of vectors, or a few, with its maxima or sums in registers.

The exponentials are those of numbers below 88, which saves half the steps of `math.exp32`: within
0.9 ulp, or 1.2 on processors without a fused multiply-add (below x86-64-v3), and 0 below e⁻⁸⁷.  The
polynomial is the minimax one of degree 6, found as described there.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import chunk_bounds, intrinsic, outlined
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    advance,
    load,
    loop,
    multiply_add,
    store,
    store_columns,
)
from minidl.backends.kernels.simd.micro_kernel import NR_VECTORS, tile_count

_BITS = ir.VectorType(ir.IntType(32), LANES)
WORD = 32  # keys whose bits are a word: of a lane, so many bits as a float32
_LOG2_E, _SHIFT = 1.44269504, 1.5 * 2**23  # added to x, it leaves the nearest integer at the end
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # n·LN2_HIGH is exact
_LOWEST = -87.0  # eˣ is a normal number from here on
_COEFFICIENTS = (
    *(1.38212356e-3, 8.36866628e-3, 4.16682586e-2, 1.66665211e-1, 4.99999940e-1),
    *(1.0, 1.0),
)


def _everywhere(value: float) -> Any:
    """A vector that holds a number in every lane."""
    return ir.Constant(VECTOR, [float(np.float32(value))] * LANES)


def _exp(builder: Any, x: Any) -> Any:
    """eˣ for x < 88: 2ⁿ·eʳ, with n the integer nearest to x / ln 2, r = x − n·ln 2; NaN stays."""
    fused = multiply_add(builder.module)
    counts = builder.fcmp_unordered(">=", x, _everywhere(_LOWEST))
    shifted = builder.call(fused, [x, _everywhere(_LOG2_E), _everywhere(_SHIFT)])
    n = builder.fsub(shifted, _everywhere(_SHIFT))
    r = builder.call(fused, [n, _everywhere(-_LN2_HIGH), x])
    r = builder.call(fused, [n, _everywhere(-_LN2_LOW), r])
    p = _everywhere(_COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        p = builder.call(fused, [p, r, _everywhere(coefficient)])
    # n stands in the last bits of `shifted`; there it is added to the exponent of p.
    exponent = builder.shl(builder.bitcast(shifted, _BITS), ir.Constant(_BITS, [23] * LANES))
    bits = builder.add(builder.bitcast(p, _BITS), exponent)
    return builder.bitcast(builder.select(counts, bits, ir.Constant(_BITS, [0] * LANES)), VECTOR)


def _vectors(builder: Any, address: Any, count: int) -> list[Any]:
    """The addresses of so many vectors, one after the other."""
    return [builder.gep(address, [INT(v * LANES)]) for v in range(count)]


def _column_maxima(vectors: int) -> Any:
    """maxima = max(maxima, s) of so many columns of vectors; NaN does not count."""

    @intrinsic("i64 f32* i64 f32*")
    def kernel(builder, count, s, stride, maxima):
        targets = _vectors(builder, maxima, vectors)

        def larger(k, found):
            row = _vectors(builder, builder.gep(s, [builder.mul(k, stride)]), vectors)
            values = [load(builder, address) for address in row]
            above = [builder.fcmp_ordered(">", x, y) for x, y in zip(values, found, strict=True)]
            return [
                builder.select(mask, x, y) for mask, x, y in zip(above, values, found, strict=True)
            ]

        start = [load(builder, address) for address in targets]
        for value, target in zip(loop(builder, count, start, larger), targets, strict=True):
            store(builder, value, target)

    return kernel


_maxima_of = {vectors: _column_maxima(vectors) for vectors in (1, 2, 3)}
_one_maximum, _two_maxima, _three_maxima = _maxima_of[1], _maxima_of[2], _maxima_of[NR_VECTORS]


@intrinsic("i64 f32* i64 f32* f32*")
def _exponentials(builder: Any, count: Any, s: Any, stride: Any, maxima: Any, sums: Any) -> None:
    """s = exp(s − max) of one column of vectors; the sums of these are added to `sums`."""
    largest = load(builder, maxima)

    def add(k: Any, sums: list[Any]) -> list[Any]:
        address = builder.gep(s, [builder.mul(k, stride)])
        e = _exp(builder, builder.fsub(load(builder, address), largest))
        store(builder, e, address)
        return [builder.fadd(sums[0], e)]

    total = loop(builder, count, [_everywhere(0)], add)[0]
    store(builder, builder.fadd(load(builder, sums), total), sums)


@intrinsic("i64 f32* f32* i64")
def _add_mask(builder: Any, count: Any, s: Any, mask: Any, stride: Any) -> None:
    """s = s + mask of one column of vectors; −inf where the mask is, also if s is NaN."""

    def add(k: Any, _: list[Any]) -> list[Any]:
        offset = [builder.mul(k, stride)]
        address = builder.gep(s, offset)
        added = load(builder, builder.gep(mask, offset))
        hidden = builder.fcmp_ordered("==", added, _everywhere(-np.inf))
        total = builder.fadd(load(builder, address), added)
        store(builder, builder.select(hidden, added, total), address)
        return []

    loop(builder, count, [], add)


@intrinsic("f32* i64 f32* i64 f32*")
def mask_square(
    builder: Any, mask: Any, stride: Any, target: Any, target_stride: Any, seen: Any
) -> None:
    """A square of a mask of floats, transposed; `seen` becomes 1 for keys that a query sees."""
    rows, visible = [], None
    for i in range(LANES):
        rows.append(load(builder, builder.gep(mask, [builder.mul(stride, INT(i))])))
        sees = builder.fcmp_unordered("!=", rows[-1], _everywhere(-np.inf))
        visible = sees if visible is None else builder.or_(visible, sees)
    store(builder, builder.select(visible, _everywhere(1), load(builder, seen)), seen)
    store_columns(builder, rows, target, target_stride)


@intrinsic("u8* -> i64")
def bits_of_bytes(builder: Any, address: Any) -> Any:
    """WORD bytes as the bits of a number: 1 where a byte is not 0."""
    line = ir.VectorType(ir.IntType(8), WORD)
    numbers = builder.load(builder.bitcast(address, line.as_pointer()))
    numbers.align = 1
    is_set = builder.icmp_unsigned("!=", numbers, ir.Constant(line, [0] * WORD))
    return builder.zext(builder.bitcast(is_set, ir.IntType(WORD)), INT)


@intrinsic("i64 f32*")
def store_bits(builder: Any, bits: Any, address: Any) -> None:
    """Store the last WORD bits of a number."""
    word = ir.IntType(WORD)
    builder.store(builder.trunc(bits, word), builder.bitcast(address, word.as_pointer())).align = 4


@intrinsic("i64 i64 f32* i64 f32*")
def _hide_keys(builder: Any, count: Any, first: Any, s: Any, stride: Any, words: Any) -> None:
    """s = −inf where bit `first` + k of a lane's word is 0, of one column of vectors."""
    bits, zeros = builder.bitcast(load(builder, words), _BITS), ir.Constant(_BITS, [0] * LANES)

    def hide(k: Any, _: list[Any]) -> list[Any]:
        address = builder.gep(s, [builder.mul(k, stride)])
        bit = builder.shl(INT(1), builder.add(first, k))
        chosen = builder.insert_element(zeros, builder.trunc(bit, ir.IntType(32)), INT(0))
        chosen = builder.shuffle_vector(chosen, zeros, zeros)
        sees = builder.icmp_unsigned("!=", builder.and_(bits, chosen), zeros)
        kept = builder.select(sees, load(builder, address), _everywhere(-np.inf))
        store(builder, kept, address)
        return []

    loop(builder, count, [], hide)


@intrinsic("i64 f32* i64 f32*")
def _scale_lanes(builder: Any, count: Any, x: Any, stride: Any, factors: Any) -> None:
    """x = x·factor of one column of vectors; 0 where the factor is 0, also if x is NaN."""
    factor = load(builder, factors)
    is_zero = builder.fcmp_ordered("==", factor, _everywhere(0))

    def scale(k: Any, _: list[Any]) -> list[Any]:
        address = builder.gep(x, [builder.mul(k, stride)])
        scaled = builder.fmul(load(builder, address), factor)
        store(builder, builder.select(is_zero, _everywhere(0), scaled), address)
        return []

    loop(builder, count, [], scale)


@intrinsic("i64 f32* i64 f32*")
def _find_nonzero(builder: Any, count: Any, x: Any, stride: Any, found: Any) -> None:
    """1 for each lane in which a number of one column of vectors is not 0, else 0."""

    def find(k: Any, found: list[Any]) -> list[Any]:
        value = load(builder, builder.gep(x, [builder.mul(k, stride)]))
        is_zero = builder.fcmp_ordered("==", value, _everywhere(0))
        return [builder.select(is_zero, found[0], _everywhere(1))]

    store(builder, loop(builder, count, [_everywhere(0)], find)[0], found)


@intrinsic("i64 f32* f32* i64 f32*")
def _add_dots(builder: Any, count: Any, a: Any, b: Any, stride: Any, sums: Any) -> None:
    """sums += Σ a·b of one column of vectors, where 0 in a counts as 0, whatever b is."""
    fused = multiply_add(builder.module)

    def add(k: Any, total: list[Any]) -> list[Any]:
        offset = [builder.mul(k, stride)]
        of_a, of_b = load(builder, builder.gep(a, offset)), load(builder, builder.gep(b, offset))
        is_zero = builder.fcmp_ordered("==", of_a, _everywhere(0))
        more = builder.call(fused, [of_a, of_b, total[0]])
        return [builder.select(is_zero, total[0], more)]

    total = loop(builder, count, [_everywhere(0)], add)[0]
    store(builder, builder.fadd(load(builder, sums), total), sums)


def _gradients(drops: bool) -> Any:
    """The gradient pass of one column of vectors, with or without dropout."""

    @intrinsic("i64 f32* f32* f32* i64 f32* f32*")
    def kernel(builder, count, s, dp, kept, stride, maxima, means):
        largest, mean = load(builder, maxima), load(builder, means)

        def update(k, _):
            offset = [builder.mul(k, stride)]
            of_s, of_dp = builder.gep(s, offset), builder.gep(dp, offset)
            e = _exp(builder, builder.fsub(load(builder, of_s), largest))
            gradient, used = load(builder, of_dp), e
            if drops:
                factor = load(builder, builder.gep(kept, offset))
                gradient, used = builder.fmul(gradient, factor), builder.fmul(e, factor)
            gradient = builder.fmul(e, builder.fsub(gradient, mean))
            no_weight = builder.fcmp_ordered("==", e, _everywhere(0))
            store(builder, used, of_s)
            store(builder, builder.select(no_weight, _everywhere(0), gradient), of_dp)
            return []

        loop(builder, count, [], update)

    return kernel


_gradients_of_all, _gradients_of_kept = _gradients(drops=False), _gradients(drops=True)


# What kernels call; of each block, `vectors` columns of vectors, with rows `stride` elements apart.


@outlined("i64 i64 f32* i64 f32*")
def column_maxima(vectors, count, s, stride, maxima):
    """maxima[q] = max(maxima[q], max over `count` keys of s[key, q]); NaN does not count."""
    panels = tile_count(vectors)
    for panel in range(panels):
        left, right = chunk_bounds(vectors, panel, panels)
        column, own = advance(s, left * LANES), advance(maxima, left * LANES)
        if right - left == 1:
            _one_maximum(count, column, stride, own)
        elif right - left == 2:
            _two_maxima(count, column, stride, own)
        else:
            _three_maxima(count, column, stride, own)


@outlined("i64 i64 f32* i64 f32* f32*")
def exponentials(vectors, count, s, stride, maxima, sums):
    """s = exp(s − maxima[q]) for `count` keys; sums[q] += Σ s."""
    for v in range(0, vectors * LANES, LANES):
        _exponentials(count, advance(s, v), stride, advance(maxima, v), advance(sums, v))


@outlined("i64 i64 f32* f32* i64")
def add_mask(vectors, count, s, mask, stride):
    """s = s + mask for `count` keys; where the mask is −inf, s becomes so, also if it is NaN."""
    for v in range(0, vectors * LANES, LANES):
        _add_mask(count, advance(s, v), advance(mask, v), stride)


@outlined("i64 i64 i64 f32* i64 f32*")
def hide_keys(vectors, count, first, s, stride, words):
    """s = −inf for each of `count` keys whose bit is 0: bits `first`, … of words[i, q].

    words    WORD keys each, from bit 0 of row 0 on, with rows as s
    """
    done = 0
    while done < count:
        row, bit = (first + done) // WORD, (first + done) % WORD
        some = min(WORD - bit, count - done)
        for v in range(0, vectors * LANES, LANES):
            own = advance(s, done * stride + v)
            _hide_keys(some, bit, own, stride, advance(words, row * stride + v))
        done += some


@outlined("i64 i64 f32* i64 f32*")
def scale_lanes(vectors, count, x, stride, factors):
    """x[i, q] = x[i, q]·factors[q] in `count` rows; 0 where the factor is 0, also if x is NaN."""
    for v in range(0, vectors * LANES, LANES):
        _scale_lanes(count, advance(x, v), stride, advance(factors, v))


@outlined("i64 i64 f32* i64 f32*")
def find_nonzero(vectors, count, x, stride, found):
    """found[q] = 1 if a number x[i, q] of `count` rows is not 0, else 0."""
    for v in range(0, vectors * LANES, LANES):
        _find_nonzero(count, advance(x, v), stride, advance(found, v))


@outlined("i64 i64 f32* f32* i64 f32*")
def add_dots(vectors, count, a, b, stride, sums):
    """sums[q] += Σᵢ a[i, q]·b[i, q] of `count` rows; where a is 0, the product is, too."""
    for v in range(0, vectors * LANES, LANES):
        _add_dots(count, advance(a, v), advance(b, v), stride, advance(sums, v))


@outlined("i64 i64 f32* f32* f32* i64 f32* f32* i64")
def weight_gradients(vectors, count, s, dp, kept, stride, maxima, means, drops):
    """With e = exp(s − maxima[q]):  s = e,  dp = e·(dp − means[q]), and 0 where e is 0.

    With `drops`, by the factors `kept` of dropout:  s = e·kept,  dp = e·(dp·kept − means[q]).
    """
    for v in range(0, vectors * LANES, LANES):
        own, gradient, factors = advance(s, v), advance(dp, v), advance(kept, v)
        largest, mean = advance(maxima, v), advance(means, v)
        if drops:
            _gradients_of_kept(count, own, gradient, factors, stride, largest, mean)
        else:
            _gradients_of_all(count, own, gradient, factors, stride, largest, mean)
