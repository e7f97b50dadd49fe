"""Parameters and buffers: the tensors of a module that are trained, and those that are not."""

from collections.abc import Sequence
from typing import Any

from minidl import dtypes, ops
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.checks import check_flags, name_of
from minidl.errors import (
    DeviceError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)
from minidl.ops import devices


class _State(Tensor):
    """A tensor of a module, whose array can be replaced by another of its shape, dtype and device.

    Another would fail in the next call, or in the next step of an optimiser, or make the layer
    compute in another dtype without a word.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "data" and hasattr(self, "data"):
            value = self._fitting(value)
        super().__setattr__(name, value)

    def _fitting(self, value: Any) -> Any:
        """An array that can take the place of this one's, also a tensor's; else an error."""
        array = value.data if isinstance(value, Tensor) else value
        own = self.data
        device = device_of(array) if backend_of(array) is not None else None
        if device != device_of(own) or (array.shape, array.dtype) != (own.shape, own.dtype):
            name = type(self).__name__
            fits = getattr(array, "shape", None) == own.shape
            kind: type[MinidlError] = DeviceError if fits else ShapeError
            if getattr(array, "dtype", None) != own.dtype:
                kind = DTypeError
            there = "" if device is None else f" on {str(device)!r}"
            raise kind(
                f"{name}.data: needs {describe(self)} on {self.device!r}; got {describe(array)}"
                f"{there}; convert it, or write `x[...] = values` under no_grad; for another "
                f"shape, assign a new nn.{name} to the module"
            )
        return array


class Parameter(_State):
    """A tensor that an optimiser trains.

    >>> w = nn.Parameter(minidl.tensor([1.0, 2.0]))
    >>> (w * w).sum().backward()
    >>> w.grad
    Tensor([2., 4.], float32)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        try:
            super().__init__(ops.asarray(data).data)
            self.requires_grad = requires_grad
        except MinidlError as error:
            raise_explained("Parameter", (data,), error)


class Buffer(_State):
    """A tensor of a module's state that is not trained, such as a running mean.

    persistent    whether it is in the state dict; False for what can be recomputed

    >>> layer = nn.Module()
    >>> layer.mean, layer.weight = nn.Buffer(minidl.zeros(2)), nn.Parameter(minidl.ones(2))
    >>> list(layer.state_dict()), [name for name, _ in layer.named_parameters()]
    (['mean', 'weight'], ['weight'])
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True) -> None:
        check_flags("Buffer", persistent=persistent)
        try:
            super().__init__(ops.asarray(data).data)
        except MinidlError as error:
            raise_explained("Buffer", (data,), error)
        self.persistent = persistent

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__(), (None, {"persistent": self.persistent})


def as_buffer(tensor: Tensor, persistent: bool) -> Buffer:
    """A tensor as a buffer, which shares its memory and its history; a buffer stays as it is."""
    if isinstance(tensor, Buffer):
        return tensor
    buffer = Buffer.__new__(Buffer)
    Tensor.__init__(buffer, tensor.data, tensor.edge)
    buffer.persistent = persistent
    return buffer


def destination(
    where: Sequence[Any], device: str | None = None, dtype: Any = None
) -> tuple[str | None, Any]:
    """The device and the float dtype that `Module.to` was called with; None: unchanged."""
    device, dtype = devices.destination(where, device, dtype)
    if dtype is not None and not dtypes.is_float(dtype):
        raise DTypeError(f"to: parameters are floats; got {dtype}")
    return device, dtype


def move(tensor: Tensor, device: str | None, dtype: Any) -> None:
    """Move a tensor and its gradient to a device and a dtype; integers keep theirs."""
    dtype = dtype if dtype is not None and dtypes.is_float(tensor.dtype) else tensor.dtype
    device = device or tensor.device
    if (tensor.device, tensor.dtype) == (device, dtype):
        return
    if not tensor.is_leaf:  # a buffer that was computed stays connected
        _replace(tensor, tensor.astype(dtype).to_device(device))
        return
    before, gradient = tensor.edge, tensor.grad
    _replace(tensor, tensor.detach().astype(dtype).to_device(device))
    if before is not None:
        tensor.requires_grad = True
        leaf: Any = tensor.edge
        leaf[0].hooks = before[0].hooks
        if gradient is not None:
            tensor.grad = gradient.astype(dtype).to_device(device)


def _replace(tensor: Tensor, value: Tensor) -> None:
    """Make a tensor what another one is."""
    object.__setattr__(tensor, "data", value.data)
    tensor.edge = value.edge


def empty(owner: Any, shape: int | tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """The uninitialised values of a parameter, of a float dtype."""
    name = name_of(owner)
    if dtype is not None and not dtypes.is_float(dtypes.dtype_of(dtype, name)):
        raise DTypeError(f"{name}: parameters are floats; got dtype={dtypes.dtype_of(dtype, name)}")
    try:
        return ops.empty(shape, dtype=dtype, device=device)
    except DeviceError as error:
        raise DeviceError(f"{name}: {error}") from None
