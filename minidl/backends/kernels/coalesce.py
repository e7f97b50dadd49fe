"""Coalescing: the rows of a table's gradient that have equal indices are added up.

The indices are sorted by a radix sort, the least significant digit first (D. Knuth.  The Art of
Computer Programming 3, 5.2.5.  1998).  It is stable: equal indices, which are then next to each
other, keep their order.  Such a group of up to six rows is added up as they come, a larger one in
accumulators whose error does not grow (`kernels.reduction`); threads share the groups.

Cost: a pass over the indices for each digit of 11 bits, two for a table of up to four million rows,
and one over the values; no memory or time that depends on the size of the table.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.kernel import chunk_bounds, compiled, inner, parallel
from minidl.backends.kernels.scatter import add_many
from minidl.errors import BoundsError

_FEW = 6  # so many terms are within the bound in any order
_BITS = 11  # of a digit: its counts fit into the first-level cache


def coalesce(ids: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, ascending, and for each the sum of its values: (n,) and (n, width).

    Ids are int64, and values contiguous.  An id outside 0 … size − 1 is a BoundsError.
    """
    digits = -(-max(size - 1, 0).bit_length() // _BITS)
    orders, counts = np.empty((2, ids.size), np.int64), np.empty(2**_BITS, np.int64)
    distinct, bounds = np.empty(ids.size, np.int64), np.empty(ids.size + 1, np.int64)
    found = np.empty(1, np.int64)
    _group(ids, size, digits, orders, counts, distinct, bounds, found)
    if found[0] < 0:
        raise BoundsError(f"index {ids[~found[0]]} is outside 0 … {size - 1}")
    groups, width = int(found[0]), values.shape[1]
    sums, chunks = np.empty((groups, width), values.dtype), threads.chunks(values.size * 0.5)
    accumulators = np.empty((chunks, 2, width))
    _sum_groups(values, orders[digits % 2], bounds, sums, accumulators, chunks)
    return distinct[:groups].copy(), sums


@compiled("i64[n] i64 i64 i64[two,n] i64[digit] i64[n] i64[bounds] i64[one]")
def _group(ids, size, digits, orders, counts, distinct, bounds, found):
    """Sort the numbers of the ids into orders[digits % 2], and find groups of equal ids there.

    Group g is order[bounds[g] : bounds[g + 1]], of ids that are distinct[g]; found is the number of
    groups, or −1 − i if ids[i] does not exist.
    """
    for i in range(ids.size):
        if ids[i] < 0 or ids[i] >= size:
            found[0] = -1 - i
            return
        orders[0, i] = i
    for digit in range(digits):
        _sort_by_digit(ids, digit * _BITS, orders[digit % 2], orders[1 - digit % 2], counts)
    order, groups = orders[digits % 2], 0
    for i in range(ids.size):
        if i == 0 or ids[order[i]] != ids[order[i - 1]]:
            distinct[groups], bounds[groups] = ids[order[i]], i
            groups += 1
    bounds[groups], found[0] = ids.size, groups


@inner
def _sort_by_digit(ids, shift, order, result, counts):
    """A counting sort of the order by the digit of the ids that begins at a bit."""
    counts[:] = 0
    last = counts.size - 1
    for i in range(ids.size):
        counts[(ids[i] >> shift) & last] += 1
    start = 0
    for digit in range(counts.size):
        start, counts[digit] = start + counts[digit], start
    for i in order:
        digit = (ids[i] >> shift) & last
        result[counts[digit]] = i
        counts[digit] += 1


@parallel("F[n,width] i64[n] i64[bounds] F[groups,width] f64[chunks,two,width]")
def _sum_groups(values, order, bounds, sums, accumulators, chunk, chunks):
    """sums[g] = Σ values[order[bounds[g] : bounds[g + 1]]]."""
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    start, stop = chunk_bounds(sums.shape[0], chunk, chunks)
    for group in range(start, stop):
        row, first = sums[group], values[order[bounds[group]]]
        for j in range(row.size):
            row[j] = first[j]
        others = order[bounds[group] + 1 : bounds[group + 1]]
        if others.size < _FEW:
            _add_few(row, others, values)
        else:
            add_many(row, others, values, totals, errors)


@inner
def _add_few(row, own, values):
    """row += values[i] for each i in own, as they come."""
    for i in own:
        terms = values[i]
        for j in range(row.size):
            row[j] += terms[j]
