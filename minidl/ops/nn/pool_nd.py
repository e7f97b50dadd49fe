"""Pooling along one axis and along three, by pooling images; adaptive max pooling.

One axis is an image of one row.  Three axes are pooled in two steps, first each slice (H, W), then
along the depth: a maximum of maxima, or a mean of means of equally many elements.
"""

import math

from minidl.autograd.primitive import composite
from minidl.backends import pooling
from minidl.checks import check_flags
from minidl.ops.constants import constant
from minidl.ops.nn.window import largest

# Along one axis.


def _of_rows(xp, x, pool):
    """A pooling of images, applied to (…, L) as (…, 1, L)."""
    return xp.squeeze(pool(xp.expand_dims(x, axis=-2)), -2)


@composite
def max_pool1d(
    xp,
    x,
    /,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """y = max x over the window, as max_pool2d;   x: (N, C, L) or (C, L).

    >>> minidl.max_pool1d(minidl.tensor([[1, 5, 2, 4, 3]]), 2)
    Tensor([[5, 4]], shape=(1, 2), int64)
    >>> minidl.max_pool1d(minidl.tensor([[1, 5, 2, 4, 3]]), 2, ceil_mode=True)
    Tensor([[5, 4, 3]], shape=(1, 3), int64)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    (at,) = pooling.windows("max_pool1d", x.shape, *geometry, 1)
    check_flags("max_pool1d", return_indices=return_indices)
    settings = (1, at.size), (1, at.stride), (0, at.padding), (1, at.dilation), ceil_mode
    y, indices = xp.max_pool2d(xp.expand_dims(x, axis=-2), *settings, return_indices=True)
    y, indices = xp.squeeze(y, -2), xp.squeeze(indices, -2)
    return (y, indices) if return_indices else y


@composite(wide=True)
def avg_pool1d(
    xp, x, /, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """y = Σ x over the window / n, as avg_pool2d;   x: (N, C, L) or (C, L).

    >>> minidl.avg_pool1d(minidl.tensor([[1, 5, 2, 4]]), 2)
    Tensor([[3., 3.]], shape=(1, 2), float32)
    """
    (at,) = pooling.windows("avg_pool1d", x.shape, kernel_size, stride, padding, 1, ceil_mode, 1)
    settings = (1, at.size), (1, at.stride), (0, at.padding), ceil_mode, count_include_pad
    return _of_rows(xp, x, lambda rows: xp.avg_pool2d(rows, *settings))


@composite(wide=True)
def adaptive_avg_pool1d(xp, x, /, output_size):
    """y = the mean of the window, as adaptive_avg_pool2d;   x: (N, C, L) or (C, L).

    >>> minidl.adaptive_avg_pool1d(minidl.tensor([[1, 5, 3, 4, 5]]), 2)
    Tensor([[3., 4.]], shape=(1, 2), float32)
    """
    (spans,) = pooling.adaptive("adaptive_avg_pool1d", x.shape, output_size, 1)
    return _of_rows(xp, x, lambda rows: xp.adaptive_avg_pool2d(rows, (1, len(spans))))


# Along three axes.


def _slices(xp, x):
    """(…, D, H, W) → (·, D, H, W)."""
    return xp.reshape(x, (math.prod(x.shape[:-3]), *x.shape[-3:]))


def _columns(xp, x):
    """(·, D, H, W) → (·, D, H·W)."""
    return xp.reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))


def _slice_offsets(xp, x):
    """The flat index of the first element of each slice of the depth: (D, 1, 1)."""
    depth, height, width = x.shape[-3:]
    slices = xp.arange(0, depth * height * width, height * width, device=x.device)
    return xp.reshape(slices, (depth, 1, 1))


@composite
def max_pool3d(
    xp,
    x,
    /,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """y = max x over the window, as max_pool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> x = minidl.reshape(minidl.arange(16), (1, 2, 2, 4))
    >>> minidl.max_pool3d(x, 2)
    Tensor([[[[13, 15]]]], shape=(1, 1, 1, 2), int64)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    at = pooling.windows("max_pool3d", x.shape, *geometry, 3)
    check_flags("max_pool3d", return_indices=return_indices)
    output = tuple(axis.count for axis in at)
    _, size, stride, padding, dilation, _ = zip(*at[1:], strict=True)
    settings = size, stride, padding, dilation, ceil_mode
    y, indices = xp.max_pool2d(_slices(xp, x), *settings, return_indices=True)
    _, size, stride, padding, dilation, _ = at[0]
    settings = (size, 1), (stride, 1), (padding, 0), (dilation, 1), ceil_mode
    y, columns = xp.max_pool2d(_columns(xp, y), *settings, return_indices=True)
    y = xp.reshape(y, (*x.shape[:-3], *output))
    if not return_indices:
        return y
    indices = indices + _slice_offsets(xp, x)
    indices = xp.reshape(indices, (indices.shape[0], math.prod(indices.shape[1:])))
    columns = xp.reshape(columns, (columns.shape[0], math.prod(output)))
    return y, xp.reshape(xp.take_along_axis(indices, columns, axis=-1), y.shape)


@composite(wide=True)
def avg_pool3d(
    xp,
    x,
    /,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """y = Σ x over the window / n, as avg_pool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> x = minidl.reshape(minidl.arange(16), (1, 2, 2, 4))
    >>> minidl.avg_pool3d(x, (2, 2, 4))
    Tensor([[[[7.5]]]], shape=(1, 1, 1, 1), float32)
    """
    geometry = (kernel_size, stride, padding, 1, ceil_mode)
    at = pooling.windows("avg_pool3d", x.shape, *geometry, 3)
    one = None if divisor_override is None else 1
    _, size, stride, padding, _, _ = zip(*at[1:], strict=True)
    settings = size, stride, padding, ceil_mode, count_include_pad, one
    y = xp.avg_pool2d(_slices(xp, x), *settings)
    _, size, stride, padding, _, _ = at[0]
    settings = (size, 1), (stride, 1), (padding, 0), ceil_mode, count_include_pad
    y = xp.avg_pool2d(_columns(xp, y), *settings, divisor_override)
    return xp.reshape(y, (*x.shape[:-3], *(axis.count for axis in at)))


@composite(wide=True)
def adaptive_avg_pool3d(xp, x, /, output_size):
    """y = the mean of the window, as adaptive_avg_pool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> minidl.adaptive_avg_pool3d(minidl.ones((8, 5, 7, 6), dtype="int64"), (1, None, 2)).shape
    (8, 1, 7, 2)
    """
    spans = pooling.adaptive("adaptive_avg_pool3d", x.shape, output_size, 3)
    output = tuple(map(len, spans))
    y = xp.adaptive_avg_pool2d(_slices(xp, x), output[1:])
    y = xp.adaptive_avg_pool2d(_columns(xp, y), (output[0], None))
    return xp.reshape(y, (*x.shape[:-3], *output))


# Adaptive max pooling.


def _adaptive_max(xp, name, x, output_size, axes, return_indices):
    """The maximum of each window, and its flat index in its image."""
    spans = pooling.adaptive(name, x.shape, output_size, axes)
    check_flags(name, return_indices=return_indices)
    image = x.shape[-axes:]
    taps = constant(pooling.tap_indices(spans, image), x.device)
    y, indices = largest(xp, xp.reshape(x, (*x.shape[:-axes], math.prod(image))), taps)
    return (y, indices) if return_indices else y


@composite
def adaptive_max_pool1d(xp, x, /, output_size, return_indices=False):
    """y = max x over the window, as adaptive_max_pool2d;   x: (N, C, L) or (C, L).

    >>> minidl.adaptive_max_pool1d(minidl.tensor([[1, 5, 2, 4, 3]]), 2, return_indices=True)
    (Tensor([[5, 4]], shape=(1, 2), int64), Tensor([[1, 3]], shape=(1, 2), int64))
    """
    return _adaptive_max(xp, "adaptive_max_pool1d", x, output_size, 1, return_indices)


@composite
def adaptive_max_pool2d(xp, x, /, output_size, return_indices=False):
    """y = max x over each of output_size windows, whatever the size of x.

    The windows are those of adaptive_avg_pool2d.  return_indices also returns the flat index of
    each y in its image (H, W): of equal elements the first, of NaNs the last.
    Raises the errors of adaptive_avg_pool2d.

    >>> minidl.adaptive_max_pool2d(minidl.tensor([[[1, 2, 3], [4, 9, 6]]]), (2, 1))
    Tensor([[[3],
             [9]]], shape=(1, 2, 1), int64)
    """
    return _adaptive_max(xp, "adaptive_max_pool2d", x, output_size, 2, return_indices)


@composite
def adaptive_max_pool3d(xp, x, /, output_size, return_indices=False):
    """y = max x over the window, as adaptive_max_pool2d;   x: (N, C, D, H, W), or one.

    >>> x = minidl.reshape(minidl.arange(30), (1, 2, 3, 5))
    >>> minidl.adaptive_max_pool3d(x, (1, None, 2))
    Tensor([[[[17, 19],
              [22, 24],
              [27, 29]]]], shape=(1, 1, 3, 2), int64)
    """
    return _adaptive_max(xp, "adaptive_max_pool3d", x, output_size, 3, return_indices)
