"""Where the factors of a convolution lie, if nothing is to be multiplied with a zero.

At the edge of a picture, windows stick out of it.  `conv_plan` lays zeros around the picture, and
multiplies with them.  Here the positions of the result are put into classes instead: those in one
class see the same places of the window, and what they see lies equally far from where each of them
begins.  So a class is an ordinary product of matrices,

    y[position, output] = Σₖ x[begin[position] + depth_a[k]] · w[depth_b[k], output]

where k runs over the channels and those places of the window.  Stride and dilation only change the
tables.  So does the direction: for the gradient of the input, positions are those of x, which get
something from some places of the window, each from its own distance in dy.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import tile_count
from minidl.backends.window import Convolution

# Of one position on an axis: where it begins, and what it sees: (place of the window, how far).
Sight = tuple[int, tuple[tuple[int, int], ...]]


class Classes(NamedTuple):
    """The tables of a convolution by classes; the numbers are those of one group."""

    groups: int
    summed: int  # numbers of a picture that are read
    outputs: int
    products: int  # of two numbers, for one group of one picture
    # The classes, and their positions one after the other.
    depths: np.ndarray  # (n, 2): the first k of a class, and how many
    ends: np.ndarray  # (n + 1): where the positions of a class begin; at last, their number
    begins: np.ndarray  # where what a position sees begins
    positions: np.ndarray  # which position of the result it is
    depth_a: np.ndarray  # where the k-th number lies that a position sees
    depth_b: np.ndarray  # where the weights lie that it is multiplied with
    # The weights, turned: for each block of outputs a matrix [place of w, output].
    blocks: int
    width: int  # vectors of outputs in a block
    weights: int  # rows of the matrix
    parts: int  # it is put together from so many parts,
    part: int  # which begin so far apart in w;
    step: int  # so far apart lie the weights of two outputs,
    weight_group: int  # and those of two groups


def _forward_axis(
    picture: int, window: int, stride: int, padding: int, dilation: int, output: int
) -> list[Sight]:
    """What output i sees of the picture: place a is i·s away from a·d − p."""
    places = [(a, a * dilation - padding) for a in range(window)]
    return [
        (begin, tuple((a, far) for a, far in places if 0 <= begin + far < picture))
        for begin in range(0, output * stride, stride)
    ]


def _backward_axis(
    picture: int, window: int, stride: int, padding: int, dilation: int, output: int
) -> list[Sight]:
    """What place s·t + r of the picture gets from dy: by place a, from t + (r + p − a·d)/s."""
    sights = []
    for t, r in (divmod(y, stride) for y in range(picture)):
        places = [(a, divmod(r + padding - a * dilation, stride)) for a in range(window)]
        whole = [(a, far) for a, (far, rest) in places if rest == 0]
        sights.append((t, tuple((a, far) for a, far in whole if 0 <= t + far < output)))
    return sights


def _sights(at: Convolution, axis: Callable[..., list[Sight]]) -> tuple[list[Sight], ...]:
    """What positions see on both axes."""
    each = at.picture, at.window, at.stride, at.padding, at.dilation, at.output
    return tuple(axis(*numbers) for numbers in zip(*each, strict=True))


def forward(at: Convolution, channels: int, outputs: int, worth: int) -> Classes | None:
    """y of a convolution of this many channels and outputs, in all groups together.

    None if that takes more products than `worth`, for one group of one picture.
    """
    channels, outputs = channels // at.groups, outputs // at.groups
    depth = channels * at.window[0] * at.window[1]
    sights = _sights(at, _forward_axis)
    turned = {"weights": depth, "parts": 1, "part": 0, "step": depth}
    return _classes(at, sights, at.picture, channels, outputs, turned, worth)


def backward(at: Convolution, channels: int, outputs: int, worth: int) -> Classes | None:
    """dx of a convolution: the outputs are summed, the channels are computed; or None."""
    channels, outputs = channels // at.groups, outputs // at.groups
    places = at.window[0] * at.window[1]
    sights = _sights(at, _backward_axis)
    turned = {"weights": outputs * places, "parts": outputs, "part": channels * places}
    turned["step"] = places
    return _classes(at, sights, at.output, outputs, channels, turned, worth)


def _classes(
    at: Convolution,
    sights: tuple[list[Sight], ...],
    plane: tuple[int, ...],
    summed: int,
    outputs: int,
    turned: dict[str, int],
    worth: int,
) -> Classes | None:
    """The tables, from what positions see of a plane on its two axes; None if not worth it."""
    vectors = -(-outputs // LANES)
    blocks = tile_count(vectors)
    width = -(-vectors // blocks)
    products = vectors * LANES * summed * math.prod(sum(len(s) for _, s in axis) for axis in sights)
    if products > worth:
        return None
    members: dict[Any, list[tuple[int, int]]] = {}
    for position, ((top, rows), (left, columns)) in enumerate(product(*sights)):
        members.setdefault((rows, columns), []).append((position, top * plane[1] + left))
    channel = np.arange(summed, dtype=np.int64)
    depths, depth_a, depth_b = [], [], []
    for rows, columns in members:
        pairs = list(product(rows, columns))
        far = [i * plane[1] + j for (_, i), (_, j) in pairs]
        place = [a * at.window[1] + b for (a, _), (b, _) in pairs]
        depths.append((len(depth_a), summed * len(pairs)))
        depth_a.extend(np.add.outer(channel * plane[0] * plane[1], far).ravel())
        row = np.add.outer(channel * at.window[0] * at.window[1], place)
        depth_b.extend((row * width * LANES).ravel())
    ordered = np.array([place for places in members.values() for place in places], np.int64)
    sizes = [len(places) for places in members.values()]
    return Classes(
        at.groups,
        summed * plane[0] * plane[1],
        outputs,
        products,
        np.array(depths, np.int64),
        np.cumsum([0, *sizes], dtype=np.int64),
        np.ascontiguousarray(ordered[:, 1]),
        np.ascontiguousarray(ordered[:, 0]),
        np.array(depth_a, np.int64),
        np.array(depth_b, np.int64),
        blocks,
        width,
        weight_group=outputs * summed * at.window[0] * at.window[1],
        **turned,
    )
