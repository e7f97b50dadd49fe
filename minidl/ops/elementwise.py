"""Elementwise selection, signs and rounding.

Signs and rounding are constants, since their derivative is 0 wherever it is defined.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, NUMBER, ORDERED_NUMBER
from minidl.errors import ArgumentError, describe
from minidl.ops.dtype_functions import finfo


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


@composite
def fmax(xp, x1, x2, /):
    """z = max(x₁, x₂), and the other one where one is NaN;   dz goes where z comes from.

    >>> minidl.fmax(minidl.tensor([1.0, 5.0, float("nan")]), 3)
    Tensor([3., 5., 3.], float32)
    """
    return _number_of_two(xp, xp.maximum(x1, x2), x1, x2)


@composite
def fmin(xp, x1, x2, /):
    """z = min(x₁, x₂), and the other one where one is NaN;   dz goes where z comes from.

    >>> minidl.fmin(minidl.tensor([1.0, 5.0, float("nan")]), 3)
    Tensor([1., 3., 3.], float32)
    """
    return _number_of_two(xp, xp.minimum(x1, x2), x1, x2)


def _number_of_two(xp, z, x1, x2):
    """z, but x₂ where x₁ is NaN, and x₁ where x₂ is."""
    return xp.where(xp.not_equal(x1, x1), x2, xp.where(xp.not_equal(x2, x2), x1, z))


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


@composite
def nan_to_num(xp, x, /, nan=0.0, posinf=None, neginf=None):
    """x with NaN, ∞ and −∞ replaced by numbers;   dx = dy, and 0 there.

    posinf, neginf    default: the largest and the smallest number of the dtype

    >>> minidl.nan_to_num(minidl.tensor([float("nan"), float("inf"), 2.0]), posinf=9.0)
    Tensor([0., 9., 2.], float32)
    """
    for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if not isinstance(value, int | float | None):
            raise ArgumentError(f"nan_to_num: {name} is a number; got {describe(value)}")
    if x.dtype.kind != "f":
        return x
    largest = float(finfo(x.dtype).max)
    nan = 0.0 if nan is None else nan
    y = xp.where(xp.isnan(x), nan, x)
    y = xp.where(x == math.inf, largest if posinf is None else posinf, y)
    return xp.where(x == -math.inf, -largest if neginf is None else neginf, y)


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
        rotated = xp.xmuly(dy, y * y)
        return xp.xdivy(dy - xp.conj(rotated), 2 * xp.abs(x))

    return y, dx


@primitive
def signbit(xp, x, /):
    """Whether x is negative, −0.0 included.

    >>> minidl.signbit(minidl.tensor([-2.0, -0.0, 0.0]))
    Tensor([ True,  True, False], bool)
    """
    return xp.signbit(x), None


@primitive
def copysign(xp, x1, x2, /):
    """z = |x₁| with the sign of x₂, which may be that of a zero;   dx₁ = ±dz, and 0 at 0.

    >>> minidl.copysign(minidl.tensor([1.0, -2.0]), minidl.tensor([-0.0, 3.0]))
    Tensor([-1.,  2.], float32)
    """
    z = xp.copysign(x1, x2)
    return z, (lambda dz: xp.xmuly(dz, xp.sign(x1) * xp.sign(z)), None)


@primitive
def nextafter(xp, x1, x2, /):
    """The number of this dtype that comes after x₁ on the way to x₂.

    >>> minidl.nextafter(minidl.tensor(1.0), 2.0) - 1 == minidl.finfo("float32").eps
    Tensor(True, bool)
    """
    return xp.nextafter(x1, x2), None


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
def trunc(xp, x, /):
    """The integer next to x on the side of 0.

    >>> minidl.trunc(minidl.tensor([1.7, -1.7]))
    Tensor([ 1., -1.], float32)
    """
    return xp.trunc(x), None


@primitive(NUMBER)
def round(xp, x, /):
    """The nearest integer, halves to the even one.

    >>> minidl.round(minidl.tensor([0.5, 1.5, -2.6]))
    Tensor([ 0.,  2., -3.], float32)
    """
    return xp.round(x), None
