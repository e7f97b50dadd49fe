"""The weights of attention, computed again for the gradients, and the gradients of the logits."""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.attention.blocks import (
    KEYS,
    QUERIES,
    fill_factors,
    logits,
    padded,
    transpose_heads,
)
from minidl.backends.kernels.runtime.kernel import carray, inner
from minidl.backends.kernels.simd.attention import weight_gradients
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.math import xmuly32
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    UNBROKEN,
    multiply_panels,
    transpose_panel,
)

_F = np.float32
_ZERO, _INF = _F(0), _F(np.inf)
_TERMS = 8  # of a dot product that are added up, before another sum takes them


class Workspace(NamedTuple):
    """The memory of a thread.  Rows are padded with zeros to full vectors."""

    query_rows: np.ndarray  # (QUERIES, E): scaled
    dy_rows: np.ndarray  # (QUERIES, Ev): divided by l
    queries: np.ndarray  # (E, QUERIES): the same, transposed
    dy: np.ndarray  # (Ev, QUERIES)
    s: np.ndarray  # (KEYS, QUERIES), then p
    dp: np.ndarray  # (KEYS, QUERIES), then ds
    dq: np.ndarray  # (E, QUERIES): of a block of keys
    lines: np.ndarray  # (3, QUERIES): m, D, and a part of D
    dk: np.ndarray  # (keys, E)
    dv: np.ndarray  # (keys, Ev)


def workspace_size(sizes: tuple[int, int], keys: int) -> int:
    """How many float32 a thread needs, without masks, for dk and dv of so many keys."""
    widths = padded(sizes[0]) + padded(sizes[1])
    return QUERIES * (widths + sum(sizes) + 2 * KEYS + sizes[0] + MR + 3) + keys * widths


@inner
def workspace(memory, size, value_size, keys):
    """The parts of the memory of a thread."""
    width, value_width = _padded(size), _padded(value_size)
    at = 0
    query_rows = carray(pointer(memory, at), (QUERIES, width))
    at += query_rows.size
    dy_rows = carray(pointer(memory, at), (QUERIES, value_width))
    at += dy_rows.size
    queries = carray(pointer(memory, at), (size, QUERIES))
    at += queries.size
    dy = carray(pointer(memory, at), (value_size, QUERIES))
    at += dy.size
    s = carray(pointer(memory, at), (KEYS, QUERIES))
    at += s.size
    dp = carray(pointer(memory, at), (KEYS, QUERIES))
    at += dp.size
    dq = carray(pointer(memory, at), (size + MR, QUERIES))
    at += dq.size
    lines = carray(pointer(memory, at), (3, QUERIES))
    at += lines.size
    dk = carray(pointer(memory, at), (keys, width))
    at += dk.size
    dv = carray(pointer(memory, at), (keys, value_width))
    return Workspace(query_rows, dy_rows, queries, dy, s, dp, dq, lines, dk, dv)


@inner
def _padded(size):
    return (size + LANES - 1) // LANES * LANES


@inner
def pack(problem, y, dy, statistics, queries, own):
    """Queries and dy / l, transposed and row by row, and m and D."""
    width = queries.vectors * LANES
    maxima, means = own.lines[0], own.lines[1]
    transpose_heads(problem.query, queries, own.queries)
    transpose_heads(dy, queries, own.dy)
    maxima[:], means[:] = _ZERO, _ZERO
    for i in range(own.dy.shape[0]):
        row = own.dy[i]
        for q in range(width):  # for the time being: whether the gradient is not 0
            maxima[q] = maxima[q] if row[q] == 0 else _F(1)
    _of_queries(maxima, means, statistics[queries.batch, queries.head], queries)
    _scale_lanes(own.dy, means, width)
    for q in range(width):
        maxima[q] = maxima[q] if means[q] else _INF  # which makes p zero
        means[q] = problem.scale if means[q] else _ZERO
    _scale_lanes(own.queries, means, width)
    _add_means(y, queries, own)
    _transpose(own.queries, queries.count, own.query_rows)
    _transpose(own.dy, queries.count, own.dy_rows)


@inner
def _of_queries(maxima, reciprocals, statistics, queries):
    """m and 1 / l of each lane; both are 0 where the gradient is, or where there is no query."""
    for q in range(queries.count):
        has_gradient = maxima[q] != 0
        maxima[q] = statistics[0, queries.first + q] if has_gradient else _ZERO
        reciprocals[q] = statistics[1, queries.first + q] if has_gradient else _ZERO


@inner
def _scale_lanes(rows, factors, width):
    """Multiply each lane by its factor; 0 makes it 0, also if it is NaN."""
    for i in range(rows.shape[0]):
        row = rows[i]
        for q in range(width):
            row[q] = row[q] * factors[q] if factors[q] else _ZERO


@inner
def _add_means(y, queries, own):
    """D = Σ dy·y / l, where dy / l is there already; y is transposed into the place of dp."""
    size, width, means, partial = y.shape[3], queries.vectors * LANES, own.lines[1], own.lines[2]
    stride, head = y.strides[2] // 4, y[queries.batch, queries.head]
    means[:], partial[:] = _ZERO, _ZERO
    for first in range(0, size, KEYS):
        count, source = min(KEYS, size - first), pointer(head, queries.first * stride + first)
        transpose_panel(source, stride, queries.count, count, pointer(own.dp, 0), QUERIES)
        for i in range(count):
            row, of_y = own.dy[first + i], own.dp[i]
            for q in range(width):
                partial[q] += xmuly32(row[q], of_y[q])
            if i % _TERMS == _TERMS - 1 or i == count - 1:
                for q in range(width):
                    means[q] += partial[q]
                    partial[q] = 0


@inner
def _transpose(source, count, rows):
    """The lanes of so many queries as rows, padded with zeros to full vectors."""
    target, stride = pointer(rows, 0), rows.shape[1]
    transpose_panel(pointer(source, 0), QUERIES, source.shape[0], count, target, stride)


@inner
def weights_and_gradients(problem, queries, keys, own, masks):
    """s becomes the weights p, after dropout, and dp the gradients ds of the logits."""
    tables = problem.tables
    head = queries.head // (problem.query.shape[1] // problem.value.shape[1])
    value = pointer(problem.value[queries.batch, head], 0)
    s, dp = pointer(own.s, 0), pointer(own.dp, 0)
    logits(problem, queries, keys, own.queries, masks, own.s)
    multiply_panels(
        keys.count, queries.vectors, problem.value.shape[3], UNBROKEN, value,
        pointer(keys.values, 0), pointer(tables.value_size, 0), pointer(own.dy, 0),
        pointer(tables.block, 0), dp, QUERIES, False,
    )  # fmt: skip
    factors, drops = s, problem.dropped > 0
    if drops:
        fill_factors(problem, queries, keys, masks)
        factors = pointer(masks.factors, 0)
    weight_gradients(
        queries.vectors, keys.count, s, dp, factors, QUERIES, pointer(own.lines, 0),
        pointer(own.lines, QUERIES), 1 if drops else 0,
    )  # fmt: skip
