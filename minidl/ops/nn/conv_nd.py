"""Convolution along one axis and along three, as convolution of images.

One axis is an image of one row.  Along three, the taps in depth become channels of an image
(im2col along the depth): channel (c, a) of slice i is channel c of slice s·i + d·a − p, so that the
weights (O, C, KD, KH, KW) are reshaped to (O, C·KD, KH, KW) without a copy.
"""

import math

from minidl.autograd.primitive import composite
from minidl.backends.window import convolution, transposed
from minidl.errors import ShapeError
from minidl.ops.nn.conv_padding import any_padding


def _row(x):
    """(…, L) → (…, 1, L)."""
    return x[..., None, :]


def _im2col_depth(xp, x, at):
    """(N, C, D, H, W) → (N·D', C·KD, H, W): im2col along the depth."""
    batch, channels, depth, height, width = x.shape
    stride, padding, dilation = at.stride[0], at.padding[0], at.dilation[0]
    if padding:
        shape = (batch, channels, depth + 2 * padding, height, width)
        x = xp.scatter_at(x, (slice(None), slice(None), slice(padding, padding + depth)), shape)
    span = stride * (at.output[0] - 1) + 1
    starts = range(0, dilation * at.window[0], dilation)
    slices = xp.stack([x[:, :, a : a + span : stride] for a in starts])
    slices = xp.permute_dims(slices, (1, 3, 2, 0, 4, 5))
    return xp.reshape(slices, (batch * at.output[0], channels * at.window[0], height, width))


def _col2im_depth(xp, y, at, batch):
    """(N·D, O·KD, H', W') → (N, O, D', H', W'): col2im along the depth, its transpose."""
    depth, taps = at.output[0], at.window[0]
    stride, padding, dilation = at.stride[0], at.padding[0], at.dilation[0]
    outputs, image = y.shape[1] // taps, y.shape[2:]
    y = xp.reshape(y, (batch, depth, outputs, taps, *image))
    y = xp.permute_dims(y, (3, 0, 2, 1, 4, 5))
    span = stride * (depth - 1) + 1
    shape = (batch, outputs, at.image[0] + 2 * padding, *image)
    whole = slice(None)
    y = sum(
        xp.scatter_at(y[a], (whole, whole, slice(a * dilation, a * dilation + span, stride)), shape)
        for a in range(taps)
    )
    return y[:, :, padding : padding + at.image[0]]


@any_padding
@composite  # conv2d computes with float16 in float32, or on tensor cores
def conv1d(xp, x, weight, bias=None, /, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i] = b[o] + Σ x[n, c, s·i + d·a − p] · w[o, c, a], over channels c and taps a.

    x: (N, C, L) or (C, L), weight: (O, C / groups, K), bias: (O,), y: (N, O, …).
    padding and padding_mode are as in conv2d.  Raises the errors of conv2d.

    >>> x = minidl.tensor([[1.0, 2.0, 4.0, 7.0]], dtype="float64")
    >>> minidl.conv1d(x, minidl.tensor([[[-1.0, 1.0]]], dtype="float64"))
    Tensor([[1., 2., 3.]], shape=(1, 3), float64)
    >>> minidl.conv1d(x, minidl.tensor([[[1.0, 1.0]]], dtype="float64"), padding=2, dilation=3)
    Tensor([[2., 4., 8., 2., 4.]], shape=(1, 5), float64)
    """
    settings = stride, padding, dilation, groups
    at = convolution("conv1d", x.shape, weight.shape, *settings, 1)
    stride, padding, dilation = (1, *at.stride), (0, *at.padding), (1, *at.dilation)
    y = xp.conv2d(_row(x), _row(weight), bias, stride, padding, dilation, groups)
    return xp.squeeze(y, -2)


@any_padding
@composite(wide=True)
def conv3d(xp, x, weight, bias=None, /, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j, k] = b[o] + Σ x[n, c, …] · w[o, c, e, f, g] over a window of three axes.

    x: (N, C, D, H, W) or (C, D, H, W), weight: (O, C / groups, KD, KH, KW), bias: (O,),
    y: (N, O, …).  stride, padding and dilation are one number for all axes, or three; padding and
    padding_mode are as in conv2d.
    Raises the errors of conv2d.

    >>> x = minidl.ones((2, 3, 5, 8, 8), dtype="float64")
    >>> weight = minidl.ones((4, 3, 1, 3, 3), dtype="float64")
    >>> minidl.conv3d(x, weight, stride=(1, 2, 2), padding=(0, 1, 1)).shape
    (2, 4, 5, 4, 4)
    """
    settings = stride, padding, dilation, groups
    at = convolution("conv3d", x.shape, weight.shape, *settings, 3)
    batch = x.shape[:-4]
    slices = _im2col_depth(xp, xp.reshape(x, (math.prod(batch), *x.shape[-4:])), at)
    weight = xp.reshape(weight, (weight.shape[0], weight.shape[1] * at.window[0], *at.window[1:]))
    y = xp.conv2d(slices, weight, bias, at.stride[1:], at.padding[1:], at.dilation[1:], groups)
    y = xp.reshape(y, (math.prod(batch), at.output[0], weight.shape[0], *at.output[1:]))
    return xp.reshape(xp.permute_dims(y, (0, 2, 1, 3, 4)), (*batch, weight.shape[0], *at.output))


@composite  # conv_transpose2d computes with float16 in float32, or on tensor cores
def conv_transpose1d(
    xp,
    x,
    weight,
    bias=None,
    /,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """The input gradient of conv1d as an operation, as conv_transpose2d is that of conv2d.

    x: (N, C, L) or (C, L), weight: (C, O / groups, K), bias: (O,), y: (N, O, …).
    Raises the errors of conv_transpose2d.

    >>> x = minidl.tensor([[1.0, 2.0]], dtype="float64")
    >>> minidl.conv_transpose1d(x, minidl.tensor([[[1.0, 10.0]]], dtype="float64"))
    Tensor([[ 1., 12., 20.]], shape=(1, 3), float64)
    """
    settings = stride, padding, output_padding, groups, dilation
    at = transposed("conv_transpose1d", x.shape, weight.shape, *settings, 1)
    settings = {
        "stride": (1, *at.stride),
        "padding": (0, *at.padding),
        "output_padding": (0, *_output_padding(at)),
        "groups": groups,
        "dilation": (1, *at.dilation),
    }
    return xp.squeeze(xp.conv_transpose2d(_row(x), _row(weight), bias, **settings), -2)


@composite(wide=True)
def conv_transpose3d(
    xp,
    x,
    weight,
    bias=None,
    /,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """The input gradient of conv3d as an operation, as conv_transpose2d is that of conv2d.

    x: (N, C, D, H, W) or (C, D, H, W), weight: (C, O / groups, KD, KH, KW), bias: (O,),
    y: (N, O, …).  Raises the errors of conv_transpose2d.

    >>> x = minidl.ones((4, 5, 4, 4), dtype="float64")
    >>> weight = minidl.ones((4, 2, 1, 2, 2), dtype="float64")
    >>> minidl.conv_transpose3d(x, weight, stride=(1, 2, 2)).shape
    (2, 5, 8, 8)
    """
    settings = stride, padding, output_padding, groups, dilation
    at = transposed("conv_transpose3d", x.shape, weight.shape, *settings, 3)
    batch, channels = x.shape[:-4], x.shape[-4]
    depth, *image = at.output
    slices = xp.reshape(x, (math.prod(batch), channels, depth, *image))
    slices = xp.permute_dims(slices, (0, 2, 1, 3, 4))
    slices = xp.reshape(slices, (math.prod(batch) * depth, channels, *image))
    weight = xp.reshape(weight, (channels, weight.shape[1] * at.window[0], *at.window[1:]))
    settings = {
        "stride": at.stride[1:],
        "padding": at.padding[1:],
        "output_padding": _output_padding(at)[1:],
        "groups": groups,
        "dilation": at.dilation[1:],
    }
    y = xp.conv_transpose2d(slices, weight, **settings)
    y = _col2im_depth(xp, y, at, math.prod(batch))
    y = xp.reshape(y, (*batch, *y.shape[1:]))
    if bias is None:
        return y
    if bias.shape != (y.shape[-4],):
        raise ShapeError(f"needs a bias of shape {(y.shape[-4],)}; got {bias.shape}")
    return y + xp.reshape(bias, (bias.shape[0], 1, 1, 1))


def _output_padding(at):
    """The output_padding along each axis: what remains of the image after the last window."""
    each = zip(*at[:5], at.output, strict=True)
    return tuple(n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, k, s, p, d, m in each)
