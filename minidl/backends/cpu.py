"""The CPU: NumPy's functions under the names of the contract, and the kernels."""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy import (  # noqa: F401  (this module is the namespace that bodies run in)
    abs,
    arange,
    argmax,
    argmin,
    argsort,
    asarray,
    atan,
    broadcast_to,
    ceil,
    concat,
    cos,
    expand_dims,
    flip,
    floor,
    full,
    isfinite,
    isinf,
    isnan,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    permute_dims,
    round,
    sign,
    sin,
    squeeze,
    stack,
    take_along_axis,
    tanh,
    where,
    zeros,
    zeros_like,
)

from minidl.backends import philox
from minidl.backends.registry import to_device  # noqa: F401
from minidl.errors import BoundsError

name = "cpu"
Array, Scalar = np.ndarray, np.generic

# The reductions of the ufuncs skip a Python layer that costs as much as a small sum does.
sum, max, min = np.add.reduce, np.maximum.reduce, np.minimum.reduce
all, any = np.logical_and.reduce, np.logical_or.reduce

# Functions with poles give their infinity or NaN without a warning on the screen.
quiet = np.errstate(all="ignore")
acos, asin, cosh, sinh, tan = map(quiet, (np.acos, np.asin, np.cosh, np.sinh, np.tan))
exp, expm1, log, log1p, sqrt = map(quiet, (np.exp, np.expm1, np.log, np.log1p, np.sqrt))
divide, floor_divide, remainder = map(quiet, (np.divide, np.floor_divide, np.remainder))
pow = quiet(np.pow)
xdivy = quiet(lambda x1, x2: np.where(np.equal(x1, 0), x1, x1 / x2))
xlogy = quiet(lambda x1, x2: np.where(np.equal(x1, 0), x1, x1 * np.log(x2)))


def to_numpy(x: Array) -> Array:
    """The array itself: it is on the host."""
    return x


def erf(x: Array) -> Array:
    """The error function, SciPy's: imported when it is first needed."""
    return import_module("scipy.special").erf(x)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """A view where there is one."""
    return x.reshape(shape)


def matrix_transpose(x: Array) -> Array:
    """The last two axes exchanged."""
    return x.swapaxes(-1, -2)


@quiet
def astype(x: Array, dtype: np.dtype) -> Array:
    """A copy in another dtype; NaN becomes an arbitrary integer, as everywhere."""
    return x.astype(dtype)


def put_at(x: Array, values: Array, index: Any) -> Array:
    """A copy of x with x[index] = values."""
    result = x.copy()
    result[index] = values
    return result


def add_at(x: Array, index: Any, values: Array) -> None:
    """x[index] += values, in place; a place named twice gets both."""
    parts = index if isinstance(index, tuple) else (index,)
    if {np.ndarray, list} & set(map(type, parts)):
        np.add.at(x, index, values)
    else:
        x[index] += values


def scatter_at(values: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros with values added at index."""
    result = np.zeros(shape, values.dtype)
    add_at(result, index, values)
    return result


def scatter_add(x: Array, indices: Array, values: Array, *, axis: int) -> Array:
    """A copy of x, plus values where indices point along the axis."""
    result = x.copy()
    places = list(np.indices(indices.shape, sparse=True))
    places[axis] = indices
    add_at(result, tuple(places), values)
    return result


def check_indices(indices: Array, size: int) -> Array:
    """The indices, once none of them is outside 0 … size − 1."""
    if indices.size and (min(indices, axis=None) < 0 or max(indices, axis=None) >= size):
        wrong = indices[(indices < 0) | (indices >= size)].flat[0]
        raise BoundsError(f"index {wrong} is outside 0 … {size - 1}")
    return indices


def uniform_like(x: Array, key: tuple[int, int]) -> Array:
    """Uniform numbers in [0, 1) of the shape and dtype of x."""
    return philox.uniform_like(sys.modules[__name__], x, key)


_KERNEL_FILES = {"cross_entropy": "loss", "embedding": "embedding"}


@lru_cache(maxsize=None)
def kernel(name: str) -> Callable[..., Any] | None:
    """The kernel of that name; its file is imported when it is first needed."""
    if name not in _KERNEL_FILES:
        return None
    return getattr(import_module(f"minidl.backends.kernels.{_KERNEL_FILES[name]}"), name)
