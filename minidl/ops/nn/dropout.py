"""Dropout, of single elements or whole channels, and alpha dropout."""

import math

from minidl.autograd.primitive import composite
from minidl.checks import check_probability
from minidl.errors import ShapeError
from minidl.ops.casting import real_floats
from minidl.ops.nn.activation import SELU_ALPHA, SELU_SCALE

_FLOOR = -SELU_ALPHA * SELU_SCALE  # the limit of selu at −∞


@composite
def dropout(xp, x, /, p=0.5, *, key):
    """y = x·m / (1 − p), where each mᵢ is 0 with probability p, else 1: E[y] = x.

    key    (seed, offset) of the random numbers, as `Generator.key` gives.  Srivastava et al. 2014

    >>> minidl.dropout(minidl.ones((2, 4)), 0.5, key=(0, 0))  # the same key, the same zeros
    Tensor([[0., 2., 2., 2.],
            [0., 0., 2., 2.]], shape=(2, 4), float32)
    """
    check_probability("dropout", p=p)
    x = real_floats(xp, x)
    return xp.where(xp.uniform_like(x, key) < p, 0, x / (1 - p) if p < 1 else x)


@composite
def feature_dropout(xp, x, /, p=0.5, *, key):
    """y = x·m / (1 − p), where m is 0 with probability p for a whole channel, else 1: E[y] = x.

    x      (N, C, …)
    key    (seed, offset) of N·C random numbers, as `Generator.key` gives.  Tompson et al. 2015

    >>> x = minidl.ones((1, 4, 2))
    >>> minidl.feature_dropout(x, 0.5, key=(0, 0))
    Tensor([[[0., 0.],
             [2., 2.],
             [2., 2.],
             [2., 2.]]], shape=(1, 4, 2), float32)
    """
    check_probability("feature_dropout", p=p)
    one_each = _one_per_channel(xp, x)
    return xp.where(xp.uniform_like(one_each, key) < p, 0, x / (1 - p) if p < 1 else x)


def _one_per_channel(xp, x):
    """Zeros (N, C, 1, …): one random number for each channel."""
    if x.ndim < 2:
        raise ShapeError(f"needs x of shape (N, C, …); got {x.shape}")
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    return xp.zeros(shape if x.size else x.shape, dtype=x.dtype, device=x.device)


@composite
def alpha_dropout(xp, x, /, p=0.5, *, key):
    """y = a·x′ + b, where each x′ᵢ is −λα with probability p, else xᵢ.

    −λα is the limit of selu at −∞; a and b preserve mean 0 and variance 1.

    key    (seed, offset) of the random numbers, as `Generator.key` gives.  Klambauer et al. 2017

    >>> minidl.alpha_dropout(minidl.zeros(4), 0.5, key=(0, 0))
    Tensor([-0.7791938 ,  0.77919394,  0.77919394,  0.77919394], float32)
    """
    check_probability("alpha_dropout", p=p)
    return _alpha_dropout(xp, x, x, p, key)


@composite
def feature_alpha_dropout(xp, x, /, p=0.5, *, key):
    """alpha_dropout of whole channels: x′ is −λα with probability p everywhere in one.

    x      (N, C, …)
    key    (seed, offset) of N·C random numbers, as `Generator.key` gives.  Klambauer et al. 2017

    >>> minidl.feature_alpha_dropout(minidl.zeros((1, 3, 2)), 0.5, key=(0, 0))
    Tensor([[[-0.7791938 , -0.7791938 ],
             [ 0.77919394,  0.77919394],
             [ 0.77919394,  0.77919394]]], shape=(1, 3, 2), float32)
    """
    check_probability("feature_alpha_dropout", p=p)
    return _alpha_dropout(xp, x, _one_per_channel(xp, x), p, key)


def _alpha_dropout(xp, x, like, p, key):
    """a·x′ + b, with random numbers of the shape of `like`."""
    if p == 1:
        return x * 0.0
    a = 1 / math.sqrt((1 - p) * (1 + p * _FLOOR**2))
    kept = xp.where(xp.uniform_like(like, key) < p, _FLOOR, x)
    return a * kept - a * p * _FLOOR
