"""Which axis is meant."""

from minidl.errors import AxisError, DTypeError, describe


def one_axis(x, axis):
    """The axis to go along, counted from the front; it may be left out if there is only one."""
    if axis is None and x.ndim != 1:
        raise AxisError(f"say which axis; got shape {x.shape}")
    axis = 0 if axis is None else axis
    if not hasattr(axis, "__index__"):
        raise DTypeError(f"an axis is a whole number; got {describe(axis)}")
    if not -x.ndim <= axis < x.ndim:
        raise AxisError(f"axis {axis} is not one of shape {x.shape}")
    return int(axis) % x.ndim
