"""Indexed reading and writing of CuPy's arrays."""

from types import EllipsisType, NoneType
from typing import Any

import cupy as cp

from minidl_cuda.checks import check_indices

Array = cp.ndarray
searchsorted, take_along_axis = cp.searchsorted, cp.take_along_axis

_DISTINCT = {int, bool, slice, EllipsisType, NoneType}  # indices of these types are distinct


def put_at(x: Array, values: Array, index: Any) -> Array:
    """A copy of x with x[index] = values."""
    result = cp.array(x)
    result[index] = values
    return result


def add_at(x: Array, index: Any, values: Any) -> None:
    """x[index] += values, in place; where an index occurs twice, both are added."""
    parts = index if isinstance(index, tuple) else (index,)
    if _DISTINCT.issuperset(map(type, parts)):
        x[index] += values
    elif x.dtype.kind == "c":
        values = cp.asarray(values)
        add_at(x.real, index, values.real)
        add_at(x.imag, index, values.imag)
    elif x.dtype == "int64":  # two's complement: the same bits
        cp.add.at(x.view("uint64"), index, cp.asarray(values).astype("uint64"))
    else:
        cp.add.at(x, index, values)


def scatter_at(values: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with values added at index."""
    result = cp.zeros(shape, values.dtype)
    add_at(result, index, values)
    return result


def scatter_add(x: Array, indices: Array, values: Array, *, axis: int) -> Array:
    """A copy of x, plus values where indices point along the axis."""
    result = x.copy()
    places = [
        cp.arange(n).reshape([-1 if i == j else 1 for j in range(indices.ndim)])
        for i, n in enumerate(indices.shape)
    ]
    places[axis] = indices
    add_at(result, tuple(places), values)
    return result


def coalesce(indices: Array, rows: Array, size: int) -> tuple[Array, Array]:
    """The indices, ascending, each once, and the sum of the rows of each."""
    check_indices(indices, size)
    distinct, places = cp.unique(indices, return_inverse=True)
    sums = cp.zeros((distinct.size, *rows.shape[1:]), rows.dtype)
    add_at(sums, (places,), rows)
    return distinct, sums
