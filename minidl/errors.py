"""Exceptions, and the functions that word their messages.

A message names the operation, says what it got and what it needs, and, where that helps, how to fix
it.  Each exception is also the built-in one that a Python or NumPy user would expect, so that
`except ValueError` catches a wrong shape.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


class MinidlError(Exception):
    """The base of every error that minidl raises itself."""


class ShapeError(MinidlError, ValueError):
    """Shapes, axes or sizes do not fit together."""


class ArgumentError(MinidlError, ValueError):
    """A setting for which the operation is not defined."""


class DTypeError(MinidlError, TypeError):
    """A dtype, or a kind of value, for which the operation is not defined."""


class BoundsError(MinidlError, IndexError):
    """An index out of range for its axis."""


class AxisError(ShapeError, BoundsError):
    """An axis that the tensor does not have; a ValueError and an IndexError, as NumPy's is."""


class DeviceError(MinidlError, RuntimeError):
    """An unknown device, or arrays of several devices in one operation."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device without the memory that was asked for."""


class GradientError(MinidlError, RuntimeError):
    """A derivative that cannot be computed, or would be wrong."""


class InterchangeError(MinidlError, BufferError):
    """Memory that cannot be shared with another library, or not without a copy."""


class ProtocolError(DTypeError, AttributeError):
    """A value that lacks the protocol by which libraries exchange arrays."""


class AnomalyError(MinidlError, FloatingPointError):
    """A NaN or an infinity that an operation or a pullback produced, under `detect_anomaly`."""


class MinidlWarning(UserWarning):
    """What works, but perhaps otherwise than the program that is told expects."""


def describe(value: Any) -> str:
    """An argument in an error message: `float32 (3, 4)`, `2.0`, `str 'a'`, `tuple (bool (2,))`."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        symbolic = None in tuple(value.shape)  # a length that is not known yet
        return repr(value) if symbolic else f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, bool | int | float | complex | None):
        return repr(value)
    shown = _items(value) if _has_arrays(value) else repr(value)
    return f"{type(value).__name__} {shown:.60}"


def _has_arrays(value: Any) -> bool:
    """Whether it is a tuple or list with arrays in it, whose numbers would say little."""
    return isinstance(value, tuple | list) and any(getattr(x, "shape", ()) for x in value[:9])


def _items(value: tuple[Any, ...] | list[Any]) -> str:
    """What the first items of a tuple or list are."""
    items = ", ".join(map(describe, value[:9]))
    return f"({items})" if isinstance(value, tuple) else f"[{items}]"


# What array libraries raise, and Python where a number was passed instead of an array.
EXPLAINED = ValueError, TypeError, IndexError, OverflowError, AttributeError


def explain(name: str, inputs: Iterable[Any], error: Exception) -> MinidlError:
    """The error of minidl to raise instead of one that occurred inside the operation `name`."""
    if isinstance(error, MinidlError):
        return error if str(error).startswith(name) else type(error)(f"{name}: {error}")
    message = str(error)
    about_shape = any(word in message for word in ("shape", "axis", "axes", "dimension", "size"))
    kind = (
        AxisError
        if isinstance(error, ValueError) and isinstance(error, IndexError)
        else ShapeError
        if isinstance(error, ValueError) and about_shape
        else BoundsError
        if isinstance(error, IndexError)
        else DTypeError
        if isinstance(error, TypeError | AttributeError)
        else ArgumentError
    )
    cause = "the shapes do not broadcast" if "broadcast" in message else message
    if isinstance(error, AttributeError):
        cause = "needs arrays where numbers or nothing were given"
    return kind(f"{name}({', '.join(map(describe, inputs))}): {cause}")


def raise_explained(name: str, inputs: Iterable[Any], error: Exception) -> NoReturn:
    """Raise what `explain` gives, from the error; an error that is right already, as it is.

    It must not become its own cause: whoever follows causes to the first one would never end.  Nor
    may it stay in a variable here: its traceback refers to this frame, and a cycle of references
    would keep the inputs alive.
    """
    explained = explain(name, inputs, error)
    try:
        if explained is error:
            raise error
        raise explained from error
    finally:
        del explained, error


_PYTORCH = {"dim": "axis", "keepdim": "keepdims", "diagonal": "k"}  # arguments, and what they are


def check_arguments(
    called: str, signature: inspect.Signature, given: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    """Raise Python's TypeError if an argument is missing, unknown or given twice.

    called    what was called, for the error
    """
    try:
        signature.bind(*given, **settings)
    except TypeError as error:
        own = signature.parameters
        pairs = [(x, y) for x, y in _PYTORCH.items() if x in settings.keys() - own and y in own]
        hints = "".join(f"; PyTorch's {theirs} is {ours}" for theirs, ours in pairs)
        raise TypeError(f"{called}: {error}{hints}") from None


def named(function: Callable[P, Result]) -> Callable[P, Result]:
    """Decorate a function so that its errors name it, as those of operations do."""
    signature, name = inspect.signature(function), function.__name__.strip("_")

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except (MinidlError, *EXPLAINED) as error:
            check_arguments(name, signature, args, kwargs)
            raise_explained(name, args, error)

    return checked


def takes_one_shape(function: Callable[P, Result]) -> Callable[P, Result]:
    """Decorate a function of a shape whose other arguments have names; its errors name it.

    PyTorch's take each length as an argument: `zeros(2, 3)` is shown to be `zeros((2, 3))`.
    """
    checked, keywords = named(function), inspect.getfullargspec(function).kwonlyargs

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> Result:
        if len(args) > 1:
            name, given = function.__name__, ", ".join(f"{x!r:.60}" for x in args)
            shape = f", {name}(({given}))" if all(isinstance(n, int) for n in args) else ""
            raise DTypeError(
                f"{name}({given}): takes one shape{shape}, and all else by name: "
                f"{', '.join(keywords)}"
            )
        return checked(*args, **kwargs)

    return called


_told: set[Any] = set()


def warn_once(key: Any, message: str) -> None:
    """Warn, once in a process for each key, the line outside minidl that led here.

    A warning that is made an error does not count: the next call raises it again.
    """
    if key in _told:
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "minidl":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, MinidlWarning, stacklevel=level)
    _told.add(key)


def iter_of(name: str, needs: str, value: Any) -> Iterator[Any]:
    """The iterator of an iterable; DTypeError for any other value."""
    try:
        return iter(value)
    except TypeError:
        raise DTypeError(f"{name}: needs {needs}; got {describe(value)}") from None


def listed(name: str, needs: str, value: Any) -> list[Any]:
    """The items of an iterable as a list; DTypeError for any other value."""
    return list(iter_of(name, needs, value))


def path_of(name: str, path: Any) -> Path:
    """A path; DTypeError for any other value."""
    if not isinstance(path, str | os.PathLike):
        raise DTypeError(f"{name}: a path is a str or a Path; got {describe(path)}")
    return Path(path)
