"""Bitwise operations on integers, and logic on bools."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor
from minidl.dtypes import ANY
from minidl.errors import ArgumentError, DTypeError, describe


def _of_integers(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Make an operation whose inputs must all be of one of these kinds.

    They are checked before promotion: a bool with an integer is usually a mistake, and the bits of
    a float have no meaning here.
    """

    def decorate(body: Callable[..., Any]) -> Callable[..., Tensor]:
        operation: Any = primitive(ANY)(body)
        needs = " or ".join({"b": "bools", "iu": "integers"}[kind] for kind in kinds)

        @wraps(body)
        def checked(*inputs: Any) -> Tensor:
            if not any(all(_kind(x) in kind for x in inputs) for kind in kinds):
                raise DTypeError(
                    f"{operation.__name__}({', '.join(map(describe, inputs))}): needs {needs} "
                    "alone; compare first (x != 0), or astype"
                )
            return operation(*inputs)

        checked.__signature__ = operation.__signature__  # type: ignore[attr-defined]
        return checked

    return decorate


def _kind(x):
    """The kind b, i, u, f or c; "?" for anything without a dtype that is not a number."""
    letters = {bool: "b", int: "i", float: "f", complex: "c"}
    return x.dtype.kind if hasattr(x, "dtype") else letters.get(type(x), "?")


def _check_shift(xp, by):
    """Raise for a negative shift."""
    if xp.any(by < 0, axis=None):
        raise ArgumentError("needs a shift ≥ 0; shift the other way")


@_of_integers("b", "iu")
def bitwise_and(xp, x1, x2, /):
    """The bits that are 1 in both; of bools: whether both hold.  DTypeError for other kinds.

    >>> minidl.bitwise_and(minidl.tensor([12, 10]), 6)
    Tensor([4, 2], int64)
    """
    return xp.bitwise_and(x1, x2), None


@_of_integers("b", "iu")
def bitwise_or(xp, x1, x2, /):
    """The bits that are 1 in at least one; of bools: whether one holds.

    >>> minidl.bitwise_or(minidl.tensor([12, 10]), 6)
    Tensor([14, 14], int64)
    """
    return xp.bitwise_or(x1, x2), None


@_of_integers("b", "iu")
def bitwise_xor(xp, x1, x2, /):
    """The bits that are 1 in exactly one; of bools: whether they differ.

    >>> minidl.bitwise_xor(minidl.tensor([12, 10]), 6)
    Tensor([10, 12], int64)
    """
    return xp.bitwise_xor(x1, x2), None


@_of_integers("b", "iu")
def bitwise_invert(xp, x, /):
    """Every bit inverted: −x − 1 for signed integers; for bools, not.

    >>> minidl.bitwise_invert(minidl.tensor([0, 5]))
    Tensor([-1, -6], int64)
    """
    return xp.bitwise_invert(x), None


@_of_integers("iu")
def bitwise_left_shift(xp, x1, x2, /):
    """x₁·2^x₂, without the bits that are shifted out; ArgumentError unless x₂ ≥ 0.

    >>> minidl.bitwise_left_shift(minidl.tensor([1, 3]), 4)
    Tensor([16, 48], int64)
    """
    _check_shift(xp, x2)
    return xp.bitwise_left_shift(x1, x2), None


@_of_integers("iu")
def bitwise_right_shift(xp, x1, x2, /):
    """⌊x₁ / 2^x₂⌋, with the sign of x₁; ArgumentError unless x₂ ≥ 0.

    >>> minidl.bitwise_right_shift(minidl.tensor([19, -19]), 2)
    Tensor([ 4, -5], int64)
    """
    _check_shift(xp, x2)
    return xp.bitwise_right_shift(x1, x2), None
