"""Attention backward: the weights are computed again, block by block, from what forward saved.

    p = exp(s − m)                    s as in forward; 1 / l is a factor of dy
    dvᵀ += p·dy / l
    ds  = p·(V·dyᵀ / l − D),          D = Σ dy·y / l, which is Σₖ p·dp / l
    dqᵀ += Kᵀ·ds·scale
    dkᵀ += ds·q·scale

This is algorithm 2 of FlashAttention-2 (arXiv:2307.08691), with m and 1 / l instead of m + log l,
so that p is the same number, bit by bit, as in forward.  Queries with a gradient of 0, and those
that see no key, contribute nothing, whatever they are.

A thread takes heads of keys, with all queries that share them: dk and dv accumulate in its
workspace.  Where there are fewer heads than threads, there are two passes, one over the queries for
dq, another over the keys for dk and dv, of 7 products instead of 5.  The order of the sums, and so
every bit, is the same.

**Precision.**  Products are summed in runs; a sum of several blocks of keys, or of many blocks of
queries, is float64.  So the error does not grow with the number of queries or keys.

Cost: 2·(3·E + 2·Ev) flops and an exp for each query and key, half of them if causal.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.attention.blocks import (
    FLUSH,
    KEYS,
    PROBLEM,
    QUERIES,
    Problem,
    add_rows,
    balanced,
    chunk_offsets,
    like,
    masking,
    masking_size,
    named,
    padded,
    queries_of_block,
    query_blocks,
    store_transposed,
)
from minidl.backends.kernels.attention.mask_gradient import mask_gradient
from minidl.backends.kernels.attention.masks import add_seen, keys_of_block
from minidl.backends.kernels.attention.weights import (
    pack,
    weights_and_gradients,
    workspace,
    workspace_size,
)
from minidl.backends.kernels.runtime.kernel import (
    carray,
    chunk_bounds,
    inlined,
    inner,
    parallel,
)
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.attention import scale_lanes
from minidl.backends.kernels.simd.intrinsics import LANES, advance, copy_vector, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    RUN,
    multiply_panels,
)

_F = np.float32
_RUN = QUERIES // 2  # queries of a block that are summed in registers
_BLOCKS = 16  # of queries, that are added in float32 before a float64 sum takes them


class _Split(NamedTuple):
    """Which gradients a pass computes, and into how many parts of a head it is split."""

    of_queries: bool
    of_keys: bool
    query_parts: int
    key_parts: int


def gradients(
    problem: Problem,
    y: np.ndarray,
    statistics: np.ndarray,
    dy: np.ndarray,
    needed: tuple[bool, ...],
    mask_shape: tuple[int, ...],
) -> tuple[np.ndarray | None, ...]:
    """dquery, dkey, dvalue and that of a mask of floats; what is not needed is None, or garbage."""
    operands = problem.query, problem.key, problem.value
    results = [like(x, x.shape[3]) for x in operands]
    of_queries, of_keys = needed[0], needed[1] or needed[2]
    heads = problem.key.shape[0] * problem.key.shape[1]
    blocks = problem.query.shape[1] // problem.key.shape[1] * query_blocks(y.shape[2])
    multiply_adds = y.size * problem.key.shape[2] * (2 + 3 * problem.key.shape[3] / y.shape[3])
    chunks = threads.chunks(multiply_adds / (2 if problem.is_causal else 1) / MULTIPLY_ADDS_PER_NS)
    if -(-heads // chunks) * chunks * 5 <= heads * 7:
        passes = [_Split(of_queries, of_keys, 1, 1)]
    else:
        key_blocks = -(-problem.key.shape[2] // KEYS)
        passes = [_Split(of_queries, False, blocks, 1), _Split(False, of_keys, 1, key_blocks)]
    for split in passes:
        if split.of_queries or split.of_keys:
            units = heads * split.query_parts * split.key_parts
            _run(problem, y, statistics, dy, results, split, blocks, min(chunks, units))
    if not needed[3]:
        return *results, None
    return *results, mask_gradient(problem, y, statistics, dy, mask_shape)


def _run(
    problem: Problem,
    y: np.ndarray,
    statistics: np.ndarray,
    dy: np.ndarray,
    results: list[np.ndarray],
    split: _Split,
    blocks: int,
    chunks: int,
) -> None:
    """One pass."""
    sizes = size, value_size = problem.query.shape[3], y.shape[3]
    keys = -(-problem.key.shape[2] // KEYS)
    keys = -(-keys // split.key_parts) * KEYS if split.of_keys else 0
    widths = padded(size) + padded(value_size)
    offsets = chunk_offsets(problem, chunks)
    floats = workspace_size(sizes, keys) + (masking_size(sizes) if offsets.size else 0)
    _backward(
        problem,
        y,
        dy,
        statistics,
        *results,
        split,
        keys,
        scratch(chunks, floats),
        np.empty((chunks, size if problem.key.shape[2] > FLUSH else 0, QUERIES)),
        np.empty((chunks, keys * widths if blocks > _BLOCKS else 0)),
        offsets,
        chunks,
    )


@parallel(
    f"{PROBLEM} f32[~b,h,l,v] f32[~b,h,l,v] f32[b,h,two,l] f32[~b,h,l,e] f32[~b,h,s,e]"
    " f32[~b,h,s,v] (bool bool i64 i64) i64 f32[chunk,size] f64[chunk,e,q] f64[chunk,s]"
    " i64[chunk,two,k]"
)
def _backward(
    problem, y, dy, statistics, dq, dk, dv, split, rows, memory, totals, sums, offsets,
    chunk, chunks,
):  # fmt: skip
    """The gradients of one pass; the work is split into heads of keys, and their parts."""
    problem, split = named(problem), _Split(*split)
    size, value_size = problem.query.shape[3], problem.value.shape[3]
    batch, heads, length = problem.key.shape[:3]
    own = workspace(memory[chunk], size, value_size, rows)
    masks = masking(memory[chunk], offsets[chunk], max(size, value_size))
    parts = split.query_parts * split.key_parts
    start, stop = chunk_bounds(batch * heads * parts, chunk, chunks)
    for unit in range(start, stop):
        part = balanced(unit % parts, parts, problem.is_causal)
        batch, head = unit // parts // heads, unit // parts % heads
        key_part = part if split.key_parts > 1 else 0
        first, last = chunk_bounds((length + KEYS - 1) // KEYS, key_part, split.key_parts)
        first, last = first * KEYS, min(last * KEYS, length)
        own.seen[:], sums[chunk] = 0, 0
        if not _come_once(problem):
            own.dk[:], own.dv[:] = 0, 0
        _add_queries(
            problem, y, dy, statistics, split, part - key_part, batch, head, first, last,
            dq, own, totals[chunk], sums[chunk], masks,
        )  # fmt: skip
        if split.of_keys:
            _flush(own, sums[chunk])
            _store_keys(own.dk, sums[chunk], own.seen, dk[batch, head], first, last)
            of_dv = sums[chunk][own.dk.size :]
            _store_keys(own.dv, of_dv, own.seen, dv[batch, head], first, last)


@inlined
def _come_once(problem):
    """Whether each key meets a single block of queries: then nothing is added to dk and dv."""
    group = problem.query.shape[1] // problem.key.shape[1]
    masked = problem.visible.size or problem.bias.size
    return group * query_blocks(problem.query.shape[2]) == 1 and not masked


@inner
def _add_queries(
    problem, y, dy, statistics, split, part, batch, head, first, last, dq, own, totals, sums, masks
):
    """What some queries, those of all heads that share a head of keys, or of one part, give."""
    group = problem.query.shape[1] // problem.key.shape[1]
    blocks = query_blocks(problem.query.shape[2])
    begin, end = chunk_bounds(group * blocks, part, split.query_parts)
    for i in range(begin, end):
        queries = queries_of_block(problem, batch, head * group + i // blocks, i % blocks)
        limit = min(last, queries.first + queries.length) if problem.is_causal else last
        totals[:], summed = 0, 0
        if first < limit:
            pack(problem, y, dy, statistics, queries, own)
            summed = _add_keys(problem, queries, split, first, limit, own, totals, masks)
        if split.of_queries:
            if summed == 0:
                own.dq[:] = 0
            _store_queries(problem, queries, own, totals, dq)
        if i % _BLOCKS == _BLOCKS - 1:
            _flush(own, sums)


@inner
def _add_keys(problem, queries, split, first, last, own, totals, masks):
    """Add what a block of queries gives with the keys first … last − 1.

    The result is how many keys have been added in own.dq, but not in the totals.
    """
    tables, vectors = problem.tables, queries.vectors
    size = problem.query.shape[3]
    head = queries.head // (problem.query.shape[1] // problem.key.shape[1])
    key = pointer(problem.key[queries.batch, head], 0)
    s, dp, block, summed = pointer(own.s, 0), pointer(own.dp, 0), pointer(tables.block, 0), 0
    for begin in range(first, last, KEYS):
        keys = keys_of_block(problem, queries, begin, min(begin + KEYS, last), masks)
        if keys.length == 0:
            continue
        weights_and_gradients(problem, queries, keys, own, masks)
        if split.of_keys:
            row = keys.first - first
            add_seen(problem, keys, masks, own.seen[row:])
            of_dv, of_dk = own.dv[row : row + keys.length], own.dk[row : row + keys.length]
            adds, edge = not _come_once(problem), own.edge
            _add_products(of_dv, s, queries, own.dy_rows, tables, tables.value_rows, adds, edge)
            _add_products(of_dk, dp, queries, own.query_rows, tables, tables.query_rows, adds, edge)
        if split.of_queries:
            multiply_panels(
                size, vectors, keys.length, RUN, key, pointer(tables.query_size, 0),
                pointer(keys.rows, 0), dp, block, pointer(own.dq, 0), QUERIES, summed > 0,
            )  # fmt: skip
            summed += keys.length
            if totals.size and summed >= FLUSH:
                add_rows(own.dq[:size], totals, vectors * LANES)
                summed = 0
    return summed


@inner
def _add_products(sums, weights, queries, x, tables, depth_b, adds, edge):
    """sums[key] += Σ over the queries of weights[key, query]·x[query], or = if it does not add.

    The last tile may have more rows than there are keys: it is computed elsewhere.
    """
    count, width = sums.shape
    whole = count // MR * MR
    rows, ones, b = pointer(tables.block, 0), pointer(tables.ones, 0), pointer(x, 0)
    multiply_panels(
        whole, width // LANES, queries.length, _RUN, weights, rows, ones, b, pointer(depth_b, 0),
        pointer(sums, 0), width, adds,
    )  # fmt: skip
    if whole == count:
        return
    multiply_panels(
        MR, width // LANES, queries.length, _RUN, advance(weights, whole * QUERIES), rows, ones, b,
        pointer(depth_b, 0), pointer(edge, 0), width, False,
    )  # fmt: skip
    for i in range(whole, count):
        row, part = sums[i], edge[(i - whole) * width : (i - whole + 1) * width]
        for j in range(width):
            row[j] = row[j] + part[j] if adds else part[j]


@inner
def _flush(own, sums):
    """Add dk and dv to their sums in float64, if there are any, and start again from 0."""
    if sums.size == 0:
        return
    of_keys = own.dk.size
    _move(carray(pointer(own.dk, 0), of_keys), sums[:of_keys])
    _move(carray(pointer(own.dv, 0), own.dv.size), sums[of_keys:])


@inner
def _move(x, total):
    for i in range(x.size):
        total[i] += x[i]
        x[i] = 0


@inner
def _store_queries(problem, queries, own, totals, dq):
    """dq = scale·dqᵀ, transposed."""
    size, width, factors = problem.query.shape[3], queries.vectors * LANES, own.lines[0]
    for i in range(totals.shape[0]):
        row, total = own.dq[i], totals[i]
        for q in range(width):
            row[q] = _F(row[q] + total[q])
    factors[:] = problem.scale
    scale_lanes(queries.vectors, size, pointer(own.dq, 0), QUERIES, pointer(factors, 0))
    store_transposed(own.dq, own.query_rows, queries, dq)


@inner
def _store_keys(x, sums, seen, result, first, last):
    """The rows of a gradient, from x, or from their sums in float64; 0 for unseen keys."""
    size, width = result.shape[1], x.shape[1]
    for i in range(last - first):
        row, source = carray(pointer(result[first + i], 0), size), x[i]
        if seen[i] == 0:
            row[:] = 0
        elif size % LANES == 0 and not sums.size:
            for j in range(0, size, LANES):
                copy_vector(pointer(source, j), pointer(row, j))
        elif sums.size:
            total = sums[i * width : i * width + size]
            for j in range(size):
                row[j] = _F(total[j])
        else:
            for j in range(size):
                row[j] = source[j]
