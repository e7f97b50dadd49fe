"""Memory that kernels use while they run, and use again the next time.

Fresh memory is given out by the system page by page, each of which costs as much as some thousand
products.  What a kernel needs for itself is therefore kept, for each Python thread the largest that
was asked for.  Nothing in it outlives the call.
"""

from threading import local

import numpy as np

_kept = local()


def scratch(pieces: int, size: int) -> np.ndarray:
    """A float32 array (pieces, size) with anything in it."""
    needed = pieces * size
    array = getattr(_kept, "array", None)
    if array is None or array.size < needed:
        array = _kept.array = np.empty(needed, np.float32)
    return array[:needed].reshape(pieces, size)
