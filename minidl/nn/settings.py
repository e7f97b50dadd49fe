"""Memory for the parameters of layers."""

from typing import Any

from minidl import dtypes, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import name_of
from minidl.errors import DeviceError, DTypeError


def empty(owner: Any, shape: int | tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """The uninitialised values of a parameter, of a float dtype."""
    name = name_of(owner)
    if dtype is not None and not dtypes.is_float(dtypes.dtype_of(dtype, name)):
        raise DTypeError(f"{name}: parameters are floats; got dtype={dtypes.dtype_of(dtype, name)}")
    try:
        return ops.empty(shape, dtype=dtype, device=device)
    except DeviceError as error:
        raise DeviceError(f"{name}: {error}") from None
