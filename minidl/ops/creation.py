"""Making tensors.

Every function takes `dtype` (default: float32 for reals), `device` (default: "cpu"), and
`requires_grad`, which makes the tensor a leaf that `backward` leaves a gradient in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_backend
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops import manipulation


def asarray(
    obj: Any,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of numbers, nested lists, an array of any library, or a tensor.

    It shares the memory of an array where that is possible: a write into one shows in the other,
    and is not seen by the checks of in-place safety.  `copy=True` always copies; `copy=False`
    raises if it would have to.
    """
    dtype = None if dtype is None else dtypes.dtype_of(dtype, "asarray")
    x = obj if isinstance(obj, Tensor) else Tensor(_array(obj, dtype))
    result = x
    if dtype is not None and x.dtype != dtype:
        result = manipulation.astype(result, dtype)
    if device is not None:
        result = manipulation.to_device(result, device)
    if copy is False and (result is not x or not _shares(x, obj)):
        raise ArgumentError(
            f"asarray: {describe(obj)} as {result.dtype} on {result.device!r} needs a copy, which "
            "copy=False forbids"
        )
    if copy and result is x:
        result = manipulation.copy(x)
    return result.requires_grad_() if requires_grad else result


def tensor(
    data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of its own memory and history: a copy of numbers, nested lists or an array."""
    data = data.detach() if isinstance(data, Tensor) else data
    return asarray(data, dtype=dtype, device=device, copy=True, requires_grad=requires_grad)


def _array(obj: Any, dtype: np.dtype | None) -> Any:
    """An array of any library, or of numbers, which are read in `dtype` if it is given."""
    if backend_of(obj) and not isinstance(obj, np.generic):
        native = dtypes.dtype_of(obj.dtype, "asarray")
        return obj if obj.dtype == native else obj.astype(native)
    if hasattr(obj, "__dlpack__"):
        return np.from_dlpack(obj.detach() if hasattr(obj, "detach") else obj)
    try:
        array = np.asarray(obj)
    except (ValueError, TypeError) as error:
        raise ShapeError(f"asarray: not a rectangular array of numbers: {error}") from None
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"asarray: needs numbers; got {describe(obj)}")
    if dtype is None and not _holds_arrays(obj):
        dtype = {"f": dtypes.float32, "c": dtypes.complex64}.get(array.dtype.kind)
    return array if dtype is None else array.astype(dtype)


def _shares(x: Tensor, obj: Any) -> bool:
    """Whether a tensor made of this has its memory, as numbers and lists do not."""
    foreign = backend_of(obj) is None and hasattr(obj, "__dlpack__")
    return x is obj or x.data is obj or foreign


def _holds_arrays(obj: Any) -> bool:
    """Whether nested sequences hold arrays, which bring a dtype of their own."""
    while isinstance(obj, list | tuple) and obj:
        obj = obj[0]
    return hasattr(obj, "dtype") and not isinstance(obj, np.generic)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array."""
    return asarray(np.from_dlpack(x), device=device, copy=copy)


def full(
    shape: int | Sequence[int],
    fill_value: bool | int | float | complex,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere; its kind gives the dtype: bool, int64, float32 or complex64."""
    dtype = dtypes.result_type(fill_value) if dtype is None else dtypes.dtype_of(dtype, "full")
    array = device_backend(device or "cpu").full(_shape(shape), fill_value, dtype=dtype)
    return Tensor(array).requires_grad_(requires_grad)


def zeros(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 everywhere."""
    dtype = dtypes.default_float if dtype is None else dtype
    return full(shape, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 everywhere."""
    dtype = dtypes.default_float if dtype is None else dtype
    return full(shape, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def empty(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros: no tensor shows memory that nobody wrote."""
    return zeros(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    x: Tensor,
    /,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere, in the shape, dtype and device of x."""
    dtype = x.dtype if dtype is None else dtype
    device = asarray(x).device if device is None else device
    return full(x.shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def zeros_like(
    x: Tensor,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 everywhere, in the shape, dtype and device of x."""
    return full_like(x, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    x: Tensor,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 everywhere, in the shape, dtype and device of x."""
    return full_like(x, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below stop; from 0 if only one is given."""
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ArgumentError("arange: step must not be 0")
    dtype = dtypes.result_type(start, stop, step) if dtype is None else dtypes.dtype_of(dtype)
    array = device_backend(device or "cpu").arange(start, stop, step, dtype=dtype)
    return Tensor(array).requires_grad_(requires_grad)


def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    """`num` numbers at equal distances from start to stop."""
    values = np.linspace(start, stop, num, endpoint=endpoint)
    dtype = dtypes.default_float if dtype is None else dtype
    return asarray(values, dtype=dtype, device=device, requires_grad=requires_grad)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 on the k-th diagonal, 0 elsewhere."""
    dtype = dtypes.default_float if dtype is None else dtype
    values = np.eye(n_rows, n_cols, k)
    return asarray(values, dtype=dtype, device=device, requires_grad=requires_grad)


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise ShapeError(f"a shape is made of whole numbers from 0 on; got {shape}")
    return shape
