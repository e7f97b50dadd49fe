"""Convolutional layers."""

from functools import partial
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.backends.window import pair
from minidl.errors import ArgumentError, MinidlError
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error


class Conv2d(Module):
    """y[n, o, i, j] = b[o] + Σ x[n, c, …]·w[o, c, a, b] over a window that slides over x.

    weight (out_channels, in_channels / groups, *kernel_size) and bias (out_channels,) begin uniform
    in ±1/√(fan in), as in PyTorch.  `minidl.conv2d` says what the settings mean.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(f'Conv2d: padding_mode is "zeros"; got {padding_mode!r}')
        for name, channels in (("in", in_channels), ("out", out_channels)):
            if type(groups) is not int or groups < 1 or channels % groups:
                raise ArgumentError(
                    f"Conv2d: groups is a number from 1 on that divides {name}_channels={channels};"
                    f" got {groups!r}"
                )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding_mode = padding_mode
        empty = partial(ops.empty, dtype=dtype, device=device)
        self.weight = Parameter(empty((out_channels, in_channels // groups, *self.kernel_size)))
        self.bias = Parameter(empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.uniform_by_fan_in(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, out_channels, H', W'), and the same without N."""
        return self._run(ops.conv2d, x)

    def forward_relu(self, x: Tensor) -> Tensor:
        """max(forward(x), 0) in one operation: what Sequential runs for a ReLU that follows."""
        return self._run(ops.conv2d_relu, x)

    def _run(self, operation: Any, x: Tensor) -> Tensor:
        try:
            return operation(
                x,
                self.weight,
                self.bias,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        except MinidlError:
            shape = getattr(x, "shape", ())
            if len(shape) in (3, 4) and shape[-3] == self.in_channels:
                raise
        name = f"Conv2d({self.in_channels}, {self.out_channels}, {self.kernel_size})"
        raise shape_error(name, f"(N, {self.in_channels}, H, W)", x)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != (0, 0):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1, 1):
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)
