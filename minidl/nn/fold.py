"""Unfold (im2col) and Fold (col2im)."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_lengths
from minidl.nn.module import Module


class Unfold(Module):
    """(N, C, H, W) → (N, C·KH·KW, windows): im2col, a column for each patch.

    >>> nn.Unfold(kernel_size=2)(minidl.zeros((1, 3, 4, 4))).shape
    (1, 12, 9)
    >>> nn.Unfold(2)(minidl.arange(9.0).reshape(1, 1, 3, 3))[0, :, 0]
    Tensor([0., 1., 3., 4.], float32)
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        check_lengths(self, 2, 1, kernel_size=kernel_size, dilation=dilation, stride=stride)
        check_lengths(self, 2, 0, padding=padding)
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return ops.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """(N, C·KH·KW, windows) → (N, C, *output_size): col2im, patches added where they overlap.

    >>> columns = minidl.ones((1, 4, 4))
    >>> nn.Fold(output_size=3, kernel_size=2)(columns)[0, 0]
    Tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]], shape=(3, 3), float32)
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        check_lengths(self, 2, 1, output_size=output_size, kernel_size=kernel_size)
        check_lengths(self, 2, 1, dilation=dilation, stride=stride)
        check_lengths(self, 2, 0, padding=padding)
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        settings = self.kernel_size, self.dilation, self.padding, self.stride
        return ops.fold(x, self.output_size, *settings)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
