"""Sliding-window geometry of pooling, shared by bodies and kernels."""

from typing import Any, NamedTuple

import numpy as np

from minidl.backends.window import IMAGES, Lengths, Pair, memoized, output_length
from minidl.checks import check_flags, is_integer, lengths
from minidl.errors import ArgumentError, ShapeError


class Windows(NamedTuple):
    """The windows along one axis: tap a of window i reads index i·stride − padding + a·dilation."""

    length: int  # of the axis
    size: int
    stride: int
    padding: int
    dilation: int
    count: int  # type: ignore[assignment]  # hides that of tuples

    @property
    def overhang(self) -> int:
        """The padding after the axis that the last window needs."""
        span = self.dilation * (self.size - 1) + 1
        return max(0, (self.count - 1) * self.stride + span - self.padding - self.length)

    def spans(self) -> list[Pair]:
        """Start and end of each window, clipped to the axis; for dilation 1."""
        starts = (i * self.stride - self.padding for i in range(self.count))
        return [(max(0, a), min(self.length, a + self.size)) for a in starts]

    def sizes(self, count_padding: bool) -> list[int]:
        """The number of taps of each window, with those in the padding or without.

        Taps beyond the padding (`ceil_mode`) do not count.
        """
        if not count_padding:
            return [b - a for a, b in self.spans()]
        end = self.length + 2 * self.padding
        return [min(self.size, end - i * self.stride) for i in range(self.count)]


@memoized
def windows(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    axes: int = 2,
) -> tuple[Windows, ...]:
    """The windows along each spatial axis of images of this shape: (…, C, H, W)."""
    check_images(name, shape, axes)
    check_flags(name, ceil_mode=ceil_mode)
    sizes = lengths(name, "kernel_size", kernel_size, 1, axes)
    strides = sizes if stride is None else lengths(name, "stride", stride, 1, axes)
    paddings = lengths(name, "padding", padding, 0, axes)
    dilations = lengths(name, "dilation", dilation, 1, axes)
    if any(2 * p > k for k, p in zip(sizes, paddings, strict=True)):
        raise ArgumentError(
            f"{name}: padding is at most half the window, {tuple(k // 2 for k in sizes)} for "
            f"kernel_size {sizes}; got {paddings}"
        )
    each = zip(shape[-axes:], sizes, strides, paddings, dilations, strict=True)
    along_axes = tuple(Windows(*axis, output_length(name, *axis, ceil_mode)) for axis in each)
    if any(map(_has_empty_window, along_axes)):
        raise ShapeError(
            f"{name}: a window of {sizes} with dilation {dilations} and padding {paddings} sees "
            f"nothing but padding on images of {shape[-axes:]}"
        )
    return along_axes


def _has_empty_window(windows: Windows) -> bool:
    """Whether all taps of some window are in the padding, which dilation makes possible."""
    length, size, stride, padding, dilation, count = windows
    if length and dilation == 1:
        return False
    starts = range(-padding, count * stride - padding, stride)
    return not all(any(0 <= i + a * dilation < length for a in range(size)) for i in starts)


def check_images(name: str, shape: tuple[int, ...], axes: int = 2) -> None:
    """Raise unless the shape is that of images, or of one, with this number of spatial axes."""
    if len(shape) not in (axes + 1, axes + 2):
        image = IMAGES[axes]
        raise ShapeError(
            f"{name}: needs images of shape (N, C, {image}), or one of (C, {image}); got {shape}"
        )


def divisors(
    rows: Windows, columns: Windows, count_padding: bool, override: int | None
) -> list[list[int]]:
    """The divisor of the mean over each window."""
    check_divisors(count_padding, override)
    if override is None:
        heights, widths = rows.sizes(count_padding), columns.sizes(count_padding)
        return [[height * width for width in widths] for height in heights]
    return [[override] * columns.count] * rows.count


def check_divisors(count_padding: bool, override: int | None) -> None:
    """Raise unless these say what the mean over a window is divided by."""
    check_flags("avg_pool2d", count_include_pad=count_padding)
    if override is not None and (not is_integer(override) or not override):
        raise ArgumentError(
            f"avg_pool2d: divisor_override is an integer other than 0; got {override!r:.60}"
        )


def adaptive(
    name: str, shape: tuple[int, ...], output_size: Any, axes: int = 2
) -> list[list[Pair]]:
    """Start and end of each window of adaptive pooling, along each spatial axis."""
    check_images(name, shape, axes)
    each = output_size if isinstance(output_size, tuple | list) else (output_size,) * axes
    if len(each) == axes:
        each = [n if m is None else m for n, m in zip(shape[-axes:], each, strict=True)]
    if 0 in shape[-axes:]:
        raise ShapeError(f"{name}: images of {shape[-axes:]} have no mean and no largest number")
    counts = lengths(name, "output_size", each, 1, axes)
    return [
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(shape[-axes:], counts, strict=True)
    ]


def tap_indices(spans: list[list[Pair]], image: Lengths) -> np.ndarray:
    """The flat (row-major) index of each tap of each window: (taps, *output).

    Windows that are shorter than others repeat their last tap.
    """
    numbers = np.zeros((), np.int64)
    for windows, length in zip(spans, image, strict=True):
        longest = max(end - start for start, end in windows)
        along = [[min(start + a, end - 1) for start, end in windows] for a in range(longest)]
        numbers = np.add.outer(numbers * length, np.array(along))
    half = numbers.ndim // 2
    order = (*range(0, 2 * half, 2), *range(1, 2 * half, 2))
    return numbers.transpose(order).reshape(-1, *map(len, spans))
