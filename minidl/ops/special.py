"""Special functions: erf and its relatives, Γ, its logarithm and derivatives, sinc.

Abramowitz, Stegun 1964, chapters 6 and 7.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_integers, check_numbers
from minidl.dtypes import ORDERED_REAL


@primitive
def erf(xp, x, /):
    """y = 2/√π ∫₀ˣ exp(−t²) dt;   dx = dy · 2/√π · exp(−x²).

    >>> minidl.erf(minidl.tensor([0.0, 0.5, 10.0]))
    Tensor([0.       , 0.52049..., 1.       ], float32)
    """
    return xp.erf(x), lambda dy: xp.xmuly(dy, 2 / math.sqrt(math.pi) * xp.exp(-x * x))


@primitive
def erfc(xp, x, /):
    """y = 1 − erf x = 2/√π ∫ₓ^∞ exp(−t²) dt, exact for large x;   dx = −dy · 2/√π · exp(−x²).

    >>> minidl.erfc(minidl.tensor([0.0, 5.0]))
    Tensor([1.0000000e+00, 1.5374598e-12], float32)
    """
    return xp.erfc(x), lambda dy: xp.xmuly(dy, -2 / math.sqrt(math.pi) * xp.exp(-x * x))


@primitive
def erfinv(xp, x, /):
    """y with erf y = x: ±∞ at ±1, NaN beyond;   dx = dy · √π/2 · exp(y²).

    >>> minidl.erfinv(minidl.erf(minidl.tensor([0.5, -1.5])))
    Tensor([ 0.5      , -1.5000001], float32)
    """

    def dx(dy):
        y = xp.erfinv(x)
        return xp.xmuly(dy, math.sqrt(math.pi) / 2 * xp.exp(y * y))

    return xp.erfinv(x), dx


@primitive
def lgamma(xp, x, /):
    """y = log |Γ(x)|: log (x − 1)! for integers;   dx = dy·ψ(x).  ∞ at 0, −1, −2, ….

    >>> minidl.exp(minidl.lgamma(minidl.tensor([5.0, 0.5])))
    Tensor([24.       ,  1.7724538], float32)
    """
    return xp.lgamma(x), lambda dy: xp.xmuly(dy, xp.polygamma(x, 0))


@primitive
def polygamma(xp, x, /, n):
    """ψ⁽ⁿ⁾(x): the n-th derivative, n ≥ 0, of ψ(x) = d/dx log Γ(x);   dx = dy·ψ⁽ⁿ⁺¹⁾(x).

    >>> minidl.polygamma(minidl.tensor(1.0), 1)  # π²/6
    Tensor(1.644934, float32)
    """
    check_integers("polygamma", 0, n=n)
    return xp.polygamma(x, n), lambda dy: xp.xmuly(dy, xp.polygamma(x, n + 1))


@composite
def digamma(xp, x, /):
    """y = ψ(x) = d/dx log Γ(x) = Γʹ(x)/Γ(x);   dx = dy·ψʹ(x).

    >>> minidl.digamma(minidl.tensor([1.0, 2.0]))  # ψ(x + 1) = ψ(x) + 1/x
    Tensor([-0.5772157 ,  0.42278433], float32)
    """
    return xp.polygamma(x, 0)


@composite
def sinc(xp, x, /):
    """y = sin(πx) / (πx), and 1 at 0.

    Near 0 it is computed from its series, so that no derivative divides by 0.

    >>> minidl.sinc(minidl.tensor([0.0, 0.5]))
    Tensor([1.        , 0.63661975], float32)
    """
    z = math.pi * x
    near = xp.abs(z) < 0.1
    square, series = xp.where(near, z * z, 0), 1
    for k in (12, 10, 8, 6, 4, 2):  # 1 − z²/(2·3)·(1 − z²/(4·5)·(…)): what follows is below 1e-18
        series = 1 - square / (k * (k + 1)) * series
    away = xp.where(near, 1, z)
    return xp.where(near, series, xp.sin(away) / away)


@composite
def logit(xp, x, /, eps=None):
    """y = log(x / (1 − x)), the inverse of sigmoid: ∓∞ at 0 and 1, NaN beyond.

    eps    at most 1/2: x is clipped to [eps, 1 − eps] first, where its gradient ends

    >>> minidl.logit(minidl.tensor([0.5, 0.9, 1.0]))
    Tensor([0.       , 2.1972244,       inf], float32)
    >>> minidl.logit(minidl.tensor([0.5, 0.9, 1.0]), eps=0.1)
    Tensor([0.       , 2.1972244, 2.1972244], float32)
    """
    if eps is not None:
        check_numbers("logit", 0, 0.5, eps=eps)
        x = xp.clip(x, eps, 1 - eps)
    return _log_odds(x)


@primitive(ORDERED_REAL)
def _log_odds(xp, x, /):
    """y = log(x / (1 − x));   dx = dy / (x·(1 − x)).

    Around 1/2, where the logarithm cancels, it is 2·atanh(2x − 1).
    """
    from_half = 2 * x - 1
    middle = xp.abs(from_half) < 0.5
    near = 2 * xp.atanh(xp.where(middle, from_half, 0))
    y = xp.where(middle, near, xp.log(xp.divide(x, 1 - x)))
    return y, lambda dy: xp.xdivy(dy, x * (1 - x))
