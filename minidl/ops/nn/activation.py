"""Activation functions.

Integers give float32; activations that compare with 0 refuse complex numbers.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_interval, check_numbers
from minidl.dtypes import ORDERED_REAL
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.axes import checked_axis
from minidl.ops.casting import floats, real_floats
from minidl.ops.exponential import logistic

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


@primitive(ORDERED_REAL)
def relu(xp, x, /):
    """y = max(x, 0);   dx = dy where x > 0.  Saves one byte per element.  Nair, Hinton 2010.

    >>> minidl.relu(minidl.tensor([-1.0, 0.0, 2.0]))
    Tensor([0., 0., 2.], float32)
    >>> minidl.grad(minidl.relu)(minidl.tensor(0.0))
    Tensor(0., float32)
    """
    positive = x > 0
    return xp.maximum(x, 0), lambda dy: xp.where(positive, dy, 0.0)


@primitive(ORDERED_REAL)
def leaky_relu(xp, x, /, negative_slope=0.01):
    """y = x where x > 0, else slope·x;   dx = dy, else slope·dy.  Maas et al. 2013.

    >>> minidl.leaky_relu(minidl.tensor([-1.0, 2.0]), 0.1)
    Tensor([-0.1,  2. ], float32)
    """
    check_numbers("leaky_relu", negative_slope=negative_slope)
    positive = x > 0
    return (
        xp.where(positive, x, x * negative_slope),
        lambda dy: xp.where(positive, dy, dy * negative_slope),
    )


@primitive(ORDERED_REAL)
def elu(xp, x, /, alpha=1.0):
    """y = x where x > 0, else α(eˣ − 1);   dx = dy, else dy·αeˣ.  Clevert et al. 2016.

    >>> minidl.elu(minidl.tensor([-100.0, -1.0, 2.0]))
    Tensor([-1.        , -0.63212...,  2.        ], float32)
    """
    check_numbers("elu", alpha=alpha)
    low = xp.minimum(x, 0)
    return (
        xp.where(x > 0, x, alpha * xp.expm1(low)),
        lambda dy: xp.where(x > 0, dy, xp.xmuly(dy, alpha * xp.exp(low))),
    )


@primitive
def sigmoid(xp, x, /):
    """y = 1 / (1 + e⁻ˣ);   dx = dy·y(1 − y).

    >>> minidl.sigmoid(minidl.tensor([-1000.0, 0.0, 1.0]))
    Tensor([0.       , 0.5      , 0.73105...], float32)
    """
    y = logistic(xp, x)
    return y, lambda dy: xp.xmuly(dy, y * (1 - y))


@primitive(ORDERED_REAL)
def softplus(xp, x, /, beta=1.0, threshold=20.0):
    """y = log(1 + exp(β·x)) / β, without overflow;   dx = dy·sigmoid(β·x).

    Where β·x is above the threshold, y = x and dx = dy, as in PyTorch.  β = 0 is an ArgumentError.
    Dugas et al. 2001.

    >>> minidl.softplus(minidl.tensor([-1000.0, 0.0, 1.0]))
    Tensor([0.       , 0.69314..., 1.3132...], float32)
    >>> minidl.softplus(minidl.tensor(1000.0)), minidl.softplus(minidl.tensor(0.0), beta=4)
    (Tensor(1000., float32), Tensor(0.17328..., float32))
    """
    check_numbers("softplus", beta=beta, threshold=threshold)
    if not beta:
        raise ArgumentError("beta is a number other than 0, by which it divides")
    z = beta * x
    linear = z > threshold
    y = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))
    return (
        xp.where(linear, x, y / beta),
        lambda dy: xp.where(linear, dy, xp.xmuly(dy, logistic(xp, z))),
    )


@composite
def silu(xp, x, /):
    """y = x·sigmoid(x), also called swish.  Elfwing, Uchibe, Doya 2018.

    >>> minidl.silu(minidl.tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.26894...,  0.        ,  0.73105...], float32)
    """
    return x * xp.sigmoid(x)


@composite
def gelu(xp, x, /, approximate="none"):
    """y = x·Φ(x), Φ the normal distribution function.  Hendrycks, Gimpel 2016.

    approximate="tanh":  Φ(x) ≈ (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2

    >>> x = minidl.tensor([-1.0, 0.0, 1.0])
    >>> minidl.gelu(x)
    Tensor([-0.15865...,  0.        ,  0.84134...], float32)
    >>> minidl.gelu(x, approximate="tanh")
    Tensor([-0.15880...,  0.      ,  0.84119...], float32)
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ArgumentError(f'gelu: approximate is "none" or "tanh"; got {approximate!r}')
    return 0.5 * x * (1 + xp.erf(x * math.sqrt(0.5)))


@composite
def celu(xp, x, /, alpha=1.0):
    """y = x where x > 0, else α(exp(x/α) − 1): its slope is 1 at 0.  α > 0.  Barron 2017.

    >>> minidl.celu(minidl.tensor([-100.0, -1.0, 2.0]), alpha=2.0)
    Tensor([-2.        , -0.78693...,  2.        ], float32)
    """
    check_numbers("celu", above=0, alpha=alpha)
    return alpha * xp.elu(x / alpha)


@composite
def selu(xp, x, /):
    """y = λx where x > 0, else λα(eˣ − 1): keeps mean 0 and variance 1.

    λ ≈ 1.0507, α ≈ 1.6733.  Klambauer et al. 2017.

    >>> minidl.selu(minidl.tensor([-1.0, 0.0, 1.0]))
    Tensor([-1.1113...,  0.       ,  1.0507...], float32)
    """
    return SELU_SCALE * xp.elu(x, SELU_ALPHA)


@composite
def mish(xp, x, /):
    """y = x·tanh(softplus(x)).  Misra 2019.

    >>> minidl.mish(minidl.tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.30340...,  0.       ,  0.86509...], float32)
    """
    return x * xp.tanh(xp.softplus(x))


@composite
def softsign(xp, x, /):
    """y = x / (1 + |x|).  Glorot, Bengio 2010.

    >>> minidl.softsign(minidl.tensor([-1.0, 0.0, 3.0]))
    Tensor([-0.5 ,  0.  ,  0.75], float32)
    """
    x = floats(xp, x)
    return x / (1 + xp.abs(x))


@composite
def tanhshrink(xp, x, /):
    """y = x − tanh x.

    >>> minidl.tanhshrink(minidl.tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.23840...,  0.        ,  0.23840...], float32)
    """
    return x - xp.tanh(x)


@composite
def logsigmoid(xp, x, /):
    """y = log(1 / (1 + e⁻ˣ)), without overflow.

    >>> minidl.logsigmoid(minidl.tensor(-1000.0))  # log(sigmoid(−1000)) would be −∞
    Tensor(-1000., float32)
    >>> minidl.logsigmoid(minidl.tensor([0.0, 2.0]))
    Tensor([-0.69314..., -0.12692...], float32)
    """
    return -xp.softplus(-real_floats(xp, x), 1.0, math.inf)


@composite
def glu(xp, x, /, *, axis=-1):
    """y = a·sigmoid(b), where a and b are the halves of x along the axis.  Dauphin et al. 2017.

    An axis of odd length is a ShapeError.

    >>> minidl.glu(minidl.tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[0.5, 2. ]], shape=(1, 2), float32)
    """
    axis = checked_axis("glu", x, axis)
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: needs an axis {axis} of even length; got shape {x.shape}")
    half = x.shape[axis] // 2
    before = (slice(None),) * axis
    return x[(*before, slice(half))] * xp.sigmoid(x[(*before, slice(half, None))])


@composite
def hardtanh(xp, x, /, min_val=-1.0, max_val=1.0):
    """y = x between min_val and max_val, and the nearer of them outside;   dx = dy inside.

    min_val < max_val, else an ArgumentError.  Collobert 2004.

    >>> minidl.hardtanh(minidl.tensor([-3.0, 0.5, 3.0]))
    Tensor([-1. ,  0.5,  1. ], float32)
    >>> minidl.hardtanh(minidl.tensor([-3.0, 0.5, 3.0]), 0, 2)
    Tensor([0. , 0.5, 2. ], float32)
    """
    check_numbers("hardtanh", min_val=min_val, max_val=max_val)
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
    x = floats(xp, x)
    return xp.where(x <= -3, 0, x) * xp.hardsigmoid(x)  # 0·0 at −∞


@composite
def hardshrink(xp, x, /, lambd=0.5):
    """y = x where |x| > λ, else 0.  λ ≥ 0.  Donoho, Johnstone 1994.

    >>> minidl.hardshrink(minidl.tensor([-1.0, 0.3, 0.6]))
    Tensor([-1. ,  0. ,  0.6], float32)
    """
    check_numbers("hardshrink", 0, lambd=lambd)
    x = floats(xp, x)
    return xp.where(xp.abs(x) <= lambd, 0.0, x)


@composite
def softshrink(xp, x, /, lambd=0.5):
    """y = x − λ·sign x where |x| > λ, else 0.  λ ≥ 0.  Donoho, Johnstone 1994.

    >>> minidl.softshrink(minidl.tensor([-1.0, 0.3, 0.75]))
    Tensor([-0.5 ,  0.  ,  0.25], float32)
    """
    check_numbers("softshrink", 0, lambd=lambd)
    x = floats(xp, x)
    return xp.where(xp.abs(x) <= lambd, 0.0, x - lambd * xp.sign(x))


@composite
def threshold(xp, x, /, threshold, value):
    """y = x where x > threshold, else value.

    >>> minidl.threshold(minidl.tensor([1.0, 2.0, 3.0]), 2, -9)
    Tensor([-9., -9.,  3.], float32)
    """
    check_numbers("threshold", threshold=threshold, value=value)
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
    check_interval("rrelu", lower, upper)
    if key is None:
        return xp.leaky_relu(x, (lower + upper) / 2)
    x = real_floats(xp, x)
    slope = xp.uniform_like(x, key) * (upper - lower) + lower
    return xp.where(x > 0, x, x * slope)
