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
    """The axis, counted from the front; AxisError unless it is one of x."""
    if not is_integer(axis) or not -x.ndim <= axis < x.ndim:
        raise AxisError(f"{name}: axis {axis!r} is not one of shape {x.shape}")
    return axis % x.ndim


def axes_of(x, axis):
    """The axes of a reduction: one, several, or all; AxisError if one is not of x.

    A 0-d x has none, as in NumPy and in the array API standard.
    """
    if axis is None:
        return range(x.ndim)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    for i in axes:
        if not is_integer(i):
            raise DTypeError(f"an axis is an integer, several are a tuple; got {describe(axis)}")
        if not -x.ndim <= i < x.ndim:
            raise AxisError(f"axis {i} is not one of shape {x.shape}")
    return axes


def filled_axes(x, axis):
    """The axes of a reduction without a value for nothing; ShapeError if they are empty."""
    axes = axes_of(x, axis)
    if not x.size and 0 in [x.shape[i] for i in axes]:
        raise ShapeError(f"there are no numbers along axis {axis} of shape {x.shape}")
    return axes


def restore_axes(xp, y, axis, keepdims, ndim):
    """A reduced result with the reduced axes restored, to broadcast against the input."""
    if keepdims:
        return y
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    return xp.expand_dims(y, axis=tuple(axes))


def largest_of(xp, x, axis):
    """The maximum, keeping the axes, to subtract it before exp; 0 if x is empty."""
    return (xp.max if x.size else xp.sum)(x, axis=axis, keepdims=True)


def along(axis, start, stop=None):
    """The index of x[start:stop] along one axis."""
    return (slice(None),) * axis + (slice(start, stop),)
