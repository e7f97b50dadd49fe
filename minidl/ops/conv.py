"""Convolution: the same small window of weights at every place of a picture.

    y[n, o, i, j] = b[o] + Σ x[n, c, s·i + d·a − p, s·j + d·b − p] · w[o, c, a, b]

with the sum over the channels c and the places (a, b) of the window; s is the stride, d the
dilation, and p the padding: beyond its edges the picture is 0.  With groups, the channels fall into
that many parts, each with its own part of the outputs.

Everything here follows from one form that is linear in each of its three arguments,

    T(x, w, z) = Σ x[n, c, s·i + d·a − p, s·j + d·b − p] · w[o, c, a, b] · z[n, o, i, j]

since y = ∂T/∂z, and for a gradient z = dy, dx = ∂T/∂x and dw = ∂T/∂w.  Each of the three is a sum
over the places of the window, of products of matrices: a place (a, b) sees a part of the picture,
a matrix of channels and positions (i, j), and its weights are a matrix of outputs and channels.
"""

import math

from minidl.autograd.primitive import primitive
from minidl.backends.window import Convolution, convolution, transposed
from minidl.errors import ShapeError
from minidl.ops.window import padded, taps


def _seen(xp, x, at: Convolution):
    """For each place of the window, what it sees: (…, groups, channels, positions)."""
    x = padded(xp, x, at.padding)
    shape = (*x.shape[:-3], at.groups, x.shape[-3] // at.groups, math.prod(at.output))
    return [xp.reshape(x[tap], shape) for tap in _taps(at)]


def _taps(at: Convolution):
    return taps(at.window, at.stride, at.dilation, at.output)


def _weights(xp, weight, at: Convolution):
    """For each place of the window, its weights: (groups, outputs, channels)."""
    outputs, channels, _, _ = weight.shape
    by_place = xp.permute_dims(weight, (2, 3, 0, 1))
    shape = (math.prod(at.window), at.groups, outputs // at.groups, channels)
    by_place = xp.reshape(by_place, shape)
    return [by_place[place] for place in range(shape[0])]


def _in_groups(xp, y, at: Convolution):
    """(…, outputs, height, width) → (…, groups, outputs, positions)."""
    shape = (*y.shape[:-3], at.groups, y.shape[-3] // at.groups, math.prod(at.output))
    return xp.reshape(y, shape)


def _correlate(xp, x, weight, at: Convolution):
    """y = ∂T/∂z: each place adds its weights times what it sees."""
    y = sum(w @ seen for w, seen in zip(_weights(xp, weight, at), _seen(xp, x, at), strict=True))
    return xp.reshape(y, (*x.shape[:-3], weight.shape[0], *at.output))


def _input_gradient(xp, dy, weight, at: Convolution):
    """dx = ∂T/∂x: each place sends its weights times dy back to what it saw."""
    dy, lead = _in_groups(xp, dy, at), dy.shape[:-3]
    channels = at.groups * weight.shape[1]
    (height, width), (top, left) = at.picture, at.padding
    shape = (*lead, channels, height + 2 * top, width + 2 * left)
    dx = sum(
        xp.scatter_at(
            xp.reshape(xp.matrix_transpose(w) @ dy, (*lead, channels, *at.output)), tap, shape
        )
        for w, tap in zip(_weights(xp, weight, at), _taps(at), strict=True)
    )
    return dx[..., top : top + height, left : left + width]


def _weight_gradient(xp, x, dy, at: Convolution):
    """dw = ∂T/∂w: for each place, the products of dy and what it saw, summed over the pictures."""
    dy, lead = _in_groups(xp, dy, at), tuple(range(dy.ndim - 3))
    by_place = [
        xp.sum(dy @ xp.matrix_transpose(seen), axis=lead, keepdims=False)
        for seen in _seen(xp, x, at)
    ]
    outputs, channels = math.prod(by_place[0].shape[:2]), by_place[0].shape[2]
    shape = (*at.window, outputs, channels)
    return xp.permute_dims(xp.reshape(xp.stack(by_place, axis=0), shape), (2, 3, 0, 1))


def _with_bias(xp, y, bias):
    """y + b, a number for each channel."""
    if bias is None:
        return y
    if bias.shape != (y.shape[-3],):
        raise ShapeError(f"needs a bias of shape {(y.shape[-3],)}; got {bias.shape}")
    return y + xp.reshape(bias, (bias.shape[0], 1, 1))


def _bias_gradient(xp, dy):
    """db: the sums over all axes but that of the channels."""
    return xp.sum(dy, axis=(*range(dy.ndim - 3), -2, -1), keepdims=False)


@primitive
def conv2d(xp, x, weight, bias=None, /, stride=1, padding=0, dilation=1, groups=1):
    """y = Σ x·w + b over a window that slides over the picture, as written at the top of this file.

    x: (N, C, H, W) or (C, H, W), weight: (O, C / groups, KH, KW), bias: (O,), y: (N, O, …).
    stride, padding and dilation are a number for both axes, or two.
    LeCun et al., Backpropagation applied to handwritten zip code recognition, 1989.

    Raises ShapeError where the channels differ or a window does not fit into the padded picture,
    ArgumentError for a stride or dilation below 1, or groups that do not divide the channels.

    >>> x = minidl.tensor([[[0.0, 0.0, 5.0, 5.0]]], dtype="float64")
    >>> edge = minidl.tensor([[[[-1.0, 1.0]]]], dtype="float64")
    >>> minidl.conv2d(x, edge)
    Tensor([[[0., 5., 0.]]], shape=(1, 1, 3), float64)
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


@primitive
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
    """y = ∂T/∂x for z = x, plus b: each x spreads over a window of y; conv2d turned round.

    x: (N, C, H, W) or (C, H, W), weight: (C, O / groups, KH, KW), bias: (O,), y: (N, O, …).
    Along each axis y has (length − 1)·stride − 2·padding + dilation·(window − 1) + 1 +
    output_padding places.  Zeiler et al., Deconvolutional Networks, 2010.

    Raises what conv2d does, and ArgumentError for an output_padding that is not less than the
    stride or the dilation.

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
