"""Padding layers: constant, reflection, replication and circular."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers, is_integer
from minidl.errors import ArgumentError
from minidl.nn.module import Module


class _Pad(Module):
    """`minidl.pad` along the last axes: one width for all ends, or one for each."""

    axes: int
    mode: str

    def __init__(self, padding: Any) -> None:
        ends = 2 * self.axes
        widths = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * ends
        if len(widths) != ends or not all(map(is_integer, widths)):
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
        check_numbers(self, value=value)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad(x, widths=self.padding, mode=self.mode, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """The value at both ends of the last axis.

    >>> nn.ConstantPad1d((2, 1), 9.0)(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[9., 9., 1., 2., 3., 9.]], shape=(1, 6), float32)
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """The value around the last two axes: (left, right, top, bottom).

    >>> nn.ConstantPad2d((1, 0, 0, 1), 9.0)(minidl.tensor([[1.0, 2.0], [3.0, 4.0]])[None])[0]
    Tensor([[9., 1., 2.],
            [9., 3., 4.],
            [9., 9., 9.]], shape=(3, 3), float32)
    """

    axes = 2


class ConstantPad3d(_ConstantPad):
    """The value around the last three axes: (left, right, top, bottom, front, back).

    >>> nn.ConstantPad3d((1, 1, 0, 0, 1, 0), 9.0)(minidl.zeros((2, 3, 2, 4, 4))).shape
    (2, 3, 3, 4, 6)
    """

    axes = 3


class ZeroPad1d(_Pad):
    """Zeros at both ends of the last axis.

    >>> nn.ZeroPad1d((2, 1))(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[0., 0., 1., 2., 3., 0.]], shape=(1, 6), float32)
    """

    axes, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Zeros around the last two axes: (left, right, top, bottom).

    >>> nn.ZeroPad2d((1, 0, 0, 1))(minidl.tensor([[1.0, 2.0], [3.0, 4.0]])[None])[0]
    Tensor([[0., 1., 2.],
            [0., 3., 4.],
            [0., 0., 0.]], shape=(3, 3), float32)
    """

    axes, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Zeros around the last three axes: (left, right, top, bottom, front, back).

    >>> nn.ZeroPad3d((1, 1, 0, 0, 1, 0))(minidl.zeros((2, 3, 2, 4, 4))).shape
    (2, 3, 3, 4, 6)
    """

    axes, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """The mirror image at both ends of the last axis, without repeating the end.

    >>> nn.ReflectionPad1d((2, 1))(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[3., 2., 1., 2., 3., 2.]], shape=(1, 6), float32)
    """

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image around the last two axes: (left, right, top, bottom).

    >>> nn.ReflectionPad2d((1, 0, 0, 1))(minidl.tensor([[1.0, 2.0], [3.0, 4.0]])[None])[0]
    Tensor([[2., 1., 2.],
            [4., 3., 4.],
            [2., 1., 2.]], shape=(3, 3), float32)
    """

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The mirror image around the last three axes: (left, right, top, bottom, front, back).

    >>> nn.ReflectionPad3d((1, 1, 0, 0, 1, 0))(minidl.zeros((2, 3, 2, 4, 4))).shape
    (2, 3, 3, 4, 6)
    """

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The first and the last element repeated at both ends of the last axis.

    >>> nn.ReplicationPad1d((2, 1))(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[1., 1., 1., 2., 3., 3.]], shape=(1, 6), float32)
    """

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edges repeated around the last two axes: (left, right, top, bottom).

    >>> nn.ReplicationPad2d((1, 0, 0, 1))(minidl.tensor([[1.0, 2.0], [3.0, 4.0]])[None])[0]
    Tensor([[1., 1., 2.],
            [3., 3., 4.],
            [3., 3., 4.]], shape=(3, 3), float32)
    """

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The edges repeated around the last three axes: (left, right, top, bottom, front, back).

    >>> nn.ReplicationPad3d((1, 1, 0, 0, 1, 0))(minidl.zeros((2, 3, 2, 4, 4))).shape
    (2, 3, 3, 4, 6)
    """

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The elements from the other end of the last axis.

    >>> nn.CircularPad1d((2, 1))(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[2., 3., 1., 2., 3., 1.]], shape=(1, 6), float32)
    """

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The elements from the other ends of the last two axes: (left, right, top, bottom).

    >>> nn.CircularPad2d((1, 0, 0, 1))(minidl.tensor([[1.0, 2.0], [3.0, 4.0]])[None])[0]
    Tensor([[2., 1., 2.],
            [4., 3., 4.],
            [2., 1., 2.]], shape=(3, 3), float32)
    """

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The elements from the other ends of the last three axes.

    >>> nn.CircularPad3d((1, 1, 0, 0, 1, 0))(minidl.zeros((2, 3, 2, 4, 4))).shape
    (2, 3, 3, 4, 6)
    """

    axes, mode = 3, "circular"
