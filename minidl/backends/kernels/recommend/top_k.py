"""The k largest positive values, in a heap: two arrays, of codes and of values.

The root is the worst that is kept: the smallest value, of equal ones the largest code (J. Williams.
Algorithm 232: heapsort.  CACM 7(6), 1964).  What is kept does not depend on the order of offers.
"""

import numpy as np

from minidl.backends.kernels.runtime.kernel import inner

_BLOCK = 64  # values that are compared at a time with the worst that is kept


@inner
def offer_all(heap, row):
    """Offer a row to an empty heap.  Blocks without a value above the worst are passed over."""
    size, worst = 0, np.float32(0)
    for start in range(0, row.size, _BLOCK):
        block = row[start : start + _BLOCK]
        if _any_above(block, worst):
            for i in range(block.size):
                if block[i] > worst:
                    size = offer(heap, size, block[i], start + i)
                    if size == heap[0].size:
                        worst = heap[1][0]
    return size


@inner
def _any_above(block, worst):
    found = 0
    for i in range(block.size):
        found += block[i] > worst
    return found > 0


@inner
def offer(heap, size, value, code):
    """Keep what is among the largest positive values; returns how many are kept."""
    codes, values = heap
    if not value > 0:
        return size
    if size < codes.size:
        place = size
        while place > 0:
            above = (place - 1) // 2
            if not _is_worse(value, code, values[above], codes[above]):
                break
            values[place], codes[place] = values[above], codes[above]
            place = above
        values[place], codes[place] = value, code
        return size + 1
    if _is_worse(values[0], codes[0], value, code):
        _sink(heap, size, value, code)
    return size


@inner
def _sink(heap, size, value, code):
    """Put a value in the place of the root, and then where it belongs."""
    codes, values = heap
    place = 0
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and _is_worse(
            values[below + 1], codes[below + 1], values[below], codes[below]
        ):
            below += 1
        if not _is_worse(values[below], codes[below], value, code):
            break
        values[place], codes[place] = values[below], codes[below]
        place = below
    values[place], codes[place] = value, code


@inner
def _is_worse(value, code, other_value, other_code):
    return value < other_value or (value == other_value and code > other_code)


@inner
def sort(heap, size):
    """Heapsort: the worst goes to the end, again and again."""
    codes, values = heap
    for last in range(size - 1, 0, -1):
        value, code = values[last], codes[last]
        values[last], codes[last] = values[0], codes[0]
        _sink(heap, last, value, code)
