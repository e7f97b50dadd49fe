"""Uniform numbers, and dropout (random.cu): a launch each way, with the CPU's numbers.

Saved is a mask of one byte an element.
"""

from functools import cache
from typing import Any, TypeAlias

import cupy as cp
import numpy as np

from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

Array: TypeAlias = cp.ndarray

_module = Module("random.cu")
_THREADS, _BYTES = 256, 16  # of a block; of a thread


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def _launch(name: str, like: Array, *arguments: Any) -> None:
    """Launch a kernel, with a thread for each 16 bytes of arrays like this one."""
    grid = blocks(like.size * like.itemsize, _THREADS * _BYTES)
    _kernel(f"{name}_{SUFFIX[like.dtype.char]}")(grid, _THREADS, arguments)


def uniform_like(x: Array, key: tuple[int, int]) -> Any:
    """Uniform numbers in [0, 1) of the shape and dtype of x: float32."""
    if not _suits("f", x, key):
        return NotImplemented
    u = cp.empty(x.shape, x.dtype)
    _launch("uniform", u, u, np.int64(u.size), *map(np.uint64, key))
    return u, None


def dropout(x: Array, p: float = 0.5, *, key: tuple[int, int]) -> Any:
    """y = 0 where a uniform number is below p, else x / (1 − p);   dx = 0, else dy / (1 − p)."""
    if not _suits("fe", x, key) or type(p) is not float or not 0 <= p < 1:
        return NotImplemented
    y, dropped = cp.empty(x.shape, x.dtype), cp.empty(x.shape, np.bool_)
    threshold, keep = (np.float32(x.dtype.type(number)) for number in (p, 1 - p))
    numbers = np.int64(x.size), threshold, keep, *map(np.uint64, key)
    _launch("dropout", x, contiguous(x), y, dropped, *numbers)

    def dx(dy: Array) -> Array:
        result, every = cp.empty(dropped.shape, dy.dtype), np.int32(any(dy.strides))
        dy = contiguous(dy) if every else dy
        _launch("dropout_back", result, dropped, dy, result, np.int64(dy.size), every, keep)
        return result

    return y, dx


def _suits(dtypes: str, x: Array, key: tuple[int, int]) -> bool:
    """Whether x has a dtype of the kernels, and seed and offset stay within 64 bits."""
    in_range = 0 <= key[0] < 2**64 and 0 <= key[1] < 2**64 - x.size
    return are_arrays(dtypes, x) and in_range
