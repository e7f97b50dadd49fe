"""Scatter-add: values added to the rows of a table.

The values of a row are found by a counting sort of the ids, and added up by one thread, in the
order of the ids, in accumulators whose error does not grow (`kernels.reduction`): the sums are the
same for any number of threads, and no atomic operations are needed.

Cost: a pass over the ids and one over the values; only rows that get any are touched.
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
    begins, order = _sort(ids, table.shape[0])
    _fill(table, begins, order, values, False, threads.chunks(values.size * 0.5))


def sum_rows(rows: int, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The table of zeros to which the values are added at the ids."""
    table = np.empty((rows, values.shape[1]), values.dtype)
    begins, order = _sort(ids, rows)
    _fill(table, begins, order, values, True, threads.chunks(values.size * 0.5 + table.size * 0.1))
    return table


@compiled
def _sort(ids, rows):
    """Where the values of each row begin, and their numbers, row by row."""
    begins, order = np.zeros(rows + 2, np.int64), np.empty(ids.size, np.int64)
    for i in range(ids.size):
        begins[ids[i] + 2] += 1
    for row in range(2, rows + 2):
        begins[row] += begins[row - 1]
    for i in range(ids.size):
        place = begins[ids[i] + 1]
        order[place] = i
        begins[ids[i] + 1] = place + 1
    return begins[: rows + 1], order


@parallel
def _fill(table, begins, order, values, fresh, chunks):
    """Each chunk takes the rows of an equal share of the values; a fresh table has no content."""
    rows = table.shape[0]
    for chunk in prange(chunks):
        totals, errors = np.empty(table.shape[1]), np.empty(table.shape[1])
        first, last = chunk_bounds(order.size, chunk, chunks)
        start = np.searchsorted(begins[:rows], first) if chunk else 0
        stop = np.searchsorted(begins[:rows], last) if chunk < chunks - 1 else rows
        if fresh:
            table[start:stop] = 0
        for i in range(start, stop):
            begin, end = begins[i], begins[i + 1]
            if end - begin >= _FEW:
                _add(table[i], order[begin:end], values, totals, errors)
            else:
                for k in range(begin, end):
                    _add_one(table[i], values[order[k]])


@inner
def _add_one(row, terms):
    for j in range(row.size):
        row[j] += terms[j]


@inner
def _add(row, own, values, totals, errors):
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
