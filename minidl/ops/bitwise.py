"""The bits of integers; on bools, the same names mean logic."""

from functools import wraps

from minidl.autograd.primitive import primitive
from minidl.dtypes import ANY
from minidl.errors import DTypeError, describe


def _of_integers(*kinds):
    """Make an operation of inputs that are all of one of these kinds, and nothing else.

    They are looked at before they become one dtype: a bool with an integer is a slip more often
    than it is meant, and a float has no bits to speak of.
    """

    def decorate(body):
        operation = primitive(ANY)(body)
        needs = " or ".join({"b": "bools", "iu": "integers"}[kind] for kind in kinds)

        @wraps(body)
        def checked(*inputs):
            if not any(all(_kind(x) in kind for x in inputs) for kind in kinds):
                raise DTypeError(
                    f"{operation.__name__}({', '.join(map(describe, inputs))}): needs {needs} "
                    "alone; compare first (x != 0), or astype"
                )
            return operation(*inputs)

        checked.__signature__ = operation.__signature__
        return checked

    return decorate


def _kind(x):
    """b, i, u, f or c; of what has no dtype and is no number, a letter that nothing allows."""
    letters = {bool: "b", int: "i", float: "f", complex: "c"}
    return x.dtype.kind if hasattr(x, "dtype") else letters.get(type(x), "?")


@_of_integers("b", "iu")
def bitwise_and(xp, x1, x2, /):
    """The bits that are 1 in both."""
    return xp.bitwise_and(x1, x2), None


@_of_integers("b", "iu")
def bitwise_or(xp, x1, x2, /):
    """The bits that are 1 in at least one."""
    return xp.bitwise_or(x1, x2), None


@_of_integers("b", "iu")
def bitwise_xor(xp, x1, x2, /):
    """The bits that are 1 in exactly one."""
    return xp.bitwise_xor(x1, x2), None


@_of_integers("b", "iu")
def bitwise_invert(xp, x, /):
    """Every bit turned round: −x − 1 of signed integers."""
    return xp.bitwise_invert(x), None


@_of_integers("iu")
def bitwise_left_shift(xp, x1, x2, /):
    """x₁·2^x₂, without the bits that are shifted out; x₂ ≥ 0."""
    return xp.bitwise_left_shift(x1, x2), None


@_of_integers("iu")
def bitwise_right_shift(xp, x1, x2, /):
    """⌊x₁ / 2^x₂⌋, with the sign of x₁; x₂ ≥ 0."""
    return xp.bitwise_right_shift(x1, x2), None
