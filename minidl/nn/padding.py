"""Layers that put more places around pictures."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.backends.window import is_number
from minidl.errors import ArgumentError
from minidl.nn.module import Module


class _Pad(Module):
    """`minidl.pad` along the last axes: one width for all ends, or one for each."""

    axes: int
    mode: str

    def __init__(self, padding: Any) -> None:
        ends = 2 * self.axes
        widths = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * ends
        if len(widths) != ends or not all(map(is_number, widths)):
            raise ArgumentError(
                f"{type(self).__name__}: padding is a number or {ends}, pairs from the last axis "
                f"on; got {padding!r:.60}"
            )
        self.padding = widths

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad(x, widths=self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad(x, widths=self.padding, mode=self.mode, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """The value at both ends of the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """The value around the last two axes: (left, right, top, bottom)."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """The value around the last three axes: (left, right, top, bottom, front, back)."""

    axes = 3


class ZeroPad1d(_Pad):
    """Zeros at both ends of the last axis."""

    axes, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Zeros around the last two axes: (left, right, top, bottom)."""

    axes, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Zeros around the last three axes: (left, right, top, bottom, front, back)."""

    axes, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """The mirror image at both ends of the last axis, without the last place itself."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image around the last two axes: (left, right, top, bottom)."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The mirror image around the last three axes: (left, right, top, bottom, front, back)."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The first and the last place again at both ends of the last axis."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edges again around the last two axes: (left, right, top, bottom)."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The edges again around the last three axes: (left, right, top, bottom, front, back)."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """What there is at the other end of the last axis."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """What there is at the other ends of the last two axes: (left, right, top, bottom)."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """What there is at the other ends of the last three axes."""

    axes, mode = 3, "circular"
