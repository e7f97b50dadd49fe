"""Softmax and log-softmax along an axis (softmax.cu).

Saved is y alone.  A launch forward, and one back.
"""

import math
from functools import cache
from typing import Any, TypeAlias

import cupy as cp
import numpy as np

from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

Array: TypeAlias = cp.ndarray

_module = Module("softmax.cu")
_THREADS = 256
_HELD = 1024  # elements of a row that a warp keeps in registers
_MOST = 2**31 - 1


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def softmax(x: Array, *, axis: int = -1) -> Any:
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y)."""
    return _along("softmax", x, axis)


def log_softmax(x: Array, *, axis: int = -1) -> Any:
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy."""
    return _along("log_softmax", x, axis)


def _along(name: str, x: Array, axis: int) -> Any:
    """The value along an axis, and its pullback."""
    if type(axis) is not int or not are_arrays("fe", x) or not -x.ndim <= axis < x.ndim:
        return NotImplemented
    if not x.size or x.shape[axis] > _MOST:
        return NotImplemented
    axis %= x.ndim
    shape = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    suffix = SUFFIX[x.dtype.char]
    y = cp.empty(x.shape, x.dtype)
    _launch(name, "", suffix, (contiguous(x), y), *shape)

    def dx(dy: Array) -> Array:
        result = cp.empty(y.shape, y.dtype)
        _launch(name, "_back", suffix, (y, contiguous(dy), result), *shape)
        return result

    return y, dx


def _launch(
    name: str, way: str, suffix: str, arrays: tuple[Array, ...], outer: int, n: int, columns: int
) -> None:
    """Launch the kernel for rows, for long rows, or for columns: (outer, n, columns)."""
    if columns > 1:
        sizes = np.int64(outer), np.int32(n), np.int64(columns)
        kernel = _kernel(f"{name}_columns{way}_{suffix}")
        kernel(blocks(outer * columns, _THREADS), _THREADS, (*arrays, *sizes))
    elif n <= _HELD:
        kernel = _kernel(f"{name}_rows{way}_{suffix}")
        kernel(blocks(32 * outer, _THREADS), _THREADS, (*arrays, np.int64(outer), np.int32(n)))
    else:
        kernel = _kernel(f"{name}_long_rows{way}_{suffix}")
        rows = (np.int64(outer), np.int32(n)) if way else (np.int32(n),)
        kernel(outer, _THREADS, (*arrays, *rows))
