"""What layers of pictures share: where windows lie under Keras's padding, and zeros around."""

from minidl.autograd.tensor import Tensor
from minidl.keras.layers.base import Layer, Shape
from minidl.nn import Module
from minidl.ops.indexing import scatter_at

Sides = tuple[int, int]  # how much padding there is before and after an axis


class PictureLayer(Layer):
    """The base of layers that take pictures (N, H, W, C), and compute on (N, C, H, W)."""

    order = "first"

    def pictures(self, shape: Shape) -> Shape:
        """The shape of an input, if it is one of pictures with a known number of channels."""
        if len(shape) == 3:
            needs = "needs pictures (N, H, W, C), and these have no channels: add an axis of one, "
            raise self.error(f"{needs}x[..., None]; got", shape)
        if len(shape) != 4:
            raise self.error("needs pictures (N, H, W, C); got", shape)
        if shape[-1] is None:
            raise self.error("needs pictures (N, H, W, C) with a known number C; got", shape)
        return tuple(shape)

    def windows(
        self, shape: Shape, window: Sides, stride: Sides, dilation: Sides, padding: str
    ) -> Shape:
        """How many windows there are along the height and the width of pictures of this shape."""
        lengths = self.pictures(shape)[1:3]
        axes = zip(lengths, window, stride, dilation, strict=True)
        counts = tuple(count(*axis, padding) for axis in axes)
        if any(n is not None and n < 1 for n in counts):
            raise self.error(
                f"has a window of {window[0]}×{window[1]}, which does not fit into pictures "
                '(N, H, W, C) unless padding="same"; got',
                shape,
            )
        return counts


def count(length: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """How many windows there are along an axis: ⌈n / s⌉ with "same", else ⌊(n − span) / s⌋ + 1."""
    if length is None:
        return None
    if padding == "same":
        return -(-length // stride)
    return (length - dilation * (window - 1) - 1) // stride + 1


def same(length: int, window: int, stride: int, dilation: int = 1) -> Sides:
    """The zeros before and after an axis with which its windows are ⌈length / stride⌉.

    With an odd number of zeros the one more is after the axis, as in Keras.
    """
    span, windows = dilation * (window - 1) + 1, count(length, window, stride, dilation, "same")
    total = max((windows - 1) * stride + span - length, 0)
    return total // 2, total - total // 2


def padded(x: Tensor, rows: Sides, columns: Sides) -> Tensor:
    """Zeros around the last two axes of x."""
    if not any((*rows, *columns)):
        return x
    *lead, height, width = x.shape
    inside = (..., slice(rows[0], rows[0] + height), slice(columns[0], columns[0] + width))
    return scatter_at(x, inside, (*lead, sum(rows) + height, sum(columns) + width))


class Pad(Module):
    """Zeros around pictures (N, C, H, W): above and below, left and right."""

    def __init__(self, rows: Sides, columns: Sides) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, above + H + below, left + W + right)."""
        return padded(x, self.rows, self.columns)

    def extra_repr(self) -> str:
        """How many there are."""
        return f"{self.rows}, {self.columns}"


class PadSame(Module):
    """As many zeros around pictures (N, C, H, W) as padding="same" means for their size."""

    def __init__(self, window: Sides, stride: Sides, dilation: Sides) -> None:
        self.axes = tuple(zip(window, stride, dilation, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → what windows without padding make ⌈H / s⌉ × ⌈W / s⌉ of."""
        lengths = zip(x.shape[-2:], self.axes, strict=True)
        return padded(x, *(same(length, *axis) for length, axis in lengths))

    def extra_repr(self) -> str:
        """The windows, strides and dilations."""
        return ", ".join(map(str, self.axes))
