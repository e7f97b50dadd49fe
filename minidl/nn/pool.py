"""Pooling layers: max, average, adaptive and power-average pooling of (N, C, …) or (C, …)."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_lengths, check_numbers
from minidl.nn.module import Module


class _MaxPool(Module):
    axes: int
    operation: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        check_lengths(self, self.axes, 1, kernel_size=kernel_size, dilation=dilation)
        check_lengths(self, self.axes, 0, padding=padding)
        if stride is not None:
            check_lengths(self, self.axes, 1, stride=stride)
        check_flags(self, return_indices=return_indices, ceil_mode=ceil_mode)
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        return type(self).operation(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of (…, L), as MaxPool2d.

    >>> nn.MaxPool1d(2)(minidl.tensor([[1.0, 3.0, 2.0, 0.0, 9.0]]))
    Tensor([[3., 2.]], shape=(1, 2), float32)
    >>> nn.MaxPool1d(2, ceil_mode=True)(minidl.tensor([[1.0, 3.0, 2.0, 0.0, 9.0]]))
    Tensor([[3., 2., 9.]], shape=(1, 3), float32)
    """

    axes, operation = 1, ops.max_pool1d


class MaxPool2d(_MaxPool):
    """The maximum of each window; the stride defaults to the kernel size.

    >>> x = minidl.arange(16.0).reshape(1, 4, 4)
    >>> nn.MaxPool2d(2)(x)
    Tensor([[[ 5.,  7.],
             [13., 15.]]], shape=(1, 2, 2), float32)
    >>> nn.MaxPool2d(2, return_indices=True)(x)[1]
    Tensor([[[ 5,  7],
             [13, 15]]], shape=(1, 2, 2), int64)
    """

    axes, operation = 2, ops.max_pool2d


class MaxPool3d(_MaxPool):
    """The maximum of each window of (…, D, H, W), as MaxPool2d.

    >>> nn.MaxPool3d((1, 2, 2))(minidl.zeros((2, 3, 4, 6, 8))).shape
    (2, 3, 4, 3, 4)
    """

    axes, operation = 3, ops.max_pool3d


class AvgPool1d(Module):
    """The mean of each window of (…, L), as AvgPool2d.

    >>> x = minidl.tensor([[1.0, 3.0, 2.0, 0.0]])
    >>> nn.AvgPool1d(2)(x)
    Tensor([[2., 1.]], shape=(1, 2), float32)
    >>> nn.AvgPool1d(2, padding=1, count_include_pad=False)(x)
    Tensor([[1. , 2.5, 0. ]], shape=(1, 3), float32)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        _check_average(self, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.kernel_size, self.padding = _as_tuple(kernel_size), _as_tuple(padding)
        self.stride = self.kernel_size if stride is None else _as_tuple(stride)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool1d(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _check_average(
    layer: Module,
    axes: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
) -> None:
    """Check the settings that all average poolings have."""
    check_lengths(layer, axes, 1, kernel_size=kernel_size)
    check_lengths(layer, axes, 0, padding=padding)
    if stride is not None:
        check_lengths(layer, axes, 1, stride=stride)
    check_flags(layer, ceil_mode=ceil_mode, count_include_pad=count_include_pad)


def _as_tuple(value: Any) -> tuple:
    """A setting along one axis, as a tuple, as PyTorch has it."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


class _AvgPool(Module):
    axes: int
    operation: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        _check_average(self, self.axes, kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.kernel_size, self.padding, self.ceil_mode = kernel_size, padding, ceil_mode
        self.stride = kernel_size if stride is None else stride
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return type(self).operation(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window; the stride defaults to the kernel size.

    `count_include_pad` counts the zeros of the padding; `divisor_override` replaces the count.

    >>> x = minidl.arange(16.0).reshape(1, 4, 4)
    >>> nn.AvgPool2d(2)(x)
    Tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]], shape=(1, 2, 2), float32)
    >>> nn.AvgPool2d(3, stride=1, padding=1)(x).shape
    (1, 4, 4)
    """

    axes, operation = 2, ops.avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of each window of (…, D, H, W), as AvgPool2d.

    >>> nn.AvgPool3d(2)(minidl.zeros((2, 3, 4, 6, 8))).shape
    (2, 3, 2, 3, 4)
    """

    axes, operation = 3, ops.avg_pool3d


class _AdaptiveAvgPool(Module):
    operation: Any

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return type(self).operation(x, output_size=self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` windows of (…, L).

    >>> nn.AdaptiveAvgPool1d(2)(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[1.5, 2.5]], shape=(1, 2), float32)
    """

    operation = ops.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of `output_size` windows, whatever the size of the image.

    output_size is an int for both axes, or two; None keeps the length.

    >>> nn.AdaptiveAvgPool2d(1)(minidl.zeros((2, 3, 7, 9))).shape
    (2, 3, 1, 1)
    >>> nn.AdaptiveAvgPool2d((None, 2))(minidl.zeros((2, 3, 7, 9))).shape
    (2, 3, 7, 2)
    """

    operation = ops.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of `output_size` windows of (…, D, H, W), as AdaptiveAvgPool2d.

    >>> nn.AdaptiveAvgPool3d((1, 2, 2))(minidl.zeros((2, 3, 4, 7, 9))).shape
    (2, 3, 1, 2, 2)
    """

    operation = ops.adaptive_avg_pool3d


class _AdaptiveMaxPool(Module):
    operation: Any

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        check_flags(self, return_indices=return_indices)
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        settings = {"output_size": self.output_size, "return_indices": self.return_indices}
        return type(self).operation(x, **settings)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of `output_size` windows of (…, L).

    >>> nn.AdaptiveMaxPool1d(2)(minidl.tensor([[1.0, 2.0, 3.0]]))
    Tensor([[2., 3.]], shape=(1, 2), float32)
    """

    operation = ops.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of `output_size` windows, as AdaptiveAvgPool2d.

    >>> nn.AdaptiveMaxPool2d(1)(minidl.arange(12.0).reshape(1, 3, 4))
    Tensor([[[11.]]], shape=(1, 1, 1), float32)
    >>> nn.AdaptiveMaxPool2d(1, return_indices=True)(minidl.arange(12.0).reshape(1, 3, 4))[1]
    Tensor([[[11]]], shape=(1, 1, 1), int64)
    """

    operation = ops.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of `output_size` windows of (…, D, H, W).

    >>> nn.AdaptiveMaxPool3d(2)(minidl.zeros((2, 3, 4, 7, 9))).shape
    (2, 3, 2, 2, 2)
    """

    operation = ops.adaptive_max_pool3d


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
