"""Indexed reading and writing of CuPy's arrays.

Where an index occurs more than once, CuPy adds in whatever order its threads arrive, and which of
several assigned values stays is undefined.  Here both are as on the CPU: sums are exact to one
rounding and the same bits in every run, and the last value stays (`kernels.scatter`).
"""

import math
from types import EllipsisType, NoneType
from typing import Any

import cupy as cp
import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minidl_cuda.array import Array
from minidl_cuda.checks import check_index, check_indices
from minidl_cuda.kernels import scatter

_DISTINCT = {int, bool, slice, EllipsisType, NoneType}  # indices of these types are distinct


def put_at(x: Array, values: Any, index: Any) -> Array:
    """A copy of x with x[index] = values; of several values for one element, the last stays."""
    result = x.copy()
    set_at(result, index, values)
    return result


def set_at(x: Array, index: Any, values: Any) -> None:
    """x[index] = values in place; of several values for one element, the last stays."""
    check_index(index, x.shape)
    parts = index if isinstance(index, tuple) else (index,)
    if not isinstance(values, cp.ndarray) or values.size == 1 or _are_distinct(parts):
        x[index] = values
        return
    places, rest = _rows(x, parts)
    values = cp.broadcast_to(values, places.shape + rest).astype(x.dtype, copy=False)
    table = cp.ascontiguousarray(x)
    scatter.write_rows(table, places.reshape(-1), cp.ascontiguousarray(values))
    if table is not x:
        x[...] = table


def _are_distinct(parts: tuple) -> bool:
    """Whether no element can be named twice: by slices, numbers and masks."""
    return all(type(part) in _DISTINCT or getattr(part, "dtype", "") == "bool" for part in parts)


def _rows(x: Array, parts: tuple) -> tuple[Array, tuple[int, ...]]:
    """x as a table whose rows are its leading axes: which of them are named; the shape of a row."""
    if len(parts) == 1 and getattr(parts[0], "dtype", np.dtype(bool)).kind in "iu":
        places = parts[0].astype("int64", copy=False)
        return cp.where(places < 0, places + x.shape[0], places), x.shape[1:]
    counted = all(type(part) is slice or getattr(part, "dtype", "") == "int64" for part in parts)
    lead = x.shape[: len(parts)] if counted else x.shape
    places = cp.arange(math.prod(lead), dtype="int64").reshape(lead)[parts]
    return places, x.shape[len(lead) :]


def add_at(x: Array, index: Any, values: Any) -> None:
    """x[index] += values, in place; where an index occurs twice, both are added."""
    _add(x, check_index(index, x.shape), values)


def _add(x: Array, index: Any, values: Any) -> None:
    """The same for an index that was checked."""
    given = getattr(values, "dtype", x.dtype)
    if not np.can_cast(given, x.dtype, "same_kind"):
        raise TypeError(f"cannot add {given} to {x.dtype}")
    parts = index if isinstance(index, tuple) else (index,)
    if _are_distinct(parts):
        x[index] += values
    elif x.dtype.kind == "c":
        values = cp.asarray(values)
        _add(x.real, index, values.real)
        _add(x.imag, index, values.imag if values.dtype.kind == "c" else cp.zeros_like(values))
    elif x.dtype.kind == "f":
        _add_floats(x, parts, values)
    else:
        _add_integers(x, parts, values)


def _add_floats(x: Array, parts: tuple, values: Any) -> None:
    places, rest = _rows(x, parts)
    terms = cp.broadcast_to(cp.asarray(values, x.dtype), places.shape + rest)
    table = cp.ascontiguousarray(x)
    scatter.add_rows(table, places.reshape(-1), cp.ascontiguousarray(terms))
    if table is not x:
        x[...] = table


def _add_integers(x: Array, parts: tuple, values: Any) -> None:
    """Sums of integers do not depend on the order; CuPy adds 64 bits, of two's complement."""
    places, rest = _rows(x, parts)
    terms = cp.broadcast_to(cp.asarray(values, x.dtype), places.shape + rest).astype("uint64")
    sums = cp.zeros((x.size // max(1, math.prod(rest)), *rest), "uint64")
    cp.add.at(sums, places, terms)
    if x.dtype == bool:
        x |= (sums != 0).reshape(x.shape)
    else:
        x += sums.reshape(x.shape).astype(x.dtype)


def scatter_at(values: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with values added at index."""
    result = cp.zeros(shape, values.dtype)
    add_at(result, index, values)
    return result


def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    """z[…, i, …] = x[…, indices[…, i, …], …]."""
    size = x.shape[normalize_axis_index(axis, x.ndim)]
    check_index((indices,), (size,))
    return cp.take_along_axis(x, indices, axis=axis)


def scatter_add(x: Array, indices: Array, values: Array, *, axis: int) -> Array:
    """A copy of x, plus values where indices point along the axis."""
    if indices.dtype.kind not in "iu":
        raise IndexError(f"indices are integers, not {indices.dtype}")
    result = x.copy()
    axis, ndim = axis % x.ndim, indices.ndim
    others = [
        (n, m) for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)) if i != axis
    ]
    if any(n > m for n, m in others):
        raise IndexError(f"indices {indices.shape} name more than there is in {x.shape}")
    index = [
        cp.arange(n, dtype="int64").reshape([-1 if i == j else 1 for j in range(ndim)])
        for i, n in enumerate(indices.shape)
    ]
    index[axis] = indices.astype("int64", copy=False)
    check_index((indices,), (x.shape[axis],))
    _add(result, tuple(index), values)
    return result


def coalesce(indices: Array, rows: Array, size: int) -> tuple[Array, Array]:
    """The indices, ascending, each once, and the sum of the rows of each.

    Waits for the device: how many there are depends on the values.
    """
    check_indices(indices, size)
    order = cp.argsort(indices, kind="stable")
    ascending = indices[order].astype("int64")
    if not ascending.size:
        return ascending, rows.copy()
    starts = cp.ones(ascending.size, bool)
    starts[1:] = ascending[1:] != ascending[:-1]
    distinct = ascending[starts]
    sums = cp.zeros((distinct.size, *rows.shape[1:]), rows.dtype)
    ids = cp.cumsum(starts, dtype="int64") - 1
    scatter.add_sorted(sums, ids, order, cp.ascontiguousarray(rows))
    return distinct, sums


def searchsorted(x1: Array, x2: Array, *, side: str = "left") -> Array:
    """Where to insert x₂ into x₁, a sorted vector."""
    return cp.searchsorted(cp.ascontiguousarray(x1), x2, side=side)
