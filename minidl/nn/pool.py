"""Pooling layers: pictures (N, C, …) or (C, …) become smaller ones."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module


class _MaxPool(Module):
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
    """The largest number of each window of (…, L), as MaxPool2d."""

    operation = ops.max_pool1d


class MaxPool2d(_MaxPool):
    """The largest number of each window; the stride is the size of the window if it is left out."""

    operation = ops.max_pool2d


class MaxPool3d(_MaxPool):
    """The largest number of each window of (…, D, H, W), as MaxPool2d."""

    operation = ops.max_pool3d


class AvgPool1d(Module):
    """The mean of each window of (…, L), as AvgPool2d."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.padding = _single(kernel_size), _single(padding)
        self.stride = self.kernel_size if stride is None else _single(stride)
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


def _single(value: Any) -> tuple:
    """A setting of one axis as PyTorch keeps it."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


class _AvgPool(Module):
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
    """The mean of each window; the stride is the size of the window if it is left out.

    The zeros of the padding are counted, or not; `divisor_override` divides the sum instead.
    """

    operation = ops.avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of each window of (…, D, H, W), as AvgPool2d."""

    operation = ops.avg_pool3d


class _AdaptiveAvgPool(Module):
    operation: Any

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return type(self).operation(x, output_size=self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of as many windows of (…, L) as `output_size` says."""

    operation = ops.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of as many windows as `output_size` says, whatever the size of the picture.

    It is a number for both axes, or two; None keeps the length.
    """

    operation = ops.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of as many windows of (…, D, H, W) as `output_size` says, as AdaptiveAvgPool2d."""

    operation = ops.adaptive_avg_pool3d


class _AdaptiveMaxPool(Module):
    operation: Any

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        settings = {"output_size": self.output_size, "return_indices": self.return_indices}
        return type(self).operation(x, **settings)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest numbers of as many windows of (…, L) as `output_size` says."""

    operation = ops.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest numbers of as many windows as `output_size` says, as AdaptiveAvgPool2d."""

    operation = ops.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest numbers of as many windows of (…, D, H, W) as `output_size` says."""

    operation = ops.adaptive_max_pool3d
