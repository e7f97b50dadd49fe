"""Conversion of inputs: numbers, lists, arrays of any library, and shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.inplace import buffer_of
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, cpu, device_backend
from minidl.errors import DTypeError, GradientError, InterchangeError, ShapeError, describe

_CUDA = "__cuda_array_interface__"  # the protocol of Numba's arrays, and of others


def array(obj: Any, dtype: np.dtype | None) -> Any:
    """A backend's array from an array of any library or from numbers, read in `dtype` if given."""
    if isinstance(obj, np.ndarray):
        obj = cpu.plain(obj)
    if backend_of(obj) and not isinstance(obj, np.generic):
        native = dtypes.dtype_of(obj.dtype)
        return obj if obj.dtype == native else obj.astype(native)
    if hasattr(obj, "__dlpack__") or hasattr(obj, _CUDA):
        return imported(obj.detach() if hasattr(obj, "detach") else obj)
    if _holds_arrays(obj):
        _check_unmasked(obj)
    try:
        values = np.asarray(obj)
    except (ValueError, TypeError) as error:
        raise ShapeError(f"not a rectangular array of numbers: {error}") from None
    if values.dtype.kind not in "biufc":
        raise DTypeError(f"needs numbers; got {describe(obj)}")
    values = _digits_kept(values, obj, dtype)
    if dtype is None and not _holds_arrays(obj):
        dtype = {"f": dtypes.float32, "c": dtypes.complex64}.get(values.dtype.kind)
    return values if dtype is None else read(values, dtype)


def imported(obj: Any, copy: bool | None = None) -> Any:
    """The memory of another library's array, where it is; with copy=False, never a copy of it.

    raises    InterchangeError for what its library does not give, or that of the device not take
    """
    if isinstance(obj, np.ndarray):
        obj = cpu.plain(obj)
    try:
        place = _place(obj)
    except (BufferError, RuntimeError, ValueError) as error:
        raise InterchangeError(f"{describe(obj)} cannot be shared: {error}") from error
    try:
        return device_backend(place).imported(obj, copy)
    except (BufferError, RuntimeError) as error:
        raise InterchangeError(f"{describe(obj)} cannot be shared: {error}") from error


# The devices of DLPack: those that the host reads, and those of GPUs, of which memory that CUDA
# manages is one.
_DLPACK = {1: "cpu", 3: "cpu", 2: "cuda", 13: "cuda"}


def _place(obj: Any) -> str:
    """The type of the device that another library's array is on."""
    if not hasattr(obj, "__dlpack__"):
        return "cuda"  # of `__cuda_array_interface__`
    kind = obj.__dlpack_device__()[0] if hasattr(obj, "__dlpack_device__") else 1
    if int(kind) not in _DLPACK:
        raise InterchangeError(f"it is on a device of kind {kind}, which minidl does not know")
    return _DLPACK[int(kind)]


def _digits_kept(values: np.ndarray, obj: Any, dtype: np.dtype | None) -> np.ndarray:
    """Integers as uint64, if NumPy made float64 of them because some are beyond int64."""
    if values.dtype != np.float64 or not values.size or not abs(values).max() >= 2**63:
        return values
    exact = np.asarray(obj, dtype=object)
    if not all(isinstance(number, int | np.integer) for number in exact.flat):
        return values
    if exact.min() >= 0:
        return exact.astype(np.uint64)
    if dtype is None:
        raise DTypeError(f"no integer dtype holds both {exact.min()} and {exact.max()}")
    return values


def read(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in a dtype; an error if they lose an imaginary part or overflow an integer dtype."""
    if values.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"complex numbers are not made {dtype}: their imaginary part would go")
    if dtype.kind in "iu" and values.size:
        least, most = np.asarray([values.min(), values.max()]).tolist()
        limits = np.iinfo(dtype)
        if not limits.min <= least <= most <= limits.max:
            raise DTypeError(f"numbers from {least} to {most} do not fit into {dtype}")
    return cpu.astype(values, dtype)


def is_new(obj: Any) -> bool:
    """Whether the array of this is always new memory, as that of numbers and lists is."""
    return isinstance(obj, float | int | complex | list | tuple | np.generic)


def shares(x: Tensor, obj: Any) -> bool:
    """Whether a tensor made from this shares its memory, unlike numbers and lists."""
    own = backend_of(obj)
    if x is obj or own is None and (hasattr(obj, "__dlpack__") or hasattr(obj, _CUDA)):
        return True
    array = own is not None and not isinstance(obj, np.generic)
    return array and buffer_of(x.data) is buffer_of(obj)


def _holds_arrays(obj: Any) -> bool:
    """Whether nested sequences contain arrays, which have a dtype of their own."""
    while isinstance(obj, list | tuple) and obj:
        obj = obj[0]
    return hasattr(obj, "dtype") and not isinstance(obj, np.generic)


def _check_unmasked(obj: Any) -> None:
    """Raise if nested sequences contain masked arrays, whose masks NumPy would drop."""
    if isinstance(obj, list | tuple):
        for item in obj:
            _check_unmasked(item)
    elif isinstance(obj, np.ndarray):
        cpu.plain(obj)


def shape(lengths: int | Sequence[int]) -> tuple[int, ...]:
    """One length or several, as a tuple."""
    each: tuple[Any, ...] = tuple(lengths) if isinstance(lengths, list | tuple) else (lengths,)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in each):
        raise ShapeError(f"a shape is made of integers ≥ 0; got {each}")
    return each


def refuse_gradients(name: str, value: Any, instead: str) -> None:
    """Raise if a tensor in nested lists requires a gradient, which would be lost."""
    if isinstance(value, list | tuple):
        for each in value:
            if not isinstance(each, float | int):
                refuse_gradients(name, each, instead)
    elif isinstance(value, Tensor) and value.requires_grad:
        raise GradientError(
            f"{name} becomes a constant, and {describe(value)} requires a gradient: {instead} "
            "detach() it"
        )


def number(name: str, value: Any) -> bool | int | float | complex:
    """A Python scalar from one of Python, of NumPy, or from a tensor of one element."""
    refuse_gradients(name, value, "compute with `ones_like(y) * x`, or")
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    if not isinstance(value, bool | int | float | complex):
        raise DTypeError(f"{name} is a number; got {describe(value)}")
    return value
