"""The type of arrays on a GPU."""

from typing import TypeAlias

import cupy

Array: TypeAlias = cupy.ndarray
