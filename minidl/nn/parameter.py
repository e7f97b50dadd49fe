"""The tensors of a module: those that are learned, and those that are only kept."""

from collections.abc import Sequence
from typing import Any

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError
from minidl.ops import asarray


class Parameter(Tensor):
    """A tensor that an optimiser is to learn."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(asarray(data).data)
        self.requires_grad = requires_grad


class Buffer(Tensor):
    """A tensor that belongs to a module's state, but is not learned, such as a running mean.

    persistent    whether it is in the state dict; False for what can be computed again
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(asarray(data).data)
        self.persistent = persistent

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__(), (None, {"persistent": self.persistent})


def destination(
    where: Sequence[Any], device: str | None = None, dtype: Any = None
) -> tuple[str | None, Any]:
    """The device and the float dtype that `Module.to` was asked for; None: as they are.

    where    a dtype, a device, both, or a tensor that has them
    """
    for place in where:
        if isinstance(place, Tensor):
            device, dtype = place.device, place.dtype
        elif _is_dtype(place):
            dtype = place
        elif isinstance(place, str):
            device = place
        else:
            raise ArgumentError(f"to: needs a dtype, a device or a tensor; got {place!r}")
    if dtype is not None:
        dtype = dtypes.dtype_of(dtype, "to")
        if not dtypes.is_float(dtype):
            raise DTypeError(f"to: parameters are floats; got {dtype}")
    return device, dtype


def _is_dtype(value: Any) -> bool:
    try:
        dtypes.dtype_of(value)
    except DTypeError:
        return False
    return value is not None


def move(tensor: Tensor, device: str | None, dtype: Any) -> None:
    """Give a leaf its values, and its gradient, elsewhere or in another dtype; integers keep it."""
    dtype = dtype if dtype is not None and dtypes.is_float(tensor.dtype) else tensor.dtype
    device = device or tensor.device
    if (tensor.device, tensor.dtype) == (device, dtype):
        return
    before, gradient = tensor.edge, tensor.grad
    data = tensor.detach().astype(dtype).to_device(device).data
    tensor.edge, tensor.data = None, data
    if before is not None:
        tensor.requires_grad = True
        tensor.edge[0].hooks = before[0].hooks
        if gradient is not None:
            tensor.grad = gradient.astype(dtype).to_device(device)
