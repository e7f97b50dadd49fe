"""Where everything lies in a convolution by 3 × 3 windows that saves products.

Two neighbours y of a row of outputs are made of four numbers d, by three weights g: six products.
S. Winograd 1980 has them from four products, of sums that can be made beforehand:

    u = (g₀, (g₀ + g₁ + g₂)/2, (g₀ − g₁ + g₂)/2, g₂)    v = (d₀ − d₂, d₁ + d₂, d₂ − d₁, d₁ − d₃)
    m = u·v                                             y = (m₀ + m₁ + m₂, m₁ − m₂ − m₃)

On both axes that gives a square of 2 × 2 outputs from 16 products instead of 36.  The sums over
channels can be made of the m.  So there are sixteen products of matrices, u [output, channel] with
v [channel, square] (A. Lavin, S. Gray 2015, arXiv:1509.09308).

A picture is laid out as `conv_plan` does for a stride of two down and one to the right: even rows
in one plane, odd rows in another.  Then squares that follow each other see what follows each other,
from one row of squares to the next; only the one between two rows is of no use.

The gradient of the input is a convolution too, by the windows turned round: their u are the same in
another order.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.conv.implicit_gemm_plan import visible
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import SINGLE_ROW_VECTORS, pad_to_tiles
from minidl.backends.window import Convolution

PRODUCTS = 16  # for each square
_CACHED = 150_000  # numbers v that the second cache holds


class Winograd(NamedTuple):
    """The tables of a convolution by squares; the numbers are those of one group."""

    groups: int
    # The pictures, and their planes in the workspace, as in `conv_plan.Plan`.
    channels: int
    height: int
    width: int
    stride_y: int
    stride_x: int
    plane_rows: int
    plane_columns: int
    phases: np.ndarray
    space: int
    # What is computed.
    outputs: int
    rows: int  # of outputs
    columns: int
    block: int  # rows of squares that are computed at a time
    run: int  # squares from the first to the last of them, in whole vectors
    pitch: int  # how far apart the v of two products lie
    products: int  # of two numbers, for one group of one picture
    # The factors.
    weight_group: int  # how far apart the weights of two groups lie
    order: np.ndarray  # which of the u each v is multiplied with
    begins: np.ndarray  # where the u of an output begin; the last again to fill a tile
    depth_a: np.ndarray  # where that of the k-th channel lies
    depth_b: np.ndarray  # where the v lie that it is multiplied with


def forward(at: Convolution, channels: int, outputs: int) -> Winograd | None:
    """y of a convolution of this many channels and outputs; None if it has other windows."""
    channels, outputs = channels // at.groups, outputs // at.groups
    steps = channels, 1
    return _plan(at, at.picture, at.padding, at.output, channels, outputs, steps, range(4))


def backward(at: Convolution, channels: int, outputs: int) -> Winograd | None:
    """dx of a convolution: the outputs are laid out, the channels are computed; or None."""
    channels, outputs = channels // at.groups, outputs // at.groups
    padding = tuple(2 - p for p in at.padding)
    turned = (3, 1, 2, 0)
    return _plan(at, at.output, padding, at.picture, outputs, channels, (1, channels), turned)


def _plan(
    at: Convolution,
    picture: tuple[int, ...],
    padding: tuple[int, ...],
    output: tuple[int, ...],
    channels: int,
    outputs: int,
    steps: tuple[int, int],
    order: range | tuple[int, ...],
) -> Winograd | None:
    """The tables, where u of output o and channel c lies at o·steps[0] + c·steps[1]."""
    if at.window != (3, 3) or at.stride != (1, 1) or at.dilation != (1, 1) or min(padding) < 0:
        return None
    down, across = (-(-n // 2) for n in output)  # squares
    line = across + 1
    plane = down + 1, 2 * line
    phases = [
        visible(r - padding[0], 2, picture[0], plane[0])
        + visible(-padding[1], 1, picture[1], plane[1])
        for r in (0, 1)
    ]

    def run(rows: int) -> int:
        return -(-((rows - 1) * line + across) // LANES) * LANES

    def squares(rows: int) -> int:
        """How many are computed, if so many rows are at a time."""
        return down // rows * run(rows) + (run(down % rows) if down % rows else 0)

    blocks = [n for n in range(1, down + 1) if n == 1 or PRODUCTS * channels * run(n) <= _CACHED]
    block = min(reversed(blocks), key=squares)
    return Winograd(
        at.groups,
        channels,
        *picture,
        2,
        1,
        *plane,
        np.array(phases, np.int64),
        channels * 2 * plane[0] * plane[1] + SINGLE_ROW_VECTORS * LANES,
        outputs,
        *output,
        block,
        run(block),
        channels * run(block) + LANES,
        PRODUCTS * squares(block) * channels * outputs,
        outputs * channels,
        np.array([4 * i + j for i in order for j in order], np.int64),
        pad_to_tiles(outputs) * steps[0],
        np.arange(channels, dtype=np.int64) * steps[1],
        np.arange(channels, dtype=np.int64) * run(block),
    )
