"""Upsampling layers."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_lengths, check_numbers
from minidl.nn.module import Module


class Upsample(Module):
    """`minidl.interpolate` to a size, or by a scale_factor, along all axes but the first two.

    >>> nn.Upsample(scale_factor=2)(minidl.tensor([[[1.0, 2.0]]]))
    Tensor([[[1., 1., 2., 2.]]], shape=(1, 1, 4), float32)
    >>> nn.Upsample(size=3, mode="linear", align_corners=True)(minidl.tensor([[[1.0, 2.0]]]))
    Tensor([[[1. , 1.5, 2. ]]], shape=(1, 1, 3), float32)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if isinstance(scale_factor, tuple | list):
            for factor in scale_factor:
                check_numbers(self, above=0, scale_factor=factor)
            scale_factor = tuple(float(factor) for factor in scale_factor)
        elif scale_factor is not None:
            check_numbers(self, above=0, scale_factor=scale_factor)
            scale_factor = float(scale_factor)
        if not isinstance(align_corners, bool | None):
            check_flags(self, align_corners=align_corners)
        if not isinstance(recompute_scale_factor, bool | None):
            check_flags(self, recompute_scale_factor=recompute_scale_factor)
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return ops.interpolate(
            x,
            size=self.size,
            scale_factor=self.scale_factor,
            mode=self.mode,
            align_corners=self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        by_size = self.scale_factor is None
        size = f"size={self.size!r}" if by_size else f"scale_factor={self.scale_factor!r}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) enlarged by repeating pixels: Upsample with mode="nearest".

    >>> nn.UpsamplingNearest2d(scale_factor=2)(minidl.tensor([[[[1.0, 2.0]]]]))
    Tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]], shape=(1, 1, 2, 4), float32)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        if size is not None:
            check_lengths(self, 2, 1, size=size)
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) enlarged with mode="bilinear", align_corners=True.

    >>> nn.UpsamplingBilinear2d(size=(1, 3))(minidl.tensor([[[[1.0, 2.0]]]]))
    Tensor([[[[1. , 1.5, 2. ]]]], shape=(1, 1, 1, 3), float32)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        if size is not None:
            check_lengths(self, 2, 1, size=size)
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
