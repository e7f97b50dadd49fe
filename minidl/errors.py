"""The errors of minidl.

Each names the operation, says what it was given and what it needs, and, where that helps,
how to mend it.  Each is also the built-in exception that a Python or NumPy user would expect,
so `except ValueError` catches a wrong shape.
"""

from collections.abc import Iterable
from typing import Any


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


class DeviceError(MinidlError, RuntimeError):
    """An unknown device, or arrays of several devices in one operation."""


class GradientError(MinidlError, RuntimeError):
    """A derivative that cannot be given, or would be wrong."""


class AnomalyError(MinidlError, FloatingPointError):
    """A NaN or an infinity that an operation or its pullback made, under `detect_anomaly`."""


def describe(value: Any) -> str:
    """A few words about an argument for an error message: `float32 (3, 4)`, `2.0`, `str 'a'`."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, bool | int | float | complex | None):
        return repr(value)
    return f"{type(value).__name__} {value!r:.60}"


def explain(name: str, inputs: Iterable[Any], error: Exception) -> MinidlError:
    """The minidl error for what an array library raised inside the operation `name`."""
    # NumPy's AxisError is both a ValueError and an IndexError: it speaks of shapes.
    message = str(error)
    about_shape = any(word in message for word in ("shape", "axis", "axes", "dimension", "size"))
    kind = (
        ShapeError
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
