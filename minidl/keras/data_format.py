"""Conversion between the two data formats of images.

Keras has the channels last, (N, H, W, C); the layers of `minidl.nn` have them first, (N, C, H, W).
"""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn import Module


def to_channels_first(x: Tensor) -> Tensor:
    """(N, …, C) → (N, C, …)."""
    return ops.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def to_channels_last(x: Tensor) -> Tensor:
    """(N, C, …) → (N, …, C)."""
    return ops.permute_dims(x, (0, *range(2, x.ndim), 1))


class ChannelsFirst(Module):
    """(N, …, C) → (N, C, …)."""

    def forward(self, x: Tensor) -> Tensor:
        """x with the channels on axis 1."""
        return to_channels_first(x)


class ChannelsLast(Module):
    """(N, C, …) → (N, …, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """x with the channels on the last axis."""
        return to_channels_last(x)


class Cast(Module):
    """Converts inputs, bytes for instance, to a dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """x in the dtype."""
        x = ops.asarray(x)
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def extra_repr(self) -> str:
        """The dtype."""
        return repr(self.dtype)
