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
from minidl.backends.kernels.runtime.kernel import chunk_bounds, compiled, inner, parallel

_FEW = 6  # so many terms, the row itself among them, are within the bound in any order
_SORTED = "u8[rows] i64[often] i64[bounds] i64[order]"  # what `_sort_often` returns


def add_rows(table: np.ndarray, ids: np.ndarray, values: np.ndarray) -> None:
    """table[ids[i]] += values[i]: (rows, width), (n,) and (n, width), contiguous, ids in range."""
    _add_to(table, ids, values, False, threads.chunks(values.size * 0.5))


def sum_rows(rows: int, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The table of zeros to which the values are added at the ids."""
    table = np.empty((rows, values.shape[1]), values.dtype)
    _add_to(table, ids, values, True, threads.chunks(values.size * 0.5 + table.size * 0.1))
    return table


def _add_to(
    table: np.ndarray, ids: np.ndarray, values: np.ndarray, fresh: bool, chunks: int
) -> None:
    often, accumulators = _sort_often(ids, len(table)), np.empty((chunks, 2, table.shape[1]))
    _add(table, ids, values, *often, fresh, accumulators, chunks)


def _sort_often(ids: np.ndarray, rows: int) -> tuple[np.ndarray, ...]:
    """Of each row, how often its id occurs, up to _FEW; and the rows that occur so often.

    Also the numbers of their values, in order of these rows, and the bounds of each.
    """
    counts = np.zeros(rows, np.uint8)  # bytes: small enough for a cache
    found = _count(ids, counts)
    often, bounds = np.empty(found, np.int64), np.zeros(found + 2, np.int64)
    order = np.empty(ids.size if found else 0, np.int64)
    if found:
        _sort(ids, counts, np.full(rows, -1, np.int64), often, bounds, order)
    return counts, often, bounds[:-1], order


@compiled("i64[n] u8[rows]")
def _count(ids, counts):
    """How many rows occur often."""
    found = 0
    for row in ids:
        if counts[row] < _FEW:
            counts[row] += 1
            found += counts[row] == _FEW
    return found


@compiled("i64[n] u8[rows] i64[rows] i64[often] i64[bounds] i64[n]")
def _sort(ids, counts, slots, often, bounds, order):
    """A counting sort: order[bounds[s] : bounds[s + 1]] are the i whose row is often[s].

    Until the sums are done, the numbers of the values of s are at s + 2; then the place of the next
    one is at s + 1, which in the end is where they stop.
    """
    found = 0
    for row in ids:
        if counts[row] == _FEW:
            if slots[row] < 0:
                slots[row], often[found] = found, row
                found += 1
            bounds[slots[row] + 2] += 1
    for slot in range(2, bounds.size):
        bounds[slot] += bounds[slot - 1]
    for i in range(ids.size):
        slot = slots[ids[i]]
        if slot >= 0:
            order[bounds[slot + 1]] = i
            bounds[slot + 1] += 1


@parallel(f"F[rows,width] i64[n] F[n,width] {_SORTED} bool f64[chunks,two,width]")
def _add(table, ids, values, counts, often, bounds, order, fresh, accumulators, chunk, chunks):
    """Each chunk takes some rows of the table, which has no content if it is fresh."""
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    start, stop = chunk_bounds(table.shape[0], chunk, chunks)
    if fresh:
        table[start:stop] = 0
    _add_few(table[start:stop], start, ids, counts, values)
    for slot in range(often.size):
        if start <= often[slot] < stop:
            own = order[bounds[slot] : bounds[slot + 1]]
            add_many(table[often[slot]], own, values, totals, errors)


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
def add_many(row, own, values, totals, errors):
    """row += values[i] for each i in own, in accumulators."""
    for j in range(row.size):
        totals[j], errors[j] = row[j], 0
    for i in own:
        terms = values[i]
        for j in range(row.size):
            term = np.float64(terms[j])
            totals[j], errors[j] = add_with_error(totals[j], errors[j], term)
    for j in range(row.size):
        row[j] = value_of(totals[j], errors[j])
