"""Tensors on other devices: `to`, `cpu` and `cuda`, as PyTorch has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.backends import device as device_name
from minidl.backends.registry import find
from minidl.checks import check_flags
from minidl.errors import ArgumentError, DTypeError, MinidlError, named
from minidl.ops import manipulation


@named
def to(
    x: Tensor,
    /,
    *where: Any,
    device: str | None = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """The same values on another device, in another dtype, or both; gradients return to x.

    where           a device, a dtype, both, or a tensor that has them
    non_blocking    return before values from page-locked memory have arrived on a GPU; operations
                    there wait for them
    copy            also where nothing changes; otherwise x itself is returned then
    raises          DeviceError for a device that is not there, DTypeError for no dtype

    >>> x = minidl.ones(2)
    >>> x.to("float64").dtype, x.to("cpu") is x, x.to(minidl.tensor([1, 2])).dtype
    (dtype('float64'), True, dtype('int64'))
    """
    check_flags("to", non_blocking=non_blocking, copy=copy)
    device, dtype = destination(where, device, dtype)
    result = x
    if dtype is not None and dtype != x.dtype:
        result = manipulation.astype(result, dtype)
    if device is not None and device != x.device:
        result = manipulation.to_device(result, device, non_blocking=non_blocking)
    return manipulation.copy(x) if copy and result is x else result


def cpu(x: Tensor, /) -> Tensor:
    """The same values on the CPU; x itself if it is there.

    >>> minidl.ones(2).cpu().device
    'cpu'
    """
    return to(x, "cpu")


def cuda(x: Tensor, device: int | str | None = None, /, *, non_blocking: bool = False) -> Tensor:
    """The same values on a GPU: the current one, or that of this index or name."""
    return to(x, device_name.of_index("cuda", device, "cuda"), non_blocking=non_blocking)


def destination(
    where: Sequence[Any], device: str | None = None, dtype: Any = None
) -> tuple[str | None, Any]:
    """The full name of the device and the dtype that a `to` was called with; None: unchanged.

    where    a dtype, a device, both, or a tensor that has them
    """
    found: tuple[str | None, Any]
    for value in where:
        if isinstance(value, Tensor):
            found = value.device, value.dtype
        elif not isinstance(value, device_name) and _is_dtype(value):
            found = None, value
        elif isinstance(value, str):
            found = value, None
        else:
            raise ArgumentError(f"to: needs a dtype, a device or a tensor; got {value!r:.60}")
        for new, old in zip(found, (device, dtype), strict=True):
            if new is not None and old is not None:
                raise ArgumentError(f"to: needs one device and one dtype; got {old!r} and {new!r}")
        device, dtype = found[0] or device, dtype if found[1] is None else found[1]
    try:
        return None if device is None else find(device)[1], (
            None if dtype is None else dtypes.dtype_of(dtype)
        )
    except MinidlError as error:
        raise type(error)(f"to: {error}") from None


def _is_dtype(value: Any) -> bool:
    try:
        return isinstance(dtypes.dtype_of(value), np.dtype)
    except DTypeError:
        return False


def _is_cuda(x: Tensor) -> bool:
    """Whether the array is on a GPU."""
    return x.device.type == "cuda"


def equip(cls: type[Tensor]) -> None:
    """Give Tensor these methods."""
    methods = {"to": to, "cpu": cpu, "cuda": cuda, "is_cuda": property(_is_cuda)}
    for name, method in methods.items():
        setattr(cls, name, method)
