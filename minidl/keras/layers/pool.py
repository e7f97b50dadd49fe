"""Pooling of images: over windows, or over the whole image."""

from collections.abc import Callable
from functools import partial
from typing import Any

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.keras.activations import Function
from minidl.keras.checks import channels_last, padding_of, pair_of
from minidl.keras.layers.base import Shape
from minidl.keras.layers.image import ImageLayer, Sides, pad, same_padding
from minidl.nn import Module


class _Pooling2D(ImageLayer):
    """The base of max and average pooling."""

    def __init__(
        self,
        pool_size: int | Sides = (2, 2),
        strides: int | Sides | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        kind = type(self).__name__
        channels_last(kind, data_format)
        self.pool_size = pair_of(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair_of(kind, "strides", strides)
        self.padding = padding_of(kind, padding)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) → (N, H', W', C)."""
        geometry = self.pool_size, self.strides, (1, 1), self.padding
        return input_shape[0], *self.output_lengths(input_shape, *geometry), input_shape[-1]

    def _sides(self, x: Tensor) -> list[Sides]:
        """The padding before and after the height and the width of x (N, C, H, W)."""
        axes = zip(x.shape[-2:], self.pool_size, self.strides, strict=True)
        return [same_padding(*axis) for axis in axes]


class MaxPooling2D(_Pooling2D):
    """The maximum of each window: (N, H, W, C) → (N, H', W', C).

    With padding "same" there are ⌈H / stride⌉ × ⌈W / stride⌉ windows; the maximum is of the pixels
    inside the image.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.MaxPool2D(2)])
    >>> net.output_shape, net.count_params()
    ((None, 4, 4, 3), 0)
    """

    def make(self, shape: Shape) -> list[Module]:
        """A MaxPool2d, or a function that pads first."""
        if self.padding == "valid":
            return [nn.MaxPool2d(self.pool_size, self.strides)]
        return [Function(self._same)]

    def _same(self, x: Tensor) -> Tensor:
        sides = self._sides(x)
        if any(map(any, sides)):
            inside = pad(ops.ones(x.shape[-2:], dtype="int64", device=x.device), *sides) > 0
            x = ops.where(inside, pad(x, *sides), -float("inf"))
        return ops.max_pool2d(x, self.pool_size, self.strides)


class AveragePooling2D(_Pooling2D):
    """The mean of each window: (N, H, W, C) → (N, H', W', C).

    With padding "same" there are ⌈H / stride⌉ × ⌈W / stride⌉ windows; the mean is of the pixels
    inside the image.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.AveragePooling2D(2)])
    >>> net.output_shape, net.count_params()
    ((None, 4, 4, 3), 0)
    """

    def make(self, shape: Shape) -> list[Module]:
        """An AvgPool2d, or a function that pads first."""
        if self.padding == "valid":
            return [nn.AvgPool2d(self.pool_size, self.strides)]
        return [Function(self._same)]

    def _same(self, x: Tensor) -> Tensor:
        pool = partial(ops.avg_pool2d, kernel_size=self.pool_size, stride=self.strides)
        sides = self._sides(x)
        if not any(map(any, sides)):
            return pool(x)
        ones = ops.ones((1, 1, *x.shape[-2:]), dtype=x.dtype, device=x.device)
        return pool(pad(x, *sides)) / pool(pad(ones, *sides))


class _GlobalPooling2D(ImageLayer):
    """The base of global max and average pooling."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        channels_last(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) → (N, C), or (N, 1, 1, C) with keepdims."""
        batch, _, _, channels = self.images(input_shape)
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)

    def _reduced(self, reduction: Callable[..., Tensor]) -> list[Module]:
        return [Function(partial(reduction, axis=(2, 3), keepdims=self.keepdims))]


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean of each channel: (N, H, W, C) → (N, C).

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D()])
    >>> net.output_shape, net.count_params()
    ((None, 3), 0)
    """

    def make(self, shape: Shape) -> list[Module]:
        """A mean."""
        return self._reduced(ops.mean)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The maximum of each channel: (N, H, W, C) → (N, C).

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.GlobalMaxPool2D()])
    >>> net.output_shape, net.count_params()
    ((None, 3), 0)
    """

    def make(self, shape: Shape) -> list[Module]:
        """A maximum."""
        return self._reduced(ops.max)
