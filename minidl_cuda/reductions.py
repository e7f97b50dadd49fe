"""Sums and products of CuPy's arrays, and sorting."""

from typing import Any

import cupy as cp

Array = cp.ndarray
_WIDE = {"e": "float64", "f": "float64", "F": "complex128"}


def _accumulator(x: Array) -> Any:
    if x.dtype.kind in "bi":
        return "int64"
    return "uint64" if x.dtype.kind == "u" else _WIDE.get(x.dtype.char, x.dtype)


def _rounded(y: Array, x: Array) -> Array:
    return y.astype(x.dtype) if x.dtype.kind in "fc" else y


def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Σ x; of bools and integers in int64."""
    return _rounded(cp.sum(x, axis=axis, dtype=_accumulator(x), keepdims=keepdims), x)


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
