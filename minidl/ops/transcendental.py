"""Logarithms of other bases, inverse hyperbolic functions, and the polar coordinates of a point."""

import math

from minidl.autograd.primitive import primitive
from minidl.dtypes import ORDERED_REAL


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


@primitive(of_complex=True)
def acosh(xp, x, /):
    """y = arcosh x ≥ 0;   dx = dy / (√(x − 1)·√(x + 1)), which holds for complex x too.

    >>> minidl.acosh(minidl.tensor([1.0, 2.0, 0.5]))
    Tensor([0.      , 1.3169...,      nan], float32)
    """
    return xp.acosh(x), lambda dy: xp.xdivy(dy, xp.sqrt(x - 1) * xp.sqrt(x + 1))


@primitive(of_complex=True)
def asinh(xp, x, /):
    """y = arsinh x;   dx = dy / √(x² + 1).

    >>> minidl.asinh(minidl.tensor([0.0, 1.0]))
    Tensor([0.       , 0.88137...], float32)
    """
    return xp.asinh(x), lambda dy: dy / xp.sqrt(x * x + 1)


@primitive(of_complex=True)
def atanh(xp, x, /):
    """y = artanh x;   dx = dy / (1 − x²).

    >>> minidl.atanh(minidl.tensor([0.0, 0.5, 1.0]))
    Tensor([0.        , 0.54930...,        inf], float32)
    """
    return xp.atanh(x), lambda dy: xp.xdivy(dy, 1 - x * x)


@primitive(ORDERED_REAL)
def atan2(xp, x1, x2, /):
    """z = the angle of the point (x₂, x₁), in [−π, π];   dx₁ = dz·x₂/r²,   dx₂ = −dz·x₁/r².

    r² = x₁² + x₂².  At the origin both are 0.

    >>> minidl.atan2(minidl.tensor([1.0, 0.0, -1.0]), minidl.tensor([1.0, -1.0, -1.0]))  # radians
    Tensor([ 0.78539...,  3.1415..., -2.3561...], float32)
    """
    pullbacks = (
        lambda dz: xp.xdivy(dz * x2, x1 * x1 + x2 * x2),
        lambda dz: -xp.xdivy(dz * x1, x1 * x1 + x2 * x2),
    )
    return xp.atan2(x1, x2), pullbacks


@primitive(ORDERED_REAL)
def hypot(xp, x1, x2, /):
    """z = √(x₁² + x₂²), without overflow;   dx₁ = dz·x₁/z,   dx₂ = dz·x₂/z, and 0 at the origin.

    >>> minidl.hypot(minidl.tensor([3.0, 3e30]), minidl.tensor([4.0, 4e30]))
    Tensor([5.e+00, 5.e+30], float32)
    """
    z = xp.hypot(x1, x2)
    return z, (lambda dz: xp.xdivy(dz * x1, z), lambda dz: xp.xdivy(dz * x2, z))
