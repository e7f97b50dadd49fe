"""Dropout that takes whole channels, or keeps mean and variance."""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ShapeError
from minidl.ops.settings import check_probability
from minidl.ops.smooth import SELU_ALPHA, SELU_SCALE

_FLOOR = -SELU_ALPHA * SELU_SCALE  # what selu gives far below 0


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
    check_probability("feature_dropout", p)
    if x.ndim < 2:
        raise ShapeError(f"needs x of shape (N, C, …); got {x.shape}")
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    if not x.size:
        return x
    one_each = xp.reshape(x[(slice(None), slice(None), *[0] * (x.ndim - 2))], shape)
    return xp.where(xp.uniform_like(one_each, key) < p, 0, x / (1 - p) if p < 1 else x)


@composite
def alpha_dropout(xp, x, /, p=0.5, *, key):
    """y = a·x′ + b, where each x′ᵢ is −λα with probability p, else xᵢ.

    −λα is what selu tends to; a and b are such that inputs of mean 0 and variance 1 keep them.

    key    (seed, offset) of the random numbers, as `Generator.key` gives.  Klambauer et al. 2017

    >>> minidl.alpha_dropout(minidl.zeros(4), 0.5, key=(0, 0))
    Tensor([-0.7791938 ,  0.77919394,  0.77919394,  0.77919394], float32)
    """
    check_probability("alpha_dropout", p)
    if p == 1:
        return x * 0.0
    a = 1 / math.sqrt((1 - p) * (1 + p * _FLOOR**2))
    kept = xp.where(xp.uniform_like(x, key) < p, _FLOOR, x)
    return a * kept - a * p * _FLOOR
