"""Pictures made larger, in the two ways that have layers of their own."""

from typing import Any

from minidl.nn.resize import Upsample
from minidl.nn.settings import check_lengths


class UpsamplingNearest2d(Upsample):
    """Pictures (N, C, H, W) made larger by repeating places: Upsample with mode="nearest".

    >>> nn.UpsamplingNearest2d(scale_factor=2)(minidl.tensor([[[[1.0, 2.0]]]]))
    Tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]], shape=(1, 1, 2, 4), float32)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        if size is not None:
            check_lengths(self, 2, 1, size=size)
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Pictures (N, C, H, W) made larger between places: mode="bilinear", align_corners=True.

    >>> nn.UpsamplingBilinear2d(size=(1, 3))(minidl.tensor([[[[1.0, 2.0]]]]))
    Tensor([[[[1. , 1.5, 2. ]]]], shape=(1, 1, 1, 3), float32)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        if size is not None:
            check_lengths(self, 2, 1, size=size)
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
