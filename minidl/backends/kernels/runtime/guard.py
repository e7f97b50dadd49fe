"""The guard of the kernels: the arrays that they are compiled for.

A kernel's entry point returns NotImplemented for any others, and the operation's body runs.
"""

from typing import Any

import numpy as np


def are_arrays(dtypes: str, *arrays: Any) -> bool:
    """Whether all are NumPy arrays of one dtype, in native byte order, whose `char` is in `dtypes`.

    An array that is None, an optional argument left out, is not counted.
    """
    dtype = None
    for array in arrays:
        if array is None:
            continue
        if type(array) is not np.ndarray:
            return False
        if dtype is None:
            dtype = array.dtype
            if dtype.char not in dtypes or not dtype.isnative:
                return False
        elif array.dtype != dtype:
            return False
    return True
