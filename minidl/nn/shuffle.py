"""Pixel shuffle and channel shuffle."""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers
from minidl.nn.module import Module


class PixelShuffle(Module):
    """(…, C·r², H, W) → (…, C, H·r, W·r).  Shi et al. 2016.

    >>> nn.PixelShuffle(2)(minidl.arange(4.0).reshape(1, 4, 1, 1))[0]
    Tensor([[[0., 1.],
             [2., 3.]]], shape=(1, 2, 2), float32)
    >>> nn.PixelShuffle(3)(minidl.zeros((2, 9, 4, 5))).shape
    (2, 1, 12, 15)
    """

    def __init__(self, upscale_factor: int) -> None:
        check_integers(self, 1, upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return ops.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(…, C, H·r, W·r) → (…, C·r², H, W).

    >>> nn.PixelUnshuffle(2)(minidl.zeros((2, 1, 4, 6))).shape
    (2, 4, 2, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        check_integers(self, 1, downscale_factor=downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return ops.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """(N, C, *) → the same, with channels (groups, C / groups) transposed.

    Zhang et al. 2018.

    >>> nn.ChannelShuffle(2)(minidl.arange(6.0).reshape(1, 6, 1)).reshape(6)
    Tensor([0., 3., 1., 4., 2., 5.], float32)
    """

    def __init__(self, groups: int) -> None:
        check_integers(self, 1, groups=groups)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return ops.channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
