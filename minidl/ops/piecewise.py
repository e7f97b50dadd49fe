"""Activations made of pieces: straight lines, and places where nothing passes."""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError


@composite
def hardtanh(xp, x, /, min_val=-1.0, max_val=1.0):
    """y = x between min_val and max_val, and the nearer of them outside;   dx = dy inside."""
    if not min_val < max_val:
        raise ArgumentError(f"hardtanh: needs min_val < max_val; got {min_val} and {max_val}")
    return xp.where(x <= min_val, min_val, xp.where(x >= max_val, max_val, x))


@composite
def relu6(xp, x, /):
    """y = min(max(x, 0), 6).  Krizhevsky 2010."""
    return xp.hardtanh(x, 0.0, 6.0)


@composite
def hardsigmoid(xp, x, /):
    """y = min(max(x + 3, 0), 6) / 6: 0 up to −3, 1 from 3 on, and a line between.

    Courbariaux, Bengio, David 2015.
    """
    return xp.hardtanh(x + 3, 0.0, 6.0) / 6


@composite
def hardswish(xp, x, /):
    """y = x·hardsigmoid(x): 0 up to −3, and x from 3 on.  Howard et al. 2019."""
    return xp.xmuly(x, xp.hardsigmoid(x))


@composite
def hardshrink(xp, x, /, lambd=0.5):
    """y = x where |x| > λ, else 0."""
    _check_lambda("hardshrink", lambd)
    return xp.where(xp.abs(x) <= lambd, 0.0, x)


@composite
def softshrink(xp, x, /, lambd=0.5):
    """y = x − λ·sign x where |x| > λ, else 0."""
    _check_lambda("softshrink", lambd)
    return xp.where(xp.abs(x) <= lambd, 0.0, x - lambd * xp.sign(x))


@composite
def threshold(xp, x, /, threshold, value):
    """y = x where x > threshold, else value."""
    return xp.where(x <= threshold, value, x)


@composite
def prelu(xp, x, weight, /):
    """y = x where x > 0, else w·x, with one w for all, or one for each channel.

    x: (N, C, …); weight: (1,), or (C,).  He et al. 2015.
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: needs a weight of shape (1,), or ({channels},) for the channels of {x.shape}; "
            f"got {weight.shape}"
        )
    along = (weight.size,) + (1,) * (x.ndim - 2) if x.ndim > 1 else ()
    return xp.where(x > 0, x, x * xp.reshape(weight, along))


@composite
def rrelu(xp, x, /, lower=1 / 8, upper=1 / 3, *, key=None):
    """y = x where x > 0, else a·x, where each a is uniform in [lower, upper).

    key    (seed, offset) of the random numbers, as `Generator.key` gives; None: a is the mean

    Xu et al. 2015.
    """
    check_slopes("rrelu", lower, upper)
    if key is None:
        return xp.leaky_relu(x, (lower + upper) / 2)
    slope = xp.uniform_like(x, key) * (upper - lower) + lower
    return xp.where(x > 0, x, x * slope)


def check_slopes(name, lower, upper):
    """Raise unless lower ≤ upper, both finite."""
    if not -math.inf < lower <= upper < math.inf:
        raise ArgumentError(f"{name}: needs finite lower ≤ upper; got {lower} and {upper}")


def _check_lambda(name, lambd):
    if not lambd >= 0:
        raise ArgumentError(f"{name}: lambd is a number from 0 on; got {lambd}")
