"""Checks of arguments: each raises an error that names the owner, the argument and its value.

The owner comes first, an object or the name of a function, then bounds, then the arguments by
name:

    check_numbers("leaky_relu", negative_slope=negative_slope)
    check_integers(self, 1, in_features=in_features, out_features=out_features)
"""

from collections.abc import Collection, Mapping
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, DTypeError, describe

_EACH_AXIS = {1: "", 2: ", or two", 3: ", or three"}


def is_integer(x: Any) -> bool:
    """Whether x is an integer, which True and False are not."""
    return type(x) is int or isinstance(x, Integral) and not isinstance(x, bool)


def is_real(x: Any) -> bool:
    """Whether x is a real number, which NaN, True and False are not."""
    return x == x if type(x) in (float, int) else _is_other_real(x)


def _is_other_real(x: Any) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool) and bool(x == x)


def check_integers(
    owner: Any, minimum: float = -inf, maximum: float = inf, /, **arguments: Any
) -> None:
    """Raise ArgumentError unless each is an integer from minimum to maximum."""
    for name, value in arguments.items():
        if not is_integer(value) or not minimum <= value <= maximum:
            raise refusal(owner, name, f"an integer{_range(minimum, maximum)}", value)


def check_numbers(
    owner: Any,
    minimum: float = -inf,
    maximum: float = inf,
    /,
    *,
    above: float | None = None,
    finite: bool = False,
    **arguments: Any,
) -> None:
    """Raise ArgumentError unless each is a real number from minimum to maximum.

    above     an excluded minimum
    finite    whether infinities are excluded
    """
    for name, value in arguments.items():
        fits = is_real(value) and minimum <= value <= maximum
        if not fits or (above is not None and value <= above) or (finite and abs(value) == inf):
            bounds = _range(minimum, maximum) if above is None else f" above {above}"
            raise refusal(owner, name, _number_in(bounds, finite), value)


def _number_in(bounds: str, finite: bool) -> str:
    """What check_numbers requires."""
    if finite:
        return f"a number{bounds}, and finite" if bounds else "a finite number"
    return f"a number{bounds}"


def _range(minimum: float, maximum: float) -> str:
    """The range in words: " ≥ 0", " from 0 to 1", " to 1", or nothing."""
    if maximum < inf:
        return f" from {minimum} to {maximum}" if minimum > -inf else f" to {maximum}"
    return f" ≥ {minimum}" if minimum > -inf else ""


def check_probability(owner: Any, /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is a probability."""
    for name, value in arguments.items():
        if not is_real(value) or not 0 <= value <= 1:
            raise refusal(owner, name, "a probability, a number from 0 to 1", value)


def check_interval(owner: Any, lower: Any, upper: Any, /) -> None:
    """Raise ArgumentError unless lower ≤ upper, both finite."""
    if not (is_real(lower) and is_real(upper)) or not -inf < lower <= upper < inf:
        raise ArgumentError(
            f"{name_of(owner)}: needs finite lower ≤ upper; got {lower!r} and {upper!r}"
        )


def check_flags(owner: Any, /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool | np.bool_):
            raise ArgumentError(f"{name_of(owner)}: {name} is True or False; got {describe(value)}")


def check_choice(owner: Any, choices: Collection[str], /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is one of the words."""
    for name, value in arguments.items():
        if not isinstance(value, str) or value not in choices:
            words = ", ".join(f'"{word}"' for word in choices)
            raise refusal(owner, name, f"one of {words}" if len(choices) > 1 else words, value)


def check_instance(owner: Any, kind: type, /, **arguments: Any) -> None:
    """Raise DTypeError unless each is an instance of the class."""
    for name, value in arguments.items():
        if not isinstance(value, kind):
            raise DTypeError(
                f"{name_of(owner)}: {name} is a {kind.__name__}; got {describe(value)}"
            )


def check_axes(owner: Any, /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is the number of an axis, which may be negative."""
    for name, value in arguments.items():
        if not is_integer(value):
            raise refusal(owner, name, "the number of an axis", value)


def check_lengths(owner: Any, axes: int, minimum: int, /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is one length for all axes, or a sequence of one each."""
    for name, value in arguments.items():
        lengths(name_of(owner), name, value, minimum, axes)


def lengths(owner: str, argument: str, value: Any, minimum: int, axes: int) -> tuple[int, ...]:
    """One length for all axes, or a sequence of one each, as a tuple of one each."""
    each = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(each) != axes or not all(is_integer(n) and n >= minimum for n in each):
        raise ArgumentError(
            f"{owner}: {argument} is a number ≥ {minimum}{_EACH_AXIS[axes]}; got {value!r:.60}"
        )
    return tuple(int(n) for n in each)


def pair(owner: str, argument: str, value: Any, minimum: int) -> tuple[int, int]:
    """One length for both axes, or a sequence of two, as two."""
    first, second = lengths(owner, argument, value, minimum, 2)
    return first, second


def check_shape(owner: Any, minimum: int = 0, /, **arguments: Any) -> None:
    """Raise ArgumentError unless each is a length, or a sequence of at least one."""
    for name, value in arguments.items():
        axes = value if isinstance(value, tuple | list) else (value,)
        if not axes or not all(is_integer(n) and n >= minimum for n in axes):
            raise refusal(owner, name, f"an integer ≥ {minimum}, or several", value)


def chosen(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The arguments of these names, to be checked."""
    return {name: arguments[name] for name in names}


def name_of(owner: Any) -> str:
    """The name of the owner in errors: a function's name as it is given, else the class."""
    return owner if isinstance(owner, str) else type(owner).__name__


def refusal(owner: Any, argument: str, needs: str, value: Any) -> ArgumentError:
    """The error for an argument that is not what it has to be."""
    return ArgumentError(f"{name_of(owner)}: {argument} is {needs}; got {describe(value)}")
