"""The guard of the kernels: the arrays that they are compiled for.

A kernel's entry point returns NotImplemented for any others, and the operation's body runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def are_arrays(dtypes: str, array: Any, *others: Any, optional: Sequence[Any] = ()) -> bool:
    """Whether all are NumPy arrays of one dtype, in native byte order, whose `char` is in `dtypes`.

    Of the optional ones, those that are None are not counted.
    """
    if type(array) is not np.ndarray:
        return False
    dtype = array.dtype
    if dtype.char not in dtypes or not dtype.isnative:
        return False
    for other in others:
        if type(other) is not np.ndarray or other.dtype != dtype:
            return False
    for other in optional:
        if other is not None and (type(other) is not np.ndarray or other.dtype != dtype):
            return False
    return True
