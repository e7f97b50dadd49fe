"""Addition to indexed elements of NumPy arrays, whose error does not grow with repetitions.

An element and the values added to it are terms of one sum, within the bound of
`backends.reductions`; `numpy.add.at` adds one after the other in the dtype of the array.
"""

import math
from functools import cache
from importlib import import_module
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

_DISTINCT = {int, bool, slice, EllipsisType, NoneType}  # indices of these types are distinct
_FEW = 6  # so many values, in any order, are within the bound
_WORK = {"e": "float32", "f": "float32", "d": "float64"}


@cache
def _kernels(name: str) -> Any:
    return import_module(f"minidl.backends.kernels.{name}")


def add_at(x: np.ndarray, index: Any, values: Any) -> None:
    """x[index] += values, in place; where an index occurs twice, both are added."""
    parts = index if isinstance(index, tuple) else (index,)
    if _DISTINCT.issuperset(map(type, parts)):
        x[index] += values
    elif x.dtype.kind == "c":
        values = np.asarray(values)
        add_at(x.real, index, values.real)
        add_at(x.imag, index, values.imag)
    elif x.dtype.kind == "f":
        _add_rows(x, parts, values)
    else:
        np.add.at(x, index, values)


def _add_rows(x: np.ndarray, parts: tuple, values: Any) -> None:
    """x[parts] += values for floats: x as a table, of which the leading axes are the rows."""
    counted = all(type(part) is slice or getattr(part, "dtype", "") == "int64" for part in parts)
    lead = x.shape[: len(parts)] if counted else x.shape
    ids = np.asarray(np.arange(math.prod(lead)).reshape(lead)[parts])
    if ids.size <= _FEW and x.dtype.char != "e":
        with np.errstate(all="ignore"):  # as where there are many
            return np.add.at(x, parts, values)
    work, rest = _WORK[x.dtype.char], x.shape[len(lead) :]
    terms = np.ascontiguousarray(np.broadcast_to(values, ids.shape + rest), work)
    if not terms.size:
        return None
    in_place = x.flags.carray and x.dtype == work
    table = x if in_place else np.array(x, work, order="C")
    width = math.prod(rest)
    lines = terms.reshape(-1, width)
    _kernels("scatter").add_rows(table.reshape(-1, width), ids.reshape(-1), lines)
    if not in_place:
        _write(x, table)


@np.errstate(all="ignore")
def _write(x: np.ndarray, values: np.ndarray) -> None:
    """Copy the values, which may be infinite in a smaller dtype."""
    x[...] = values


@np.errstate(all="ignore")
def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values in a dtype, where they may be infinite."""
    return values.astype(dtype, copy=False)


def scatter_at(values: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros with values added at index."""
    result = np.zeros(shape, values.dtype)
    add_at(result, index, values)
    return result


def scatter_add(x: np.ndarray, indices: np.ndarray, values: np.ndarray, *, axis: int) -> np.ndarray:
    """A copy of x, plus values where indices point along the axis."""
    result = x.copy()
    index: list[np.ndarray] = list(np.indices(indices.shape, sparse=True))
    index[axis] = indices
    add_at(result, tuple(index), values)
    return result


def coalesce(indices: np.ndarray, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The indices, ascending, each once, and the sum of the rows of each.

    An index outside 0 … size − 1 is a BoundsError.  The cost does not depend on size.
    """
    terms = np.ascontiguousarray(rows, _WORK[rows.dtype.char])
    lines = terms.reshape(indices.size, math.prod(rows.shape[1:]))
    distinct, sums = _kernels("coalesce").coalesce(indices.astype(np.int64), lines, size)
    distinct.flags.writeable = False  # optimisers write where these point
    result = sums.reshape(distinct.size, *rows.shape[1:])
    return distinct, _rounded(result, rows.dtype)
