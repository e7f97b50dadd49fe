"""Logarithms of other bases, inverse hyperbolic functions, and the polar coordinates of a point."""

import math

from minidl.autograd.primitive import primitive


@primitive
def log2(xp, x, /):
    """y = log₂ x;   dx = dy / (x·log 2), and 0 where dy is 0, even at x = 0."""
    return xp.log2(x), lambda dy: xp.xdivy(dy, x * math.log(2))


@primitive
def log10(xp, x, /):
    """y = log₁₀ x;   dx = dy / (x·log 10), and 0 where dy is 0, even at x = 0."""
    return xp.log10(x), lambda dy: xp.xdivy(dy, x * math.log(10))


@primitive
def logaddexp(xp, x1, x2, /):
    """z = log(e^x₁ + e^x₂), without overflow;   dx₁ = dz·exp(x₁ − z),   dx₂ = dz·exp(x₂ − z)."""
    z = xp.logaddexp(x1, x2)

    def share(x):
        endless = xp.isinf(z)
        gap = x - xp.where(endless, 0, z)
        return xp.exp(xp.where(endless, xp.where(x == math.inf, 0, -math.inf), gap))

    return z, (lambda dz: dz * share(x1), lambda dz: dz * share(x2))


@primitive
def acosh(xp, x, /):
    """y = arcosh x ≥ 0;   dx = dy / √(x² − 1)."""
    return xp.acosh(x), lambda dy: xp.xdivy(dy, xp.sqrt(x * x - 1))


@primitive
def asinh(xp, x, /):
    """y = arsinh x;   dx = dy / √(x² + 1)."""
    return xp.asinh(x), lambda dy: dy / xp.sqrt(x * x + 1)


@primitive
def atanh(xp, x, /):
    """y = artanh x;   dx = dy / (1 − x²)."""
    return xp.atanh(x), lambda dy: xp.xdivy(dy, 1 - x * x)


@primitive
def atan2(xp, x1, x2, /):
    """z = the angle of the point (x₂, x₁), in [−π, π];   dx₁ = dz·x₂/r²,   dx₂ = −dz·x₁/r².

    r² = x₁² + x₂².  At the origin both are 0.
    """
    pullbacks = (
        lambda dz: xp.xdivy(dz * x2, x1 * x1 + x2 * x2),
        lambda dz: -xp.xdivy(dz * x1, x1 * x1 + x2 * x2),
    )
    return xp.atan2(x1, x2), pullbacks


@primitive
def hypot(xp, x1, x2, /):
    """z = √(x₁² + x₂²), without overflow;   dx₁ = dz·x₁/z,   dx₂ = dz·x₂/z, and 0 at the origin."""
    z = xp.hypot(x1, x2)
    return z, (lambda dz: xp.xdivy(dz * x1, z), lambda dz: xp.xdivy(dz * x2, z))
