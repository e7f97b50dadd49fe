"""Functions of each element by itself: powers, exponentials, trigonometry, extremes, rounding.

`dy` is the gradient of the result y, `dx` that of the argument; where two arguments meet, z is the
result.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, NUMBER, ORDERED_NUMBER

# Powers, exponentials, trigonometry.


@primitive(of_complex=True)
def sqrt(xp, x, /):
    """y = √x;   dx = dy / 2y, and 0 where dy is 0, even at x = 0.

    >>> minidl.sqrt(minidl.tensor([4.0, 2.0, -1.0]))
    Tensor([2.       , 1.4142...,       nan], float32)
    >>> minidl.grad(lambda x: minidl.where(x > 0, minidl.sqrt(x), 0))(minidl.tensor(0.0))
    Tensor(0., float32)
    """
    y = xp.sqrt(x)
    return y, lambda dy: xp.xdivy(dy, 2 * y)


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
def sin(xp, x, /):
    """y = sin x;   dx = dy·cos x.

    >>> minidl.sin(minidl.tensor([0.0, minidl.pi / 6]))
    Tensor([0. , 0.5], float32)
    >>> minidl.grad(minidl.sin)(minidl.tensor(0.0))
    Tensor(1., float32)
    """
    return xp.sin(x), lambda dy: dy * xp.cos(x)


@primitive(of_complex=True)
def cos(xp, x, /):
    """y = cos x;   dx = −dy·sin x.

    >>> minidl.cos(minidl.tensor([0.0, minidl.pi]))
    Tensor([ 1., -1.], float32)
    >>> minidl.grad(minidl.grad(minidl.cos))(minidl.tensor(0.0))
    Tensor(-1., float32)
    """
    return xp.cos(x), lambda dy: -dy * xp.sin(x)


@primitive(of_complex=True)
def tan(xp, x, /):
    """y = tan x;   dx = dy·(1 + y²).

    >>> minidl.tan(minidl.tensor([0.0, minidl.pi / 4]))
    Tensor([0., 1.], float32)
    """
    y = xp.tan(x)
    return y, lambda dy: dy * (1 + y * y)


@primitive(of_complex=True)
def asin(xp, x, /):
    """y = arcsin x;   dx = dy / √(1 − x²).

    >>> minidl.asin(minidl.tensor([0.0, 1.0, 2.0]))
    Tensor([0.       , 1.5707...,       nan], float32)
    """
    return xp.asin(x), lambda dy: xp.xdivy(dy, xp.sqrt(1 - x * x))


@primitive(of_complex=True)
def acos(xp, x, /):
    """y = arccos x;   dx = −dy / √(1 − x²).

    >>> minidl.acos(minidl.tensor([1.0, 0.0, -1.0]))
    Tensor([0.       , 1.5707..., 3.1415...], float32)
    """
    return xp.acos(x), lambda dy: -xp.xdivy(dy, xp.sqrt(1 - x * x))


@primitive(of_complex=True)
def atan(xp, x, /):
    """y = arctan x;   dx = dy / (1 + x²).

    >>> minidl.atan(minidl.tensor([0.0, 1.0, float("inf")]))
    Tensor([0.       , 0.78539..., 1.5707...], float32)
    """
    return xp.atan(x), lambda dy: dy / (1 + x * x)


@primitive(of_complex=True)
def sinh(xp, x, /):
    """y = sinh x;   dx = dy·cosh x.

    >>> minidl.sinh(minidl.tensor([0.0, 1.0]))
    Tensor([0.       , 1.1752...], float32)
    """
    return xp.sinh(x), lambda dy: dy * xp.cosh(x)


@primitive(of_complex=True)
def cosh(xp, x, /):
    """y = cosh x;   dx = dy·sinh x.

    >>> minidl.cosh(minidl.tensor([0.0, 1.0]))
    Tensor([1.       , 1.5430...], float32)
    """
    return xp.cosh(x), lambda dy: dy * xp.sinh(x)


@primitive(of_complex=True)
def tanh(xp, x, /):
    """y = tanh x;   dx = dy·(1 − y²).

    >>> minidl.tanh(minidl.tensor([-100.0, 0.0, 0.5]))
    Tensor([-1.       ,  0.       ,  0.46211...], float32)
    """
    y = xp.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


@primitive
def erf(xp, x, /):
    """y = 2/√π ∫₀ˣ exp(−t²) dt;   dx = dy · 2/√π · exp(−x²).

    >>> minidl.erf(minidl.tensor([0.0, 0.5, 10.0]))
    Tensor([0.       , 0.52049..., 1.       ], float32)
    """
    return xp.erf(x), lambda dy: dy * (2 / math.sqrt(math.pi)) * xp.exp(-x * x)


# The larger, the smaller, the chosen.


@primitive(ORDERED_NUMBER)
def maximum(xp, x1, x2, /):
    """z = max(x₁, x₂);   dz goes to the larger, half to each of equals.  NaN if one is.

    >>> minidl.maximum(minidl.tensor([1.0, 5.0]), 3)
    Tensor([3., 5.], float32)
    >>> minidl.grad(lambda x: minidl.maximum(x, 3))(minidl.tensor(3.0))  # a tie
    Tensor(0.5, float32)
    """

    def share(dz, mine, other):
        return xp.where(mine > other, dz, xp.where(mine == other, dz / 2, 0))

    return xp.maximum(x1, x2), (lambda dz: share(dz, x1, x2), lambda dz: share(dz, x2, x1))


@primitive(ORDERED_NUMBER)
def minimum(xp, x1, x2, /):
    """z = min(x₁, x₂);   dz goes to the smaller, half to each of equals.  NaN if one is.

    >>> minidl.minimum(minidl.tensor([1.0, 5.0, float("nan")]), 3)
    Tensor([ 1.,  3., nan], float32)
    """

    def share(dz, mine, other):
        return xp.where(mine < other, dz, xp.where(mine == other, dz / 2, 0))

    return xp.minimum(x1, x2), (lambda dz: share(dz, x1, x2), lambda dz: share(dz, x2, x1))


@primitive(ANY, keep_dtype=(0,), of_complex=True)
def where(xp, condition, x1, x2, /):
    """z = x₁ where the condition holds, else x₂;   dz goes to the one chosen.

    >>> x = minidl.tensor([-1.0, 4.0])
    >>> minidl.where(x > 0, minidl.sqrt(x), 0)
    Tensor([0., 2.], float32)
    """
    pullbacks = (
        None,
        lambda dz: xp.where(condition, dz, 0),
        lambda dz: xp.where(condition, 0, dz),
    )
    return xp.where(condition, x1, x2), pullbacks


@composite
def clip(xp, x, /, min=None, max=None):
    """x, but no less than `min` and no more than `max`;   dx = dy inside, bounds included.

    >>> minidl.clip(minidl.tensor([-2.0, 0.5, 7.0]), 0, 1)
    Tensor([0. , 0.5, 1. ], float32)
    >>> minidl.clip(minidl.tensor([-2, 7]), max=minidl.tensor([0, 9]))
    Tensor([-2,  7], int64)
    """
    below = False if min is None else x < min
    above = False if max is None else x > max
    low = x if min is None else xp.where(below, min, x)
    return low if max is None else xp.where(above, max, low)


# Rounding and signs: constants, since their derivative is 0 wherever they have one.


@primitive(NUMBER, of_complex=True)
def sign(xp, x, /):
    """−1, 0 or 1, a constant; of complex x, y = x/|x|, or 0;   dx = (dy − (dy·y²)*) / 2|x|.

    >>> minidl.sign(minidl.tensor([-2.5, 0.0, 3.0]))
    Tensor([-1.,  0.,  1.], float32)
    """
    y = xp.sign(x)
    if x.dtype.kind != "c":
        return y, None

    def dx(dy):
        turned = dy * y * y
        return xp.xdivy(dy - xp.conj(turned), 2 * xp.abs(x))

    return y, dx


@primitive(ORDERED_NUMBER)
def floor(xp, x, /):
    """The largest integer not above x.

    >>> minidl.floor(minidl.tensor([1.7, -1.2]))
    Tensor([ 1., -2.], float32)
    """
    return xp.floor(x), None


@primitive(ORDERED_NUMBER)
def ceil(xp, x, /):
    """The smallest integer not below x.

    >>> minidl.ceil(minidl.tensor([1.2, -1.7]))
    Tensor([ 2., -1.], float32)
    """
    return xp.ceil(x), None


@primitive(NUMBER)
def round(xp, x, /):
    """The nearest integer, halves to the even one.

    >>> minidl.round(minidl.tensor([0.5, 1.5, -2.6]))
    Tensor([ 0.,  2., -3.], float32)
    """
    return xp.round(x), None
