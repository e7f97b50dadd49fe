"""The tensors of a module: those that are learned, and those that are only kept."""

from collections.abc import Sequence
from typing import Any

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.backends import device_backend
from minidl.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    MinidlError,
    check_flags,
    explain,
)
from minidl.ops import asarray


class Parameter(Tensor):
    """A tensor that an optimiser is to learn.

    >>> w = nn.Parameter(minidl.tensor([1.0, 2.0]))
    >>> (w * w).sum().backward()
    >>> w.grad
    Tensor([2., 4.], float32)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        try:
            super().__init__(asarray(data).data)
            self.requires_grad = requires_grad
        except MinidlError as error:
            raise explain("Parameter", (data,), error) from error


class Buffer(Tensor):
    """A tensor that belongs to a module's state, but is not learned, such as a running mean.

    persistent    whether it is in the state dict; False for what can be computed again

    >>> layer = nn.Module()
    >>> layer.mean, layer.weight = nn.Buffer(minidl.zeros(2)), nn.Parameter(minidl.ones(2))
    >>> list(layer.state_dict()), [name for name, _ in layer.named_parameters()]
    (['mean', 'weight'], ['weight'])
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True) -> None:
        check_flags("Buffer: ", persistent=persistent)
        try:
            super().__init__(asarray(data).data)
        except MinidlError as error:
            raise explain("Buffer", (data,), error) from error
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
            found = place.device, place.dtype
        elif _is_dtype(place):
            found = None, place
        elif isinstance(place, str):
            found = place, None
        else:
            raise ArgumentError(f"to: needs a dtype, a device or a tensor; got {place!r}")
        for new, old in zip(found, (device, dtype), strict=True):
            if new is not None and old is not None:
                raise ArgumentError(f"to: needs one device and one dtype; got {old!r} and {new!r}")
        device, dtype = found[0] or device, dtype if found[1] is None else found[1]
    if dtype is not None:
        dtype = dtypes.dtype_of(dtype, "to")
        if not dtypes.is_float(dtype):
            raise DTypeError(f"to: parameters are floats; got {dtype}")
    if device is not None:
        try:
            device_backend(device)
        except DeviceError as error:
            raise DeviceError(f"to: {error}") from None
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
