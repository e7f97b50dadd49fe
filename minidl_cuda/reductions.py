"""Sums, products and sorting of CuPy's arrays.

A sum of n terms is within max(1, log₂ n)·ε·Σ|terms| of the exact one, as on the CPU.  The CPU adds
float32 in float64, for which most GPUs have few units; here each addition keeps what it rounds away
(`kernels.sum`).  A partial sum beyond the largest float32 is infinite.

Products and cumulative sums are CuPy's, in float64 for float16 and float32.  Those are trees, whose
error grows with the logarithm of the length, for float64 too.
"""

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import cupy as cp
from numpy.lib.array_utils import normalize_axis_tuple

from minidl.backends.reductions import runs
from minidl_cuda.array import Array
from minidl_cuda.kernels.sum import sum_rows

_WIDE = {"e": "float64", "f": "float64", "F": "complex128"}


def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Σ x; of bools and integers in int64."""
    keepdims = bool(index(keepdims))
    if x.dtype.kind in "biu":
        return cp.sum(x, axis=axis, dtype=_accumulator(x), keepdims=keepdims)
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
    if math.prod(shape) == x.size:
        return x.reshape(shape).copy()
    total = _sum_complex(x, axes) if x.dtype.kind == "c" else _sum_distinct(x, axes)
    return total.reshape(shape)


def _sum_complex(x: Array, axes: Sequence[int]) -> Array:
    """Σ x: its real and imaginary parts are an axis behind the others."""
    x = cp.ascontiguousarray(x)
    axes = [i for i in range(x.ndim) if i in axes]
    total = _sum_distinct(x.view(x.real.dtype).reshape(*x.shape, 2), axes)
    return total.view(x.dtype)


def _sum_distinct(x: Array, axes: Sequence[int]) -> Array:
    """Σ x, keeping the axes.  Repeated elements, as in a broadcast x, are read once."""
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    if not x.size:
        return cp.zeros(shape, x.dtype)
    if 0 not in x.strides:
        return _sum_by_rows(x, axes)
    repeats = [1 if step else n for n, step in zip(x.shape, x.strides, strict=True)]
    once = x[tuple([slice(1) if n > 1 else slice(None) for n in repeats])]
    count = math.prod([repeats[i] for i in axes])
    total = _sum_by_rows(once, axes) * x.dtype.type(count)
    return cp.broadcast_to(total, shape)


def _sum_by_rows(x: Array, axes: Sequence[int]) -> Array:
    """Σ x, keeping the axes, in the order in which they lie in memory."""
    order = list(range(x.ndim))
    if not x.flags.c_contiguous:
        order = sorted(order, key=lambda i: -abs(x.strides[i]))
        x = cp.ascontiguousarray(x.transpose(order))
    total = x
    for before, n, behind in runs([(x.shape[i], k in axes) for i, k in enumerate(order)]):
        total = sum_rows(total, before, n, behind)
    total = total.reshape([1 if k in axes else x.shape[i] for i, k in enumerate(order)])
    return total.transpose(sorted(range(len(order)), key=order.__getitem__))


def _accumulator(x: Array) -> Any:
    if x.dtype.kind in "bi":
        return "int64"
    return "uint64" if x.dtype.kind == "u" else _WIDE.get(x.dtype.char, x.dtype)


def _rounded(y: Array, x: Array) -> Array:
    return y.astype(x.dtype, copy=False) if x.dtype.kind in "fc" else y


def prod(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Π x; float16 and float32 in float64, bools and integers in int64."""
    return _rounded(cp.prod(x, axis=axis, dtype=_accumulator(x), keepdims=keepdims), x)


def cumulative_sum(x: Array, *, axis: int) -> Array:
    """x₀ + … + xᵢ; of bools and integers in int64."""
    return _rounded(cp.cumsum(x, axis=axis, dtype=_accumulator(x)), x)


def cumulative_prod(x: Array, *, axis: int) -> Array:
    """x₀ ⋯ xᵢ; float16 and float32 in float64, bools and integers in int64."""
    return _rounded(cp.cumprod(x, axis=axis, dtype=_accumulator(x)), x)


def argsort(x: Array, *, axis: int = -1) -> Array:
    """The indices that sort x; the sort is stable."""
    return cp.argsort(x, axis=axis, kind="stable")
