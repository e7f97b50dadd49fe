"""Exponentials and logarithms."""

import math

from minidl.autograd.primitive import primitive
from minidl.dtypes import ORDERED_REAL


@primitive(of_complex=True)
def exp(xp, x, /):
    """y = eˣ;   dx = dy·y.

    >>> minidl.exp(minidl.tensor([0, 1]))  # integers give float32
    Tensor([1.      , 2.7182...], float32)
    """
    y = xp.exp(x)
    return y, lambda dy: xp.xmuly(dy, y)


@primitive(of_complex=True)
def expm1(xp, x, /):
    """y = eˣ − 1;   dx = dy·eˣ, which y + 1 loses for large negative x.

    >>> minidl.expm1(minidl.tensor(1e-10)), minidl.exp(minidl.tensor(1e-10)) - 1
    (Tensor(1.e-10, float32), Tensor(0., float32))
    """
    return xp.expm1(x), lambda dy: xp.xmuly(dy, xp.exp(x))


@primitive(of_complex=True)
def log(xp, x, /):
    """y = log x;   dx = dy/x, and 0 where dy is 0, even at x = 0.

    >>> minidl.log(minidl.tensor([1.0, 0.0, -1.0]))
    Tensor([  0., -inf,  nan], float32)
    """
    return xp.log(x), lambda dy: xp.xdivy(dy, x)


@primitive(of_complex=True)
def log1p(xp, x, /):
    """y = log(1 + x);   dx = dy / (1 + x).

    >>> minidl.log1p(minidl.tensor(1e-10)), minidl.log(1 + minidl.tensor(1e-10))
    (Tensor(1.e-10, float32), Tensor(0., float32))
    """
    return xp.log1p(x), lambda dy: xp.xdivy(dy, 1 + x)


@primitive(of_complex=True)
def log2(xp, x, /):
    """y = log₂ x;   dx = dy / (x·log 2), and 0 where dy is 0, even at x = 0.

    >>> minidl.log2(minidl.tensor([1.0, 8.0, 0.0]))
    Tensor([  0.,   3., -inf], float32)
    """
    return xp.log2(x), lambda dy: xp.xdivy(dy, x * math.log(2))


@primitive(of_complex=True)
def log10(xp, x, /):
    """y = log₁₀ x;   dx = dy / (x·log 10), and 0 where dy is 0, even at x = 0.

    >>> minidl.log10(minidl.tensor([1.0, 2.0, 0.0]))
    Tensor([0.     , 0.30103,    -inf], float32)
    """
    return xp.log10(x), lambda dy: xp.xdivy(dy, x * math.log(10))


@primitive(ORDERED_REAL)
def logaddexp(xp, x1, x2, /):
    """z = log(e^x₁ + e^x₂), without overflow;   dx₁ = dz·σ(x₁ − x₂),   dx₂ = dz·σ(x₂ − x₁).

    σ is the sigmoid; x₁ − z, of which e^(x₁ − z) = σ(x₁ − x₂), loses digits where z is large.  Two
    infinities share dz equally; −∞ gets nothing.

    >>> minidl.logaddexp(minidl.tensor(1000.0), minidl.tensor(1000.0))  # 1000 + log 2
    Tensor(1000.6..., float32)
    """

    def share(x, other):
        gap = xp.where(xp.logical_and(xp.isinf(x), x == other), 0, x - other)
        return xp.where(x == -math.inf, 0, logistic(xp, gap))

    pullbacks = (
        lambda dz: xp.xmuly(dz, share(x1, x2)),
        lambda dz: xp.xmuly(dz, share(x2, x1)),
    )
    return xp.logaddexp(x1, x2), pullbacks


def logistic(xp, x):
    """1 / (1 + e⁻ˣ), with an exponential that is never larger than 1."""
    positive = x >= 0
    e = xp.exp(xp.where(positive, -x, x))
    return xp.where(positive, 1, e) / (1 + e)
