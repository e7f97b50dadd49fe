"""CuPy's functions over NumPy's, with CuPy's signatures where it is installed."""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda.stand_in.arrays import (
    as_index,
    check_devices,
    check_index,
    ndarray,
    new,
    owners,
    plain,
    real,
    wrap,
)
from tests.cuda.stand_in.counters import Differs, counters

_WAITS = {"argwhere", "nonzero", "unique", "flatnonzero", "array_equal", "allclose"}
_ATOMIC = {np.dtype(kind) for kind in ("i4", "f2", "f4", "f8", "u4", "u8")}


def signature(function: Any) -> inspect.Signature | None:
    """The signature of a function of the real package that has one."""
    try:
        return inspect.signature(function) if inspect.isfunction(function) else None
    except (ValueError, TypeError):
        return None


def over(function: Callable[..., Any], pinned: Any = None) -> Callable[..., Any]:
    """A function of the stand-in, from NumPy's or SciPy's."""
    name = getattr(function, "__name__", "?")
    real_signature = signature(pinned)

    @wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        if real_signature is not None:
            real_signature.bind(*args, **settings)  # TypeError for what CuPy does not take
        check_devices((args, tuple(settings.values())))
        counters.launch(name)
        if name in _WAITS:
            counters.count("sync", name)
        with np.errstate(all="ignore"):
            result = function(*map(plain, args), **plain(settings))
        return wrap(result, args) if settings.get("out") is None else settings["out"]

    if isinstance(function, np.ufunc):
        call.at = _at(function)  # type: ignore[attr-defined]
        call.reduce = _reduce(function)  # type: ignore[attr-defined]
    return call


def _at(ufunc: np.ufunc) -> Callable[..., None]:
    def at(a: ndarray, indices: Any, b: Any = None) -> None:
        if ufunc.__name__ not in ("add", "subtract", "maximum", "minimum", "bitwise_and",
                                  "bitwise_or", "bitwise_xor"):  # fmt: skip
            raise NotImplementedError(f"`{ufunc.__name__}.at` is not supported yet")
        if a.dtype not in _ATOMIC:
            raise TypeError(f"{ufunc.__name__}.at: no atomics for {a.dtype}")
        check_devices((a, indices, b))
        counters.launch(f"{ufunc.__name__}.at")
        indices = as_index(indices)
        check_index(a._a, indices)
        with np.errstate(all="ignore"):
            ufunc.at(a._a, indices, plain(b))

    return at


def _reduce(ufunc: np.ufunc) -> Callable[..., Any]:
    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        counters.launch(f"{ufunc.__name__}.reduce")
        return wrap(ufunc.reduce(plain(array), axis, dtype, None, keepdims))

    return reduce


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
) -> ndarray:
    """cupy.asarray: an upload, unless it is an array of the device already."""
    if isinstance(a, ndarray):
        check_devices((a,))
        with np.errstate(all="ignore"):
            result = np.array(a._a, dtype, copy=copy, order=order)
        if result is not a._a:
            counters.launch("copy")
        return a if result is a._a else new(result)
    if isinstance(a, list | tuple) and next(owners(a), None) is not None:
        counters.launch("stack")
        return new(np.array(plain(a), dtype))
    counters.count("h2d", "asarray")
    return new(np.array(a, dtype, order=order or "K"))


def array(
    obj: Any,
    dtype: Any = None,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """cupy.array."""
    if isinstance(obj, ndarray):
        check_devices((obj,))
        counters.launch("copy")
        return new(np.array(obj._a, dtype, ndmin=ndmin))
    return asarray(np.array(obj, dtype, ndmin=ndmin) if ndmin else obj, dtype)


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> Any:
    """cupy.asnumpy."""
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> ndarray:
    """cupy.full."""
    if isinstance(fill_value, np.ndarray) and fill_value.ndim:
        raise TypeError(f"Unsupported type {type(fill_value)}")
    counters.launch("full")
    return new(np.full(shape, plain(fill_value), dtype, order))


def zeros(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """cupy.zeros."""
    counters.launch("zeros")
    return new(np.zeros(shape, dtype, order))


def ones(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """cupy.ones."""
    counters.launch("ones")
    return new(np.ones(shape, dtype, order))


def empty(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """cupy.empty: NaN or garbage."""
    return ndarray(shape, dtype, order=order)


def empty_like(
    prototype: ndarray, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    """cupy.empty_like."""
    return ndarray(prototype.shape if shape is None else shape, dtype or prototype.dtype)


def arange(*args: Any, dtype: Any = None) -> ndarray:
    """cupy.arange."""
    counters.launch("arange")
    return new(np.arange(*args, dtype=dtype))


def argsort(a: ndarray, axis: Any = -1, kind: Any = None) -> ndarray:
    """cupy.argsort, whose only kind is a stable one."""
    if kind not in (None, "stable"):
        raise ValueError("Kind can only be None or 'stable'")
    check_devices((a,))
    counters.launch("argsort")
    return new(np.argsort(a._a, axis=axis, kind="stable"))


def get_array_module(*args: Any) -> Any:
    """cupy.get_array_module."""
    return import_module("cupy") if next(owners(args), None) is not None else np


OWN = {
    function.__name__: function
    for function in (
        asarray, array, asnumpy, full, zeros, ones, empty, empty_like, arange, argsort,
        get_array_module,
    )
}  # fmt: skip


@cache
def find(name: str) -> Any:
    """A function or constant of the namespace `cupy`."""
    if name in OWN:
        return OWN[name]
    if name.startswith("__") or (real is not None and not hasattr(real, name)):
        raise AttributeError(f"cupy has no {name!r}")
    found, pinned = getattr(np, name), getattr(real, name, None)
    if isinstance(found, ModuleType):
        return submodule(found, pinned)
    if isinstance(found, type | float | int) or found is None:
        return found
    return over(found, pinned)


def submodule(module: ModuleType, pinned: Any) -> SimpleNamespace:
    """cupy.linalg, cupy.fft, …"""
    names = [n for n in dir(module) if not n.startswith("_")]
    held: dict[str, Any] = {}
    for name in names:
        value = getattr(module, name)
        if isinstance(value, type):
            held[name] = value
        elif callable(value) and (pinned is None or hasattr(pinned, name)):
            held[name] = over(value, getattr(pinned, name, None))
    return SimpleNamespace(**held)


__all__ = ["Differs", "find"]
