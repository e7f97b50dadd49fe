"""Max and average pooling of images.

x is (N, C, H, W), or one image (C, H, W).  Sizes, strides and paddings are one number for both
axes, or two; the stride defaults to the window size.
"""

from minidl.autograd.primitive import composite
from minidl.backends import pooling
from minidl.checks import check_flags
from minidl.ops.constants import constant
from minidl.ops.nn.window import largest, padded, sum_in_pairs, taps


def _patches(xp, x, rows, columns):
    """For each tap of the window, its strided view of the zero-padded x: (…, *output)."""
    before, after = (rows.padding, columns.padding), (rows.overhang, columns.overhang)
    x = padded(xp, x, before, after)
    _, size, stride, _, dilation, count = zip(rows, columns, strict=True)
    return [x[tap] for tap in taps(size, stride, dilation, count)]


def _tap_indices(xp, x, rows, columns):
    """The flat index, row by row, of each tap of each window: (taps, *output).

    A tap in the padding repeats the first tap that is inside the image.
    """
    height, width = x.shape[-2:]
    numbers = xp.reshape(xp.arange(1, height * width + 1, device=x.device), (height, width))
    indices = xp.stack(_patches(xp, numbers, rows, columns)) - 1
    first = xp.min(xp.where(indices < 0, height * width, indices), axis=0)
    return xp.where(indices < 0, first, indices)


def _means(xp, x, spans, axis):
    """The mean over each span of an axis, which is negative."""
    rest = (slice(None),) * (-1 - axis)
    means = [xp.mean(x[(..., slice(*span), *rest)], axis=axis) for span in spans]
    return xp.stack(means, axis=axis)


def _divisors(x, *how):
    return constant(pooling.divisors(*how), x.device)


@composite
def max_pool2d(
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
    """y = max x over the window, NaN if any is;   dy goes to the argmax.

    x: (N, C, H, W) or (C, H, W), y: the same with ⌊(H + 2·padding − span) / stride⌋ + 1 rows, where
    span = dilation·(kernel_size − 1) + 1, and columns likewise.  Integers stay integers.

    padding           elements around the image that are never chosen; at most half the window
    dilation          the stride between the taps of a window
    ceil_mode         whether one more window may extend beyond the end
    return_indices    also return the flat index of each y in its image (H, W): of equal elements
                      the first, of NaNs the last

    Raises ShapeError for a window that does not fit or contains only padding, ArgumentError for a
    setting out of range.

    >>> x = minidl.tensor([[[1, 9, 2, 3], [4, 5, 8, 7]]])
    >>> minidl.max_pool2d(x, 2, return_indices=True)
    (Tensor([[[9, 8]]], shape=(1, 1, 2), int64), Tensor([[[1, 6]]], shape=(1, 1, 2), int64))
    >>> minidl.max_pool2d(x, 2, stride=1)
    Tensor([[[9, 9, 8]]], shape=(1, 1, 3), int64)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    rows, columns = pooling.windows("max_pool2d", x.shape, *geometry)
    check_flags("max_pool2d", return_indices=return_indices)
    *batch, height, width = x.shape
    tap_indices, flat = _tap_indices(xp, x, rows, columns), xp.reshape(x, (*batch, height * width))
    y, indices = largest(xp, flat, tap_indices)
    return (y, indices) if return_indices else y


@composite(wide=True)
def avg_pool2d(
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
    """y = Σ x over the window / n;   dx = dy / n, from each window that contains x.

    x: (N, C, H, W) or (C, H, W), y: the same with as many rows and columns as max_pool2d gives.
    n is the number of taps, with those in the padding (count_include_pad) or without, or the
    divisor_override.  Raises the errors of max_pool2d.

    >>> x = minidl.tensor([[[8, 8], [8, 8]]])
    >>> minidl.avg_pool2d(x, 2, padding=1)
    Tensor([[[2., 2.],
             [2., 2.]]], shape=(1, 2, 2), float32)
    >>> minidl.avg_pool2d(x, 2, padding=1, count_include_pad=False)
    Tensor([[[8., 8.],
             [8., 8.]]], shape=(1, 2, 2), float32)
    """
    geometry = (kernel_size, stride, padding, 1, ceil_mode)
    rows, columns = pooling.windows("avg_pool2d", x.shape, *geometry)
    divisors = _divisors(x, rows, columns, count_include_pad, divisor_override)
    x = x if x.dtype.kind == "f" else x / 1  # small integers would overflow
    return sum_in_pairs(_patches(xp, x, rows, columns)) / divisors


@composite(wide=True)
def adaptive_avg_pool2d(xp, x, /, output_size):
    """y = the mean of each of output_size windows, whatever the size of x.

    Window i of m along an axis of length n is ⌊i·n / m⌋ … ⌈(i + 1)·n / m⌉.  None in
    output_size keeps that length.

    x: (N, C, H, W) or (C, H, W), y: (N, C, *output_size) or (C, *output_size).  Raises ShapeError
    for an empty image, ArgumentError for an output_size below 1.

    >>> x = minidl.tensor([[[1, 2, 3], [4, 5, 6]]])
    >>> minidl.adaptive_avg_pool2d(x, 1)
    Tensor([[[3.5]]], shape=(1, 1, 1), float32)
    >>> minidl.adaptive_avg_pool2d(x, (None, 2))
    Tensor([[[1.5, 2.5],
             [4.5, 5.5]]], shape=(1, 2, 2), float32)
    """
    rows, columns = pooling.adaptive("adaptive_avg_pool2d", x.shape, output_size)
    return _means(xp, _means(xp, x, rows, -2), columns, -1)
