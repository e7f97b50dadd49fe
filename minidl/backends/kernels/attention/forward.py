"""Attention forward: FlashAttention, with the online softmax.

    for each block of queries:                             the unit of work of a thread
        for each block of keys:
            s = K·qᵀ·scale + mask
            m′ = max(m, max s),  p = exp(s − m′)
            l = l·exp(m − m′) + Σ p
            yᵀ = yᵀ·exp(m − m′) + Vᵀ·p
            m = m′
        y = yᵀ / l

    T. Dao, D. Fu, S. Ermon, A. Rudra, C. Ré.  FlashAttention: fast and memory-efficient exact
    attention with IO-awareness.  NeurIPS 2022, arXiv:2205.14135.
    T. Dao.  FlashAttention-2.  2023, arXiv:2307.08691.
    M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax.  2018, arXiv:1805.02867.

Saved are m and 1 / l of each query, so memory grows with L, not with L·S.  Causality leaves out the
blocks above the diagonal.

**Precision.**  The micro-kernel adds the keys of a block in runs; the sums of the blocks, and l, are
float64.  So the error does not grow with the number of keys.

Cost: 2·(E + Ev) flops and an exp for each query and key, half of them if causal.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.attention.blocks import (
    KEYS,
    PROBLEM,
    QUERIES,
    balanced,
    fill_factors,
    keys_of_block,
    logits,
    masking,
    multiply,
    named,
    queries_of_block,
    query_blocks,
)
from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner, parallel
from minidl.backends.kernels.simd.attention import column_maxima, exponentials
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.math import exp32
from minidl.backends.kernels.simd.micro_kernel import MR, RUN, transpose_panel

_F = np.float32
_ZERO, _NEVER = _F(0), _F(-np.inf)


class _Workspace(NamedTuple):
    """The memory of a thread."""

    rows: np.ndarray  # (QUERIES, size): queries, or y, row by row
    packed: np.ndarray  # (E, QUERIES): scaled queries
    s: np.ndarray  # (KEYS, QUERIES)
    y: np.ndarray  # (Ev, QUERIES): of a block of keys
    lines: np.ndarray  # (4, QUERIES): m, m′, exp(m − m′), Σ p


def workspace_size(sizes: tuple[int, int]) -> int:
    """How many float32 a thread needs, without masks."""
    size = -(-max(sizes) // LANES) * LANES
    return QUERIES * (size + sizes[0] + KEYS + sizes[1] + MR + 4)


@inner
def _workspace(memory, size, value_size):
    width = (max(size, value_size) + LANES - 1) // LANES * LANES
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
    f"{PROBLEM} f32[~b,h,l,v] f32[b,h,two,l] f32[chunk,size] f64[chunk,v,q] i64[chunk,two,k]",
    then=[
        *("simd.micro_kernel:micro_kernel", "simd.micro_kernel:transpose_panel"),
        *("simd.attention:column_maxima", "simd.attention:exponentials"),
        *("attention.backward:_backward", "simd.attention:weight_gradients"),
    ],
)
def _forward(problem, y, statistics, memory, totals, offsets, chunk, chunks):
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
        _attend(problem, queries, own, totals[chunk], masks)
        _store(queries, own, totals[chunk], y, statistics[queries.batch, queries.head])


@inner
def _pack(problem, queries, own):
    """The scaled queries, transposed."""
    size = problem.query.shape[3]
    x = problem.query[queries.batch, queries.head]
    for q in range(queries.count):
        source, target = carray(pointer(x[queries.first + q], 0), size), own.rows[q]
        for i in range(size):
            target[i] = source[i] * problem.scale
    width = own.rows.shape[1]
    source, target = pointer(own.rows, 0), pointer(own.packed, 0)
    transpose_panel(source, width, queries.count, size, target, QUERIES)


@inner
def _attend(problem, queries, own, totals, masks):
    """The sums over all keys: totals[0 … Ev − 1] = yᵀ·l; the line after them is l."""
    length, value_size = problem.key.shape[2], problem.value.shape[3]
    width, sums = queries.vectors * LANES, totals[value_size]
    if problem.is_causal:
        length = min(length, queries.first + queries.count)
    own.lines[0, :width] = _NEVER
    totals[: value_size + 1, :width] = 0
    group = queries.head // (problem.query.shape[1] // problem.value.shape[1])
    values = pointer(problem.value[queries.batch, group], 0)
    for begin in range(0, length, KEYS):
        keys = keys_of_block(problem, queries, begin, min(begin + KEYS, length), masks)
        if keys.count == 0:
            continue
        logits(problem, queries, keys, own.packed, masks, own.s)
        _raise_maxima(queries, keys, own, totals)
        _exponentiate(queries, keys, own, sums)
        if problem.dropped > 0:
            fill_factors(problem, queries, keys, masks)
            _scale(own.s, masks.factors, keys.count, width)
        multiply(
            values, pointer(problem.tables.value_size, 0), pointer(keys.values, 0), keys.count, RUN,
            pointer(own.s, 0), pointer(problem.tables.block, 0), queries.vectors,
            pointer(own.y, 0), QUERIES, value_size, False,
        )  # fmt: skip
        for i in range(value_size):
            _add(own.y[i], totals[i], width)


@inner
def _raise_maxima(queries, keys, own, totals):
    """m′ = max(m, max s); what was summed so far is multiplied by exp(m − m′)."""
    width = queries.vectors * LANES
    before, largest, factors = own.lines[0], own.lines[1], own.lines[2]
    for q in range(width):
        largest[q] = before[q]
    column_maxima(
        queries.vectors, keys.count, pointer(own.s, 0), QUERIES, pointer(own.lines, QUERIES)
    )
    changed = False
    for q in range(width):
        # A query that has seen no key so far has the maximum −∞, which cannot be subtracted.
        shift = _ZERO if largest[q] == _NEVER else largest[q]
        factors[q] = exp32(before[q] - shift)
        changed |= factors[q] != 1 and before[q] != _NEVER
        before[q], largest[q] = largest[q], shift
    if changed:
        for i in range(totals.shape[0]):
            total = totals[i]
            for q in range(width):
                total[q] *= factors[q]


@inner
def _exponentiate(queries, keys, own, sums):
    """s = exp(s − m′), and their sums, run by run."""
    shifts, partial = pointer(own.lines, QUERIES), own.lines[3]
    for i in range(0, keys.count, RUN):
        run = min(RUN, keys.count - i)
        part = pointer(own.s, i * QUERIES)
        exponentials(queries.vectors, run, part, QUERIES, shifts, pointer(own.lines, 3 * QUERIES))
        _add(partial, sums, queries.vectors * LANES)


@inner
def _add(x, total, width):
    for q in range(width):
        total[q] += x[q]


@inner
def _scale(s, factors, count, width):
    """The weights after dropout."""
    for i in range(count):
        row, factor = s[i], factors[i]
        for q in range(width):
            row[q] *= factor[q]


@inner
def _store(queries, own, totals, y, statistics):
    """y = yᵀ / l, transposed; 0 for a query that saw no key."""
    value_size = y.shape[3]
    width, sums, shifts = queries.vectors * LANES, totals[value_size], own.lines[0]
    for q in range(queries.count):
        sees = sums[q] != 0
        statistics[0, queries.first + q] = shifts[q] if sees else _ZERO
        statistics[1, queries.first + q] = _F(1 / sums[q]) if sees else _ZERO
    for i in range(value_size):
        total, row = totals[i], own.y[i]
        for q in range(width):
            row[q] = _F(total[q] / sums[q]) if sums[q] != 0 else _ZERO
    stride = own.rows.shape[1]
    source, target = pointer(own.y, 0), pointer(own.rows, 0)
    transpose_panel(source, QUERIES, value_size, queries.count, target, stride)
    result = y[queries.batch, queries.head]
    for q in range(queries.count):
        source_row = own.rows[q]
        target_row = carray(pointer(result[queries.first + q], 0), value_size)
        for i in range(value_size):
            target_row[i] = source_row[i]
