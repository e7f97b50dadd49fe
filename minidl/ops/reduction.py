"""Reductions.

`axis` is an int, a tuple of ints, or None for all axes; `keepdims` keeps the reduced axes, with
length 1.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, check_numbers
from minidl.dtypes import ANY, ORDERED_NUMBER, ORDERED_REAL
from minidl.ops.axes import axes_of, filled_axes, largest_of, restore_axes
from minidl.ops.casting import cast, narrowed, widened, widest
from minidl.ops.cumulative import products_before


@primitive(ANY, of_complex=True)
def sum(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Σ x;   dx = dy, broadcast to x.  Bools and integers give int64.

    >>> x = minidl.tensor([[1, 2], [3, 4]])
    >>> minidl.sum(x), minidl.sum(x, axis=0), minidl.sum(x, axis=1, keepdims=True).shape
    (Tensor(10, int64), Tensor([4, 6], int64), (2, 1))
    """
    axes_of(x, axis)

    def dx(dy):
        return xp.broadcast_to(restore_axes(xp, dy, axis, keepdims, x.ndim), x.shape)

    return cast(xp, xp.sum(cast(xp, x, dtype), axis=axis, keepdims=keepdims), dtype), dx


@primitive(ANY, of_complex=True)
def prod(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Π x;   dx_i = dy · Π x_k over k ≠ i.  Bools and integers give int64.

    >>> x = minidl.tensor([0.0, 2.0, 3.0], requires_grad=True)
    >>> minidl.prod(x).backward()
    >>> x.grad
    Tensor([6., 0., 0.], float32)
    """
    x, axes = cast(xp, x, dtype), axes_of(x, axis)

    def dx(dy):
        last = [i % x.ndim for i in axes]
        order = [i for i in range(x.ndim) if i not in last] + last
        moved = xp.permute_dims(widest(xp, x), tuple(order))
        kept = moved.shape[: x.ndim - len(last)]
        rows = xp.reshape(moved, (*kept, math.prod(moved.shape[len(kept) :])))
        before = products_before(xp, rows, len(kept))
        behind = products_before(xp, xp.flip(rows, axis=-1), len(kept))
        others = xp.reshape(before * xp.flip(behind, axis=-1), moved.shape)
        back = tuple(sorted(range(x.ndim), key=lambda i: order[i]))
        dy = restore_axes(xp, dy, axis, keepdims, x.ndim)
        return xp.xmuly(dy, xp.permute_dims(others, back))

    return cast(xp, xp.prod(x, axis=axis, keepdims=keepdims), dtype), dx


@primitive(of_complex=True, wide=True)
def mean(xp, x, /, *, axis=None, keepdims=False):
    """y = Σ x / n;   dx = dy / n, broadcast to x.  The mean of an empty x is NaN.

    >>> x = minidl.tensor([1.0, 2.0, 6.0], requires_grad=True)
    >>> minidl.mean(x).backward()
    >>> minidl.mean(x), x.grad
    (Tensor(3., float32, from mean), Tensor([0.33333334, 0.33333334, 0.33333334], float32))
    """
    n = math.prod(x.shape[i] for i in axes_of(x, axis))

    def dx(dy):
        return xp.broadcast_to(restore_axes(xp, xp.divide(dy, n), axis, keepdims, x.ndim), x.shape)

    return xp.divide(xp.sum(x, axis=axis, keepdims=keepdims), n), dx


@composite(wide=True)
def var(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = Σ (x − mean)² / (n − correction).  PyTorch's default correction is 1.

    >>> x = minidl.tensor([1.0, 3.0])
    >>> minidl.var(x), minidl.var(x, correction=1)
    (Tensor(1., float32), Tensor(2., float32))
    """
    check_numbers("var", correction=correction)
    n = math.prod(x.shape[i] for i in axes_of(x, axis))
    wide = widened(xp, x)
    centred = wide - xp.mean(wide, axis=axis, keepdims=True)
    squares = centred * centred
    if centred.dtype.kind == "c":
        squares = xp.real(centred * xp.conj(centred))
    total = xp.sum(squares, axis=axis, keepdims=keepdims)
    return narrowed(xp, total / (n - correction if n > correction else 0), x)


@composite(wide=True)
def std(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = √var(x), with gradient 0 where it is 0.  PyTorch's default correction is 1.

    >>> minidl.std(minidl.tensor([[1.0, 3.0], [5.0, 5.0]]), axis=1)
    Tensor([1., 0.], float32)
    """
    v = xp.var(x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(v == 0, v, xp.sqrt(xp.where(v == 0, 1, v)))


def _extremum(xp, x, y, axis, keepdims):
    """The pullback of max and min: dy is divided equally among the x equal to y."""

    def dx(dy):
        is_extremum = xp.astype(x == restore_axes(xp, y, axis, keepdims, x.ndim), x.dtype)
        ties = xp.sum(is_extremum, axis=axis, keepdims=True)
        return xp.xdivy(is_extremum * restore_axes(xp, dy, axis, keepdims, x.ndim), ties)

    return dx


@primitive(ORDERED_NUMBER)
def max(xp, x, /, *, axis=None, keepdims=False):
    """y = max x, NaN if any is;   dy goes to it, divided equally among ties.

    Raises ShapeError for an empty axis.

    >>> x = minidl.tensor([1.0, 5.0, 5.0], requires_grad=True)
    >>> minidl.max(x).backward()
    >>> x.grad
    Tensor([0. , 0.5, 0.5], float32)
    """
    filled_axes(x, axis)
    y = xp.max(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(ORDERED_NUMBER)
def min(xp, x, /, *, axis=None, keepdims=False):
    """y = min x, NaN if any is;   dy goes to it, divided equally among ties.

    Raises ShapeError for an empty axis.

    >>> minidl.min(minidl.tensor([[3, 1], [2, 4]]), axis=1)
    Tensor([1, 2], int64)
    """
    filled_axes(x, axis)
    y = xp.min(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(ORDERED_REAL, wide=True)
def logsumexp(xp, x, /, *, axis=None, keepdims=False):
    """y = log Σ eˣ, without overflow, −∞ for an empty x;   dx = dy·softmax x, 0 where all are −∞.

    e^(x − y) would lose digits where y is large.  Several x of ∞ share dy equally.

    >>> minidl.logsumexp(minidl.tensor([1000.0, 1000.0]))
    Tensor(1000.6932, float32)
    """
    check_flags("logsumexp", keepdims=keepdims)
    axes = axes_of(x, axis)
    largest = largest_of(xp, x, axis)
    endless = xp.isinf(largest)
    e = xp.exp(x - xp.where(endless, 0, largest))
    e = xp.where(endless, xp.astype(x == math.inf, x.dtype), e)
    count = xp.sum(e, axis=axis, keepdims=True)
    total = xp.where(endless, 0, xp.log(count)) + largest
    y = total if keepdims else xp.squeeze(total, tuple(axes))

    def dx(dy):
        return xp.xmuly(restore_axes(xp, dy, axis, keepdims, x.ndim), xp.xdivy(e, count))

    return y, dx


@primitive(ANY)
def all(xp, x, /, *, axis=None, keepdims=False):
    """Whether all elements are true, that is not 0; True for an empty x.

    >>> minidl.all(minidl.tensor([[True, False], [True, True]]), axis=1)
    Tensor([False,  True], bool)
    """
    axes_of(x, axis)
    return xp.all(x, axis=axis, keepdims=keepdims), None


@primitive(ANY)
def any(xp, x, /, *, axis=None, keepdims=False):
    """Whether any element is true, that is not 0; False for an empty x.

    >>> minidl.any(minidl.tensor([[True, False], [False, False]]), axis=1)
    Tensor([ True, False], bool)
    """
    axes_of(x, axis)
    return xp.any(x, axis=axis, keepdims=keepdims), None


@primitive(ORDERED_NUMBER)
def argmax(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first maximum, along one axis or in the flattened tensor.

    >>> minidl.argmax(minidl.tensor([[1, 5, 5], [7, 2, 3]]), axis=1)
    Tensor([1, 0], int64)
    """
    check_flags("argmax", keepdims=keepdims)
    filled_axes(x, axis)
    return xp.argmax(x, axis=axis, keepdims=keepdims), None


@primitive(ORDERED_NUMBER)
def argmin(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first minimum, along one axis or in the flattened tensor.

    >>> minidl.argmin(minidl.tensor([3.0, 1.0, 1.0]))
    Tensor(1, int64)
    """
    check_flags("argmin", keepdims=keepdims)
    filled_axes(x, axis)
    return xp.argmin(x, axis=axis, keepdims=keepdims), None
