"""The base of image layers: output lengths and zero padding under Keras's padding modes."""

from minidl.autograd.tensor import Tensor
from minidl.keras.layers.base import Layer, Shape
from minidl.nn import Module
from minidl.ops.indexing import scatter_at

Sides = tuple[int, int]  # the padding before and after an axis


class ImageLayer(Layer):
    """The base of layers that take images (N, H, W, C), and compute on (N, C, H, W)."""

    order = "first"

    def images(self, shape: Shape) -> Shape:
        """The shape of an input, which must be of images with a known number of channels."""
        if len(shape) == 3:
            needs = "needs images (N, H, W, C), and these have no channels: add an axis of one, "
            raise self.error(f"{needs}x[..., None]; got", shape)
        if len(shape) != 4:
            raise self.error("needs images (N, H, W, C); got", shape)
        if shape[-1] is None:
            raise self.error("needs images (N, H, W, C) with a known number C; got", shape)
        return tuple(shape)

    def output_lengths(
        self, shape: Shape, window: Sides, stride: Sides, dilation: Sides, padding: str
    ) -> Shape:
        """The height and the width of the output for images of this shape."""
        lengths = self.images(shape)[1:3]
        axes = zip(lengths, window, stride, dilation, strict=True)
        outputs = tuple(output_length(*axis, padding) for axis in axes)
        if any(n is not None and n < 1 for n in outputs):
            raise self.error(
                f"has a window of {window[0]}×{window[1]}, which does not fit into images "
                '(N, H, W, C) unless padding="same"; got',
                shape,
            )
        return outputs


def output_length(
    length: int | None, window: int, stride: int, dilation: int, padding: str
) -> int | None:
    """The length of the output: ⌈n / s⌉ with padding "same", else ⌊(n − span) / s⌋ + 1."""
    if length is None:
        return None
    if padding == "same":
        return -(-length // stride)
    return (length - dilation * (window - 1) - 1) // stride + 1


def same_padding(length: int, window: int, stride: int, dilation: int = 1) -> Sides:
    """The padding before and after an axis that makes the output length ⌈length / stride⌉.

    If the total is odd, the extra zero is after the axis, as in Keras.
    """
    span, outputs = dilation * (window - 1) + 1, -(-length // stride)
    total = max((outputs - 1) * stride + span - length, 0)
    return total // 2, total - total // 2


def pad(x: Tensor, rows: Sides, columns: Sides) -> Tensor:
    """Zero padding of the last two axes of x."""
    if not any((*rows, *columns)):
        return x
    *lead, height, width = x.shape
    inside = (..., slice(rows[0], rows[0] + height), slice(columns[0], columns[0] + width))
    return scatter_at(x, inside, (*lead, sum(rows) + height, sum(columns) + width))


class Pad(Module):
    """Zero padding of images (N, C, H, W): (top, bottom) and (left, right)."""

    def __init__(self, rows: Sides, columns: Sides) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, top + H + bottom, left + W + right)."""
        return pad(x, self.rows, self.columns)

    def extra_repr(self) -> str:
        """The padding of the rows and columns."""
        return f"{self.rows}, {self.columns}"


class PadSame(Module):
    """Zero padding of images (N, C, H, W) as padding="same" requires for their size."""

    def __init__(self, window: Sides, stride: Sides, dilation: Sides) -> None:
        self.axes = tuple(zip(window, stride, dilation, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → padded so that a valid convolution returns ⌈H / s⌉ × ⌈W / s⌉ pixels."""
        lengths = zip(x.shape[-2:], self.axes, strict=True)
        return pad(x, *(same_padding(length, *axis) for length, axis in lengths))

    def extra_repr(self) -> str:
        """The windows, strides and dilations."""
        return ", ".join(map(str, self.axes))
