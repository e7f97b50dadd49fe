"""Convolutional layers."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.backends.window import IMAGES, Lengths
from minidl.checks import check_flags, check_integers, lengths
from minidl.errors import ArgumentError, MinidlError
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error
from minidl.nn.parameter import empty
from minidl.nn.precision import in_dtype_of
from minidl.ops.nn.conv_padding import check_padding, padded


class Windows(Module):
    """The settings and parameters that convolutions and transposed convolutions share."""

    axes: int  # of the kernel: 1, 2 or 3
    bias: Parameter | None

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        padding_mode: str,
    ) -> None:
        """Check the settings and keep them."""
        name = type(self).__name__
        check_integers(self, 0, in_channels=in_channels, out_channels=out_channels)
        for which, channels in (("in", in_channels), ("out", out_channels)):
            if type(groups) is not int or groups < 1 or channels % groups:
                raise ArgumentError(
                    f"{name}: groups is a number ≥ 1 that divides {which}_channels="
                    f"{channels}; got {groups!r}"
                )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = lengths(name, "kernel_size", kernel_size, 1, self.axes)
        self.stride = lengths(name, "stride", stride, 1, self.axes)
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = lengths(name, "padding", padding, 0, self.axes)
        self.dilation = lengths(name, "dilation", dilation, 1, self.axes)
        self.padding_mode = padding_mode

    def _make_parameters(self, weight: Lengths, bias: bool, device: Any, dtype: Any) -> None:
        """Create and initialise the weight, of this shape, and the bias."""
        check_flags(self, bias=bias)
        self.weight = Parameter(empty(self, weight, dtype, device))
        given = Parameter(empty(self, self.out_channels, dtype, device)) if bias else None
        self.register_parameter("bias", given)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.uniform_by_fan_in(self.weight, self.bias)

    def _explained(self, x: Any, error: MinidlError) -> MinidlError:
        """The error to raise instead of the operation's: about x, if its shape is wrong."""
        shape, axes = getattr(x, "shape", ()), self.axes
        if len(shape) in (axes + 1, axes + 2) and shape[-1 - axes] == self.in_channels:
            return error
        size = self.kernel_size if axes > 1 else self.kernel_size[0]
        name = f"{type(self).__name__}({self.in_channels}, {self.out_channels}, {size})"
        return shape_error(name, f"(N, {self.in_channels}, {IMAGES[axes]})", x)

    def extra_repr(self) -> str:
        none, one = (0,) * self.axes, (1,) * self.axes
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != none:
            parts.append(f"padding={self.padding}")
        if self.dilation != one:
            parts.append(f"dilation={self.dilation}")
        output_padding = getattr(self, "output_padding", none)
        if output_padding != none:
            parts.append(f"output_padding={output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Convolutional(Windows):
    """y = b + Σ x·w over a sliding window: what Conv1d, Conv2d and Conv3d share."""

    operation: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_padding(self, self.axes, stride, padding, padding_mode)
        channels = in_channels, out_channels
        self._set_up(*channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        weight = (out_channels, in_channels // groups, *self.kernel_size)
        self._make_parameters(weight, bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) → (N, out_channels, …), and the same without N."""
        try:
            x, padding = self._padded(x)
            return type(self).operation(
                x,
                self.weight,
                self.bias,
                stride=self.stride,
                padding=padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        except MinidlError as error:
            raise self._explained(x, error) from None

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each output element is a product with a whole kernel, at the padded edges too."""
        return output.size * math.prod(self.weight.shape[1:])

    def _padded(self, x: Any) -> tuple[Any, Lengths]:
        """x in the layer's dtype, padded as far as the operation cannot do it, and what is left."""
        x = in_dtype_of(self.weight, self, x)
        if self.padding_mode == "zeros" and type(self.padding) is tuple:
            return x, self.padding
        settings = self.stride, self.padding, self.dilation, self.padding_mode
        return padded(type(self).__name__, x, self.weight, *settings)


class Conv1d(Convolutional):
    """y[n, o, i] = b[o] + Σ x[n, c, …]·w[o, c, a] over a sliding window.

    weight (out_channels, in_channels / groups, kernel_size) and bias (out_channels,) start uniform
    in ±1/√(fan in), as in PyTorch.  The settings are those of Conv2d.

    >>> layer = nn.Conv1d(3, 8, 5, padding=2)
    >>> layer(minidl.zeros((2, 3, 10))).shape
    (2, 8, 10)
    >>> layer.weight.shape
    (8, 3, 5)
    """

    axes, operation = 1, ops.conv1d


class Conv2d(Convolutional):
    """y[n, o, i, j] = b[o] + Σ x[n, c, …]·w[o, c, a, b] over a sliding window.

    weight (out_channels, in_channels / groups, *kernel_size) and bias (out_channels,) start uniform
    in ±1/√(fan in), as in PyTorch.  `minidl.conv2d` explains the settings.

    padding         also "valid", for none, or "same": as much as makes y as large as x, with
                    stride 1; an odd one more goes to the end
    padding_mode    how to pad: "zeros", "reflect", "replicate" or "circular", as in
                    `minidl.pad`

    LeCun et al. 1998.

    >>> layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> layer(minidl.zeros((2, 3, 10, 10))).shape
    (2, 8, 5, 5)
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'weight': (8, 3, 3, 3), 'bias': (8,)}
    >>> nn.Conv2d(4, 8, 3, groups=2).weight.shape
    (8, 2, 3, 3)
    """

    axes, operation = 2, ops.conv2d


class Conv3d(Convolutional):
    """y[n, o, i, j, k] = b[o] + Σ x[n, c, …]·w[o, c, …] over a window of three axes.

    weight (out_channels, in_channels / groups, *kernel_size) and bias (out_channels,) start uniform
    in ±1/√(fan in), as in PyTorch.  The settings are those of Conv2d.

    >>> layer = nn.Conv3d(1, 2, (1, 2, 2))
    >>> layer(minidl.zeros((1, 1, 3, 4, 4))).shape
    (1, 2, 3, 3, 3)
    >>> layer.weight.shape
    (2, 1, 1, 2, 2)
    """

    axes, operation = 3, ops.conv3d
