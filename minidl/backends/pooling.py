"""Where the windows of pooling lie: what its bodies and its kernels agree on."""

from typing import Any, NamedTuple

from minidl.backends.window import Pair, is_number, output_length, pair, remembered
from minidl.errors import ArgumentError, ShapeError


class Windows(NamedTuple):
    """The windows along one axis: place a of window i is i·stride − padding + a·dilation."""

    length: int  # of the axis
    size: int
    stride: int
    padding: int
    dilation: int
    count: int

    @property
    def overhang(self) -> int:
        """How much padding after the axis the last window needs."""
        span = self.dilation * (self.size - 1) + 1
        return max(0, (self.count - 1) * self.stride + span - self.padding - self.length)

    def spans(self) -> list[Pair]:
        """Where each window begins and ends on the axis itself, if its places are neighbours."""
        starts = (i * self.stride - self.padding for i in range(self.count))
        return [(max(0, a), min(self.length, a + self.size)) for a in starts]

    def sizes(self, count_padding: bool) -> list[int]:
        """How many places each window has, with those in the padding or without.

        What sticks out of the padding (`ceil_mode`) does not count.
        """
        if not count_padding:
            return [b - a for a, b in self.spans()]
        end = self.length + 2 * self.padding
        return [min(self.size, end - i * self.stride) for i in range(self.count)]


@remembered
def windows(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Windows, Windows]:
    """The windows of pooling along the height and the width of pictures of this shape."""
    check_pictures(name, shape)
    sizes = pair(name, "kernel_size", kernel_size, 1)
    strides = sizes if stride is None else pair(name, "stride", stride, 1)
    paddings = pair(name, "padding", padding, 0)
    dilations = pair(name, "dilation", dilation, 1)
    if any(2 * p > k for k, p in zip(sizes, paddings, strict=True)):
        raise ArgumentError(
            f"{name}: padding is at most half the window, {tuple(k // 2 for k in sizes)} for "
            f"kernel_size {sizes}; got {paddings}"
        )
    axes = zip(shape[-2:], sizes, strides, paddings, dilations, strict=True)
    rows, columns = [Windows(*axis, output_length(name, *axis, ceil_mode)) for axis in axes]
    if _sees_nothing(rows) or _sees_nothing(columns):
        raise ShapeError(
            f"{name}: a window of {sizes} with dilation {dilations} and padding {paddings} sees "
            f"nothing but padding on pictures of {shape[-2:]}"
        )
    return rows, columns


def _sees_nothing(windows: Windows) -> bool:
    """Whether all places of a window lie outside the axis, which takes gaps between them."""
    length, size, stride, padding, dilation, count = windows
    if length and dilation == 1:
        return False
    starts = range(-padding, count * stride - padding, stride)
    return not all(any(0 <= i + a * dilation < length for a in range(size)) for i in starts)


def check_pictures(name: str, shape: tuple[int, ...]) -> None:
    """Raise if a shape is not that of pictures."""
    if len(shape) not in (3, 4):
        raise ShapeError(
            f"{name}: needs pictures of shape (N, C, H, W), or one of (C, H, W); got {shape}"
        )


def divisors(
    rows: Windows, columns: Windows, count_padding: bool, override: int | None
) -> list[list[int]]:
    """By what the sum over each window is divided to be its mean."""
    if override is None:
        heights, widths = rows.sizes(count_padding), columns.sizes(count_padding)
        return [[height * width for width in widths] for height in heights]
    if not is_number(override) or not override:
        raise ArgumentError(
            f"avg_pool2d: divisor_override is an integer other than 0; got {override!r:.60}"
        )
    return [[override] * columns.count] * rows.count


def adaptive(name: str, shape: tuple[int, ...], output_size: Any) -> list[list[Pair]]:
    """Where the windows of adaptive pooling begin and end, for the height and the width."""
    check_pictures(name, shape)
    both = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(both) == 2:
        both = [n if m is None else m for n, m in zip(shape[-2:], both, strict=True)]
    if 0 in shape[-2:]:
        raise ShapeError(f"{name}: pictures of {shape[-2:]} have no mean")
    counts = pair(name, "output_size", both, 1)
    return [
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(shape[-2:], counts, strict=True)
    ]
