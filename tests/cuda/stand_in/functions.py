"""CuPy's functions over NumPy's, with CuPy's signatures where it is installed."""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda.stand_in import pin
from tests.cuda.stand_in.arrays import (
    as_index,
    check_devices,
    check_index,
    computed,
    ndarray,
    new,
    owners,
    plain,
    wrap,
)
from tests.cuda.stand_in.counters import Differs, counters
from tests.cuda.stand_in.devices import current_device

_WAITS = {"argwhere", "nonzero", "unique", "flatnonzero", "array_equal", "allclose"}
_ATOMIC = {np.dtype(kind) for kind in ("i4", "f2", "f4", "f8", "u4", "u8")}


@cache
def pinned() -> dict[str, Any]:
    """What was read from the real package: names, signatures, and the types of ufuncs."""
    return pin.load()


@cache
def signature(name: str) -> inspect.Signature | None:
    """The signature of a function of the real package that has one."""
    parameters = pinned()["signatures"].get(name)
    return None if parameters is None else pin.signature(parameters)


def over(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of the stand-in, cupy.`name`, from NumPy's or SciPy's."""
    real_signature = signature(name)

    @wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        if real_signature is not None:
            real_signature.bind(*args, **settings)  # TypeError for what CuPy does not take
        check_devices((args, tuple(settings.values())))
        if name in _WAITS:
            counters.count("sync", name)
        with np.errstate(all="ignore"):
            result = function(*map(plain, args), **plain(settings))
        if isinstance(function, np.ufunc):
            check_types(name, function, args, result)
        if settings.get("out") is not None:
            counters.launch(name)
            return settings["out"]
        return computed(name, wrap(result, args), args)

    if isinstance(function, np.ufunc):
        call.at = _at(function)  # type: ignore[attr-defined]
        call.reduce = _reduce(function)  # type: ignore[attr-defined]
    return call


def check_types(name: str, function: np.ufunc, args: Any, result: Any) -> None:
    """Raise unless CuPy computes this too, in the same dtype."""
    types = pinned()["types"].get(function.__name__, "").split()
    arrays = [x for x in args if isinstance(x, ndarray | np.generic)]
    if not types or not arrays:
        return
    strong = [x.dtype for x in arrays]
    dtypes = [
        x.dtype if hasattr(x, "dtype") else np.result_type(x, *strong) for x in args[: function.nin]
    ]
    for loop in types:
        inputs, outputs = loop.split("->")
        if all(map(np.can_cast, dtypes, inputs)):
            if np.dtype(outputs) != np.asarray(result).dtype:
                raise Differs(f"cupy.{name} of {dtypes} is {np.dtype(outputs)}, not {result.dtype}")
            return
    raise TypeError(f"Wrong type ({dtypes}) of arguments for cupy_{name}")


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
    values = np.array(a, dtype, order=order or "K")
    return new(values.astype(values.dtype.newbyteorder("<"), copy=False))


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


class _Capsule:
    """What NumPy reads, of an array that says that it is on a GPU."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **settings: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    """cupy.from_dlpack: the memory of another library's array, on its device."""
    kind, which = array.__dlpack_device__()
    if kind not in (2, 13) or which != current_device():
        raise BufferError(f"an array of device {(kind, which)}; the current one is (2, ...)")
    counters.launch("from_dlpack")
    try:
        capsule = array.__dlpack__(stream=1, max_version=(1, 0), copy=copy)
    except TypeError:
        if copy is not None:
            raise
        capsule = array.__dlpack__(stream=1)
    return new(np.from_dlpack(_Capsule(capsule)))


def cumsum(a: ndarray, axis: Any = None, dtype: Any = None, out: None = None) -> ndarray:
    """cupy.cumsum: along an axis it is a tree, whose error grows with the length's logarithm."""
    check_devices((a,))
    counters.launch("cumsum")
    values = plain(a).astype(dtype or a.dtype)
    values = values.ravel() if axis is None else np.moveaxis(values, axis, 0)
    with np.errstate(all="ignore"):
        step = 1
        while step < len(values):
            values = np.concatenate([values[:step], values[step:] + values[:-step]])
            step *= 2
    return new(values if axis is None else np.ascontiguousarray(np.moveaxis(values, 0, axis)))


OWN = {
    function.__name__: function
    for function in (
        asarray, array, asnumpy, full, zeros, ones, empty, empty_like, arange, argsort,
        get_array_module, from_dlpack, cumsum,
    )
}  # fmt: skip


@cache
def find(name: str) -> Any:
    """A function or constant of the namespace `cupy`."""
    if name in OWN:
        return OWN[name]
    if name not in pinned()["names"]:
        raise AttributeError(f"cupy has no {name!r}")
    found = getattr(np, name)
    if isinstance(found, ModuleType):
        return submodule(found)
    if isinstance(found, type | float | int) or found is None:
        return found
    return over(found, name)


def submodule(module: ModuleType) -> SimpleNamespace:
    """cupy.linalg and cupy.fft."""
    short = module.__name__.rpartition(".")[2]
    held: dict[str, Any] = {}
    for name in dir(module):
        value = getattr(module, name)
        if isinstance(value, type):
            held[name] = value
        elif f"{short}.{name}" in pinned()["signatures"]:
            function = over(value, f"{short}.{name}")
            held[name] = _solver(function) if module is np.linalg else function
    return SimpleNamespace(**held)


def _solver(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of cupy.linalg: it looks for failures, and waits, only where it is told to."""

    @wraps(function)
    def solve(*args: Any, **settings: Any) -> Any:
        if errstate.linalg == "raise":
            counters.count("sync", function.__name__)
        try:
            return function(*args, **settings)
        except np.linalg.LinAlgError:
            if errstate.linalg == "raise":
                raise
            raise Differs(f"cupy.linalg.{function.__name__} gives NaN, and no error") from None

    return solve


class errstate:  # noqa: N801 - as in cupyx
    """cupyx.errstate."""

    linalg = "ignore"

    def __init__(self, *, linalg: str | None = None, **settings: Any) -> None:
        self._new = linalg

    def __enter__(self) -> None:
        self._before = errstate.linalg
        errstate.linalg = self._new or self._before

    def __exit__(self, *error: object) -> None:
        errstate.linalg = self._before
