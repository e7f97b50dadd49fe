"""Activations made of pieces: straight lines, and places where nothing passes."""

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.settings import check_not_negative, check_numbers, check_slopes, floats, real_floats


@composite
def hardtanh(xp, x, /, min_val=-1.0, max_val=1.0):
    """y = x between min_val and max_val, and the nearer of them outside;   dx = dy inside.

    min_val < max_val, else an ArgumentError.  Collobert 2004.

    >>> minidl.hardtanh(minidl.tensor([-3.0, 0.5, 3.0]))
    Tensor([-1. ,  0.5,  1. ], float32)
    >>> minidl.hardtanh(minidl.tensor([-3.0, 0.5, 3.0]), 0, 2)
    Tensor([0. , 0.5, 2. ], float32)
    """
    check_numbers(min_val=min_val, max_val=max_val)
    if not min_val < max_val:
        raise ArgumentError(f"hardtanh: needs min_val < max_val; got {min_val} and {max_val}")
    return xp.where(x <= min_val, min_val, xp.where(x >= max_val, max_val, x))


@composite
def relu6(xp, x, /):
    """y = min(max(x, 0), 6).  Krizhevsky 2010.

    >>> minidl.relu6(minidl.tensor([-1.0, 3.0, 9.0]))
    Tensor([0., 3., 6.], float32)
    """
    return xp.hardtanh(x, 0.0, 6.0)


@composite
def hardsigmoid(xp, x, /):
    """y = min(max(x + 3, 0), 6) / 6: 0 up to −3, 1 from 3 on, and a line between.

    Courbariaux, Bengio, David 2015.

    >>> minidl.hardsigmoid(minidl.tensor([-4.0, 0.0, 1.5, 4.0]))
    Tensor([0.  , 0.5 , 0.75, 1.  ], float32)
    """
    return xp.hardtanh(real_floats(xp, x) + 3, 0.0, 6.0) / 6


@composite
def hardswish(xp, x, /):
    """y = x·hardsigmoid(x): 0 up to −3, and x from 3 on.  Howard et al. 2019.

    >>> minidl.hardswish(minidl.tensor([-4.0, -1.0, 4.0]))
    Tensor([ 0.        , -0.33333...,  4.        ], float32)
    """
    return xp.xmuly(x, xp.hardsigmoid(x))


@composite
def hardshrink(xp, x, /, lambd=0.5):
    """y = x where |x| > λ, else 0.  λ ≥ 0.  Donoho, Johnstone 1994.

    >>> minidl.hardshrink(minidl.tensor([-1.0, 0.3, 0.6]))
    Tensor([-1. ,  0. ,  0.6], float32)
    """
    check_not_negative(lambd=lambd)
    x = floats(xp, x)
    return xp.where(xp.abs(x) <= lambd, 0.0, x)


@composite
def softshrink(xp, x, /, lambd=0.5):
    """y = x − λ·sign x where |x| > λ, else 0.  λ ≥ 0.  Donoho, Johnstone 1994.

    >>> minidl.softshrink(minidl.tensor([-1.0, 0.3, 0.75]))
    Tensor([-0.5 ,  0.  ,  0.25], float32)
    """
    check_not_negative(lambd=lambd)
    x = floats(xp, x)
    return xp.where(xp.abs(x) <= lambd, 0.0, x - lambd * xp.sign(x))


@composite
def threshold(xp, x, /, threshold, value):
    """y = x where x > threshold, else value.

    >>> minidl.threshold(minidl.tensor([1.0, 2.0, 3.0]), 2, -9)
    Tensor([-9., -9.,  3.], float32)
    """
    check_numbers(threshold=threshold, value=value)
    return xp.where(x <= threshold, value, x)


@composite
def prelu(xp, x, weight, /):
    """y = x where x > 0, else w·x, with one w for all, or one for each channel.

    x: (N, C, …); weight: (1,), or (C,).  He et al. 2015.

    >>> minidl.prelu(minidl.tensor([[-1.0, -1.0, 2.0]]), minidl.tensor([0.1, 0.2, 0.3]))
    Tensor([[-0.1, -0.2,  2. ]], shape=(1, 3), float32)
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

    >>> minidl.rrelu(minidl.tensor([-1.0, 2.0]), 0.1, 0.3)  # no key: the slope is the mean, 0.2
    Tensor([-0.2,  2. ], float32)
    """
    check_slopes("rrelu", lower, upper)
    if key is None:
        return xp.leaky_relu(x, (lower + upper) / 2)
    x = real_floats(xp, x)
    slope = xp.uniform_like(x, key) * (upper - lower) + lower
    return xp.where(x > 0, x, x * slope)
