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
    return y, lambda dy: dy * y


@primitive(of_complex=True)
def expm1(xp, x, /):
    """y = eˣ − 1;   dx = dy·(y + 1).

    >>> minidl.expm1(minidl.tensor(1e-10)), minidl.exp(minidl.tensor(1e-10)) - 1
    (Tensor(1.e-10, float32), Tensor(0., float32))
    """
    y = xp.expm1(x)
    return y, lambda dy: dy * (y + 1)


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
    """z = log(e^x₁ + e^x₂), without overflow;   dx₁ = dz·exp(x₁ − z),   dx₂ = dz·exp(x₂ − z).

    >>> minidl.logaddexp(minidl.tensor(1000.0), minidl.tensor(1000.0))  # 1000 + log 2
    Tensor(1000.6..., float32)
    """
    z = xp.logaddexp(x1, x2)

    def share(x):
        endless = xp.isinf(z)
        gap = x - xp.where(endless, 0, z)
        return xp.exp(xp.where(endless, xp.where(x == math.inf, 0, -math.inf), gap))

    return z, (lambda dz: dz * share(x1), lambda dz: dz * share(x2))
