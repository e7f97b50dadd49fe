"""Functions of each element by itself, with broadcasting.

Every body states a function and its derivative.  `dy` is the gradient of the result, `dx` that of
the argument; where two arguments meet, z is the result.  The engine sums gradients over whatever
was broadcast, and gives them their input's dtype.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, NUMBER

# Arithmetic.


@primitive(NUMBER)
def add(xp, x1, x2, /):
    """z = x₁ + x₂;   dx₁ = dz,   dx₂ = dz."""
    return x1 + x2, (lambda dz: dz, lambda dz: dz)


@primitive(NUMBER)
def subtract(xp, x1, x2, /):
    """z = x₁ − x₂;   dx₁ = dz,   dx₂ = −dz."""
    return x1 - x2, (lambda dz: dz, lambda dz: -dz)


@primitive(NUMBER)
def multiply(xp, x1, x2, /):
    """z = x₁·x₂;   dx₁ = dz·x₂,   dx₂ = dz·x₁."""
    return x1 * x2, (lambda dz: dz * x2, lambda dz: dz * x1)


@primitive
def divide(xp, x1, x2, /):
    """z = x₁/x₂;   dx₁ = dz/x₂,   dx₂ = −dz·z/x₂.

    Where dz is 0, so is the gradient, even if x₂ is 0 there: masked quotients are safe.
    """
    z = xp.divide(x1, x2)
    return z, (lambda dz: xp.xdivy(dz, x2), lambda dz: -xp.xmuly(xp.xdivy(dz, x2), z))


@primitive(NUMBER)
def pow(xp, x1, x2, /):
    """z = x₁^x₂;   dx₁ = dz·x₂·x₁^(x₂−1),   dx₂ = dz·z·log x₁.

    At x₂ = 0, dx₁ is 0; at x₁ = 0 ≤ x₂, dx₂ is 0.
    """
    z = xp.pow(x1, x2)

    def dx2(dz):
        flat = xp.logical_and(x1 == 0, x2 >= 0)
        return xp.xlogy(xp.where(flat, 0, dz * z), x1)

    return z, (lambda dz: xp.xmuly(dz, x2 * xp.pow(x1, x2 - (x2 != 0))), dx2)


@primitive(NUMBER)
def negative(xp, x, /):
    """y = −x;   dx = −dy."""
    return -x, lambda dy: -dy


@primitive(NUMBER)
def floor_divide(xp, x1, x2, /):
    """z = ⌊x₁/x₂⌋, a constant."""
    return xp.floor_divide(x1, x2), None


@primitive(NUMBER)
def remainder(xp, x1, x2, /):
    """z = x₁ − x₂·⌊x₁/x₂⌋, of the sign of x₂;   dx₁ = dz,   dx₂ = −dz·⌊x₁/x₂⌋."""
    return xp.remainder(x1, x2), (lambda dz: dz, lambda dz: -dz * xp.floor_divide(x1, x2))


@primitive
def xdivy(xp, x1, x2, /):
    """z = x₁/x₂, and 0 where x₁ is 0;   dx₁ = dz/x₂,   dx₂ = −dz·z/x₂."""
    z = xp.xdivy(x1, x2)
    return z, (lambda dz: xp.xdivy(dz, x2), lambda dz: -xp.xmuly(xp.xdivy(dz, x2), z))


@primitive
def xmuly(xp, x1, x2, /):
    """z = x₁·x₂ with 0·∞ = 0;   dx₁ = dz·x₂,   dx₂ = dz·x₁."""
    return xp.xmuly(x1, x2), (lambda dz: xp.xmuly(dz, x2), lambda dz: xp.xmuly(dz, x1))


@primitive
def xlogy(xp, x1, x2, /):
    """z = x₁·log x₂, and 0 where x₁ is 0;   dx₁ = dz·log x₂,   dx₂ = dz·x₁/x₂.

    At x₁ = 0 = x₂ both are 0.
    """

    def dx1(dz):
        corner = xp.logical_and(x1 == 0, x2 == 0)
        return xp.xlogy(xp.where(corner, 0, dz), x2)

    return xp.xlogy(x1, x2), (dx1, lambda dz: xp.xdivy(xp.xmuly(dz, x1), x2))


@primitive(NUMBER)
def abs(xp, x, /):
    """y = |x|;   dx = dy·sign x, which is 0 at 0."""
    return xp.abs(x), lambda dy: dy * xp.sign(x)


@primitive(NUMBER)
def square(xp, x, /):
    """y = x²;   dx = 2x·dy."""
    return x * x, lambda dy: 2 * x * dy


# Powers, exponentials, trigonometry.


@primitive
def sqrt(xp, x, /):
    """y = √x;   dx = dy / 2y, and 0 where dy is 0, even at x = 0."""
    y = xp.sqrt(x)
    return y, lambda dy: xp.xdivy(dy, 2 * y)


@primitive
def exp(xp, x, /):
    """y = eˣ;   dx = dy·y."""
    y = xp.exp(x)
    return y, lambda dy: dy * y


@primitive
def expm1(xp, x, /):
    """y = eˣ − 1;   dx = dy·(y + 1)."""
    y = xp.expm1(x)
    return y, lambda dy: dy * (y + 1)


@primitive
def log(xp, x, /):
    """y = log x;   dx = dy/x, and 0 where dy is 0, even at x = 0."""
    return xp.log(x), lambda dy: xp.xdivy(dy, x)


@primitive
def log1p(xp, x, /):
    """y = log(1 + x);   dx = dy / (1 + x)."""
    return xp.log1p(x), lambda dy: xp.xdivy(dy, 1 + x)


@primitive
def sin(xp, x, /):
    """y = sin x;   dx = dy·cos x."""
    return xp.sin(x), lambda dy: dy * xp.cos(x)


@primitive
def cos(xp, x, /):
    """y = cos x;   dx = −dy·sin x."""
    return xp.cos(x), lambda dy: -dy * xp.sin(x)


@primitive
def tan(xp, x, /):
    """y = tan x;   dx = dy·(1 + y²)."""
    y = xp.tan(x)
    return y, lambda dy: dy * (1 + y * y)


@primitive
def asin(xp, x, /):
    """y = arcsin x;   dx = dy / √(1 − x²)."""
    return xp.asin(x), lambda dy: xp.xdivy(dy, xp.sqrt(1 - x * x))


@primitive
def acos(xp, x, /):
    """y = arccos x;   dx = −dy / √(1 − x²)."""
    return xp.acos(x), lambda dy: -xp.xdivy(dy, xp.sqrt(1 - x * x))


@primitive
def atan(xp, x, /):
    """y = arctan x;   dx = dy / (1 + x²)."""
    return xp.atan(x), lambda dy: dy / (1 + x * x)


@primitive
def sinh(xp, x, /):
    """y = sinh x;   dx = dy·cosh x."""
    return xp.sinh(x), lambda dy: dy * xp.cosh(x)


@primitive
def cosh(xp, x, /):
    """y = cosh x;   dx = dy·sinh x."""
    return xp.cosh(x), lambda dy: dy * xp.sinh(x)


@primitive
def tanh(xp, x, /):
    """y = tanh x;   dx = dy·(1 − y²)."""
    y = xp.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


@primitive
def erf(xp, x, /):
    """y = 2/√π ∫₀ˣ exp(−t²) dt;   dx = dy · 2/√π · exp(−x²)."""
    return xp.erf(x), lambda dy: dy * (2 / math.sqrt(math.pi)) * xp.exp(-x * x)


# The larger, the smaller, the chosen.


@primitive(NUMBER)
def maximum(xp, x1, x2, /):
    """z = max(x₁, x₂);   dz goes to the larger, half to each of equals."""

    def share(dz, mine, other):
        return xp.where(mine > other, dz, xp.where(mine == other, dz / 2, 0))

    return xp.maximum(x1, x2), (lambda dz: share(dz, x1, x2), lambda dz: share(dz, x2, x1))


@primitive(NUMBER)
def minimum(xp, x1, x2, /):
    """z = min(x₁, x₂);   dz goes to the smaller, half to each of equals."""

    def share(dz, mine, other):
        return xp.where(mine < other, dz, xp.where(mine == other, dz / 2, 0))

    return xp.minimum(x1, x2), (lambda dz: share(dz, x1, x2), lambda dz: share(dz, x2, x1))


@primitive(ANY, apart=(0,))
def where(xp, condition, x1, x2, /):
    """z = x₁ where the condition holds, else x₂;   dz goes to the one chosen."""
    pullbacks = (
        None,
        lambda dz: xp.where(condition, dz, 0),
        lambda dz: xp.where(condition, 0, dz),
    )
    return xp.where(condition, x1, x2), pullbacks


@composite
def clip(xp, x, /, min=None, max=None):
    """x, but no less than `min` and no more than `max`;   dx = dy inside, bounds included."""
    below = False if min is None else x < min
    above = False if max is None else x > max
    low = x if min is None else xp.where(below, min, x)
    return low if max is None else xp.where(above, max, low)


# Rounding and signs: constants, since their derivative is 0 wherever they have one.


@primitive(NUMBER)
def sign(xp, x, /):
    """−1, 0 or 1."""
    return xp.sign(x), None


@primitive(NUMBER)
def floor(xp, x, /):
    """The largest integer not above x."""
    return xp.floor(x), None


@primitive(NUMBER)
def ceil(xp, x, /):
    """The smallest integer not below x."""
    return xp.ceil(x), None


@primitive(NUMBER)
def round(xp, x, /):
    """The nearest integer, halves to the even one."""
    return xp.round(x), None


# Comparisons and logic: tensors of bools.


@primitive(ANY)
def equal(xp, x1, x2, /):
    """x₁ = x₂."""
    return x1 == x2, None


@primitive(ANY)
def not_equal(xp, x1, x2, /):
    """x₁ ≠ x₂."""
    return x1 != x2, None


@primitive(ANY)
def less(xp, x1, x2, /):
    """x₁ < x₂."""
    return x1 < x2, None


@primitive(ANY)
def less_equal(xp, x1, x2, /):
    """x₁ ≤ x₂."""
    return x1 <= x2, None


@primitive(ANY)
def greater(xp, x1, x2, /):
    """x₁ > x₂."""
    return x1 > x2, None


@primitive(ANY)
def greater_equal(xp, x1, x2, /):
    """x₁ ≥ x₂."""
    return x1 >= x2, None


@primitive(ANY)
def logical_and(xp, x1, x2, /):
    """Whether both are true."""
    return xp.logical_and(x1, x2), None


@primitive(ANY)
def logical_or(xp, x1, x2, /):
    """Whether at least one is true."""
    return xp.logical_or(x1, x2), None


@primitive(ANY)
def logical_xor(xp, x1, x2, /):
    """Whether exactly one is true."""
    return xp.logical_xor(x1, x2), None


@primitive(ANY)
def logical_not(xp, x, /):
    """Whether x is false."""
    return xp.logical_not(x), None


@primitive(NUMBER)
def isfinite(xp, x, /):
    """Whether x is neither infinite nor NaN."""
    return xp.isfinite(x), None


@primitive(NUMBER)
def isinf(xp, x, /):
    """Whether x is +∞ or −∞."""
    return xp.isinf(x), None


@primitive(NUMBER)
def isnan(xp, x, /):
    """Whether x is not a number."""
    return xp.isnan(x), None
