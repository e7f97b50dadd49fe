"""Layers of the p-norm of each window, and layers that undo the pooling of maxima."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module
from minidl.nn.settings import check_flags, check_lengths, check_numbers


class _LPPool(Module):
    axes: int
    operation: Any

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        check_numbers(self, above=0, norm_type=norm_type)
        check_lengths(self, self.axes, 1, kernel_size=kernel_size)
        if stride is not None:
            check_lengths(self, self.axes, 1, stride=stride)
        check_flags(self, ceil_mode=ceil_mode)
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return type(self).operation(
            x,
            norm_type=self.norm_type,
            kernel_size=self.kernel_size,
            stride=self.stride,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (…, L), with p = norm_type.

    >>> nn.LPPool1d(norm_type=2, kernel_size=2)(minidl.tensor([[3.0, 4.0, 6.0, 8.0]]))
    Tensor([[ 5., 10.]], shape=(1, 2), float32)
    """

    axes, operation = 1, ops.lp_pool1d


class LPPool2d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (…, H, W), with p = norm_type.

    >>> nn.LPPool2d(2, kernel_size=2)(minidl.ones((1, 2, 4)))
    Tensor([[[2., 2.]]], shape=(1, 1, 2), float32)
    """

    axes, operation = 2, ops.lp_pool2d


class LPPool3d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (…, D, H, W), with p = norm_type.

    >>> nn.LPPool3d(1, kernel_size=2)(minidl.ones((1, 2, 2, 4)))
    Tensor([[[[8., 8.]]]], shape=(1, 1, 1, 2), float32)
    """

    axes, operation = 3, ops.lp_pool3d


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
    """Zeros, with x where MaxPool1d with these settings found it.

    >>> y, where = nn.MaxPool1d(2, return_indices=True)(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]))
    >>> nn.MaxUnpool1d(2)(y, where)
    Tensor([[0., 3., 2., 0.]], shape=(1, 4), float32)
    """

    axes, operation = 1, ops.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Zeros, with x where MaxPool2d with these settings found it.  Zeiler, Fergus 2014.

    >>> y, where = nn.MaxPool2d(2, return_indices=True)(minidl.arange(8.0).reshape(1, 2, 4))
    >>> nn.MaxUnpool2d(2)(y, where)
    Tensor([[[0., 0., 0., 0.],
             [0., 5., 0., 7.]]], shape=(1, 2, 4), float32)
    """

    axes, operation = 2, ops.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Zeros, with x where MaxPool3d with these settings found it.

    >>> y, where = nn.MaxPool3d(2, return_indices=True)(minidl.zeros((1, 2, 2, 4)))
    >>> nn.MaxUnpool3d(2)(y, where).shape
    (1, 2, 2, 4)
    """

    axes, operation = 3, ops.max_unpool3d
