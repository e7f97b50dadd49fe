"""Rows of the table of operations: windows that slide, padding, and other sizes of pictures."""

import numpy as np

from minidl import ops
from minidl.ops.nn.unpool import _placed
from tests.helpers import Case, distinct, fixed, real
from tests.oracle import functional, torch


def both(name, *arguments, pick=None, **settings):
    """minidl's and PyTorch's operation of a name, with these settings after the arrays."""

    def of(library):
        def run(*xs):
            y = getattr(library, name)(*xs, *arguments, **settings)
            return y if pick is None else y[pick]

        return run

    return of(ops), of(functional)


# fmt: off
WINDOWS = [
    Case("conv1d", *both("conv1d", stride=2, padding=1, dilation=2),
         real(2, 2, 7), real(3, 2, 2), real(3)),
    Case("conv1d in groups, of one row", *both("conv1d", groups=2),
         real(4, 4), real(2, 2, 2)),
    Case("conv3d", *both("conv3d", stride=(2, 1, 1), padding=(1, 0, 1), dilation=(1, 2, 1)),
         real(1, 2, 3, 3, 2), real(2, 2, 2, 2, 2), real(2)),
    Case("conv3d in groups, of one picture", *both("conv3d", groups=2),
         real(2, 2, 2, 2), real(2, 1, 2, 1, 2)),
    Case("conv_transpose1d", *both("conv_transpose1d", stride=2, padding=1),
         real(2, 2, 3), real(2, 2, 3), real(2)),
    Case("conv_transpose2d", *both("conv_transpose2d", stride=2, padding=1),
         real(2, 2, 2, 3), real(2, 2, 3, 2), real(2)),
    Case("conv_transpose2d longer",  # of which PyTorch has no second derivative
         lambda *xs: ops.conv_transpose2d(*xs, stride=2, output_padding=1), None,
         real(1, 2, 2, 2), real(2, 1, 2, 2), real(1)),
    Case("conv_transpose2d in groups, of one picture",
         *both("conv_transpose2d", dilation=2, groups=2), real(2, 2, 2), real(2, 1, 2, 2)),
    Case("conv_transpose3d", *both("conv_transpose3d", stride=2, padding=(1, 0, 1)),
         real(1, 2, 2, 1, 2), real(2, 2, 2, 2, 2), real(2)),
    Case("max_pool1d", *both("max_pool1d", 3, 2, 1), distinct(2, 2, 6)),
    Case("max_pool3d", *both("max_pool3d", 2, 1, 1), distinct(1, 2, 2, 2, 3)),
    Case("avg_pool1d", *both("avg_pool1d", 3, 2, 1, ceil_mode=True), real(2, 2, 6)),
    Case("avg_pool3d", *both("avg_pool3d", 2, 1, 1, count_include_pad=False),
         real(1, 2, 2, 2, 2)),
    Case("adaptive_avg_pool1d", *both("adaptive_avg_pool1d", 3), real(2, 2, 5)),
    Case("adaptive_avg_pool3d", *both("adaptive_avg_pool3d", (2, 1, 2)), real(1, 2, 3, 2, 3)),
    Case("adaptive_max_pool1d", *both("adaptive_max_pool1d", 3), distinct(2, 2, 5)),
    Case("adaptive_max_pool2d", *both("adaptive_max_pool2d", (2, 3)), distinct(1, 2, 3, 4)),
    Case("adaptive_max_pool3d", *both("adaptive_max_pool3d", (2, 1, 2)), distinct(1, 1, 3, 2, 3)),
    Case("lp_pool1d", *both("lp_pool1d", 2, 2), real(2, 2, 4)),
    Case("lp_pool2d", *both("lp_pool2d", 4, 2, 1), real(1, 2, 3, 3)),
    Case("lp_pool3d", *both("lp_pool3d", 2, 2, 1), real(1, 1, 2, 3, 2)),
    Case("placed",
         lambda x: _placed(ops.zeros(6, dtype=x.dtype), x, np.array([4, 0, 1])),
         lambda x: torch.zeros(6, dtype=x.dtype).index_put((torch.tensor([4, 0, 1]),), x),
         real(3)),
    Case("max_unpool1d", *both("max_unpool1d", 2), real(1, 2, 2), fixed([[[1, 2], [0, 3]]])),
    Case("max_unpool2d", *both("max_unpool2d", 2), real(1, 1, 1, 2), fixed([[[[5, 2]]]])),
    Case("max_unpool3d", *both("max_unpool3d", 2), real(1, 1, 1, 1, 2), fixed([[[[[5, 2]]]]])),
    Case("pad", lambda x: ops.pad(x, (1, 2, -1, 0), value=0.5),
         lambda x: functional.pad(x, (1, 2, -1, 0), value=0.5), real(2, 3, 2)),
    *(Case(f"pad {mode}", lambda x, how=mode: ops.pad(x, (1, 2), how),
           lambda x, how=mode: functional.pad(x, (1, 2), how), real(2, 3))
      for mode in ("reflect", "replicate", "circular")),
    Case("unfold", *both("unfold", 2, padding=1, stride=2), real(1, 2, 3, 2)),
    Case("fold", *both("fold", (3, 2), 2, padding=1), real(1, 4, 12)),
    *(Case(f"interpolate {mode}", *both("interpolate", (5, 3), mode=mode), real(1, 2, 3, 2))
      for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")),
]
# fmt: on
