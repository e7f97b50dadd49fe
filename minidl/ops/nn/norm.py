"""Normalisation: batch, layer, group, instance, RMS and local response norm.

Most subtract the mean, divide by the standard deviation, scale and shift.  They differ in the axes
of the mean: for an input (N, C, H, W), batch norm has one mean for each channel, over N, H and W;
group norm one for each sample and group of channels; layer norm, for an input (…, D), one for each
row of D.  The variance is computed from centred values, Σ (x − mean)² / n, which is exact also
where the mean is large.
"""

import numpy as np

from minidl.autograd.primitive import composite
from minidl.checks import check_integers, check_numbers
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.casting import real_floats
from minidl.ops.nn.window import sum_in_pairs


@composite(constants=(1, 2), outputs=3, wide=True)
def batch_norm(xp, x, weight=None, bias=None, /, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, with the mean and variance of each channel.

    x       (N, C) or (N, C, …); weight and bias: (C,)
    returns  y, and the mean and the variance (divided by n), (C,) each, as constants

    eps is above 0, else an ArgumentError.  Ioffe, Szegedy 2015.

    >>> y, mean, var = minidl.batch_norm(minidl.tensor([[1.0, 10.0], [3.0, 30.0]]), eps=1e-12)
    >>> y
    Tensor([[-1., -1.],
            [ 1.,  1.]], shape=(2, 2), float32)
    >>> mean, var
    (Tensor([ 2., 20.], float32), Tensor([  1., 100.], float32))
    """
    _check_channels(x, weight, bias)
    check_numbers("batch_norm", eps=eps)
    if not eps > 0:
        raise ArgumentError(f"eps must be above 0, since a variance may be 0; got {eps}")
    axes = (0, *range(2, x.ndim))
    y, mean, var = _standardise(xp, x, axes, eps)
    return _scale_and_shift(xp, y, weight, bias), xp.squeeze(mean, axes), xp.squeeze(var, axes)


@composite(wide=True)
def batch_norm_inference(xp, x, mean, var, weight=None, bias=None, /, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, with a given mean and variance.

    x: (N, C) or (N, C, …); mean, var, weight and bias: (C,), for each channel.

    >>> mean, var = minidl.tensor([1.0, 2.0]), minidl.tensor([4.0, 9.0])
    >>> minidl.batch_norm_inference(minidl.tensor([[3.0, 5.0]]), mean, var, eps=0)
    Tensor([[1., 1.]], shape=(1, 2), float32)
    """
    _check_channels(x, mean, var, weight, bias)
    check_numbers("batch_norm_inference", 0, eps=eps)
    x, mean, var = (real_floats(xp, v) for v in (x, mean, var))
    y = (x - _broadcast_channels(xp, mean, x)) / _broadcast_channels(xp, xp.sqrt(var + eps), x)
    return _scale_and_shift(xp, y, weight, bias)


@composite(wide=True)
def layer_norm(xp, x, weight=None, bias=None, /, *, normalized_shape, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, over the last axes, of `normalized_shape`.

    x: (…, *normalized_shape); weight and bias: normalized_shape.  Ba, Kiros, Hinton 2016.

    >>> minidl.layer_norm(minidl.tensor([[1.0, 3.0], [10.0, 30.0]]), normalized_shape=2, eps=0)
    Tensor([[-1.,  1.],
            [-1.,  1.]], shape=(2, 2), float32)
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        needs = ", ".join(map(str, ("…", *shape)))
        raise ShapeError(f"needs x of shape ({needs}), and at least one axis; got {x.shape}")
    check_numbers("layer_norm", 0, eps=eps)
    for given in (weight, bias):
        if given is not None and given.shape != shape:
            raise ShapeError(f"needs weight and bias of shape {shape}; got {given.shape}")
    y, _, _ = _standardise(xp, x, tuple(range(-len(shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@composite(wide=True)
def rms_norm(xp, x, weight=None, /, *, normalized_shape, eps=None):
    """y = x / √(mean(x²) + eps) · weight, over the last axes, of `normalized_shape`.

    eps    None: the distance from 1 to the next number of x's dtype

    x: (…, *normalized_shape); weight: normalized_shape.  Zhang, Sennrich 2019.

    >>> minidl.rms_norm(minidl.tensor([[1.0, 7.0]]), normalized_shape=2)  # √mean(x²) is 5
    Tensor([[0.2, 1.4]], shape=(1, 2), float32)
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        needs = ", ".join(map(str, ("…", *shape)))
        raise ShapeError(f"needs x of shape ({needs}), and at least one axis; got {x.shape}")
    if weight is not None and weight.shape != shape:
        raise ShapeError(f"needs a weight of shape {shape}; got {weight.shape}")
    x, eps = real_floats(xp, x), _epsilon(x.dtype) if eps is None else eps
    check_numbers("rms_norm", 0, eps=eps)
    square = xp.mean(x * x, axis=tuple(range(-len(shape), 0)), keepdims=True)
    y = x / xp.sqrt(square + eps)
    return y if weight is None else y * weight


@composite(wide=True)
def group_norm(xp, x, weight=None, bias=None, /, *, num_groups, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, over the channels of a group of each sample.

    x: (N, C) or (N, C, …), where the number of groups divides C; weight and bias: (C,).
    Wu, He 2018.

    >>> minidl.group_norm(minidl.tensor([[1.0, 3.0, 10.0, 30.0]]), num_groups=2, eps=0)
    Tensor([[-1.,  1., -1.,  1.]], shape=(1, 4), float32)
    """
    _check_channels(x, weight, bias)
    check_numbers("group_norm", 0, eps=eps)
    check_integers("group_norm", num_groups=num_groups)
    n, channels, *rest = x.shape
    if num_groups < 1 or channels % num_groups:
        raise ArgumentError(f"{num_groups} groups do not divide {channels} channels")
    grouped = xp.reshape(x, (n, num_groups, channels // num_groups, *rest))
    y, _, _ = _standardise(xp, grouped, tuple(range(2, grouped.ndim)), eps)
    return _scale_and_shift(xp, xp.reshape(y, x.shape), weight, bias)


@composite(wide=True)
def instance_norm(xp, x, weight=None, bias=None, /, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, for each channel of each sample.

    x: (N, C, …); weight and bias: (C,).  Ulyanov, Vedaldi, Lempitsky 2016.

    >>> minidl.instance_norm(minidl.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0)
    Tensor([[[-1.,  1.],
             [-1.,  1.]]], shape=(1, 2, 2), float32)
    """
    if x.ndim < 3:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    return xp.group_norm(x, weight, bias, num_groups=x.shape[1] or 1, eps=eps)


@composite(wide=True)
def local_response_norm(xp, x, /, size, alpha=1e-4, beta=0.75, k=1.0):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    x: (N, C, …).  Krizhevsky, Sutskever, Hinton 2012.

    >>> minidl.local_response_norm(minidl.ones((1, 3, 1)), 3, alpha=3.0, beta=1.0).flatten()
    Tensor([0.33333..., 0.25      , 0.33333...], float32)
    """
    if x.ndim < 3:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    check_integers("local_response_norm", 1, size=size)
    check_numbers("local_response_norm", alpha=alpha, beta=beta, k=k)
    x = real_floats(xp, x)
    n, channels, *rest = x.shape
    inside = slice(None), slice(size // 2, size // 2 + channels)
    padded = xp.scatter_at(x * x, inside, (n, channels + size - 1, *rest))
    total = sum_in_pairs([padded[:, i : i + channels] for i in range(size)])
    return x / xp.pow(k + alpha / size * total, beta)


def _standardise(xp, x, axes, eps):
    """(x − mean) / √(var + eps) over the axes, the mean, and the variance."""
    x = real_floats(xp, x)
    mean = xp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    var = xp.mean(centred * centred, axis=axes, keepdims=True)
    return centred / xp.sqrt(var + eps), mean, var


def _scale_and_shift(xp, x, weight, bias):
    """x·weight + bias, with one weight and bias for each channel, or None."""
    y = x if weight is None else x * _broadcast_channels(xp, weight, x)
    return y if bias is None else y + _broadcast_channels(xp, bias, x)


def _broadcast_channels(xp, values, x):
    """One value for each channel, reshaped to broadcast against x (N, C, …)."""
    return xp.reshape(values, (1, -1) + (1,) * (x.ndim - 2))


def _check_channels(x, *vectors):
    """Raise unless x is (N, C, …), and each of the vectors, where there is one, (C,)."""
    if x.ndim < 2:
        raise ShapeError(f"needs x of shape (N, C) or (N, C, …); got {x.shape}")
    for vector in vectors:
        if vector is not None and vector.shape != x.shape[1:2]:
            raise ShapeError(
                f"needs one number for each of the {x.shape[1]} channels of {x.shape}; got "
                f"{vector.shape}"
            )


def _epsilon(dtype):
    """The distance from 1 to the next number; integers compute in float32."""
    return float(np.finfo(dtype if dtype.kind == "f" else "float32").eps)
