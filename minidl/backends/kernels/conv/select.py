"""Which algorithm a convolution uses: the one cost model.

y and dx, which are both convolutions:

implicit GEMM     multiplies by the zeros of the padding; its lanes are positions.  It can do all.
padding-free      multiplies by none; its lanes are outputs.  It pays where much of the image is at
                  the edge, and where rows are too short to fill vectors of positions.
Winograd          for 3×3 windows of stride 1: 4/9 of the products, and transforms before and after
                  them.  It pays where many channels and outputs share these.  Its errors are not
                  bounded componentwise, so it is taken only where `allow_winograd` is in force.
depthwise         multiplies no matrices; for groups of one channel, square windows of 3, 5 or 7 and
                  stride 1.

The cost is the number of multiply-adds, those that fill up tiles included, times a factor measured
for what the algorithm does besides.

dw and db:

GEMM              dw = patches · dyᵀ, with dy transposed into panels.
depthwise         as above.
dot products      where that transposition would not pay: few weights for each output, or few
                  outputs.
pooled            behind 2 × 2 pooling, only the positions with a gradient are multiplied, one in
                  four; for so few weights that those of an output fit into a vector.
"""

from typing import NamedTuple

from minidl.backends.kernels.conv import (
    depthwise,
    implicit_gemm_plan,
    padding_free,
    weight_gradient,
    weight_gradient_dot,
    weight_gradient_pooled,
    winograd,
)
from minidl.backends.kernels.conv.depthwise import DepthwisePlan
from minidl.backends.kernels.conv.implicit_gemm_plan import GemmPlan
from minidl.backends.kernels.conv.padding_free import PaddingFreePlan
from minidl.backends.kernels.conv.weight_gradient import WeightPlan
from minidl.backends.kernels.conv.weight_gradient_dot import DotPlan
from minidl.backends.kernels.conv.weight_gradient_pooled import PooledPlan
from minidl.backends.kernels.conv.winograd import WinogradPlan
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.window import Convolution

# Measured: multiply-adds of one algorithm that take as long as one of another.
_GEMM_OF_PADDING_FREE = 0.92
_WINOGRAD_OF_PADDING_FREE = 1.25

_FEW_WEIGHTS = 40  # of an output

ExactPlan = GemmPlan | PaddingFreePlan | DepthwisePlan


class Algorithms(NamedTuple):
    """The plans of y or of dx."""

    # If it is allowed and the fastest; it refuses values that are not finite.
    winograd: WinogradPlan | None
    exact: ExactPlan  # the fastest of the others
    pools: bool  # whether `exact` can pool in its epilogue


@planned
def forward(at: Convolution, channels: int, outputs: int, allow_winograd: bool) -> Algorithms:
    """The algorithm for y."""
    if direct := _depthwise(depthwise.forward(at, channels, outputs)):
        return Algorithms(None, direct, False)
    gemm = implicit_gemm_plan.forward(at, channels, outputs)
    exact = padding_free.forward(at, channels, outputs, _padding_free_limit(gemm)) or gemm
    fast = winograd.forward(at, channels, outputs) if allow_winograd else None
    block = gemm.tables.block_rows
    whole_pairs = block % 2 == 0 or block == at.output[0]
    return Algorithms(_if_faster(fast, exact), exact, exact is gemm and whole_pairs)


@planned
def backward(at: Convolution, channels: int, outputs: int, allow_winograd: bool) -> Algorithms:
    """The algorithm for dx."""
    if direct := _depthwise(depthwise.backward(at, channels, outputs)):
        return Algorithms(None, direct, False)
    gemm = implicit_gemm_plan.backward(at, channels, outputs)
    exact = padding_free.backward(at, channels, outputs, _padding_free_limit(gemm)) or gemm
    fast = winograd.backward(at, channels, outputs) if allow_winograd else None
    return Algorithms(_if_faster(fast, exact), exact, False)


def _depthwise(plan: DepthwisePlan | None) -> DepthwisePlan | None:
    """The plan, where it applies: it is then always the fastest."""
    return plan


def _padding_free_limit(gemm: GemmPlan) -> int:
    """How many multiply-adds the padding-free algorithm may take to be faster."""
    return int(_GEMM_OF_PADDING_FREE * gemm.computed)


def _if_faster(plan: WinogradPlan | None, exact: GemmPlan | PaddingFreePlan) -> WinogradPlan | None:
    """The plan of Winograd's algorithm, if that is faster than the exact one.

    The transform of the input serves all outputs, that of the output all channels (measured, from
    16 to 256 channels).
    """
    if plan is None:
        return None
    channels, outputs = plan.transforms
    cost = plan.computed * (1.1 + 12 / outputs + 14 / channels)
    if isinstance(exact, PaddingFreePlan):
        return plan if cost < _WINOGRAD_OF_PADDING_FREE * exact.multiply_adds else None
    return plan if cost < exact.computed else None


@planned
def weights(at: Convolution, channels: int, outputs: int) -> WeightPlan | DotPlan | DepthwisePlan:
    """The algorithm for dw and db."""
    if direct := _depthwise(depthwise.forward(at, channels, outputs)):
        return direct
    depth = channels // at.groups * at.window[0] * at.window[1]
    if outputs // at.groups < LANES or depth <= _FEW_WEIGHTS:
        return weight_gradient_dot.plan(at, channels, outputs)
    return weight_gradient.plan(at, channels, outputs)


@planned
def pooled_weights(at: Convolution, channels: int, outputs: int) -> PooledPlan | None:
    """The algorithm for dw and db behind 2 × 2 pooling, if it is faster than that for all of dy.

    The weights of an output, and a 1 for its bias, must fit into a vector.
    """
    if at.groups == 1 and channels * at.window[0] * at.window[1] < LANES:
        return weight_gradient_pooled.plan(at, channels, outputs)
    return None
