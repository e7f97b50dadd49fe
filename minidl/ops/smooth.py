"""Smooth activations, and those of several elements together."""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ShapeError
from minidl.ops.settings import check_positive, check_whole, floats, real_floats

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


@composite
def celu(xp, x, /, alpha=1.0):
    """y = x where x > 0, else α(exp(x/α) − 1): its slope is 1 at 0.  α > 0.  Barron 2017.

    >>> minidl.celu(minidl.tensor([-100.0, -1.0, 2.0]), alpha=2.0)
    Tensor([-2.        , -0.78693...,  2.        ], float32)
    """
    check_positive(alpha=alpha)
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
def softmin(xp, x, /, *, axis=-1):
    """yᵢ = exp(−xᵢ) / Σⱼ exp(−xⱼ).

    >>> minidl.softmin(minidl.tensor([1.0, 1.0, 5.0]))
    Tensor([0.49546..., 0.49546..., 0.0090747...], float32)
    """
    return xp.softmax(-floats(xp, x), axis=axis)


@composite
def glu(xp, x, /, *, axis=-1):
    """y = a·sigmoid(b), where a and b are the halves of x along the axis.  Dauphin et al. 2017.

    An axis of odd length is a ShapeError.

    >>> minidl.glu(minidl.tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[0.5, 2. ]], shape=(1, 2), float32)
    """
    check_whole(axis=axis)
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % 2:
        raise ShapeError(f"glu: needs an axis {axis} of even length; got shape {x.shape}")
    half = x.shape[axis] // 2
    before = (slice(None),) * (axis % x.ndim)
    return x[(*before, slice(half))] * xp.sigmoid(x[(*before, slice(half, None))])
