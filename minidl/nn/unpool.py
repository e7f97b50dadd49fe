"""Unpooling layers, which undo max pooling."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_lengths
from minidl.nn.module import Module


class _MaxUnpool(Module):
    axes: int
    operation: Any

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        check_lengths(self, self.axes, 1, kernel_size=kernel_size)
        check_lengths(self, self.axes, 0, padding=padding)
        if stride is not None:
            check_lengths(self, self.axes, 1, stride=stride)
        self.kernel_size, self.padding = self._each(kernel_size), self._each(padding)
        self.stride = self.kernel_size if stride is None else self._each(stride)

    def _each(self, value: Any) -> tuple:
        """A setting for each axis."""
        return tuple(value) if isinstance(value, tuple | list) else (value,) * self.axes

    def forward(self, x: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return type(self).operation(
            x,
            indices,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            output_size=output_size,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Zeros, with x at the indices that MaxPool1d with these settings returned.

    >>> y, where = nn.MaxPool1d(2, return_indices=True)(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]))
    >>> nn.MaxUnpool1d(2)(y, where)
    Tensor([[0., 3., 2., 0.]], shape=(1, 4), float32)
    """

    axes, operation = 1, ops.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Zeros, with x at the indices that MaxPool2d returned.  Zeiler, Fergus 2014.

    >>> y, where = nn.MaxPool2d(2, return_indices=True)(minidl.arange(8.0).reshape(1, 2, 4))
    >>> nn.MaxUnpool2d(2)(y, where)
    Tensor([[[0., 0., 0., 0.],
             [0., 5., 0., 7.]]], shape=(1, 2, 4), float32)
    """

    axes, operation = 2, ops.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Zeros, with x at the indices that MaxPool3d with these settings returned.

    >>> y, where = nn.MaxPool3d(2, return_indices=True)(minidl.zeros((1, 2, 2, 4)))
    >>> nn.MaxUnpool3d(2)(y, where).shape
    (1, 2, 2, 4)
    """

    axes, operation = 3, ops.max_unpool3d
