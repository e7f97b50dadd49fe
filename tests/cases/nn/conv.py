"""Rows of convolutions, transposed convolutions, and of unfolding and folding."""

from tests.cases.registry import ops
from tests.cases.support import both, of_signs
from tests.helpers import Case, given, real
from tests.ops.nn import fused
from tests.oracle import functional


def convolved(**settings):
    """minidl's and PyTorch's convolution with these settings."""
    return (
        lambda *xs: ops.conv2d(*xs, **settings),
        lambda *xs: functional.conv2d(*xs, **settings),
    )


def convolved_relu(**settings):
    """The same, and max(y, 0) of it."""
    return (
        lambda *xs: fused.conv2d_relu(*xs, **settings),
        lambda *xs: functional.conv2d(*xs, **settings).relu(),
    )


# fmt: off
CASES = [
    Case("conv1d", *both("conv1d", stride=2, padding=1, dilation=2),
         real(2, 2, 7), real(3, 2, 2), real(3)),
    Case("conv1d in groups, of one row", *both("conv1d", groups=2),
         real(4, 4), real(2, 2, 2)),
    Case("conv2d", *convolved(), real(2, 2, 3, 4), real(3, 2, 2, 3), real(3)),
    Case("conv2d strided", *convolved(stride=(2, 3)),
         real(1, 2, 5, 7), real(2, 2, 2, 2), real(2)),
    Case("conv2d padded", *convolved(padding=(1, 2)),
         real(1, 2, 3, 2), real(2, 2, 3, 2), real(2)),
    Case("conv2d dilated", *convolved(dilation=(2, 3)),
         real(1, 2, 4, 5), real(2, 2, 2, 2), real(2)),
    Case("conv2d strided, padded, dilated", *convolved(stride=2, padding=3, dilation=2),
         real(1, 1, 4, 3), real(2, 1, 2, 3), real(2)),
    Case("conv2d in groups", *convolved(groups=2, padding=1),
         real(2, 4, 2, 3), real(6, 2, 2, 2), real(6)),
    Case("conv2d of each channel", *convolved(groups=3, stride=2),
         real(1, 3, 4, 5), real(6, 1, 2, 2), real(6)),
    Case("conv2d without a bias", *convolved(padding=1), real(2, 2, 2, 3), real(1, 2, 2, 2)),
    Case("conv2d of single points", *convolved(), real(2, 3, 2, 2), real(2, 3, 1, 1), real(2)),
    Case("conv2d of one image", *convolved(stride=2, padding=1),
         real(2, 3, 4), real(3, 2, 2, 2), real(3)),
    Case("conv3d", *both("conv3d", stride=(2, 1, 1), padding=(1, 0, 1), dilation=(1, 2, 1)),
         real(1, 2, 3, 3, 2), real(2, 2, 2, 2, 2), real(2)),
    Case("conv3d in groups, of one image", *both("conv3d", groups=2),
         real(2, 2, 2, 2), real(2, 1, 2, 1, 2)),
    Case("conv_transpose1d", *both("conv_transpose1d", stride=2, padding=1),
         real(2, 2, 3), real(2, 2, 3), real(2)),
    Case("conv_transpose2d", *both("conv_transpose2d", stride=2, padding=1),
         real(2, 2, 2, 3), real(2, 2, 3, 2), real(2)),
    Case("conv_transpose2d longer",  # of which PyTorch has no second derivative
         lambda *xs: ops.conv_transpose2d(*xs, stride=2, output_padding=1), None,
         real(1, 2, 2, 2), real(2, 1, 2, 2), real(1)),
    Case("conv_transpose2d in groups, of one image",
         *both("conv_transpose2d", dilation=2, groups=2), real(2, 2, 2), real(2, 1, 2, 2)),
    Case("conv_transpose3d", *both("conv_transpose3d", stride=2, padding=(1, 0, 1)),
         real(1, 2, 2, 1, 2), real(2, 2, 2, 2, 2), real(2)),
    Case("fused conv2d_relu", *convolved_relu(), of_signs([1, -1], 2, 2, 3, 3),
         of_signs([1, -1, 1], 3, 2, 2, 2), given([0.1, -0.1, 0.2])),
    Case("fused conv2d_relu strided, in groups", *convolved_relu(stride=2, groups=2),
         of_signs([1, -1], 2, 2, 3, 5), of_signs([1, -1], 2, 1, 2, 2), given([0.1, -0.1])),
    Case("fused conv2d_relu without a bias", *convolved_relu(padding=1),
         of_signs([-1, 1], 2, 1, 2, 3), of_signs([1, -1], 2, 1, 2, 2)),
    Case("fused conv2d_relu of one image", *convolved_relu(), of_signs([1], 2, 3, 3),
         of_signs([1, -1], 2, 2, 2, 2), given([0.1, 0.1])),
    Case("fused conv2d_pool_relu", lambda *xs: fused.conv2d_pool_relu(*xs, padding=1),
         lambda *xs: functional.max_pool2d(functional.conv2d(*xs, padding=1), 2).relu(),
         real(2, 2, 4, 5), real(3, 2, 3, 3), given([0.1, -0.1, 0.2])),
    Case("fused conv2d_pool_relu strided, without a bias",
         lambda *xs: fused.conv2d_pool_relu(*xs, stride=2, groups=2),
         lambda *xs: functional.max_pool2d(functional.conv2d(*xs, stride=2, groups=2), 2).relu(),
         real(1, 2, 6, 6), real(2, 1, 2, 3)),
    Case("unfold", *both("unfold", 2, padding=1, stride=2), real(1, 2, 3, 2)),
    Case("fold", *both("fold", (3, 2), 2, padding=1), real(1, 4, 12)),
]
# fmt: on
