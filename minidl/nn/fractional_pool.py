"""Fractional max pooling layers."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_lengths
from minidl.errors import ArgumentError, describe
from minidl.nn.module import Buffer, Module, shape_error
from minidl.ops import random
from minidl.ops.nn.fractional_pool import ratios_of_axes


class _FractionalMaxPool(Module):
    """The maxima of randomly placed windows.

    output_size       the number of windows along each axis
    output_ratio      instead of it: that number / the length of the axis, between 0 and 1
    _random_samples   (N, C, axes) uniform values that place the windows, in each call
    """

    axes: int
    operation: Any
    _random_samples: Buffer | None

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        check_lengths(self, self.axes, 1, kernel_size=kernel_size)
        check_flags(self, return_indices=return_indices)
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{type(self).__name__}: needs output_size or output_ratio; got "
                f"{describe(output_size)} and {describe(output_ratio)}"
            )
        if output_size is not None:
            check_lengths(self, self.axes, 1, output_size=output_size)
        self.kernel_size, self.return_indices = kernel_size, return_indices
        self.output_size: Any = output_size
        self.output_ratio: Any = None
        if output_ratio is not None:
            self.output_ratio = ratios_of_axes(type(self).__name__, output_ratio, self.axes)
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, x: Tensor) -> Any:
        """(N, C, *) or (C, *) → (…, *output_size)."""
        ndim = len(getattr(x, "shape", ()))
        if ndim not in (self.axes + 1, self.axes + 2):
            letters = "C, H, W" if self.axes == 2 else "C, D, H, W"
            raise shape_error(type(self).__name__, f"(N, {letters}) or ({letters})", x)
        x = ops.asarray(x)
        samples: Tensor | None = self._random_samples
        if samples is None:
            images = x.shape[:2] if ndim == self.axes + 2 else (1, x.shape[0])
            dtype = x.dtype if x.dtype.kind == "f" else None
            samples = random.uniform((*images, self.axes), dtype=dtype, device=x.device)
        return type(self).operation(
            x,
            samples,
            kernel_size=self.kernel_size,
            output_size=self.output_size,
            return_indices=self.return_indices,
            output_ratio=self.output_ratio,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maxima of randomly placed windows, whose number need not divide the axis.

    output_size       the number of windows along each axis
    output_ratio      instead of it: that number / the length of the axis, between 0 and 1
    return_indices    also return the index of each maximum in its flattened image

    The windows are drawn anew in each call, in training or not.  Graham 2014.

    >>> layer = nn.FractionalMaxPool2d(3, output_ratio=0.7)
    >>> layer(minidl.zeros((2, 4, 20, 30))).shape
    (2, 4, 14, 21)
    """

    axes, operation = 2, ops.fractional_max_pool2d


class FractionalMaxPool3d(_FractionalMaxPool):
    """The maxima of randomly placed windows of (…, D, H, W), as FractionalMaxPool2d.

    >>> nn.FractionalMaxPool3d((1, 2, 2), output_size=(4, 5, 6))(minidl.zeros((3, 4, 8, 9))).shape
    (3, 4, 5, 6)
    """

    axes, operation = 3, ops.fractional_max_pool3d
