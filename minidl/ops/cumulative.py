"""Cumulative sums, products, extremes and log-sum-exps, and differences.

Factors may be 0: derivatives of products multiply the other factors, and never divide.  Cumulative
extremes and log-sum-exps are parallel scans (Blelloch 1990): after s steps, each element has been
combined with the 2ˢ − 1 before it.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags
from minidl.dtypes import ANY
from minidl.errors import ArgumentError
from minidl.ops.axes import along, one_axis
from minidl.ops.casting import cast, widest
from minidl.ops.manipulation import concat


def _prepend(xp, x, initial, axis):
    """x after a slice of `initial`."""
    first = xp.zeros_like(xp.sum(x, axis=axis, keepdims=True)) + initial
    return xp.concat([cast(xp, first, x.dtype), x], axis=axis)


@primitive(ANY, of_complex=True)
def cumulative_sum(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """y_i = x₀ + … + x_i;   dx_i = dy_i + dy_(i+1) + ….  Bools and integers give int64.

    include_initial    start with the empty sum, 0: one more element

    >>> minidl.cumulative_sum(minidl.tensor([1, 2, 3]))
    Tensor([1, 3, 6], int64)
    >>> minidl.cumulative_sum(minidl.tensor([1, 2, 3]), include_initial=True)
    Tensor([0, 1, 3, 6], int64)
    """
    axis = one_axis(x, axis)
    check_flags("cumulative_sum", include_initial=include_initial)
    y = cast(xp, xp.cumulative_sum(cast(xp, x, dtype), axis=axis), dtype)

    def dx(dy):
        dy = dy[along(axis, 1)] if include_initial else dy
        return xp.flip(xp.cumulative_sum(xp.flip(dy, axis=axis), axis=axis), axis=axis)

    return _prepend(xp, y, 0, axis) if include_initial else y, dx


@primitive(ANY, of_complex=True)
def cumulative_prod(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """y_i = x₀ ⋯ x_i;   dx_i = x₀ ⋯ x_(i−1) · s_i,   s_i = dy_i + x_(i+1)·s_(i+1).

    Bools and integers give int64.

    include_initial    start with the empty product, 1: one more element

    >>> minidl.cumulative_prod(minidl.tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.], float32)
    """
    axis = one_axis(x, axis)
    check_flags("cumulative_prod", include_initial=include_initial)
    x = cast(xp, x, dtype)
    y = cast(xp, xp.cumulative_prod(x, axis=axis), dtype)

    def dx(dy):
        dy = dy[along(axis, 1)] if include_initial else dy
        wide = widest(xp, x)
        return xp.xmuly(_backward_sums(xp, wide, dy, axis), products_before(xp, wide, axis))

    return _prepend(xp, y, 1, axis) if include_initial else y, dx


def products_before(xp, x, axis):
    """x₀ ⋯ x_(i−1) for each i: 1 for the first."""
    return _prepend(xp, xp.cumulative_prod(x, axis=axis), 1, axis)[along(axis, 0, x.shape[axis])]


def _backward_sums(xp, x, s, axis):
    """s_i + x_(i+1)·s_(i+1) + x_(i+1)·x_(i+2)·s_(i+2) + …, twice as many terms in each step.

    The recurrence of a cumulative product's gradient, as a parallel scan (Blelloch 1990).
    """

    def ahead(t, step):
        beyond = xp.zeros_like(t[along(axis, 0, step)])
        return xp.concat([t[along(axis, step)], beyond], axis=axis)

    factors, step = ahead(x, 1), 1
    while step < x.shape[axis]:
        s = s + xp.xmuly(ahead(s, step), factors)
        factors = factors * ahead(factors, step)
        step *= 2
    return s


@composite
def diff(xp, x, /, *, axis=-1, n=1, prepend=None, append=None):
    """x_(i+1) − x_i along the axis, n times; prepend and append are put before and after x.

    Raises ArgumentError for a negative n.

    >>> x = minidl.tensor([1, 4, 9, 16])
    >>> minidl.diff(x), minidl.diff(x, n=2)
    (Tensor([3, 5, 7], int64), Tensor([2, 2], int64))
    """
    if n < 0:
        raise ArgumentError(f"diff: n must not be negative; got {n}")
    axis = one_axis(x, axis)
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        x = x[along(axis, 1)] - x[along(axis, 0, -1)]
    return x


@composite(constants=(1,), outputs=2)
def cumulative_max(xp, x, /, *, axis=None):
    """y_i = max(x₀, …, x_i), and its index, the last of ties: (values, indices).

    From the first NaN on, y is NaN.  dy goes to the element of that index.  The axis may be left
    out if there is only one.

    >>> minidl.cumulative_max(minidl.tensor([1.0, 3.0, 2.0]))
    (Tensor([1., 3., 3.], float32), Tensor([0, 1, 1], int64))
    """
    return _cumulative_extremes(xp, x, one_axis(x, axis), xp.greater_equal)


@composite(constants=(1,), outputs=2)
def cumulative_min(xp, x, /, *, axis=None):
    """y_i = min(x₀, …, x_i), and its index, the last of ties: (values, indices).

    From the first NaN on, y is NaN.  dy goes to the element of that index.  The axis may be left
    out if there is only one.

    >>> minidl.cumulative_min(minidl.tensor([2.0, 1.0, 3.0]))
    (Tensor([2., 1., 1.], float32), Tensor([0, 1, 1], int64))
    """
    return _cumulative_extremes(xp, x, one_axis(x, axis), xp.less_equal)


def _cumulative_extremes(xp, x, axis, replaces):
    """The cumulative extremes along the axis, by comparison `replaces`, and their indices."""
    length = x.shape[axis]
    indices = xp.cumulative_sum(xp.ones_like(x, dtype="int64"), axis=axis) - 1
    values, step = x.detach(), 1
    while step < length:
        early, late = along(axis, 0, length - step), along(axis, step)
        new, old = values[late], values[early]
        wins = xp.logical_or(replaces(new, old), new != new)
        wins = xp.logical_and(wins, xp.logical_or(old == old, new != new))
        indices, values = (
            concat([x[along(axis, 0, step)], xp.where(wins, x[late], x[early])], axis=axis)
            for x in (indices, values)
        )
        step *= 2
    return xp.take_along_axis(x, indices, axis=axis), indices


@composite(wide=True)
def cumulative_logsumexp(xp, x, /, *, axis=None):
    """y_i = log(e^x₀ + … + e^x_i), without overflow, along the axis.

    >>> minidl.cumulative_logsumexp(minidl.tensor([0.0, 0.0, 1000.0]))
    Tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], float32)
    """
    axis = one_axis(x, axis)
    length, step = x.shape[axis], 1
    while step < length:
        combined = xp.logaddexp(x[along(axis, step)], x[along(axis, 0, length - step)])
        x = concat([x[along(axis, 0, step)], combined], axis=axis)
        step *= 2
    return x
