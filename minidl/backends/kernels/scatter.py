"""Scatter-add: values added to the rows of a table.

Each thread adds to rows of its own, in the order of the ids, which all threads read: no atomic
operations are needed, and the sums are the same for any number of threads.  Rows with up to five
values take them as they come.  The values of the others are found by a counting sort of the ids,
and added up in accumulators whose error does not grow (`kernels.reduction`).

Cost: a pass over the ids, two more if some occur often, and one over the values.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.reduction import add_with_error, value_of
from minidl.backends.kernels.runtime.compile import (
    chunk_bounds,
    compiled,
    inner,
    parallel,
    prange,
)

_FEW = 6  # so many terms, the row itself among them, are within the bound in any order


def add_rows(table: np.ndarray, ids: np.ndarray, values: np.ndarray) -> None:
    """table[ids[i]] += values[i]: (rows, width), (n,) and (n, width), contiguous, ids in range."""
    often = _sort_often(ids, table.shape[0])
    _add(table, ids, values, *often, False, threads.chunks(values.size * 0.5))


def sum_rows(rows: int, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The table of zeros to which the values are added at the ids."""
    table = np.empty((rows, values.shape[1]), values.dtype)
    often, chunks = _sort_often(ids, rows), threads.chunks(values.size * 0.5 + table.size * 0.1)
    _add(table, ids, values, *often, True, chunks)
    return table


@compiled
def _sort_often(ids, rows):
    """Of each row, how often its id occurs, up to _FEW; and the rows that occur so often.

    Also where the values of each of these begin, and the numbers of their values.
    """
    counts = np.zeros(rows, np.uint8)  # bytes: small enough for a cache
    found = 0
    for row in ids:
        if counts[row] < _FEW:
            counts[row] += 1
            found += counts[row] == _FEW
    often, begins = np.empty(found, np.int64), np.zeros(found + 1, np.int64)
    if found == 0:
        return counts, often, begins, np.empty(0, np.int64)
    slots = np.full(rows, -1)
    found = 0
    for row in ids:
        if counts[row] == _FEW:
            if slots[row] < 0:
                slots[row], often[found] = found, row
                found += 1
            begins[slots[row] + 1] += 1
    begins[:] = np.cumsum(begins)
    order, ends = np.empty(begins[found], np.int64), begins.copy()
    for i in range(ids.size):
        slot = slots[ids[i]]
        if slot >= 0:
            order[ends[slot]] = i
            ends[slot] += 1
    return counts, often, begins, order


@parallel
def _add(table, ids, values, counts, often, begins, order, fresh, chunks):
    """Each chunk takes some rows of the table, which has no content if it is fresh."""
    for chunk in prange(chunks):
        totals, errors = np.empty(table.shape[1]), np.empty(table.shape[1])
        start, stop = chunk_bounds(table.shape[0], chunk, chunks)
        if fresh:
            table[start:stop] = 0
        _add_few(table[start:stop], start, ids, counts, values)
        for slot in range(often.size):
            if start <= often[slot] < stop:
                own = order[begins[slot] : begins[slot + 1]]
                _add_many(table[often[slot]], own, values, totals, errors)


@inner
def _add_few(table, start, ids, counts, values):
    """The values of rows that have few, as they come."""
    for i in range(ids.size):
        row = ids[i] - start
        if 0 <= row < table.shape[0] and counts[ids[i]] < _FEW:
            source, target = values[i], table[row]
            for j in range(target.size):
                target[j] += source[j]


@inner
def _add_many(row, own, values, totals, errors):
    """row += its values."""
    for j in range(row.size):
        totals[j], errors[j] = row[j], 0
    for i in own:
        terms = values[i]
        for j in range(row.size):
            term = np.float64(terms[j])
            totals[j], errors[j] = add_with_error(totals[j], errors[j], term)
    for j in range(row.size):
        row[j] = value_of(totals[j], errors[j])
