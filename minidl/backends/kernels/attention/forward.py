"""Attention forward: FlashAttention, with the online softmax.

    for each block of queries:                             the unit of work of a thread
        for each block of keys:
            s = K·qᵀ·scale + mask
            m′ = max s if that exceeds m by far, else m
            l = l·exp(m − m′),  yᵀ = yᵀ·exp(m − m′),  m = m′
            p = exp(s − m)
            l = l + Σ p,  yᵀ = yᵀ + Vᵀ·p
        y = yᵀ / l

    T. Dao, D. Fu, S. Ermon, A. Rudra, C. Ré.  FlashAttention: fast and memory-efficient exact
    attention with IO-awareness.  NeurIPS 2022, arXiv:2205.14135.
    T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691.
    M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax.  2018, arXiv:1805.02867.

Saved are m and 1 / l of each query, so memory grows with L, not with L·S.  Causality leaves out the
blocks above the diagonal.

**Precision.**  Keys are added in runs, some thousand of them in float32, whose sums are added in
float64, as is l.  Rescaling rounds; m is raised only where it lags behind by 8, which is seldom, so
that p may be as large as e⁸.  So the error does not grow with the number of keys.

Cost: 2·(E + Ev) flops and an exp for each query and key, half of them if causal.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.attention.blocks import (
    FLUSH,
    KEYS,
    PROBLEM,
    QUERIES,
    add_rows,
    balanced,
    fill_factors,
    logits,
    masking,
    named,
    padded,
    queries_of_block,
    query_blocks,
    store_transposed,
    transpose_heads,
)
from minidl.backends.kernels.attention.masks import keys_of_block
from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner, parallel
from minidl.backends.kernels.simd.attention import (
    column_maxima,
    exponentials,
    scale_lanes,
)
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.math import exp32
from minidl.backends.kernels.simd.micro_kernel import MR, RUN, multiply_panels

_F = np.float32
_ZERO, _NEVER = _F(0), _F(-np.inf)
_MARGIN = _F(8)  # p may be as large as e⁸


class _Workspace(NamedTuple):
    """The memory of a thread."""

    rows: np.ndarray  # (QUERIES, Ev): y, row by row
    packed: np.ndarray  # (E, QUERIES): scaled queries
    s: np.ndarray  # (KEYS, QUERIES)
    y: np.ndarray  # (Ev, QUERIES): of a block of keys
    lines: np.ndarray  # (4, QUERIES): m, m′, exp(m − m′), Σ p


def workspace_size(sizes: tuple[int, int]) -> int:
    """How many float32 a thread needs, without masks."""
    return QUERIES * (padded(sizes[1]) + sizes[0] + KEYS + sizes[1] + MR + 4)


@inner
def _workspace(memory, size, value_size):
    width = (value_size + LANES - 1) // LANES * LANES
    value_rows = value_size + MR
    packed = QUERIES * width
    s = packed + size * QUERIES
    y = s + KEYS * QUERIES
    lines = y + value_rows * QUERIES
    return _Workspace(
        carray(pointer(memory, 0), (QUERIES, width)),
        carray(pointer(memory, packed), (size, QUERIES)),
        carray(pointer(memory, s), (KEYS, QUERIES)),
        carray(pointer(memory, y), (value_rows, QUERIES)),
        carray(pointer(memory, lines), (4, QUERIES)),
    )


@parallel(
    f"{PROBLEM} f32[~b,h,l,v] f32[b,h,two,l] f32[chunk,size] f64[chunk,q] f64[chunk,v,q]"
    " i64[chunk,two,k]",
    then=[
        "simd.micro_kernel:transpose_panel",
        *("simd.attention:column_maxima", "simd.attention:exponentials"),
        *("simd.micro_kernel:multiply_panels", "simd.attention:scale_lanes"),
        *("attention.backward:_backward", "simd.attention:weight_gradients"),
    ],
)
def _forward(problem, y, statistics, memory, sums, totals, offsets, chunk, chunks):
    """y, and of each query the maximum of its logits and the reciprocal of Σ p."""
    problem = named(problem)
    batch, heads, length, size = problem.query.shape
    value_size = problem.value.shape[3]
    blocks = query_blocks(length)
    own = _workspace(memory[chunk], size, value_size)
    masks = masking(memory[chunk], offsets[chunk], max(size, value_size))
    start, stop = chunk_bounds(batch * heads * blocks, chunk, chunks)
    for unit in range(start, stop):
        index = unit // blocks
        block = balanced(unit % blocks, blocks, problem.is_causal)
        queries = queries_of_block(problem, index // heads, index % heads, block)
        _pack(problem, queries, own)
        _attend(problem, queries, own, sums[chunk], totals[chunk], masks)
        of_head = statistics[queries.batch, queries.head]
        _store(queries, own, sums[chunk], totals[chunk], y, of_head)


@inner
def _pack(problem, queries, own):
    """The scaled queries, transposed."""
    transpose_heads(problem.query, queries, own.packed)
    factors = own.lines[0]
    factors[:] = problem.scale
    size = own.packed.shape[0]
    scale_lanes(queries.vectors, size, pointer(own.packed, 0), QUERIES, pointer(factors, 0))


@inner
def _attend(problem, queries, own, sums, totals, masks):
    """own.y + totals = yᵀ·l and sums = l, over all keys."""
    length, value_size = problem.key.shape[2], problem.value.shape[3]
    width, summed = queries.vectors * LANES, 0
    if problem.is_causal:
        length = min(length, queries.first + queries.length)
    own.lines[0, :width] = _NEVER
    sums[:width], totals[:] = 0, 0
    group = queries.head // (problem.query.shape[1] // problem.value.shape[1])
    values = pointer(problem.value[queries.batch, group], 0)
    for begin in range(0, length, KEYS):
        keys = keys_of_block(problem, queries, begin, min(begin + KEYS, length), masks)
        if keys.length == 0:
            continue
        logits(problem, queries, keys, own.packed, masks, own.s)
        if _raise_maxima(queries, keys, own) and begin:
            _rescale(own, sums, totals, summed, width)
        _exponentiate(queries, keys, own, sums)
        if problem.dropped > 0:
            fill_factors(problem, queries, keys, masks)
            _drop(own.s, masks.factors, keys.length, width)
        multiply_panels(
            value_size, queries.vectors, keys.length, RUN,
            values, pointer(problem.tables.value_size, 0), pointer(keys.values, 0),
            pointer(own.s, 0), pointer(problem.tables.block, 0),
            pointer(own.y, 0), QUERIES, summed > 0,
        )  # fmt: skip
        summed += keys.length
        if totals.size and summed >= FLUSH:
            add_rows(own.y[:value_size], totals, width)
            summed = 0
    if summed == 0:
        own.y[:] = 0


@inner
def _raise_maxima(queries, keys, own):
    """Raise m where the block exceeds it by far; whether there is a query of which it was raised.

    The factors are exp(m − m′).  A query that has seen no key so far has m = −∞.
    """
    before, largest, factors = own.lines[0], own.lines[1], own.lines[2]
    width = queries.vectors * LANES
    for q in range(width):
        largest[q] = _NEVER
    column_maxima(
        queries.vectors, keys.length, pointer(own.s, 0), QUERIES, pointer(own.lines, QUERIES)
    )
    raised = False
    for q in range(width):
        raised |= largest[q] > before[q] + _MARGIN
    if raised:
        for q in range(width):
            after = largest[q] if largest[q] > before[q] + _MARGIN else before[q]
            factors[q] = _ZERO if before[q] == _NEVER else exp32(before[q] - after)
            before[q] = after
    return raised


@inner
def _rescale(own, sums, totals, summed, width):
    """Multiply by exp(m − m′) what was summed so far."""
    factors = own.lines[2]
    for q in range(width):
        sums[q] *= factors[q]
    if summed:
        rows = own.y.shape[0]
        scale_lanes(width // LANES, rows, pointer(own.y, 0), QUERIES, pointer(factors, 0))
    for i in range(totals.shape[0]):
        total = totals[i]
        for q in range(width):
            total[q] *= factors[q]


@inner
def _exponentiate(queries, keys, own, sums):
    """s = exp(s − m), and their sums, run by run; m = −∞ counts as 0."""
    width = queries.vectors * LANES
    maxima, shifts, partial = own.lines[0], own.lines[1], own.lines[3]
    for q in range(width):
        shifts[q] = _ZERO if maxima[q] == _NEVER else maxima[q]
        partial[q] = 0
    for i in range(0, keys.length, RUN):
        exponentials(
            queries.vectors, min(RUN, keys.length - i), pointer(own.s, i * QUERIES), QUERIES,
            pointer(own.lines, QUERIES), pointer(own.lines, 3 * QUERIES),
        )  # fmt: skip
    for q in range(width):
        sums[q] += partial[q]


@inner
def _drop(s, factors, count, width):
    """The weights after dropout."""
    for i in range(count):
        row, factor = s[i], factors[i]
        for q in range(width):
            row[q] *= factor[q]


@inner
def _store(queries, own, sums, totals, y, statistics):
    """y = yᵀ / l, transposed, and m and 1 / l; 0 for a query that saw no key."""
    value_size, width = y.shape[3], queries.vectors * LANES
    maxima, reciprocals = own.lines[0], own.lines[1]
    for q in range(width):
        reciprocals[q] = _F(1 / sums[q]) if sums[q] != 0 else _ZERO
    for q in range(queries.length):
        statistics[0, queries.first + q] = _ZERO if maxima[q] == _NEVER else maxima[q]
        statistics[1, queries.first + q] = reciprocals[q]
    for i in range(totals.shape[0]):
        row, total = own.y[i], totals[i]
        for q in range(width):
            row[q] = _F(row[q] + total[q])
    scale_lanes(
        queries.vectors, value_size, pointer(own.y, 0), QUERIES, pointer(own.lines, QUERIES)
    )
    store_transposed(own.y, own.rows, queries, y)
