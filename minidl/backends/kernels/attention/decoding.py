"""Attention of few queries to many keys, without gradients, as in decoding step by step.

    for each head of keys, and each span of them:          the unit of work of a thread
        s = K·q·scale + mask                               lanes: keys
        m = max s,  p = exp(s − m),  l = Σ p
        y = Vᵀ·p                                           lanes: the numbers of a value
    for each query:
        m = max over spans,  y = Σ y·exp(mᵢ − m) / Σ l·exp(mᵢ − m)

    T. Dao, D. Haziza, F. Massa, G. Sizov.  Flash-Decoding for long-context inference.  2023.
    https://crfm.stanford.edu/2023/10/12/flashdecoding.html

Each key and value is read once for all queries that share it, and that is most of the time.  The
heads of grouped queries are rows beside the others.  The length of a span does not depend on the
number of threads, so neither do the bits.

**Masks** are written row by row, −inf where a query does not see a key.  Keys that no row sees are
left out where they begin or end a span; between others, their values are read from a row of zeros.

**Precision.**  A value is summed over 32·CHAINS keys in CHAINS sums, some of which are added up in
a span; spans are added in float64, as is l.  So the error does not grow with the number of keys.

Cost: 2·(E + Ev) flops and an exp for each query and key; 4·(E + Ev) bytes for each key.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.attention.blocks import like, padded
from minidl.backends.kernels.attention.decoding_masks import (
    OPERANDS,
    Rows,
    named,
    place,
    seen_keys,
)
from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.attention import add_mask, column_maxima, exponentials
from minidl.backends.kernels.simd.decoding import CHAINS, add_weighted, logits_of_queries
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.math import exp32, max32, sum32

_F = np.float32
_ZERO, _NEVER = _F(0), _F(-np.inf)
MOST_QUERIES = LANES // 2  # of a head; for more of them, blocks in which each has a lane are faster
SPAN = 512  # keys of a unit of work
ROWS = 16  # queries that are computed together
_RUN = 32 * CHAINS  # keys of which a value is summed in registers
# Nanoseconds of one thread: to read a number of a key or value; then for each query; for a query.
_READING, _ARITHMETIC, _ROW = 0.04, 0.02, 150


class _Workspace(NamedTuple):
    """The memory of a thread.  Rows are padded to full vectors."""

    queries: np.ndarray  # (ROWS, E): scaled
    s: np.ndarray  # (ROWS, SPAN), then p
    mask: np.ndarray  # (ROWS + 1, SPAN): what is added to the logits; the last row is not used
    lines: np.ndarray  # (2, LANES): m and Σ p
    zeros: np.ndarray  # (Ev,): in place of a value that is not seen
    keys: np.ndarray  # (LANES, E): copies, where the numbers of a key are no full vectors
    values: np.ndarray  # (_RUN, Ev): the same of values


def attend(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    masks: tuple[np.ndarray, np.ndarray],
    is_causal: bool,
    scale: float,
) -> np.ndarray:
    """y, for operands that suit the kernels, with four axes."""
    plan = _plan(query.shape, value.shape, is_causal)
    chunks = min(threads.chunks(plan.nanoseconds), plan.pairs * plan.spans)
    y = like(query, value.shape[3])
    problem = query, key, value, *masks, is_causal, _F(scale)
    memory = scratch(1, plan.partial + chunks * plan.workspace)
    offsets = np.empty((chunks, 2, SPAN + LANES), np.int64)
    _attend_to_spans(problem, y, plan.spans, plan.line, memory, plan.workspace, offsets, chunks)
    if plan.spans > 1:
        _combine(y, value.shape[1], plan.spans, plan.line, memory, min(chunks, plan.pairs))
    return y


class _Plan(NamedTuple):
    """What depends on shapes alone: the units of work, their time, and sizes in float32."""

    pairs: int  # of a sample and a head of keys
    spans: int
    nanoseconds: float  # of one thread
    line: int  # of a partial result: Σ p·value, then m and l
    partial: int  # of all partial results
    workspace: int  # of a thread


@lru_cache(maxsize=1024)
def _plan(query: tuple[int, ...], value: tuple[int, ...], is_causal: bool) -> _Plan:
    """The plan for these shapes; kept, as the layers of a decoder have the same."""
    batch, groups, length, value_size = value
    _, heads, queries, size = query
    if is_causal:
        length = min(length, queries)
    pairs, rows, spans = batch * groups, heads // groups * queries, -(-length // SPAN)
    of_pair = length * (size + value_size) * (_READING + _ARITHMETIC * rows) + _ROW * rows
    width, value_width = padded(size), padded(value_size)
    copies = LANES * width * (width > size) + _RUN * value_width * (value_width > value_size)
    workspace = ROWS * width + (2 * ROWS + 1) * SPAN + 2 * LANES + value_width + copies
    line = value_width + 2
    return _Plan(pairs, spans, pairs * of_pair, line, pairs * spans * rows * line, workspace)


@inner
def _workspace(memory, size, value_size):
    """The parts of the memory of a thread."""
    width = (size + LANES - 1) // LANES * LANES
    value_width = (value_size + LANES - 1) // LANES * LANES
    copied, values_copied = LANES if width > size else 0, _RUN if value_width > value_size else 0
    s = ROWS * width
    mask = s + ROWS * SPAN
    lines = mask + (ROWS + 1) * SPAN
    zeros = lines + 2 * LANES
    keys = zeros + value_width
    values = keys + copied * width
    return _Workspace(
        carray(pointer(memory, 0), (ROWS, width)),
        carray(pointer(memory, s), (ROWS, SPAN)),
        carray(pointer(memory, mask), (ROWS + 1, SPAN)),
        carray(pointer(memory, lines), (2, LANES)),
        memory[zeros:keys],
        carray(pointer(memory, keys), (copied, width)),
        carray(pointer(memory, values), (values_copied, value_width)),
    )


@parallel(
    f"{OPERANDS} f32[~b,h,l,v] i64 i64 f32[one,size] i64 i64[chunk,two,k]",
    then=[
        *("simd.decoding:logits_of_queries", "simd.attention:column_maxima"),
        *("simd.attention:exponentials", "simd.decoding:add_weighted", "_combine"),
    ],
)
def _attend_to_spans(problem, y, spans, line, memory, needed, offsets, chunk, chunks):
    """The partial results of some heads of keys and spans; y, if there is one span."""
    problem, own_offsets = named(problem), offsets[chunk]
    groups, length, size = problem.key.shape[1:]
    parts = _partial_results(memory, y, groups, spans, line)
    own = _workspace(carray(pointer(memory, parts.size + chunk * needed), needed), size, y.shape[3])
    for j in range(own.zeros.size):
        own.zeros[j] = 0
    for k in range(own.values.shape[0]):
        own_offsets[1, k] = k * own.zeros.size
    if problem.is_causal:
        length = min(length, problem.query.shape[2])
    start, stop = chunk_bounds(parts.shape[0] * spans, chunk, chunks)
    for unit in range(start, stop):
        pair, span = unit // spans, unit % spans
        begin, end = chunk_bounds(length, span, spans)
        for first in range(0, parts.shape[2], ROWS):
            count = min(ROWS, parts.shape[2] - first)
            rows = Rows(pair // groups, pair % groups, first, count)
            _attend(problem, rows, begin, end, own, own_offsets, parts[pair, span])
        if spans == 1:
            _combine_spans(parts, y, pair)


@parallel("f32[~b,h,l,v] i64 i64 i64 f32[one,size]")
def _combine(y, groups, spans, line, memory, chunk, chunks):
    """y of some heads of keys, from the partial results of several spans."""
    parts = _partial_results(memory, y, groups, spans, line)
    start, stop = chunk_bounds(parts.shape[0], chunk, chunks)
    for pair in range(start, stop):
        _combine_spans(parts, y, pair)


@inner
def _partial_results(memory, y, groups, spans, line):
    """(pairs of batch and group, spans, queries, line): where the memory begins."""
    batch, heads, length = y.shape[:3]
    return carray(pointer(memory, 0), (batch * groups, spans, heads // groups * length, line))


@inner
def _attend(problem, rows, begin, end, own, offsets, parts):
    """The partial results of some queries and the keys begin … end − 1."""
    masked = problem.visible.size > 0 or problem.bias.size > 0 or problem.is_causal
    keys = seen_keys(problem, rows, begin, end, own, offsets[0], masked)
    line = parts.shape[1]
    for row in range(rows.first, rows.first + rows.length):
        for j in range(line):
            parts[row, j] = 0
        parts[row, line - 2] = _NEVER
    if keys.length == 0:
        return
    _pack(problem, rows, own.queries)
    _multiply_keys(problem, rows, keys, own)
    vectors = (keys.length + LANES - 1) // LANES
    for row in range(rows.length):
        s, part = own.s[row], parts[rows.first + row]
        if masked:
            add_mask(1, vectors, pointer(s, 0), pointer(own.mask[row], keys.skipped), LANES)
        for i in range(keys.length, vectors * LANES):
            s[i] = _NEVER
        part[line - 2], part[line - 1] = _exponentiate(s, vectors, own.lines)
    _add_values(problem, rows, keys, own, offsets, parts)


@inner
def _pack(problem, rows, queries):
    """The scaled queries."""
    size = problem.query.shape[3]
    for row in range(rows.length):
        head, query = place(problem, rows, row)
        source = carray(pointer(problem.query[rows.batch, head, query], 0), size)
        for j in range(size):
            queries[row, j] = source[j] * problem.scale
        for j in range(size, queries.shape[1]):
            queries[row, j] = 0


@inner
def _multiply_keys(problem, rows, keys, own):
    """s = K·q·scale, for LANES keys after the other."""
    size, stride = problem.key.shape[3], problem.key.strides[2] // 4
    vectors = own.queries.shape[1] // LANES
    source = pointer(problem.key[rows.batch, rows.group], keys.first * stride)
    for k in range(0, keys.length, LANES):
        count, of_keys, step = min(LANES, keys.length - k), advance(source, k * stride), stride
        if own.keys.size:
            for i in range(count):
                _copy(advance(of_keys, i * stride), size, own.keys[i])
            of_keys, step = pointer(own.keys, 0), own.keys.shape[1]
        logits_of_queries(
            rows.length, vectors, count, of_keys, step, pointer(own.queries, 0),
            own.queries.shape[1], pointer(own.s, k), SPAN,
        )  # fmt: skip


@inner
def _copy(source, size, target):
    """So many numbers, and zeros up to the end of the target."""
    line = carray(source, size)
    for j in range(size):
        target[j] = line[j]
    for j in range(size, target.size):
        target[j] = 0


@inner
def _exponentiate(s, vectors, lines):
    """p = exp(s − m); m, and Σ p; m = −∞ counts as 0."""
    maxima, sums = lines[0], lines[1]
    for lane in range(LANES):
        maxima[lane], sums[lane] = _NEVER, _ZERO
    column_maxima(1, vectors, pointer(s, 0), LANES, pointer(maxima, 0))
    largest = max32(maxima)
    for lane in range(LANES):
        maxima[lane] = _ZERO if largest == _NEVER else largest
    exponentials(1, vectors, pointer(s, 0), LANES, pointer(maxima, 0), pointer(sums, 0))
    return largest, sum32(sums)


@inner
def _add_values(problem, rows, keys, own, offsets, parts):
    """parts = Vᵀ·p, run by run of keys."""
    size = problem.value.shape[3]
    vectors = own.zeros.size // LANES
    source = pointer(problem.value[rows.batch, rows.group], 0)
    for k in range(0, keys.length, _RUN):
        steps = (min(_RUN, keys.length - k) + CHAINS - 1) // CHAINS
        values, of_values = source, pointer(offsets, keys.skipped + k)
        if own.values.size:
            for i in range(steps * CHAINS):
                _copy(advance(source, offsets[0, keys.skipped + k + i]), size, own.values[i])
            values, of_values = pointer(own.values, 0), pointer(offsets[1], 0)
        add_weighted(
            rows.length, vectors, steps, pointer(own.s, k), SPAN, values, of_values,
            pointer(parts[rows.first], 0), parts.shape[1],
        )  # fmt: skip


@inner
def _combine_spans(parts, y, pair):
    """y = Σ y·exp(m − max m) / Σ l·exp(m − max m) over the spans; 0 for a query that saw no key."""
    spans, count, line = parts.shape[1:]
    heads, length, size = y.shape[1:]
    groups = parts.shape[0] // y.shape[0]
    for row in range(count):
        head = pair % groups * (heads // groups) + row // length
        target = carray(pointer(y[pair // groups, head, row % length], 0), size)
        total = _weigh_spans(parts[pair, :, row])
        reciprocal = 1 / total if total != 0 else 0.0
        if spans == 1:
            part, factor = parts[pair, 0, row], _F(reciprocal)
            for j in range(size):
                target[j] = part[j] * factor
            continue
        for j in range(size):
            mean = 0.0
            for span in range(spans):
                part = parts[pair, span, row]
                mean += part[line - 2] * part[j]
            target[j] = _F(mean * reciprocal)


@inner
def _weigh_spans(parts):
    """Σ l·exp(m − max m), and the factors exp(m − max m) in place of m."""
    line, largest, total = parts.shape[1], _NEVER, 0.0
    for span in range(parts.shape[0]):
        largest = max(largest, parts[span, line - 2])
    for span in range(parts.shape[0]):
        part = parts[span]
        before = part[line - 2]
        part[line - 2] = exp32(before - largest) if before != largest else _F(1)
        total += part[line - 2] * part[line - 1]
    return total
