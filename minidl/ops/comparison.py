"""Elementwise comparisons and logic: results are bools, which have no derivative.

NaN equals nothing, itself included, and is neither less nor greater than anything.  Complex numbers
have no order: `less` and its kin refuse them.  To `logical_and` and its kin a number is true unless
it is 0.
"""

from minidl.autograd.primitive import primitive
from minidl.dtypes import ANY, NUMBER, ORDERED


@primitive(ANY)
def equal(xp, x1, x2, /):
    """x₁ = x₂.

    >>> minidl.equal(minidl.tensor([1.0, float("nan")]), minidl.tensor([1.0, float("nan")]))
    Tensor([ True, False], bool)
    """
    return x1 == x2, None


@primitive(ANY)
def not_equal(xp, x1, x2, /):
    """x₁ ≠ x₂.

    >>> minidl.not_equal(minidl.tensor([1, 2]), 2)
    Tensor([ True, False], bool)
    """
    return x1 != x2, None


@primitive(ORDERED)
def less(xp, x1, x2, /):
    """x₁ < x₂.

    >>> minidl.less(minidl.tensor([[1], [3]]), minidl.tensor([2, 4]))
    Tensor([[ True,  True],
            [False,  True]], shape=(2, 2), bool)
    """
    return x1 < x2, None


@primitive(ORDERED)
def less_equal(xp, x1, x2, /):
    """x₁ ≤ x₂.

    >>> minidl.less_equal(minidl.tensor([1, 2, 3]), 2)
    Tensor([ True,  True, False], bool)
    """
    return x1 <= x2, None


@primitive(ORDERED)
def greater(xp, x1, x2, /):
    """x₁ > x₂.

    >>> minidl.greater(minidl.tensor([1, 2, 3]), 2)
    Tensor([False, False,  True], bool)
    """
    return x1 > x2, None


@primitive(ORDERED)
def greater_equal(xp, x1, x2, /):
    """x₁ ≥ x₂.

    >>> minidl.greater_equal(minidl.tensor([1, 2, 3]), 2)
    Tensor([False,  True,  True], bool)
    """
    return x1 >= x2, None


@primitive(ANY)
def logical_and(xp, x1, x2, /):
    """Whether both are true.

    >>> minidl.logical_and(minidl.tensor([True, True]), minidl.tensor([True, False]))
    Tensor([ True, False], bool)
    """
    return xp.logical_and(x1, x2), None


@primitive(ANY)
def logical_or(xp, x1, x2, /):
    """Whether at least one is true.

    >>> minidl.logical_or(minidl.tensor([True, False]), minidl.tensor([False, False]))
    Tensor([ True, False], bool)
    """
    return xp.logical_or(x1, x2), None


@primitive(ANY)
def logical_xor(xp, x1, x2, /):
    """Whether exactly one is true.

    >>> minidl.logical_xor(minidl.tensor([True, True]), minidl.tensor([True, False]))
    Tensor([False,  True], bool)
    """
    return xp.logical_xor(x1, x2), None


@primitive(ANY)
def logical_not(xp, x, /):
    """Whether x is false.

    >>> minidl.logical_not(minidl.tensor([0.0, 2.0]))  # a number is true unless it is 0
    Tensor([ True, False], bool)
    """
    return xp.logical_not(x), None


@primitive(NUMBER)
def isfinite(xp, x, /):
    """Whether x is neither infinite nor NaN.

    >>> minidl.isfinite(minidl.tensor([1.0, float("inf"), float("nan")]))
    Tensor([ True, False, False], bool)
    """
    return xp.isfinite(x), None


@primitive(NUMBER)
def isinf(xp, x, /):
    """Whether x is +∞ or −∞.

    >>> minidl.isinf(minidl.tensor([1.0, float("-inf"), float("nan")]))
    Tensor([False,  True, False], bool)
    """
    return xp.isinf(x), None


@primitive(NUMBER)
def isnan(xp, x, /):
    """Whether x is not a number.

    >>> minidl.isnan(minidl.tensor([1.0, float("inf"), float("nan")]))
    Tensor([False, False,  True], bool)
    """
    return xp.isnan(x), None
