"""Convolution and zero padding of images."""

from typing import Any, ClassVar

from minidl import nn
from minidl.errors import ArgumentError
from minidl.keras import activations
from minidl.keras.checks import channels_last, padding_of, pair_of, positive
from minidl.keras.layers.base import Shape, length_of
from minidl.keras.layers.image import ImageLayer, Pad, PadSame, Sides
from minidl.nn import Module


class Conv2D(ImageLayer):
    """Convolution of images: (N, H, W, C) → (N, H', W', filters).

    kernel is (h, w, C / groups, filters), bias (filters,).  With padding "valid" the image is not
    padded; with "same" it is padded with zeros so that the output has ⌈H / stride⌉ × ⌈W / stride⌉
    pixels, with the odd zero below or to the right.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(16, 3)])
    >>> net.output_shape, net.count_params()
    ((None, 6, 6, 16), 448)
    """

    variable_names: ClassVar = {"weight": "kernel", "bias": "bias"}

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sides,
        strides: int | Sides = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sides = (1, 1),
        groups: int = 1,
        activation: activations.Activation = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        channels_last("Conv2D", data_format)
        self.filters = positive("Conv2D", "filters", filters)
        self.kernel_size = pair_of("Conv2D", "kernel_size", kernel_size)
        self.strides = pair_of("Conv2D", "strides", strides)
        self.dilation_rate = pair_of("Conv2D", "dilation_rate", dilation_rate)
        self.padding, self.groups = padding_of("Conv2D", padding), groups
        if positive("Conv2D", "groups", groups) and self.filters % groups:
            raise ArgumentError(f"Conv2D: groups={groups} does not divide the {filters} filters")
        self.activation, self.use_bias = activations.get(activation), bool(use_bias)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) → (N, H', W', filters)."""
        geometry = self.kernel_size, self.strides, self.dilation_rate, self.padding
        counts = self.output_lengths(input_shape, *geometry)
        if length_of(input_shape) % self.groups:
            raise self.error(f"needs channels that groups={self.groups} divides; got", input_shape)
        return input_shape[0], *counts, self.filters

    def make(self, shape: Shape) -> list[Module]:
        """A Conv2d, perhaps with a padding before it, and the activation."""
        zeros, before = self._padding()
        convolution = nn.Conv2d(
            length_of(shape),
            self.filters,
            self.kernel_size,
            stride=self.strides,
            padding=zeros,
            dilation=self.dilation_rate,
            groups=self.groups,
            bias=self.use_bias,
            dtype=self.dtype,
        )
        self.parameter(convolution.weight, self.kernel_initializer, kernel=True)
        if convolution.bias is not None:
            self.parameter(convolution.bias, self.bias_initializer)
        return [*before, convolution, *activations.modules_of(self.activation, channels_first=True)]

    def _padding(self) -> tuple[Sides, list[Module]]:
        """The symmetric padding of the convolution itself, or a module that pads before it.

        With strides the padding depends on the size of the image, and may be asymmetric.
        """
        totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        if self.padding == "valid":
            return (0, 0), []
        if self.strides == (1, 1) and not any(total % 2 for total in totals):
            return (totals[0] // 2, totals[1] // 2), []
        return (0, 0), [PadSame(self.kernel_size, self.strides, self.dilation_rate)]


class ZeroPadding2D(ImageLayer):
    """Zero padding of images.

    padding    the number of zeros on all sides; (rows, columns); or ((top, bottom), (left, right))

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.ZeroPadding2D(1)])
    >>> net.output_shape, net.count_params()
    ((None, 10, 10, 3), 0)
    """

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        channels_last("ZeroPadding2D", data_format)
        both = padding if isinstance(padding, tuple | list) else (padding, padding)
        sides = [tuple(x) if isinstance(x, tuple | list) else (x, x) for x in both]
        if len(sides) != 2 or any(
            len(side) != 2 or any(type(n) is not int or n < 0 for n in side) for side in sides
        ):
            raise ArgumentError(
                f"ZeroPadding2D: padding is a number ≥ 0, two, or two pairs; got {padding!r:.60}"
            )
        self.padding = sides[0], sides[1]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) → (N, top + H + bottom, left + W + right, C)."""
        batch, *lengths, channels = self.images(input_shape)
        both = zip(lengths, self.padding, strict=True)
        return batch, *(None if n is None else n + sum(p) for n, p in both), channels

    def make(self, shape: Shape) -> list[Module]:
        """The padding."""
        return [Pad(*self.padding)]
