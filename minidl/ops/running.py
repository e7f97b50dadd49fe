"""Running extremes and running sums of exponentials, beside cumulative_sum and cumulative_prod.

All are parallel scans (Blelloch 1990): after s steps, each place has met the 2ˢ behind it.
"""

from minidl.autograd.primitive import composite
from minidl.ops.axes import one_axis
from minidl.ops.manipulation import concat
from minidl.ops.statistics import _along

__all__ = ["cumulative_logsumexp", "cumulative_max", "cumulative_min"]


@composite(constants=(1,), outputs=2)
def cumulative_max(xp, x, /, *, axis=None):
    """y_i = the largest of x₀ … x_i, and its index, of equals the last: (values, indices).

    From the first NaN on, y is NaN.  dy goes to the element of that index.  The axis may be left
    out if there is only one.

    >>> minidl.cumulative_max(minidl.tensor([1.0, 3.0, 2.0]))
    (Tensor([1., 3., 3.], float32), Tensor([0, 1, 1], int64))
    """
    return _extremes(xp, x, one_axis(x, axis), xp.greater_equal)


@composite(constants=(1,), outputs=2)
def cumulative_min(xp, x, /, *, axis=None):
    """y_i = the smallest of x₀ … x_i, and its index, of equals the last: (values, indices).

    From the first NaN on, y is NaN.  dy goes to the element of that index.  The axis may be left
    out if there is only one.

    >>> minidl.cumulative_min(minidl.tensor([2.0, 1.0, 3.0]))
    (Tensor([2., 1., 1.], float32), Tensor([0, 1, 1], int64))
    """
    return _extremes(xp, x, one_axis(x, axis), xp.less_equal)


def _extremes(xp, x, axis, replaces):
    """What none of the elements up to it replaces, for each place of the axis."""
    length = x.shape[axis]
    indices = xp.cumulative_sum(xp.ones_like(x, dtype="int64"), axis=axis) - 1
    values, step = x.detach(), 1
    while step < length:
        early, late = _along(axis, 0, length - step), _along(axis, step)
        new, old = values[late], values[early]
        wins = xp.logical_or(replaces(new, old), new != new)
        wins = xp.logical_and(wins, xp.logical_or(old == old, new != new))
        indices, values = (
            concat([x[_along(axis, 0, step)], xp.where(wins, x[late], x[early])], axis=axis)
            for x in (indices, values)
        )
        step *= 2
    return xp.take_along_axis(x, indices, axis=axis), indices


@composite
def cumulative_logsumexp(xp, x, /, *, axis=None):
    """y_i = log(e^x₀ + … + e^x_i), without overflow, along the axis, or the only one.

    >>> minidl.cumulative_logsumexp(minidl.tensor([0.0, 0.0, 1000.0]))
    Tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], float32)
    """
    axis = one_axis(x, axis)
    length, step = x.shape[axis], 1
    while step < length:
        met = xp.logaddexp(x[_along(axis, step)], x[_along(axis, 0, length - step)])
        x = concat([x[_along(axis, 0, step)], met], axis=axis)
        step *= 2
    return x
