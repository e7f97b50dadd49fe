"""What neurons do with their sum.

All give float32 of integers; those that ask which numbers are above 0 refuse complex ones.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ORDERED_REAL
from minidl.errors import ArgumentError
from minidl.ops.settings import check_numbers, check_probability, real_floats


@primitive(ORDERED_REAL)
def relu(xp, x, /):
    """y = max(x, 0);   dx = dy where x > 0.  Saves one byte an element.  Nair, Hinton 2010.

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
    check_numbers(negative_slope=negative_slope)
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
    check_numbers(alpha=alpha)
    low = xp.minimum(x, 0)
    return (
        xp.where(x > 0, x, alpha * xp.expm1(low)),
        lambda dy: xp.where(x > 0, dy, dy * alpha * xp.exp(low)),
    )


def _sigmoid(xp, x):
    """1 / (1 + e⁻ˣ), with an exponential that is never larger than 1."""
    positive = x >= 0
    e = xp.exp(xp.where(positive, -x, x))
    return xp.where(positive, 1, e) / (1 + e)


@primitive
def sigmoid(xp, x, /):
    """y = 1 / (1 + e⁻ˣ);   dx = dy·y(1 − y).

    >>> minidl.sigmoid(minidl.tensor([-1000.0, 0.0, 1.0]))
    Tensor([0.       , 0.5      , 0.73105...], float32)
    """
    y = _sigmoid(xp, x)
    return y, lambda dy: dy * y * (1 - y)


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
    check_numbers(beta=beta, threshold=threshold)
    if not beta:
        raise ArgumentError("beta is a number other than 0, by which it divides")
    z = beta * x
    linear = z > threshold
    y = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))
    return (
        xp.where(linear, x, y / beta),
        lambda dy: xp.where(linear, dy, dy * _sigmoid(xp, z)),
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


def _largest(xp, x, axis):
    """What is subtracted so that exp does not overflow; where there is nothing, 0 will do."""
    return (xp.max if x.size else xp.sum)(x, axis=axis, keepdims=True)


@primitive
def softmax(xp, x, /, *, axis=-1):
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y).

    The sums go along the axis, or over all elements if it is None.  Bridle 1990.

    >>> minidl.softmax(minidl.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]], shape=(2, 2), float32)
    >>> minidl.softmax(minidl.tensor([[0.0, 0.0], [1000.0, 0.0]]), axis=0)
    Tensor([[0. , 0.5],
            [1. , 0.5]], shape=(2, 2), float32)
    """
    e = xp.exp(x - _largest(xp, x, axis))
    y = e / xp.sum(e, axis=axis, keepdims=True)
    return y, lambda dy: y * (dy - xp.sum(dy * y, axis=axis, keepdims=True))


@primitive
def log_softmax(xp, x, /, *, axis=-1):
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy.

    The sums go along the axis, or over all elements if it is None.

    >>> minidl.log_softmax(minidl.tensor([0.0, 1000.0]))  # exp and log by themselves overflow
    Tensor([-1000.,     0.], float32)
    """
    shifted = x - _largest(xp, x, axis)
    y = shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return y, lambda dy: dy - xp.exp(y) * xp.sum(dy, axis=axis, keepdims=True)


@composite
def dropout(xp, x, /, p=0.5, *, key):
    """y = x·m / (1 − p), where each mᵢ is 0 with probability p, else 1: E[y] = x.

    key    (seed, offset) of the random numbers, as `Generator.key` gives.  Srivastava et al. 2014

    >>> minidl.dropout(minidl.ones((2, 4)), 0.5, key=(0, 0))  # the same key, the same zeros
    Tensor([[0., 2., 2., 2.],
            [0., 0., 2., 2.]], shape=(2, 4), float32)
    """
    check_probability("dropout", p)
    x = real_floats(xp, x)
    return xp.where(xp.uniform_like(x, key) < p, 0, x / (1 - p) if p < 1 else x)
