"""Products, running sums and products, differences.

A product may have factors of 0: its derivatives multiply the others together, and never divide.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY
from minidl.errors import ArgumentError, check_flags
from minidl.ops.axes import one_axis
from minidl.ops.manipulation import concat
from minidl.ops.reduction import _axes, _cast, _restore


def _along(axis, start, stop=None):
    """The index of a part of the axis."""
    return (slice(None),) * axis + (slice(start, stop),)


def _after(xp, x, initial, axis):
    """x behind a slice of `initial`."""
    first = xp.zeros_like(xp.sum(x, axis=axis, keepdims=True)) + initial
    return xp.concat([_cast(xp, first, x.dtype), x], axis=axis)


@primitive(ANY, of_complex=True)
def cumulative_sum(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """y_i = x₀ + … + x_i;   dx_i = dy_i + dy_(i+1) + ….  Bools and integers give int64.

    include_initial    begin with the sum of nothing, 0: one more element

    >>> minidl.cumulative_sum(minidl.tensor([1, 2, 3]))
    Tensor([1, 3, 6], int64)
    >>> minidl.cumulative_sum(minidl.tensor([1, 2, 3]), include_initial=True)
    Tensor([0, 1, 3, 6], int64)
    """
    axis = one_axis(x, axis)
    check_flags(include_initial=include_initial)
    y = _cast(xp, xp.cumulative_sum(_cast(xp, x, dtype), axis=axis), dtype)

    def dx(dy):
        dy = dy[_along(axis, 1)] if include_initial else dy
        return xp.flip(xp.cumulative_sum(xp.flip(dy, axis=axis), axis=axis), axis=axis)

    return _after(xp, y, 0, axis) if include_initial else y, dx


@primitive(ANY, of_complex=True)
def cumulative_prod(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """y_i = x₀ ⋯ x_i;   dx_i = x₀ ⋯ x_(i−1) · s_i,   s_i = dy_i + x_(i+1)·s_(i+1).

    Bools and integers give int64.

    include_initial    begin with the product of nothing, 1: one more element

    >>> minidl.cumulative_prod(minidl.tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.], float32)
    """
    axis = one_axis(x, axis)
    check_flags(include_initial=include_initial)
    x = _cast(xp, x, dtype)
    y = _cast(xp, xp.cumulative_prod(x, axis=axis), dtype)

    def dx(dy):
        dy = dy[_along(axis, 1)] if include_initial else dy
        return _products_before(xp, x, axis) * _backward_sums(xp, x, dy, axis)

    return _after(xp, y, 1, axis) if include_initial else y, dx


def _products_before(xp, x, axis):
    """x₀ ⋯ x_(i−1) for each i: 1 for the first."""
    return _after(xp, xp.cumulative_prod(x, axis=axis), 1, axis)[_along(axis, 0, x.shape[axis])]


def _backward_sums(xp, x, s, axis):
    """s_i + x_(i+1)·s_(i+1) + x_(i+1)·x_(i+2)·s_(i+2) + …, twice as many terms with each step.

    The recurrence of a running product's gradient, as a parallel scan (Blelloch 1990).
    """

    def ahead(t, step):
        beyond = xp.zeros_like(t[_along(axis, 0, step)])
        return xp.concat([t[_along(axis, step)], beyond], axis=axis)

    factors, step = ahead(x, 1), 1
    while step < x.shape[axis]:
        s = s + factors * ahead(s, step)
        factors = factors * ahead(factors, step)
        step *= 2
    return s


@primitive(ANY, of_complex=True)
def prod(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Π x;   dx_i = dy · Π x_k over k ≠ i.  Bools and integers give int64.

    >>> x = minidl.tensor([0.0, 2.0, 3.0], requires_grad=True)
    >>> minidl.prod(x).backward()
    >>> x.grad
    Tensor([6., 0., 0.], float32)
    """
    x = _cast(xp, x, dtype)

    def dx(dy):
        last = [i % x.ndim for i in _axes(axis, x.ndim)]
        order = [i for i in range(x.ndim) if i not in last] + last
        moved = xp.permute_dims(x, tuple(order))
        kept = moved.shape[: x.ndim - len(last)]
        rows = xp.reshape(moved, (*kept, math.prod(moved.shape[len(kept) :])))
        before = _products_before(xp, rows, len(kept))
        behind = _products_before(xp, xp.flip(rows, axis=-1), len(kept))
        others = xp.reshape(before * xp.flip(behind, axis=-1), moved.shape)
        back = tuple(sorted(range(x.ndim), key=lambda i: order[i]))
        return xp.permute_dims(others, back) * _restore(xp, dy, axis, keepdims, x.ndim)

    return _cast(xp, xp.prod(x, axis=axis, keepdims=keepdims), dtype), dx


@composite
def diff(xp, x, /, *, axis=-1, n=1, prepend=None, append=None):
    """x_(i+1) − x_i along the axis, n times over; prepend and append go before and behind x.

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
        x = x[_along(axis, 1)] - x[_along(axis, 0, -1)]
    return x
