"""Workspace: memory that kernels use while they run, reused by the next call.

Fresh memory comes from the system page by page, and each page costs as much as some thousand
multiply-adds.  So each Python thread keeps the largest workspace it has needed.  Its content does
not outlive the call.
"""

from threading import local

import numpy as np

LINE = 16  # float32 in a cache line
_cached = local()


def scratch(chunks: int, size: int) -> np.ndarray:
    """An uninitialised float32 array (chunks, size): a row for each chunk of the work.

    Its first element, and each row if their size is a multiple of 16, begins a cache line: a vector
    that lies in two of them takes two loads.
    """
    needed = chunks * size
    array = getattr(_cached, "array", None)
    if array is None or array.size < needed:
        array = np.empty(needed + LINE, np.float32)
        array = _cached.array = array[-array.ctypes.data // 4 % LINE :]
    return array[:needed].reshape(chunks, size)
