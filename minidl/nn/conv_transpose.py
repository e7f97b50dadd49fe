"""Transposed convolutional layers."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, is_integer, lengths
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.nn.conv import Windows
from minidl.nn.precision import in_dtype_of


class Transposed(Windows):
    """What ConvTranspose1d, ConvTranspose2d and ConvTranspose3d share."""

    operation: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        check_choice(self, ("zeros",), padding_mode=padding_mode)
        if isinstance(padding, str):
            raise ArgumentError(f"{name}: padding is a number, or one for each axis; got {padding}")
        channels = in_channels, out_channels
        self._set_up(*channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = lengths(name, "output_padding", output_padding, 0, self.axes)
        weight = (in_channels, out_channels // groups, *self.kernel_size)
        self._make_parameters(weight, bias, device, dtype)

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        """(N, C, …) → (N, out_channels, …), and the same without N.

        output_size    the lengths of the last axes of y, or its whole shape: several sizes of y
                       lead to the size of x in a convolution with these settings
        """
        try:
            x = in_dtype_of(self.weight, self, x)
            return type(self).operation(
                x,
                self.weight,
                self.bias,
                stride=self.stride,
                padding=self.padding,
                output_padding=self._output_padding(x, output_size),
                groups=self.groups,
                dilation=self.dilation,
            )
        except MinidlError as error:
            raise self._explained(x, error) from None

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each input element is multiplied by a whole kernel."""
        return inputs[0].size * math.prod(self.weight.shape[1:])

    def _output_padding(self, x: Any, output_size: Any) -> tuple[int, ...]:
        """The output_padding that gives y this size."""
        axes = self.axes
        if output_size is None or len(getattr(x, "shape", ())) not in (axes + 1, axes + 2):
            return self.output_padding  # the operation raises for such an x
        size = tuple(output_size) if isinstance(output_size, tuple | list) else ()
        size = size[-axes:] if len(size) == x.ndim else size
        if len(size) != axes or not all(map(is_integer, size)):
            raise ArgumentError(
                f"{type(self).__name__}: output_size is {axes} or {x.ndim} numbers; "
                f"got {output_size!r:.60}"
            )
        settings = (self.stride, self.padding, self.dilation, self.kernel_size)
        each = zip(x.shape[-axes:], *settings, strict=True)
        low = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in each)
        high = tuple(n + s - 1 for n, s in zip(low, self.stride, strict=True))
        if not all(a <= n <= b for a, n, b in zip(low, size, high, strict=True)):
            raise ShapeError(
                f"{type(self).__name__}: output_size is between {low} and {high} for an input of "
                f"{tuple(x.shape[-axes:])}; got {size}"
            )
        return tuple(n - a for n, a in zip(size, low, strict=True))


class ConvTranspose1d(Transposed):
    """Each x adds a kernel, times x, to a window of y: the input gradient of Conv1d.

    weight (in_channels, out_channels / groups, kernel_size) and bias (out_channels,) start uniform
    in ±1/√(weight[0].size), as in PyTorch.  The settings are those of ConvTranspose2d.

    >>> layer = nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1)
    >>> layer(minidl.zeros((1, 3, 5))).shape
    (1, 2, 10)
    >>> layer.weight.shape
    (3, 2, 4)
    """

    axes, operation = 1, ops.conv_transpose1d


class ConvTranspose2d(Transposed):
    """Each x adds a kernel, times x, to a window of y: the input gradient of Conv2d.

    weight (in_channels, out_channels / groups, *kernel_size) and bias (out_channels,) start uniform
    in ±1/√(weight[0].size), as in PyTorch.  `minidl.conv_transpose2d` explains the settings.

    Zeiler et al. 2010.

    >>> layer = nn.ConvTranspose2d(3, 2, 3, stride=2)
    >>> x = minidl.zeros((1, 3, 4, 4))
    >>> layer(x).shape, layer(x, output_size=(10, 10)).shape
    ((1, 2, 9, 9), (1, 2, 10, 10))
    >>> layer.weight.shape
    (3, 2, 3, 3)
    """

    axes, operation = 2, ops.conv_transpose2d


class ConvTranspose3d(Transposed):
    """Each x adds a kernel, times x, to a window of y: the input gradient of Conv3d.

    weight (in_channels, out_channels / groups, *kernel_size) and bias (out_channels,) start uniform
    in ±1/√(weight[0].size), as in PyTorch.  The settings are those of ConvTranspose2d.

    >>> layer = nn.ConvTranspose3d(2, 1, 2, stride=2)
    >>> layer(minidl.zeros((1, 2, 1, 2, 2))).shape
    (1, 1, 2, 4, 4)
    """

    axes, operation = 3, ops.conv_transpose3d
