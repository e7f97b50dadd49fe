"""The n largest numbers of each row, in order, with a heap.

A row is read once.  A binary heap (J. Williams 1964: Algorithm 232, heapsort) holds the n best so
far, the worst of them first; a run of numbers none of which is better is passed over with one
comparison a vector.  Of a row in random order, some n·log(columns/n) numbers enter the heap.

Cost: 4 bytes a number, and what enters the heap.
"""

import math

import numpy as np

from minidl.backends.kernels.runtime.kernel import chunk_bounds, inlined, inner, parallel

_RUN = 64
_LOWEST = np.float32(-math.inf)


@inlined
def _is_worse(value, code, other, other_code):
    """Whether a number ranks below another: it is smaller, or as large and further right."""
    return value < other or value == other and code > other_code


@inner
def _sift_down(values, codes, place, size):
    """Restore the heap below a place."""
    value, code = values[place], codes[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _is_worse(values[right], codes[right], values[child], codes[child]):
            child = right
        if not _is_worse(values[child], codes[child], value, code):
            break
        values[place], codes[place] = values[child], codes[child]
        place = child
    values[place], codes[place] = value, code


@inner
def _sort_heap(values, codes):
    """The numbers of a heap, the best first."""
    for last in range(values.size - 1, 0, -1):
        value, code = values[last], codes[last]
        values[last], codes[last] = values[0], codes[0]
        values[0], codes[0] = value, code
        _sift_down(values, codes, 0, last)


@inner
def _has_better(row, start, stop, worst):
    found = 0
    for k in range(start, stop):
        found |= row[k] > worst
    return found != 0


@inner
def _largest_of_row(row, codes, values):
    values[:] = _LOWEST
    codes[:] = -1
    for start in range(0, row.size, _RUN):
        stop = min(start + _RUN, row.size)
        if not _has_better(row, start, stop, values[0]):
            continue
        for k in range(start, stop):
            if row[k] > values[0]:
                values[0], codes[0] = row[k], k
                _sift_down(values, codes, 0, values.size)
    _sort_heap(values, codes)


@parallel("f32[rows,columns] i64[bounds] i32[entries] i32[rows,n] f32[rows,n]")
def largest(scores, bounds, seen, codes, values, chunk, chunks):
    """The n largest of each row, of equal ones the leftmost; −1 and −∞ where there are fewer.

    scores    where a column is among the row's `seen`, it is set to −∞
    """
    start, stop = chunk_bounds(scores.shape[0], chunk, chunks)
    for i in range(start, stop):
        row = scores[i]
        for k in range(bounds[i], bounds[i + 1]):
            row[seen[k]] = _LOWEST
        _largest_of_row(row, codes[i], values[i])
