"""Convolution of images.

    y[n, o, i, j] = b[o] + Σ x[n, c, s·i + d·a − p, s·j + d·b − p] · w[o, c, a, b]

summed over the input channels c and the taps (a, b) of the window; s is the stride, d the
dilation, and p the zero padding.  With groups, input and output channels are divided into that many
groups, which are convolved separately.

Everything here follows from one trilinear form,

    T(x, w, z) = Σ x[n, c, s·i + d·a − p, s·j + d·b − p] · w[o, c, a, b] · z[n, o, i, j]

since y = ∂T/∂z, and for a gradient z = dy, dx = ∂T/∂x and dw = ∂T/∂w.  Each of the three is a sum
of matrix products over the taps of the window: what tap (a, b) meets, a strided view of the padded
image, is a matrix of channels by output positions (i, j), and its weights are a matrix of output by
input channels.  (im2col stacks these views, which makes one product of them all.)

`at` is the geometry of a convolution: sizes, stride, padding, dilation, groups.
"""

import math

from minidl.autograd.primitive import primitive
from minidl.backends.window import Convolution, convolution, transposed
from minidl.errors import ShapeError
from minidl.ops.nn.conv_padding import any_padding
from minidl.ops.nn.window import padded, taps


def _views(xp, x, at: Convolution):
    """What each tap of the window meets: views (…, groups, channels, positions)."""
    x = padded(xp, x, at.padding)
    shape = (*x.shape[:-3], at.groups, x.shape[-3] // at.groups, math.prod(at.output))
    return [xp.reshape(x[tap], shape) for tap in _taps(at)]


def _taps(at: Convolution):
    return taps(at.window, at.stride, at.dilation, at.output)


def _weights(xp, weight, at: Convolution):
    """The weights of each tap of the window: (groups, outputs, channels)."""
    outputs, channels, _, _ = weight.shape
    by_tap = xp.permute_dims(weight, (2, 3, 0, 1))
    shape = (math.prod(at.window), at.groups, outputs // at.groups, channels)
    by_tap = xp.reshape(by_tap, shape)
    return [by_tap[tap] for tap in range(shape[0])]


def _in_groups(xp, y, at: Convolution):
    """(…, outputs, height, width) → (…, groups, outputs, positions)."""
    shape = (*y.shape[:-3], at.groups, y.shape[-3] // at.groups, math.prod(at.output))
    return xp.reshape(y, shape)


def _correlate(xp, x, weight, at: Convolution):
    """y = ∂T/∂z: the sum over the taps of weights times view."""
    pairs = zip(_weights(xp, weight, at), _views(xp, x, at), strict=True)
    y = sum(w @ view for w, view in pairs)
    return xp.reshape(y, (*x.shape[:-3], weight.shape[0], *at.output))


def _input_gradient(xp, dy, weight, at: Convolution):
    """dx = ∂T/∂x: for each tap, weightsᵀ times dy, added where its view is (col2im)."""
    dy, lead = _in_groups(xp, dy, at), dy.shape[:-3]
    channels = at.groups * weight.shape[1]
    (height, width), (top, left) = at.image, at.padding
    shape = (*lead, channels, height + 2 * top, width + 2 * left)
    dx = sum(
        xp.scatter_at(
            xp.reshape(xp.matrix_transpose(w) @ dy, (*lead, channels, *at.output)), tap, shape
        )
        for w, tap in zip(_weights(xp, weight, at), _taps(at), strict=True)
    )
    return dx[..., top : top + height, left : left + width]


def _weight_gradient(xp, x, dy, at: Convolution):
    """dw = ∂T/∂w: for each tap, dy times its viewᵀ, summed over the batch."""
    dy, lead = _in_groups(xp, dy, at), tuple(range(dy.ndim - 3))
    by_tap = [
        xp.sum(xp.precise_matmul(dy, xp.matrix_transpose(view)), axis=lead, keepdims=False)
        for view in _views(xp, x, at)
    ]
    outputs, channels = math.prod(by_tap[0].shape[:2]), by_tap[0].shape[2]
    shape = (*at.window, outputs, channels)
    return xp.permute_dims(xp.reshape(xp.stack(by_tap, axis=0), shape), (2, 3, 0, 1))


def _with_bias(xp, y, bias):
    """y + b, with one b for each channel."""
    if bias is None:
        return y
    if bias.shape != (y.shape[-3],):
        raise ShapeError(f"needs a bias of shape {(y.shape[-3],)}; got {bias.shape}")
    return y + xp.reshape(bias, (bias.shape[0], 1, 1))


def _bias_gradient(xp, dy):
    """db: dy summed over all axes but the channels."""
    return xp.sum(dy, axis=(*range(dy.ndim - 3), -2, -1), keepdims=False)


@any_padding
@primitive(wide=True)
def conv2d(xp, x, weight, bias=None, /, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j] = b[o] + Σ x[n, c, s·i + d·a − p, s·j + d·b − p] · w[o, c, a, b].

    x: (N, C, H, W) or (C, H, W), weight: (O, C / groups, KH, KW), bias: (O,), y: (N, O, …).
    The sum is over c, a and b.  Stride s, padding p and dilation d are one integer for both axes or
    a pair.  LeCun et al., Backpropagation applied to handwritten zip code recognition, 1989.

    padding         also "valid", for none, or "same": as much as makes y as large as x, with
                    stride 1; an odd one more goes to the end
    padding_mode    how to pad: "zeros", "reflect", "replicate" or "circular", as in
                    `minidl.pad`

    Raises ShapeError if the channels differ or a window does not fit into the padded image,
    ArgumentError for a stride or dilation below 1, or groups that do not divide the channels.

    >>> x = minidl.tensor([[[0.0, 0.0, 5.0, 5.0]]], dtype="float64")
    >>> edge = minidl.tensor([[[[-1.0, 1.0]]]], dtype="float64")
    >>> minidl.conv2d(x, edge)
    Tensor([[[0., 5., 0.]]], shape=(1, 1, 3), float64)
    >>> minidl.conv2d(x, edge, padding="same", padding_mode="circular")
    Tensor([[[ 0.,  5.,  0., -5.]]], shape=(1, 1, 4), float64)
    >>> x = minidl.ones((8, 2, 9, 9), dtype="float64")
    >>> minidl.conv2d(x, minidl.ones((6, 1, 5, 5), dtype="float64"), stride=2, groups=2).shape
    (8, 6, 3, 3)
    """
    at = convolution("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    y = _correlate(xp, x, weight, at)
    return _with_bias(xp, y, bias), (
        lambda dy: _input_gradient(xp, dy, weight, at),
        lambda dy: _weight_gradient(xp, x, dy, at),
        lambda dy: _bias_gradient(xp, dy),
    )


@primitive(wide=True)
def conv_transpose2d(
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
    """y = ∂T/∂x for z = x, plus b: the input gradient of conv2d as an operation.

    x: (N, C, H, W) or (C, H, W), weight: (C, O / groups, KH, KW), bias: (O,), y: (N, O, …).
    Along each axis, y has length
    (length − 1)·stride − 2·padding + dilation·(window − 1) + 1 + output_padding.
    Zeiler et al., Deconvolutional Networks, 2010.

    Raises the errors of conv2d, and ArgumentError unless output_padding is less than the stride or
    the dilation.

    >>> x = minidl.tensor([[[1.0, 2.0]]], dtype="float64")
    >>> minidl.conv_transpose2d(x, minidl.ones((1, 1, 1, 3), dtype="float64"), stride=2)
    Tensor([[[1., 1., 3., 2., 2.]]], shape=(1, 1, 5), float64)
    """
    settings = stride, padding, output_padding, groups, dilation
    at = transposed("conv_transpose2d", x.shape, weight.shape, *settings)
    y = _input_gradient(xp, x, weight, at)
    return _with_bias(xp, y, bias), (
        lambda dy: _correlate(xp, dy, weight, at),
        lambda dy: _weight_gradient(xp, dy, x, at),
        lambda dy: _bias_gradient(xp, dy),
    )
