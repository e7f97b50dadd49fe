"""Elementwise comparisons and logic: results are bools, which have no derivative.

NaN equals nothing, itself included, and is neither less nor greater than anything.  Complex numbers
have no order: `less` and its kin refuse them.  To `logical_and` and its kin a number is true unless
it is 0.
"""

import builtins
from typing import Any

from minidl.autograd.primitive import primitive
from minidl.checks import check_flags, check_numbers
from minidl.dtypes import ANY, NUMBER, ORDERED, complex128, float64, uint64
from minidl.errors import named
from minidl.ops.creation import asarray
from minidl.ops.reduction import all


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


@primitive(ANY)
def isclose(xp, x1, x2, /, *, rtol=1e-5, atol=1e-8, equal_nan=False):
    """|x₁ − x₂| ≤ atol + rtol·|x₂|, where ∞ is close to itself alone.

    It is computed in float64, of integers with their exact differences.

    equal_nan    whether NaN is close to NaN

    >>> minidl.isclose(minidl.tensor([1.0, 1.0, float("inf")]), minidl.tensor([1.1, 1.000001, 2.0]))
    Tensor([False,  True, False], bool)
    """
    check_numbers("isclose", 0, rtol=rtol, atol=atol)
    check_flags("isclose", equal_nan=equal_nan)
    same = x1 == x2
    first, second = xp.where(same, x1, x1), xp.where(same, x2, x2)  # arrays, of Python numbers too
    if first.dtype.kind in "biu":
        larger, smaller = (
            xp.astype(pick(first, second), uint64) for pick in (xp.maximum, xp.minimum)
        )
        near = xp.astype(larger - smaller, float64) <= atol + rtol * xp.abs(
            xp.astype(second, float64)
        )
    else:
        near = _near(xp, first, second, rtol, atol)
    close = xp.logical_or(same, near)
    if equal_nan:
        close = xp.logical_or(close, xp.logical_and(first != first, second != second))
    return close, None


def _near(xp, x1, x2, rtol, atol):
    """Where floats or complex numbers are close, and finite."""
    finite = xp.logical_and(xp.isfinite(x1), xp.isfinite(x2))
    wide = complex128 if x1.dtype.kind == "c" else float64
    x1, x2 = (xp.astype(xp.where(finite, x, 0), wide) for x in (x1, x2))
    factor = max(rtol, 1.0)  # scaling keeps what it multiplies from overflowing
    is_large = xp.maximum(xp.abs(x1), xp.abs(x2)) > 1e300 / factor
    scale = xp.where(is_large, 0.25 / factor, 1.0)
    tolerance = atol * scale + xp.abs(x2) * scale * rtol
    return xp.logical_and(xp.abs(x1 * scale - x2 * scale) <= tolerance, finite)


@named
def allclose(
    x1: Any, x2: Any, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> builtins.bool:
    """Whether all x₁ are close to x₂, as in `isclose`: True or False.

    >>> minidl.allclose(minidl.tensor([0.1, 0.2]), minidl.tensor([0.1, 0.2000001]))
    True
    """
    close = isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)
    return builtins.bool(all(close))


@named
def array_equal(x1: Any, x2: Any, /, *, equal_nan: bool = False) -> builtins.bool:
    """Whether x₁ and x₂ have the same shape and equal elements, True or False: `torch.equal`.

    equal_nan    whether NaN is equal to NaN

    >>> x = minidl.tensor([1.0, float("nan")])
    >>> minidl.array_equal(x, x), minidl.array_equal(x, x, equal_nan=True)
    (False, True)
    """
    x1, x2 = asarray(x1), asarray(x2)
    check_flags("array_equal", equal_nan=equal_nan)
    if x1.shape != x2.shape:
        return False
    same = equal(x1, x2)
    if equal_nan:
        same = logical_or(same, logical_and(not_equal(x1, x1), not_equal(x2, x2)))
    return builtins.bool(all(same))
