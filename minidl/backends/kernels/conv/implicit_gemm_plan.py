"""Where the factors of a convolution lie, as the tables that the tile takes.

A picture is first laid out in the workspace: with the zeros around it, and, where the stride is s,
as s·s planes, of which plane (r, q) holds every s-th row from the r-th on, and every s-th column
from the q-th on.  Then what a place (a, b) of the window sees, at one position after the other, is
one run through the memory of a plane: output (i, j) reads

    plane (a·d mod s, b·d mod s), at i·columns + j + (a·d div s)·columns + b·d div s

So positions are counted as if each row of outputs were as long as a row of the plane; the few
between the end of one and the beginning of the next are computed and not used.  They are fewer
still since a row has zeros on its left only: on its right are those of the next row.

The gradient of the input has the same form.  Row y of it, y = s·t + r, gets something from place a
only if (r + p − a·d) is a multiple of s, and then from row t + (r + p − a·d)/s of dy.  So for each
of the s·s phases of its rows and columns it is a convolution of stride 1 over dy.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import NR, SINGLE_ROW_VECTORS, pad_to_tiles
from minidl.backends.window import Convolution

_CACHED = 131_072  # numbers that the second cache holds, with something to spare


class Plan(NamedTuple):
    """The tables of a convolution; the numbers are those of one group."""

    groups: int
    # The pictures, and their planes in the workspace.
    channels: int
    height: int
    width: int
    stride_y: int
    stride_x: int
    plane_rows: int
    plane_columns: int
    phases: np.ndarray  # (n, 6): the planes of each channel: of rows and columns, what is shown
    space: int  # numbers in all planes, and how many behind them a tile may read
    as_it_is: bool  # the picture is its own plane
    # What is computed, in phases of rows and columns.
    outputs: int
    targets: np.ndarray  # (n, 6): first k, depth, rows, columns, first row, first column
    step_y: int
    step_x: int
    block: int  # rows that are computed at a time
    run: int  # positions from the first to the last of them, in whole vectors
    products: int  # of two numbers, for one group of one picture
    # The factors.
    weight_group: int  # how far apart the weights of two groups lie
    rows: np.ndarray  # where the weights of an output begin; the last again to fill a tile
    depth_a: np.ndarray  # where the k-th weight lies
    depth_b: np.ndarray  # where what it multiplies lies


def _block(depth: int, rows: int, row_length: int, columns: int) -> tuple[int, int]:
    """How many rows to compute at a time, and the positions from the first to the last of them.

    The planes are read once for each few outputs.  If they are too large for the second cache, so
    few rows are taken that what these read stays there.
    """
    if depth * rows * row_length > _CACHED:
        rows = min(rows, max(1, _CACHED // 2 // (depth * row_length)))
    return rows, -(-((rows - 1) * row_length + columns) // LANES) * LANES


def _shared(row_length: int, left: int, right: int, columns: int) -> int:
    """How long a row must be, if the zeros on its right may be those on the left of the next.

    No more than LANES of them: so many are there behind the last row.
    """
    return max(row_length - max(min(left, right, LANES), 0), columns)


def visible(offset: int, stride: int, length: int, count: int) -> tuple[int, int, int]:
    """Of an axis of a plane, of which place i shows place i·stride + offset of the picture.

    The offset, the first of the `count` places that lies inside the picture, and the first behind
    it again.
    """
    first = min(max(-(offset // stride), 0), count)
    return offset, first, max(min((length - 1 - offset) // stride + 1, count), first)


@lru_cache(maxsize=256)
def forward(at: Convolution, channels: int, outputs: int) -> Plan:
    """y of a convolution of this many channels and outputs, in all groups together."""
    channels, outputs = channels // at.groups, outputs // at.groups
    (sy, sx), (dy, dx), (kh, kw) = at.stride, at.dilation, at.window
    places = [(a * dy, b * dx) for a in range(kh) for b in range(kw)]
    used = sorted({(y % sy, x % sx) for y, x in places})
    plane = tuple(
        n + d * (k - 1) // s
        for n, d, k, s in zip(at.output, at.dilation, at.window, at.stride, strict=True)
    )
    if at.stride == (1, 1):  # all of the picture, so that it may stay where it is
        height, width = (n + 2 * p for n, p in zip(at.picture, at.padding, strict=True))
        plane = height, _shared(width, at.padding[1], at.padding[1], at.output[1])
    seen = [
        used.index((y % sy, x % sx)) * plane[0] * plane[1] + y // sy * plane[1] + x // sx
        for y, x in places
    ]
    plane_size = len(used) * plane[0] * plane[1]
    depth = channels * kh * kw
    top, left = at.padding
    shown = [
        visible(y - top, sy, at.picture[0], plane[0])
        + visible(x - left, sx, at.picture[1], plane[1])
        for y, x in used
    ]
    return Plan(
        at.groups,
        channels,
        *at.picture,
        *at.stride,
        *plane,
        np.array(shown, np.int64),
        channels * plane_size + SINGLE_ROW_VECTORS * LANES,
        at.padding == (0, 0) and at.stride == (1, 1),
        outputs,
        np.array([[0, depth, *at.output, 0, 0]], np.int64),
        1,
        1,
        *_block(channels, at.output[0], plane[1], at.output[1]),
        outputs * depth * at.output[0] * plane[1],
        outputs * depth,
        pad_to_tiles(outputs) * depth,
        np.arange(depth, dtype=np.int64),
        np.add.outer(np.arange(channels, dtype=np.int64) * plane_size, seen).ravel(),
    )


def backward(at: Convolution, channels: int, outputs: int) -> Plan:
    """dx of a convolution: the outputs are laid out, the channels are computed."""
    channels, outputs = channels // at.groups, outputs // at.groups
    shifts = [  # for each axis and phase: the places that reach it, and how far away dy is
        [
            [(a, (r + p - a * d) // s) for a in range(k) if (r + p - a * d) % s == 0]
            for r in range(min(s, n))
        ]
        for n, k, s, p, d in zip(
            at.picture, at.window, at.stride, at.padding, at.dilation, strict=True
        )
    ]
    first = [min([far for phase in axis for _, far in phase], default=0) for axis in shifts]
    last = [max([far for phase in axis for _, far in phase], default=0) for axis in shifts]
    height, width = (
        -(-n // s) + high - low
        for n, s, low, high in zip(at.picture, at.stride, first, last, strict=True)
    )
    right = width + first[1] - at.output[1]
    plane = height, _shared(width, -first[1], right, -(-at.picture[1] // at.stride[1]))
    each = zip(first, at.output, plane, strict=True)
    shown = [number for low, length, count in each for number in visible(low, 1, length, count)]
    kh, kw = at.window
    targets, depth_a, depth_b = [], [], []
    for r, rows in enumerate(shifts[0]):
        for q, columns in enumerate(shifts[1]):
            height = -(-(at.picture[0] - r) // at.stride[0])
            width = -(-(at.picture[1] - q) // at.stride[1])
            depth = outputs * len(rows) * len(columns)
            targets.append((len(depth_a), depth, height, width, r, q))
            for o, (a, i), (b, j) in product(range(outputs), rows, columns):
                depth_a.append((o * channels * kh + a) * kw + b)
                depth_b.append((o * plane[0] + i - first[0]) * plane[1] + j - first[1])
    return Plan(
        at.groups,
        outputs,
        *at.output,
        1,
        1,
        *plane,
        np.array([shown], np.int64),
        outputs * plane[0] * plane[1] + SINGLE_ROW_VECTORS * LANES,
        first == [0, 0] and plane == at.output,
        channels,
        np.array(targets, np.int64),
        *at.stride,
        *_block(outputs, targets[0][2], plane[1], targets[0][3]),
        channels * len(depth_a) * targets[0][2] * plane[1],
        outputs * channels * kh * kw,
        pad_to_tiles(channels) * (kh * kw),
        np.array(depth_a, np.int64),
        np.array(depth_b, np.int64),
    )


class Positions(NamedTuple):
    """What else the gradient of the weights needs: there k runs over the positions of dy."""

    pictures: int  # that are taken together, since one has few positions
    places: np.ndarray  # depth_b of the forward plan; the last again to fill a tile
    seen: np.ndarray  # where what position k sees begins
    lanes: np.ndarray  # where the outputs at position k lie in a chunk


@lru_cache(maxsize=256)
def positions(at: Convolution, channels: int, outputs: int, chunk: int) -> Positions:
    """The tables for dw, beside those of the forward plan."""
    plan = forward(at, channels, outputs)
    rows, columns = (np.arange(n, dtype=np.int64) for n in at.output)
    pictures = max(1, chunk // (rows.size * columns.size)) if plan.as_it_is else 1
    begins = np.arange(pictures, dtype=np.int64) * (channels * plan.height * plan.width)
    return Positions(
        pictures,
        plan.depth_b[pad_to_tiles(plan.depth_b.size)],
        np.add.outer(begins, np.add.outer(rows * plan.plane_columns, columns)).ravel(),
        np.arange(chunk, dtype=np.int64) * NR,
    )
