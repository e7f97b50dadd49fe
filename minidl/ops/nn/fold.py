"""im2col and col2im: windows of images as columns of a matrix, and back."""

import math

from minidl.autograd.primitive import composite
from minidl.backends.window import output_length
from minidl.checks import pair
from minidl.errors import ShapeError
from minidl.ops.nn.window import padded, taps


def _geometry(name, image, kernel_size, dilation, padding, stride):
    """The window, stride, dilation, padding, and number of windows along each axis."""
    window = pair(name, "kernel_size", kernel_size, 1)
    dilation = pair(name, "dilation", dilation, 1)
    padding = pair(name, "padding", padding, 0)
    stride = pair(name, "stride", stride, 1)
    each = zip(image, window, stride, padding, dilation, strict=True)
    output = tuple(output_length(name, *axis) for axis in each)
    return window, stride, dilation, padding, output


@composite
def unfold(xp, x, /, kernel_size, dilation=1, padding=0, stride=1):
    """y[n, (c, a, b), (i, j)] = x[n, c, s·i + d·a − p, s·j + d·b − p]: im2col.

    x: (N, C, H, W) or (C, H, W), y: (N, C·KH·KW, windows).
    Each window is a column.  Raises ShapeError if a window does not fit into the padded image.

    >>> x = minidl.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    >>> minidl.unfold(x, 2)
    Tensor([[1., 2.],
            [2., 3.],
            [4., 5.],
            [5., 6.]], shape=(4, 2), float32)
    """
    if x.ndim not in (3, 4):
        raise ShapeError(f"unfold: needs x of shape (N, C, H, W) or (C, H, W); got {x.shape}")
    *geometry, padding, output = _geometry(
        "unfold", x.shape[-2:], kernel_size, dilation, padding, stride
    )
    shape = (*x.shape[:-2], math.prod(output))
    x = padded(xp, x, padding)
    patches = [xp.reshape(x[tap], shape) for tap in taps(*geometry, output)]
    columns = xp.stack(patches, axis=-2)
    return xp.reshape(columns, (*shape[:-2], math.prod(columns.shape[-3:-1]), shape[-1]))


@composite
def fold(xp, x, /, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """col2im: images whose windows are the columns of x, summed where windows overlap.

    x: (N, C·KH·KW, windows) or (C·KH·KW, windows), y: (N, C, *output_size).
    It is the pullback of unfold.  Raises ShapeError if x is not made of columns of such windows.

    >>> x = minidl.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    >>> minidl.fold(minidl.unfold(x, 2), (2, 3), 2)
    Tensor([[[ 1.,  4.,  3.],
             [ 4., 10.,  6.]]], shape=(1, 2, 3), float32)
    """
    height, width = pair("fold", "output_size", output_size, 1)
    window, stride, dilation, padding, output = _geometry(
        "fold", (height, width), kernel_size, dilation, padding, stride
    )
    size, (top, left) = math.prod(window), padding
    if x.ndim not in (2, 3) or x.shape[-2] % size or x.shape[-1] != math.prod(output):
        raise ShapeError(
            f"fold: needs x of shape (N, C·{size}, {math.prod(output)}) or without N, for "
            f"windows of {window} on images of {(height, width)}; got {x.shape}"
        )
    x = xp.astype(x, "int64") if x.dtype.kind in "biu" else x  # small integers would overflow
    shape = (*x.shape[:-2], x.shape[-2] // size)
    x = xp.reshape(x, (*shape, size, *output))
    shape = (*shape, height + 2 * top, width + 2 * left)
    y = sum(
        xp.scatter_at(x[..., i, :, :], tap, shape)
        for i, tap in enumerate(taps(window, stride, dilation, output))
    )
    return y[..., top : top + height, left : left + width]
