"""The errors of minidl.

Each names the operation, says what it was given and what it needs, and, where that helps,
how to mend it.  Each is also the built-in exception that a Python or NumPy user would expect,
so `except ValueError` catches a wrong shape.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np


class MinidlError(Exception):
    """The base of every error that minidl raises itself."""


class ShapeError(MinidlError, ValueError):
    """Shapes, axes or sizes do not fit together."""


class ArgumentError(MinidlError, ValueError):
    """A setting outside what the operation is defined for."""


class DTypeError(MinidlError, TypeError):
    """A dtype, or a kind of value, that the operation is not defined for."""


class BoundsError(MinidlError, IndexError):
    """An index outside the axis that it points into."""


class AxisError(ShapeError, BoundsError):
    """An axis that the tensor does not have; NumPy's is a ValueError and an IndexError as well."""


class DeviceError(MinidlError, RuntimeError):
    """An unknown device, or arrays of several devices in one operation."""


class GradientError(MinidlError, RuntimeError):
    """A derivative that cannot be given, or would be wrong."""


class InterchangeError(MinidlError, BufferError):
    """Memory that one library cannot give to another, or not without a copy."""


class ProtocolError(DTypeError, AttributeError):
    """A value without the methods by which libraries exchange arrays."""


class AnomalyError(MinidlError, FloatingPointError):
    """A NaN or an infinity that an operation or its pullback made, under `detect_anomaly`."""


def describe(value: Any) -> str:
    """A few words about an argument for an error message: `float32 (3, 4)`, `2.0`, `str 'a'`."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, bool | int | float | complex | None):
        return repr(value)
    return f"{type(value).__name__} {value!r:.60}"


# What array libraries raise, and what Python does when a number stands where an array should.
EXPLAINED = ValueError, TypeError, IndexError, OverflowError, AttributeError


def explain(name: str, inputs: Iterable[Any], error: Exception) -> MinidlError:
    """The error to raise for what happened inside `name`: one of minidl's own, which names it."""
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


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose errors name it, as those of operations do, whatever it calls."""
    signature, name = inspect.signature(function), function.__name__.strip("_")

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (MinidlError, *EXPLAINED) as error:
            signature.bind(*args, **kwargs)  # a missing or unknown argument is Python's TypeError
            raise explain(name, args, error) from error

    return checked


def check_flags(prefix: str = "", /, **flags: Any) -> None:
    """Raise ArgumentError for a flag that is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise ArgumentError(f"{prefix}{name} is True or False; got {describe(value)}")


def check_kind(name: str, what: str, value: Any, kind: type) -> None:
    """Raise DTypeError for an argument that is no instance of a class."""
    if not isinstance(value, kind):
        raise DTypeError(f"{name}: {what} is a {kind.__name__}; got {describe(value)}")


def iter_of(name: str, needs: str, value: Any) -> Iterator[Any]:
    """The iterator of an iterable; DTypeError for what is none."""
    try:
        return iter(value)
    except TypeError:
        raise DTypeError(f"{name}: needs {needs}; got {describe(value)}") from None


def listed(name: str, needs: str, value: Any) -> list[Any]:
    """What an iterable gives, as a list; DTypeError for what is none."""
    return list(iter_of(name, needs, value))


def path_of(name: str, path: Any) -> Path:
    """A path; DTypeError for what is none."""
    if not isinstance(path, str | os.PathLike):
        raise DTypeError(f"{name}: a path is a str or a Path; got {describe(path)}")
    return Path(path)
