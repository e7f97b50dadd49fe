"""Workspace: memory that kernels use while they run, reused by the next call.

Fresh memory comes from the system page by page, and each page costs as much as some thousand
multiply-adds.  So each Python thread keeps the largest workspace it has needed.  Its content does
not outlive the call.
"""

from threading import local

import numpy as np

_cached = local()


def scratch(chunks: int, size: int) -> np.ndarray:
    """An uninitialised float32 array (chunks, size): a row for each chunk of the work."""
    needed = chunks * size
    array = getattr(_cached, "array", None)
    if array is None or array.size < needed:
        array = _cached.array = np.empty(needed, np.float32)
    return array[:needed].reshape(chunks, size)
