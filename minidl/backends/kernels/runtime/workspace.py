"""Workspace: memory that kernels use while they run, reused by the next call.

Fresh memory comes from the system page by page, and each page costs as much as some thousand
multiply-adds.  So each Python thread keeps the largest workspace it has needed.  Its content does
not outlive the call.

It begins at a cache line, as do arrays from `aligned`.  A vector that lies in two lines takes two
loads, a tenth of the time of a matrix product; and a line at the border between the columns of two
threads, which both write, goes back and forth between their caches, for longer than the product.
"""

from threading import local

import numpy as np

LINE = 16  # float32 in a cache line
_cached = local()


def aligned(*shape: int) -> np.ndarray:
    """Uninitialised float32 that begin at a cache line."""
    count = 1
    for n in shape:
        count *= n
    array = np.empty(count + LINE, np.float32)
    offset = -array.ctypes.data // array.itemsize % LINE
    return array[offset : offset + count].reshape(shape)


def scratch(chunks: int, size: int) -> np.ndarray:
    """An uninitialised float32 array (chunks, size): a row for each chunk of the work.

    Each row begins a cache line if their size is a multiple of LINE.
    """
    needed = chunks * size
    array = getattr(_cached, "array", None)
    if array is None or array.size < needed:
        array = _cached.array = aligned(needed)
    return array[:needed].reshape(chunks, size)
