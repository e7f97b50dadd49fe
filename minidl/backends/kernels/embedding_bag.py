"""Embedding bags: each bag's rows of a table are gathered and reduced in one pass.

The rows of a bag are added up as they come, if they are few, else in accumulators whose error does
not grow (`kernels.reduction`); of their maximum nothing is saved but y.  Back, each id gets its
part of dy, and these are added up by row (`kernels.scatter`), or with `sparse` make a RowGradient.

Cost: one read of the used rows; back, one write and one read of as many, and without `sparse` a
pass over the table.
"""

from typing import Any

import numpy as np

from minidl.backends import cpu, threads
from minidl.backends.kernels.prefetch import AHEAD, fetch
from minidl.backends.kernels.reduction import add_with_error, value_of
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    inner,
    parallel,
)
from minidl.backends.kernels.scatter import sum_rows
from minidl.backends.rows import RowGradient
from minidl.checks import is_integer

_SUM, _MEAN, _MAX = range(3)
_MODES = {"sum": _SUM, "mean": _MEAN, "max": _MAX}
_SUM_TIME, _COPY = 0.4, 0.2  # nanoseconds an element of a used row


def embedding_bag(
    weight: np.ndarray,
    ids: np.ndarray,
    offsets: np.ndarray | None = None,
    per_sample_weights: np.ndarray | None = None,
    *,
    mode: str = "mean",
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    include_last_offset: bool = False,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """y[b] = the sum, the mean or the maximum of the rows of bag b."""
    given = per_sample_weights
    if not are_arrays("fd", weight, optional=[given]) or weight.ndim != 2:
        return NotImplemented
    flags = include_last_offset, scale_grad_by_freq, sparse
    if type(mode) is not str or mode not in _MODES or not {bool}.issuperset(map(type, flags)):
        return NotImplemented
    if max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    bounds = _bounds(ids, offsets, include_last_offset)
    if bounds is None or given is not None and (mode != "sum" or given.size != ids.size):
        return NotImplemented
    (n, width), padding = weight.shape, -1
    if padding_idx is not None:
        if not is_integer(padding_idx) or not -n <= padding_idx < n:
            return NotImplemented
        padding = int(padding_idx) % n
    rows = np.ascontiguousarray(ids, np.int64).reshape(-1)
    if rows.size and (rows.min() < 0 or rows.max() >= n):
        return NotImplemented
    table = as_contiguous(weight)
    factors = np.empty(0, weight.dtype) if given is None else as_contiguous(given).reshape(-1)
    settings = _MODES[mode], padding
    y = np.empty((bounds.size - 1, width), weight.dtype)
    chunks = threads.chunks(rows.size * width * _SUM_TIME)
    _reduce(table, rows, bounds, factors, settings, y, np.empty((chunks, 2, width)), chunks)

    def dweight(dy: np.ndarray) -> Any:
        parts = np.empty((rows.size, width), y.dtype)
        arrays = as_contiguous(dy), y, np.empty(y.shape, y.dtype), parts
        _share(table, rows, bounds, factors, settings, *arrays, threads.chunks(parts.size * _COPY))
        if sparse:
            kept = slice(None) if padding < 0 else rows != padding
            return RowGradient(rows[kept], parts[kept], weight.shape)
        return sum_rows(n, rows, parts)

    def dfactors(dy: np.ndarray) -> np.ndarray:
        bag_of = np.repeat(np.arange(len(y)), np.diff(bounds))
        products = cpu.sum(dy[bag_of] * table[rows], axis=1, keepdims=False)
        products[rows == padding] = 0
        return products.reshape(ids.shape if given is None else given.shape)

    return y, (dweight, None, None, None if given is None else dfactors)


def _bounds(ids: np.ndarray, offsets: np.ndarray | None, ends: bool) -> np.ndarray | None:
    """Where bags start in the ids, and where the last one stops; None if they are no bags."""
    if ids.dtype.kind not in "iu":
        return None
    if offsets is None:
        return np.arange(ids.shape[0] + 1) * ids.shape[1] if ids.ndim == 2 else None
    if ids.ndim != 1 or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        return None
    bounds = offsets.astype(np.int64) if ends else np.append(offsets, ids.size).astype(np.int64)
    right = bounds.size and bounds[0] == 0 and bounds[-1] == ids.size
    return bounds if right and not np.any(bounds[1:] < bounds[:-1]) else None


_BAGS = "F[rows,width] i64[n] i64[bounds] F[weighted] (i64 i64)"


@parallel(f"{_BAGS} F[bags,width] f64[chunks,two,width]", then=["_share"])
def _reduce(table, rows, bounds, factors, settings, y, accumulators, chunk, chunks):
    """The reduced rows of each bag, 0 for one without rows."""
    mode, padding = settings
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    start, stop = chunk_bounds(y.shape[0], chunk, chunks)
    for bag in range(start, stop):
        first, last = bounds[bag], bounds[bag + 1]
        if mode == 2:
            _maximum(table, rows, first, last, padding, y[bag])
        else:
            _sum(table, rows, first, last, factors, padding, totals, errors)
            divisor = max(_size(rows[first:last], padding), 1) if mode == 1 else 1
            for j in range(y.shape[1]):
                y[bag, j] = value_of(totals[j], errors[j]) / divisor


@inner
def _size(own, padding):
    size = 0
    for row in own:
        size += row != padding
    return size


@inner
def _row(table, rows, i):
    """The row of id i; a later one is fetched meanwhile."""
    if i + AHEAD < rows.size:
        fetch(table[rows[i + AHEAD]])
    return table[rows[i]]


@inner
def _sum(table, rows, first, last, factors, padding, totals, errors):
    """The sum of the rows of a bag, in accumulators."""
    totals[:] = 0
    errors[:] = 0
    for i in range(first, last):
        row = _row(table, rows, i)
        if rows[i] != padding:
            factor = np.float64(factors[i]) if factors.size else 1.0
            for j in range(row.size):
                term = factor * np.float64(row[j])
                totals[j], errors[j] = add_with_error(totals[j], errors[j], term)


@inner
def _maximum(table, rows, first, last, padding, y):
    """The maximum of the rows of a bag, in each column; NaN if one is."""
    found = False
    y[:] = 0
    for i in range(first, last):
        row = _row(table, rows, i)
        if rows[i] != padding:
            for j in range(row.size):
                x = row[j]
                y[j] = x if not found or x > y[j] or x != x else y[j]
            found = True


@parallel(f"{_BAGS} F[bags,width] F[bags,width] F[bags,width] F[n,width]")
def _share(table, rows, bounds, factors, settings, dy, y, shares, parts, chunk, chunks):
    """The part of dy for each id.

    It is multiplied by its weight, divided by the size of its bag, or, if the row has the maximum,
    by how many have.
    """
    mode, padding = settings
    start, stop = chunk_bounds(y.shape[0], chunk, chunks)
    for bag in range(start, stop):
        first, last = bounds[bag], bounds[bag + 1]
        share = shares[bag]
        share[:] = 1
        if mode == 1:
            share[:] = _size(rows[first:last], padding)
        elif mode == 2:
            _count_ties(table, rows, first, last, padding, y[bag], share)
        for j in range(share.size):
            share[j] = dy[bag, j] / share[j]
        for i in range(first, last):
            part, row = parts[i], table[rows[i]]
            if rows[i] == padding:
                part[:] = 0
            elif mode == 2:
                for j in range(part.size):
                    part[j] = share[j] if row[j] == y[bag, j] else 0
            elif factors.size:
                for j in range(part.size):
                    part[j] = share[j] * factors[i]
            else:
                for j in range(part.size):
                    part[j] = share[j]


@inner
def _count_ties(table, rows, first, last, padding, y, ties):
    """How many rows have the maximum, in each column."""
    ties[:] = 0
    for i in range(first, last):
        row = _row(table, rows, i)
        if rows[i] != padding:
            for j in range(row.size):
                ties[j] += row[j] == y[j]
