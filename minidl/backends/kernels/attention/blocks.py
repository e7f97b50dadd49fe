"""Blocks of attention: what forward and backward do alike to some queries and some keys of a head.

A block of logits is s[key, query]: each lane is a query.  So is what the queries are multiplied by,

    s = K·qᵀ          rows of the tile: keys, where they lie in memory; depth: the E numbers of each
    yᵀ = Vᵀ·p         rows: the Ev numbers of a value; depth: keys

since the micro-kernel finds the rows of its first factor through tables of offsets: K and V are not
packed, whatever their strides.  Only the queries are, transposed, once for all keys.

**Masks and dropout** are tiles of the same form, filled a block at a time (`attention.masks`): what
is added to the logits, −inf where a query does not see a key, or, of a mask of bools, one bit for
each key; and the factors of the weights, 0 or 1 / (1 − p).  Keys that no query of the block sees
are left out where they begin or end a block, as padding does; between others, they and their values
are read from a row of zeros, so that NaN there goes nowhere.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.random import fill_uniform
from minidl.backends.kernels.runtime.kernel import (
    carray,
    chunk_bounds,
    inlined,
    inner,
    outlined,
)
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.simd.attention import (
    add_mask,
    hide_keys,
)
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    NR,
    UNBROKEN,
    multiply_panels,
    pad_to_tiles,
    transpose_panel,
)

# Queries and keys of a block: its logits, and a tile as large, stay in the second-level cache.
QUERIES = -(-64 // NR) * NR
KEYS = 16 * MR
FLUSH = 8 * KEYS  # so many keys are added in float32, run by run, before a float64 sum takes them
_ZERO, _ONE, _NEVER = np.float32(0), np.float32(1), np.float32(-np.inf)


class Tables(NamedTuple):
    """Offsets for the micro-kernel, of K and V as they lie in memory, and of packed blocks."""

    keys: np.ndarray  # of each row of K, padded to full tiles
    values: np.ndarray  # of each row of V
    query_size: np.ndarray  # 0 … E − 1, padded to full tiles
    value_size: np.ndarray  # 0 … Ev − 1, padded to full tiles
    ones: np.ndarray  # 0 … QUERIES − 1
    block: np.ndarray  # of the rows of a block, or of packed queries
    query_rows: np.ndarray  # of queries that are packed row by row
    value_rows: np.ndarray  # of gradients of y that are packed row by row


class Problem(NamedTuple):
    """The operands, (batch, heads, length, size) with any strides, and the settings."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    visible: np.ndarray  # the mask, if it is one of bools, as bytes: (batch, heads, L, S)
    bias: np.ndarray  # the mask, if it is one of floats; either may be empty
    is_causal: bool
    scale: np.float32
    dropped: np.float32  # the probability; 0: no dropout
    kept: np.float32  # 1 / (1 − dropped)
    seed: np.uint64
    offset: np.uint64
    tables: Tables


PROBLEM = (
    "(f32[~b,h,l,e] f32[~b,h,s,e] f32[~b,h,s,v] u8[~b,h,l,s] f32[~b,h,l,s] bool f32 f32 f32 u64"
    " u64 (i64[s] i64[s] i64[e] i64[v] i64[q] i64[k] i64[q] i64[q]))"
)


class Queries(NamedTuple):
    """Which queries a block has: so many of a head, from `first` on, in vectors of lanes."""

    batch: int
    head: int
    first: int
    length: int
    vectors: int


class Keys(NamedTuple):
    """Which keys a block has, and the offsets of their rows in K and V."""

    first: int
    length: int
    rows: np.ndarray
    values: np.ndarray


class Masking(NamedTuple):
    """The memory of a thread for masks and dropout; if there are none, it is empty."""

    tile: np.ndarray  # (KEYS, QUERIES); of a mask of bools, words of bits, (KEYS / WORD, QUERIES)
    factors: np.ndarray  # (KEYS, QUERIES), of dropout
    rows: np.ndarray  # (QUERIES, KEYS + 1), before they are transposed
    seen: np.ndarray  # (KEYS + LANES,): whether a query sees the key, 1 or 0
    zeros: np.ndarray  # in place of a key or a value that is not seen
    offsets: np.ndarray  # (2, KEYS + MR): of K and V


@inner
def named(problem):
    """The tuple with its names again."""
    (
        query, key, value, visible, bias, is_causal, scale, dropped, kept, seed, offset, tables
    ) = problem  # fmt: skip
    return Problem(
        query, key, value, visible, bias, is_causal, scale, dropped, kept, seed, offset,
        Tables(*tables),
    )  # fmt: skip


@planned
def tables(length: int, sizes: tuple[int, int], strides: tuple[int, int]) -> Tables:
    """The tables for keys and values of these sizes and strides."""
    counted = [np.arange(n + MR, dtype=np.int64) for n in (QUERIES, max(KEYS, *sizes))]
    query_size, value_size = sizes
    return Tables(
        pad_to_tiles(length) * strides[0],
        pad_to_tiles(length) * strides[1],
        pad_to_tiles(query_size),
        pad_to_tiles(value_size),
        counted[0],
        counted[1] * QUERIES,
        counted[0] * padded(query_size),
        counted[0] * padded(value_size),
    )


def padded(size: int) -> int:
    """A size, up to full vectors."""
    return -(-size // LANES) * LANES


def like(x: np.ndarray, size: int) -> np.ndarray:
    """A new array with rows of this size, whose axes lie in memory in the order of those of x."""
    y = np.empty_like(x, shape=(*x.shape[:3], size))
    return y if y.strides[-1] == y.itemsize else np.empty(y.shape, y.dtype)


def chunk_offsets(problem: Problem, chunks: int) -> np.ndarray:
    """For each chunk the offsets of keys and values, where masks or dropout need memory."""
    masked = problem.visible.size or problem.bias.size or problem.dropped > 0
    return np.empty((chunks, 2 if masked else 0, KEYS + MR), np.int64)


def masking_size(sizes: tuple[int, int]) -> int:
    """How many float32 `masking` takes from a workspace."""
    return 3 * KEYS * QUERIES + QUERIES + KEYS + LANES + max(sizes)


@inner
def masking(workspace, offsets, size):
    """The memory for masks and dropout at the end of a workspace; the zeros are written."""
    if offsets.size == 0:
        empty = carray(pointer(workspace, 0), (0, 0))
        return Masking(empty, empty, empty, workspace[:0], workspace[:0], offsets)
    block, end = KEYS * QUERIES, workspace.size - size
    zeros = workspace[end:]
    zeros[:] = 0
    seen = workspace[end - KEYS - LANES : end]
    begin = end - KEYS - LANES - 3 * block - QUERIES
    return Masking(
        carray(pointer(workspace, begin), (KEYS, QUERIES)),
        carray(pointer(workspace, begin + block), (KEYS, QUERIES)),
        carray(pointer(workspace, begin + 2 * block), (QUERIES, KEYS + 1)),
        seen,
        zeros,
        offsets,
    )


@inlined
def query_blocks(length):
    """How many blocks of queries there are."""
    vectors = (length + LANES - 1) // LANES
    return (vectors * LANES + QUERIES - 1) // QUERIES


@inner
def queries_of_block(problem, batch, head, block):
    """The queries of a block, which has as many vectors of lanes as the others, or one less."""
    length = problem.query.shape[2]
    vectors = (length + LANES - 1) // LANES
    first, last = chunk_bounds(vectors, block, query_blocks(length))
    count = min(last * LANES, length) - first * LANES
    return Queries(batch, head, first * LANES, count, last - first)


@inlined
def balanced(i, count, is_causal):
    """Block i of `count`, in an order in which any range of them takes equally long.

    With causality, blocks take the longer, the later they are: the first, the last, the second ….
    """
    if not is_causal:
        return i
    return i // 2 if i % 2 == 0 else count - 1 - i // 2


@inner
def transpose_heads(x, queries, target):
    """target[i, query] = x[query, i] of a block of queries; 0 for the lanes that have none."""
    stride = x.strides[2] // x.itemsize
    source = pointer(x[queries.batch, queries.head], queries.first * stride)
    transpose_panel(source, stride, queries.length, x.shape[3], pointer(target, 0), QUERIES)


@inner
def store_transposed(source, rows, queries, x):
    """x[query, i] = source[i, query] of a block of queries."""
    own, size = x[queries.batch, queries.head], x.shape[3]
    stride = x.strides[2] // x.itemsize
    if size % LANES == 0:  # so that no vector reaches beyond a row
        target = pointer(own, queries.first * stride)
        transpose_panel(pointer(source, 0), QUERIES, size, queries.length, target, stride)
        return
    width = rows.shape[1]
    transpose_panel(pointer(source, 0), QUERIES, size, queries.length, pointer(rows, 0), width)
    for q in range(queries.length):
        row, result = rows[q], carray(pointer(own[queries.first + q], 0), size)
        for i in range(size):
            result[i] = row[i]


@inner
def add_rows(rows, totals, width):
    """totals += rows, of which the first `width` columns count."""
    for i in range(rows.shape[0]):
        row, total = rows[i], totals[i]
        for j in range(width):
            total[j] += row[j]


@inner
def logits(problem, queries, keys, packed, masks, s):
    """s[key, query], with the mask, and −inf where causality hides a key."""
    group = queries.head // (problem.query.shape[1] // problem.key.shape[1])
    multiply_panels(
        keys.length, queries.vectors, problem.query.shape[3], UNBROKEN,
        pointer(problem.key[queries.batch, group], 0), pointer(keys.rows, 0),
        pointer(problem.tables.query_size, 0), pointer(packed, 0), pointer(problem.tables.block, 0),
        pointer(s, 0), QUERIES, False,
    )  # fmt: skip
    if problem.visible.size:
        first, words = keys.first % KEYS, pointer(masks.tile, 0)
        hide_keys(queries.vectors, keys.length, first, pointer(s, 0), QUERIES, words)
    elif problem.bias.size:
        tile = pointer(masks.tile, keys.first % KEYS * QUERIES)
        add_mask(queries.vectors, keys.length, pointer(s, 0), tile, QUERIES)
    if problem.is_causal:
        for i in range(max(0, queries.first + 1 - keys.first), keys.length):
            hidden = keys.first + i - queries.first
            s[i, : min(hidden, QUERIES)] = _NEVER


@inner
def fill_factors(problem, queries, keys, masks):
    """The factors by which dropout multiplies weights, masks.factors[key, query]."""
    heads, length = problem.query.shape[1:3]
    first = (queries.batch * heads + queries.head) * length + queries.first
    stride = problem.key.shape[2]  # weights are numbered through, row by row
    dropout_factors(
        queries.length, keys.length, first * stride + keys.first, stride, problem.seed,
        problem.offset, problem.dropped, problem.kept, pointer(masks.rows, 0),
        pointer(masks.factors, 0),
    )  # fmt: skip


@outlined("i64 i64 i64 i64 u64 u64 f32 f32 f32* f32*")
def dropout_factors(height, width, first, stride, seed, offset, dropped, kept, rows, factors):
    """The factors of weights (height, width), transposed: the first has number `first`."""
    for i in range(height):
        index = first + i * stride
        odd = index % 2  # a block of random numbers is for two weights
        row = carray(advance(rows, i * (KEYS + 1)), width + odd)
        fill_uniform(row, seed, offset + np.uint64(index // 2))
        for j in range(width):
            row[j] = _ZERO if row[j + odd] < dropped else kept
    transpose_panel(rows, KEYS + 1, height, width, factors, QUERIES)
