"""Layers of the p-norm of each window, and layers that undo the pooling of maxima."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module


class _LPPool(Module):
    operation: Any

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
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
    """(Σ xᵖ)^(1/p) of each window of (…, L), with p = norm_type."""

    operation = ops.lp_pool1d


class LPPool2d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (…, H, W), with p = norm_type."""

    operation = ops.lp_pool2d


class LPPool3d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (…, D, H, W), with p = norm_type."""

    operation = ops.lp_pool3d


class _MaxUnpool(Module):
    axes: int
    operation: Any

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
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
    """Zeros, with x where MaxPool1d with these settings found it."""

    axes, operation = 1, ops.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Zeros, with x where MaxPool2d with these settings found it."""

    axes, operation = 2, ops.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Zeros, with x where MaxPool3d with these settings found it."""

    axes, operation = 3, ops.max_unpool3d
