"""The masks of blocks of attention: the tile of a block, and which of its keys are seen at all.

A mask has rows of keys, and a block has lanes of queries.  Floats are transposed, square by square.
Of bools, WORD keys of a query become the bits of one word, which is its lane: then a vector of
words says for each of WORD keys which lanes see it, and nothing is transposed.
"""

import numpy as np

from minidl.backends.kernels.attention.blocks import KEYS, QUERIES, Keys
from minidl.backends.kernels.runtime.kernel import carray, inlined, inner
from minidl.backends.kernels.simd.attention import (
    WORD,
    bits_of_bytes,
    mask_square,
    store_bits,
)
from minidl.backends.kernels.simd.intrinsics import LANES, address_of, advance, pointer
from minidl.backends.kernels.simd.micro_kernel import MR

_ZERO, _ONE, _NEVER = np.float32(0), np.float32(1), np.float32(-np.inf)
_ALL = 2**WORD - 1  # the bits of keys that are all seen


@inner
def keys_of_block(problem, queries, begin, end, masks):
    """The keys begin … end − 1 but for those at both ends that no query sees; the tile is filled.

    `begin` is a multiple of KEYS.
    """
    tables = problem.tables
    if not (problem.visible.size or problem.bias.size):
        return Keys(begin, end - begin, tables.keys[begin:], tables.values[begin:])
    masks.seen[:] = 0
    _fill_tile(problem, queries, begin, end - begin, masks)
    first, last, seen = 0, end - begin, masks.seen
    while first < last and seen[first] == 0:
        first += 1
    while first < last and seen[last - 1] == 0:
        last -= 1
    own = masks.offsets
    group = queries.head // (problem.query.shape[1] // problem.key.shape[1])
    of_zeros = address_of(masks.zeros)
    no_key = (of_zeros - address_of(problem.key[queries.batch, group])) // 4
    no_value = (of_zeros - address_of(problem.value[queries.batch, group])) // 4
    for i in range(last - first):
        there = seen[first + i] != 0
        own[0, i] = tables.keys[begin + first + i] if there else no_key
        own[1, i] = tables.values[begin + first + i] if there else no_value
    for i in range(last - first, last - first + MR):
        own[0, i], own[1, i] = no_key, no_value
    return Keys(begin + first, last - first, own[0], own[1])


@inner
def add_seen(problem, keys, masks, seen):
    """Set `seen` to 1 for the keys of a block that a query of it sees."""
    if not (problem.visible.size or problem.bias.size):
        seen[: keys.length] = _ONE
        return
    for i in range(keys.length):
        seen[i] = max(seen[i], masks.seen[keys.first % KEYS + i])


@inner
def _fill_tile(problem, queries, begin, count, masks):
    """The tile of a mask, and which keys are seen.

    Of floats, it is what is added to the logits; of bools, words with a bit for each key.
    """
    if problem.visible.size:
        _fill_words(problem, queries, begin, count, masks)
    elif problem.bias.strides[2] == 0:
        _repeat_row(problem, queries, begin, count, masks)
    else:
        _fill_squares(problem, queries, begin, count, masks)


@inner
def _fill_words(problem, queries, begin, count, masks):
    """The bits of WORD keys at a time, in a word for each lane; those without a query see all."""
    stride, contiguous = problem.visible.strides[2], problem.visible.strides[3] != 0
    visible = pointer(problem.visible[queries.batch, queries.head], 0)
    for k in range(0, count, WORD):
        length, target = min(WORD, count - k), pointer(masks.tile, k // WORD * QUERIES)
        bits, seen = 0, 0
        for q in range(queries.length):
            if q == 0 or stride:
                at = (queries.first + q) * stride + (begin + k if contiguous else 0)
                bits = _bits_of_row(advance(visible, at), length, contiguous)
            own = bits
            if problem.is_causal:
                own &= _bits_until(queries.first + q - begin - k)
            seen |= own
            store_bits(own, advance(target, q))
        for q in range(queries.length, queries.vectors * LANES):
            store_bits(_ALL, advance(target, q))
        for j in range(length):
            masks.seen[k + j] = _ONE if (seen >> j) & 1 else _ZERO


@inlined
def _bits_of_row(visible, length, contiguous):
    """Which of so many keys a query sees."""
    if contiguous and length == WORD:
        return bits_of_bytes(visible)
    line, bits = carray(visible, length if contiguous else 1), 0
    if not contiguous:
        return _ALL if line[0] else 0
    for j in range(length):
        bits |= (1 << j) if line[j] else 0
    return bits


@inlined
def _bits_until(last):
    """The bits 0 … last of a word, where `last` may be outside."""
    return _ALL if last >= WORD - 1 else (0 if last < 0 else (2 << last) - 1)


@inner
def _fill_squares(problem, queries, begin, count, masks):
    """What a mask of floats adds to the logits, and −inf for causality.  In squares."""
    strides = problem.bias.strides
    stride, contiguous = strides[2] // 4, strides[3] != 0
    for q in range(0, queries.vectors * LANES, LANES):
        first = queries.first + q
        for k in range(0, count, LANES):
            whole = contiguous and q + LANES <= queries.length and k + LANES <= count
            if problem.is_causal and begin + k + LANES - 1 > first:
                whole = False
            if not whole:
                _fill_square(problem, queries, q, begin, k, count, masks)
                continue
            bias = pointer(problem.bias[queries.batch, queries.head], first * stride + begin + k)
            target, seen = pointer(masks.tile, k * QUERIES + q), pointer(masks.seen, k)
            mask_square(bias, stride, target, QUERIES, seen)


@inner
def _fill_square(problem, queries, q, begin, k, count, masks):
    """The square of the tile from lane q and key `begin` + k on, which is not filled by vectors."""
    for j in range(k, min(k + LANES, count)):
        for lane in range(q, q + LANES):
            added = _ZERO
            if lane < queries.length:
                added = _added(problem, queries, queries.first + lane, begin + j)
                masks.seen[j] = masks.seen[j] if added == _NEVER else _ONE
            masks.tile[j, lane] = added


@inner
def _added(problem, queries, query, key):
    """What a mask of floats, and causality, adds to a logit."""
    if problem.is_causal and key > query:
        return _NEVER
    return problem.bias[queries.batch, queries.head, query, key]


@inner
def _repeat_row(problem, queries, begin, count, masks):
    """The tile of a mask of floats that is the same for all queries, but for causality."""
    last = queries.first + queries.length - 1
    for j in range(count):
        added = _added(problem, queries, last, begin + j)
        masks.seen[j] = _ZERO if added == _NEVER else _ONE
        masks.tile[j, : queries.vectors * LANES] = added
