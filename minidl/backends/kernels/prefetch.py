"""Prefetching of rows: of those of a table that are used in any order, no processor knows the next.

So a loop over them has the cache lines of a later row fetched while it works on this one; else it
would wait for memory at each row, some 100 ns.
"""

from minidl.backends.kernels.runtime.kernel import inner
from minidl.backends.kernels.simd.intrinsics import (
    pointer,
    prefetch_for_reading,
    prefetch_for_writing,
)

AHEAD = 8  # rows
_CACHE_LINE = 64  # bytes


@inner
def fetch(row):
    """Have a row fetched, which is to be read."""
    for j in range(0, row.size, _CACHE_LINE // row.itemsize):
        prefetch_for_reading(pointer(row, j))


@inner
def fetch_for_writing(row):
    """Have a row fetched, which is to be read and written."""
    for j in range(0, row.size, _CACHE_LINE // row.itemsize):
        prefetch_for_writing(pointer(row, j))
