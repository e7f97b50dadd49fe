"""Sums and products of NumPy arrays whose error does not grow with their length, in any direction.

A sum of n terms is within max(1, log₂ n)·ε·Σ|terms| of the exact one, where ε is the distance from
1 to the next number of the dtype.  float16 and float32 are added up in float64, and rounded once.
NumPy's own sums are pairwise along contiguous axes only, and one after the other along others.

Up to a few dozen elements, NumPy adds, and no kernel need be loaded.  Larger arrays are for the
kernels (`kernels.reduction`), which take the rows of a matrix as they lie in memory: axes that are
reduced together and lie side by side are one axis for them.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

Axis = int | Sequence[int] | None

_FEW = 6  # so many terms, in any order, are within the bound: n − 1 ≤ 2·log₂ n
_LONG = 2**21  # up to so many, the sum of all takes one thread
_SMALL = 128  # up to so many elements, NumPy adds
_WIDE = {char: np.dtype("float64") for char in "ef"} | {"F": np.dtype("complex128")}
_LARGEST = {"e": 65504, "f": 3.4e38}  # below, nothing becomes infinite

_add: Any = np.add.reduce
_multiply: Any = np.multiply.reduce
_quiet = np.errstate(all="ignore")  # a decorator
_quiet_asarray = _quiet(np.asarray)


@cache
def _kernels() -> Any:
    return import_module("minidl.backends.kernels.reduction")


def sum(x: np.ndarray, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Σ x; of bools and integers in int64."""
    char = x.dtype.char
    if char not in "fdeFD" or x.size <= _FEW and char != "e":
        return _add(x, axis=axis, keepdims=keepdims)
    if x.size <= _SMALL and char in _WIDE:
        total = _add(x, axis=axis, keepdims=keepdims, dtype=_WIDE[char])
        return _rounded(total, x.dtype)
    if x.size > _SMALL and char in "fd" and x.flags.carray and x.dtype.isnative:
        if type(axis) is tuple and len(axis) == 1:
            axis = axis[0]
        if axis is None or type(axis) is int and -x.ndim <= axis < x.ndim:
            return _sum_contiguous(x, axis, keepdims)
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
    if math.prod(shape) == x.size:
        return x.reshape(shape).copy()
    total = _sum_complex(x, axes) if char in "FD" else _sum_distinct(x, axes)
    return _rounded(total, x.dtype.newbyteorder("=")).reshape(shape)


def _sum_contiguous(x: np.ndarray, axis: int | None, keepdims: bool) -> np.ndarray:
    """Σ x over one axis or all of them, the usual case."""
    if axis is None:
        shape = (1,) * x.ndim if keepdims else ()
        if x.size < _LONG:
            total = np.asarray(_kernels().sum_vector(x.reshape(-1)), x.dtype)
            return total.reshape(shape) if keepdims else total
        return _kernels().sum_rows(x.reshape(1, -1, 1), x.dtype).reshape(shape)
    axis %= x.ndim
    n, before, behind = x.shape[axis], x.shape[:axis], x.shape[axis + 1 :]
    rows = x.reshape(math.prod(before), n, math.prod(behind))
    shape = (*before, 1, *behind) if keepdims else before + behind
    return _kernels().sum_rows(rows, x.dtype).reshape(shape)


def _rounded(total: Any, dtype: np.dtype) -> Any:
    """The total in its dtype, without a warning if it becomes infinite there."""
    if total.dtype == dtype:
        return total
    if not total.ndim and abs(total) < _LARGEST.get(dtype.char, 0):
        return np.asarray(total, dtype)
    return _quiet_asarray(total, dtype)


def _sum_complex(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Σ x, the real and the imaginary part each by itself."""
    total = np.empty([1 if i in axes else n for i, n in enumerate(x.shape)], "complex128")
    total.real, total.imag = _sum_distinct(x.real, axes), _sum_distinct(x.imag, axes)
    return total


def _sum_distinct(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Σ x in float64, keeping the axes.  Repeated elements, as in a broadcast x, are read once."""
    if 0 not in x.strides:
        return _sum_by_rows(x, axes)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    repeats = [1 if step else n for n, step in zip(x.shape, x.strides, strict=True)]
    once = x[tuple([slice(1) if n > 1 else slice(None) for n in repeats])]
    total = _sum_by_rows(once, axes) * math.prod([repeats[i] for i in axes])
    return np.broadcast_to(total, shape)


def _sum_by_rows(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Σ x in float64, keeping the axes."""
    if x.size <= _SMALL:
        return _sum_in_pairs(x.astype("float64"), axes)
    order = list(range(x.ndim))
    if not x.flags.c_contiguous:  # unless it is so with its axes in another order, it is copied
        order = sorted(order, key=lambda i: -abs(x.strides[i]))
        x = x.transpose(order)
    dtype = "float64" if x.dtype.char == "d" else "float32"
    total: np.ndarray = x if x.flags.carray and x.dtype == dtype else np.array(x, dtype, order="C")
    for before, n, behind in runs([(x.shape[i], k in axes) for i, k in enumerate(order)]):
        total = _kernels().sum_rows(total.reshape(before, n, behind), "float64")
    total = total.reshape([1 if k in axes else x.shape[i] for i, k in enumerate(order)])
    return total.transpose(np.argsort(order))


def runs(axes: list[tuple[int, bool]]) -> Iterator[tuple[int, int, int]]:
    """For each run of reduced axes, the last first: the length before, its own, and that behind.

    An axis is its length, and whether it is reduced.  The runs behind have been reduced already.
    """
    several = (axis for axis in axes if axis[0] > 1)
    runs = [
        (reduced, math.prod([n for n, _ in run]))
        for reduced, run in groupby(several, itemgetter(1))
    ]
    for i in reversed(range(len(runs))):
        reduced, n = runs[i]
        if reduced:
            before = math.prod([n for _, n in runs[:i]])
            yield before, n, math.prod([n for reduced, n in runs[i + 1 :] if not reduced])


def _sum_in_pairs(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Σ x of a few numbers, keeping the axes: the first half plus the second, and so on."""
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose([*axes, *kept]).reshape(-1, *(x.shape[i] for i in kept))
    while len(rows) > _FEW:
        half = len(rows) // 2
        pairs = rows[:half] + rows[half : 2 * half]
        rows = np.concatenate([pairs, rows[2 * half :]]) if len(rows) % 2 else pairs
    return _add(rows, axis=0).reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


@_quiet
def prod(x: np.ndarray, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Π x; float16 and float32 in float64, bools and integers in int64."""
    wide = _WIDE.get(x.dtype.char)
    y: Any = _multiply(x, axis=axis, keepdims=keepdims, dtype=wide)
    return y if wide is None else y.astype(x.dtype)


@_quiet
def cumulative_prod(x: np.ndarray, *, axis: int) -> np.ndarray:
    """x₀ ⋯ xᵢ; float16 and float32 in float64, bools and integers in int64."""
    wide = _WIDE.get(x.dtype.char)
    y = np.cumprod(x, axis=axis, dtype=wide)
    return y if wide is None else y.astype(x.dtype)


@_quiet
def cumulative_sum(x: np.ndarray, *, axis: int) -> np.ndarray:
    """x₀ + … + xᵢ, each within the bound of `sum`; of bools and integers in int64."""
    char = x.dtype.char
    if char not in "fdeFD" or x.shape[axis] <= _FEW and char in "dD":
        return np.cumsum(x, axis=axis)
    if x.size <= _SMALL and char in _WIDE:
        return np.cumsum(x, axis=axis, dtype=_WIDE[char]).astype(x.dtype)
    if char in "FD":
        parts = [cumulative_sum(part, axis=axis) for part in (x.real, x.imag)]
        y = np.empty(x.shape, x.dtype.newbyteorder("="))
        y.real, y.imag = parts
        return y
    wide = np.ascontiguousarray(x, "float64" if char == "d" else "float32")
    axis %= x.ndim
    shape = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    y = _kernels().accumulate_rows(wide.reshape(shape)).reshape(x.shape)
    return y.astype(x.dtype, copy=False)
