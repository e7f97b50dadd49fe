"""Smooth activations, and those of several elements together."""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


@composite
def celu(xp, x, /, alpha=1.0):
    """y = x where x > 0, else α(exp(x/α) − 1): its slope is 1 at 0.  Barron 2017."""
    if not alpha > 0:
        raise ArgumentError(f"celu: alpha is a number above 0; got {alpha}")
    return alpha * xp.elu(x / alpha)


@composite
def selu(xp, x, /):
    """y = λx where x > 0, else λα(eˣ − 1): keeps mean 0 and variance 1.

    λ ≈ 1.0507, α ≈ 1.6733.  Klambauer et al. 2017.
    """
    return SELU_SCALE * xp.elu(x, SELU_ALPHA)


@composite
def mish(xp, x, /):
    """y = x·tanh(softplus(x)).  Misra 2019."""
    return x * xp.tanh(xp.softplus(x))


@composite
def softsign(xp, x, /):
    """y = x / (1 + |x|)."""
    return x / (1 + xp.abs(x))


@composite
def tanhshrink(xp, x, /):
    """y = x − tanh x."""
    return x - xp.tanh(x)


@composite
def logsigmoid(xp, x, /):
    """y = log(1 / (1 + e⁻ˣ)), without overflow."""
    return -xp.softplus(-x, 1.0, math.inf)


@composite
def softmin(xp, x, /, *, axis=-1):
    """yᵢ = exp(−xᵢ) / Σⱼ exp(−xⱼ)."""
    return xp.softmax(-x, axis=axis)


@composite
def glu(xp, x, /, *, axis=-1):
    """y = a·sigmoid(b), where a and b are the halves of x along the axis.  Dauphin et al. 2017."""
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % 2:
        raise ShapeError(f"glu: needs an axis {axis} of even length; got shape {x.shape}")
    half = x.shape[axis] // 2
    before = (slice(None),) * (axis % x.ndim)
    return x[(*before, slice(half))] * xp.sigmoid(x[(*before, slice(half, None))])
