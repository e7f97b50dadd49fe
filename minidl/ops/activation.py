"""What neurons do with their sum."""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.errors import ArgumentError


@primitive
def relu(xp, x, /):
    """y = max(x, 0);   dx = dy where x > 0.  Saves one byte an element."""
    positive = x > 0
    return xp.maximum(x, 0), lambda dy: xp.where(positive, dy, 0.0)


@primitive
def leaky_relu(xp, x, /, negative_slope=0.01):
    """y = x where x > 0, else slope·x;   dx = dy, else slope·dy."""
    positive = x > 0
    return (
        xp.where(positive, x, x * negative_slope),
        lambda dy: xp.where(positive, dy, dy * negative_slope),
    )


@primitive
def elu(xp, x, /, alpha=1.0):
    """y = x where x > 0, else α(eˣ − 1);   dx = dy, else dy·αeˣ.  Clevert et al. 2016."""
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
    """y = 1 / (1 + e⁻ˣ);   dx = dy·y(1 − y)."""
    y = _sigmoid(xp, x)
    return y, lambda dy: dy * y * (1 - y)


@primitive
def softplus(xp, x, /, beta=1.0, threshold=20.0):
    """y = log(1 + exp(β·x)) / β, without overflow;   dx = dy·sigmoid(β·x).

    Where β·x is above the threshold, y = x and dx = dy, as in PyTorch.
    """
    z = beta * x
    linear = z > threshold
    y = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))
    return (
        xp.where(linear, x, y / beta),
        lambda dy: xp.where(linear, dy, dy * _sigmoid(xp, z)),
    )


@composite
def silu(xp, x, /):
    """y = x·sigmoid(x), also called swish.  Elfwing, Uchibe, Doya 2018."""
    return x * xp.sigmoid(x)


@composite
def gelu(xp, x, /, approximate="none"):
    """y = x·Φ(x), Φ the normal distribution function.  Hendrycks, Gimpel 2016.

    approximate="tanh":  Φ(x) ≈ (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ArgumentError(f'gelu: approximate is "none" or "tanh"; got {approximate!r}')
    return 0.5 * x * (1 + xp.erf(x * math.sqrt(0.5)))


@primitive
def softmax(xp, x, /, *, axis=-1):
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y)."""
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    y = e / xp.sum(e, axis=axis, keepdims=True)
    return y, lambda dy: y * (dy - xp.sum(dy * y, axis=axis, keepdims=True))


@primitive
def log_softmax(xp, x, /, *, axis=-1):
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy."""
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    y = shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return y, lambda dy: dy - xp.exp(y) * xp.sum(dy, axis=axis, keepdims=True)


def check_probability(name, p):
    """Raise if p is no number from 0 to 1."""
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is a probability, a number from 0 to 1; got {p!r}")


@composite
def dropout(xp, x, /, p=0.5, *, key):
    """y = x·m / (1 − p), where each mᵢ is 0 with probability p, else 1: E[y] = x.

    key    (seed, offset) of the random numbers, as `Generator.key` gives.  Srivastava et al. 2014
    """
    check_probability("dropout", p)
    return xp.where(xp.uniform_like(x, key) < p, 0, x / (1 - p) if p < 1 else x)
