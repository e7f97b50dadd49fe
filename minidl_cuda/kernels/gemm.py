"""Products of matrices whose error does not grow with the length of their sums."""

import math
from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl_cuda.kernels.sum import sum_parts
from minidl_cuda.launch import Kernel, Module

_module = Module("gemm.cu")
_THREADS, _TILE, _DEPTH = 256, 64, 16
_ENOUGH = 512  # blocks that keep a large GPU busy
_SHORTEST = 256  # of k, that is worth a block of its own
_NAMES = {"f": "f32", "d": "f64"}
_FIELDS = "m n k a_row a_column a_matrix b_row b_column b_matrix depth"
_SHAPE = np.dtype([(name, np.int64) for name in _FIELDS.split()])


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(f"product_{name}")


def precise_product(a: Any, b: Any) -> Any:
    """a·b of matrices, or of stacks of them, of float32 or float64."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (m, k), n, count = a.shape[-2:], b.shape[-1], math.prod(batch)
    if not (m and n and count):
        return cp.empty((*batch, m, n), a.dtype)
    a, b = _stacked(a, batch), _stacked(b, batch)
    tiles = -(-m // _TILE) * -(-n // _TILE) * count
    depth = max(_SHORTEST, -(-k // max(1, _ENOUGH // tiles)))
    depth = -(-depth // _DEPTH) * _DEPTH
    splits = max(1, -(-k // depth))
    strides = [*_strides(a), *_strides(b)]
    shape = np.array((m, n, k, *strides, depth), _SHAPE)[()]
    form = ("n" if strides[1] == 1 else "t") + ("n" if strides[4] == 1 else "t")
    name = _NAMES[a.dtype.char]
    if splits == 1:
        c = cp.empty((*batch, m, n), a.dtype)
        _kernel(f"{form}_{name}")(tiles, _THREADS, (a, b, c, shape))
        return c
    parts = cp.empty((splits, count * m * n, 2), a.dtype)
    _kernel(f"{form}_{name}_parts")((tiles, splits), _THREADS, (a, b, parts, shape))
    return sum_parts(parts, 1, splits, count * m * n, a.dtype).reshape(*batch, m, n)


def _stacked(x: Any, batch: tuple[int, ...]) -> Any:
    """x as one matrix, or as a stack of them, with neighbours along one axis at least."""
    if x.ndim > 2 and x.shape[:-2] == (1,) * (x.ndim - 2):
        x = x.reshape(x.shape[-2:])
    if x.ndim > 2:
        x = cp.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
    if x.dtype.itemsize not in x.strides[-2:]:
        x = cp.ascontiguousarray(x)
    return x


def _strides(x: Any) -> list[int]:
    """The strides of rows, columns and matrices, in elements."""
    row, column = (step // x.dtype.itemsize for step in x.strides[-2:])
    return [row, column, x.strides[0] // x.dtype.itemsize if x.ndim > 2 else 0]
