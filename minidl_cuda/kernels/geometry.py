"""The geometry of convolution and pooling for the kernels: as a struct, and its limits."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minidl.backends.pooling import Windows
from minidl.backends.window import Convolution

_FIELDS = [
    "images", "groups", "channels", "outputs", "height", "width", "rows", "columns", "stride_h",
    "stride_w", "padding_h", "padding_w", "dilation_h", "dilation_w", "out_height", "out_width",
]  # fmt: skip
_STRUCT = np.dtype([(name, np.int32) for name in _FIELDS])
_MOST = 2**31 - 1  # elements: kernels count them in 32 bits
_MOST_BLOCKS = 65535  # along the second and third axis of a grid


class Problem(NamedTuple):
    """A convolution of images: y (images, outputs, …) from x (images, channels, …)."""

    at: Convolution
    images: int
    channels: int  # of all groups
    outputs: int

    @property
    def positions(self) -> int:
        """How many windows there are in all images."""
        return self.images * self.at.output[0] * self.at.output[1]

    @property
    def depth(self) -> int:
        """How many terms an element of y has, and how many weights an output."""
        return self.channels // self.at.groups * self.at.window[0] * self.at.window[1]

    @property
    def phases(self) -> int:
        """Of the input gradient: convolutions that it consists of."""
        return self.at.stride[0] * self.at.stride[1]

    def fits(self) -> bool:
        """Whether its sizes are within what the kernels count."""
        image, output = self.at.image, self.at.output
        sizes = (
            self.images * self.channels * image[0] * image[1],
            self.images * self.outputs * output[0] * output[1],
            self.outputs * self.depth,
            # The padded image, and its size rounded up to tiles.
            (image[0] + 2 * self.at.padding[0]) * (image[1] + 2 * self.at.padding[1]),
        )
        return max(sizes) < _MOST - 2**20 and self.at.groups * self.phases <= _MOST_BLOCKS


@lru_cache(maxsize=512)
def struct(problem: Problem) -> Any:
    """The `Convolution` of window.cuh."""
    at, groups = problem.at, problem.at.groups
    pairs = at.image, at.window, at.stride, at.padding, at.dilation, at.output
    counts = problem.images, groups, problem.channels // groups, problem.outputs // groups
    return np.array((*counts, *(n for pair in pairs for n in pair)), _STRUCT)[()]


def fits(elements: int, rows: Windows, columns: Windows) -> bool:
    """Whether the sizes of a pooling are within what the kernels count."""
    products = (along.length * along.count for along in (rows, columns))
    outputs = elements // (rows.length * columns.length) * rows.count * columns.count
    return max(elements, 32 * outputs, *products) < _MOST - 2**20
