"""Axes: which ones an argument names, and how reduced ones are restored."""

from minidl.checks import is_integer
from minidl.errors import AxisError, DTypeError, ShapeError, describe


def one_axis(x, axis):
    """The axis, counted from the front; it may be left out if x has only one."""
    if axis is None and x.ndim != 1:
        raise AxisError(f"say which axis; got shape {x.shape}")
    axis = 0 if axis is None else axis
    if not hasattr(axis, "__index__"):
        raise DTypeError(f"an axis is an integer; got {describe(axis)}")
    if not -x.ndim <= axis < x.ndim:
        raise AxisError(f"axis {axis} is not one of shape {x.shape}")
    return int(axis) % x.ndim


def checked_axis(name, x, axis):
    """The axis, counted from the front; ShapeError unless it is one of x."""
    if not is_integer(axis) or not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis!r} is not one of shape {x.shape}")
    return axis % x.ndim


def axes_of(axis, ndim):
    """The axes of a reduction: one, several, or all."""
    return range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis


def restore_axes(xp, y, axis, keepdims, ndim):
    """A reduced result with the reduced axes restored, to broadcast against the input."""
    return y if keepdims else xp.expand_dims(y, axis=tuple(axes_of(axis, ndim)))


def along(axis, start, stop=None):
    """The index of x[start:stop] along one axis."""
    return (slice(None),) * axis + (slice(start, stop),)
