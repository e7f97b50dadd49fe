"""From many numbers to few.

`axis` is an int, a tuple of ints, or None for all axes; `keepdims` leaves the reduced axes in
place, with length 1.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, ORDERED_NUMBER, ORDERED_REAL, dtype_of
from minidl.errors import ArgumentError, DTypeError, check_flags, describe


def _axes(axis, ndim):
    return range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis


def _restore(xp, y, axis, keepdims, ndim):
    """A reduced result with its lost axes put back, ready to broadcast against the input."""
    return y if keepdims else xp.expand_dims(y, axis=tuple(_axes(axis, ndim)))


def _cast(xp, x, dtype):
    """x in this dtype; None leaves it as it is."""
    if dtype is None or x.dtype == (dtype := dtype_of(dtype)):
        return x
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} numbers are not made {dtype}: their imaginary part would go")
    return xp.astype(x, dtype)


@primitive(ANY, of_complex=True)
def sum(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Σ x;   dx = dy, at every place.  Bools and integers give int64.

    >>> x = minidl.tensor([[1, 2], [3, 4]])
    >>> minidl.sum(x), minidl.sum(x, axis=0), minidl.sum(x, axis=1, keepdims=True).shape
    (Tensor(10, int64), Tensor([4, 6], int64), (2, 1))
    """

    def dx(dy):
        return xp.broadcast_to(_restore(xp, dy, axis, keepdims, x.ndim), x.shape)

    return _cast(xp, xp.sum(_cast(xp, x, dtype), axis=axis, keepdims=keepdims), dtype), dx


@primitive(of_complex=True)
def mean(xp, x, /, *, axis=None, keepdims=False):
    """y = Σ x / n;   dx = dy / n, at every place.  The mean of nothing is NaN.

    >>> x = minidl.tensor([1.0, 2.0, 6.0], requires_grad=True)
    >>> minidl.mean(x).backward()
    >>> minidl.mean(x), x.grad
    (Tensor(3., float32, from mean), Tensor([0.33333334, 0.33333334, 0.33333334], float32))
    """
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))

    def dx(dy):
        return xp.broadcast_to(_restore(xp, xp.divide(dy, n), axis, keepdims, x.ndim), x.shape)

    return xp.divide(xp.sum(x, axis=axis, keepdims=keepdims), n), dx


@composite
def var(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = Σ (x − mean)² / (n − correction).  PyTorch's default correction is 1.

    >>> x = minidl.tensor([1.0, 3.0])
    >>> minidl.var(x), minidl.var(x, correction=1)
    (Tensor(1., float32), Tensor(2., float32))
    """
    if not isinstance(correction, int | float) or math.isnan(correction):
        raise ArgumentError(f"correction is a number; got {describe(correction)}")
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    squares = centred * centred
    if centred.dtype.kind == "c":
        squares = xp.real(centred * xp.conj(centred))
    return xp.sum(squares, axis=axis, keepdims=keepdims) / (n - correction if n > correction else 0)


@composite
def std(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = √var(x), with gradient 0 where it is 0.  PyTorch's default correction is 1.

    >>> minidl.std(minidl.tensor([[1.0, 3.0], [5.0, 5.0]]), axis=1)
    Tensor([1., 0.], float32)
    """
    v = xp.var(x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(v == 0, v, xp.sqrt(xp.where(v == 0, 1, v)))


def _extremum(xp, x, y, axis, keepdims):
    """The pullback of max and min: dy goes to where x equals y, in equal parts."""

    def dx(dy):
        here = xp.astype(x == _restore(xp, y, axis, keepdims, x.ndim), x.dtype)
        ties = xp.sum(here, axis=axis, keepdims=True)
        return xp.xdivy(here * _restore(xp, dy, axis, keepdims, x.ndim), ties)

    return dx


@primitive(ORDERED_NUMBER)
def max(xp, x, /, *, axis=None, keepdims=False):
    """y = the largest x, NaN if one is;   dy goes to it, in equal parts to equals.

    Raises ArgumentError for the largest of nothing.

    >>> x = minidl.tensor([1.0, 5.0, 5.0], requires_grad=True)
    >>> minidl.max(x).backward()
    >>> x.grad
    Tensor([0. , 0.5, 0.5], float32)
    """
    y = xp.max(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(ORDERED_NUMBER)
def min(xp, x, /, *, axis=None, keepdims=False):
    """y = the smallest x, NaN if one is;   dy goes to it, in equal parts to equals.

    Raises ArgumentError for the smallest of nothing.

    >>> minidl.min(minidl.tensor([[3, 1], [2, 4]]), axis=1)
    Tensor([1, 2], int64)
    """
    y = xp.min(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(ORDERED_REAL)
def logsumexp(xp, x, /, *, axis=None, keepdims=False):
    """y = log Σ eˣ, without overflow;   dx = dy·exp(x − y).

    >>> minidl.logsumexp(minidl.tensor([1000.0, 1000.0]))
    Tensor(1000.6932, float32)
    """
    check_flags(keepdims=keepdims)
    largest = xp.max(x, axis=axis, keepdims=True)
    shift = xp.where(xp.isfinite(largest), largest, 0)
    total = shift + xp.log(xp.sum(xp.exp(x - shift), axis=axis, keepdims=True))
    y = total if keepdims else xp.squeeze(total, tuple(_axes(axis, x.ndim)))

    def dx(dy):
        finite = xp.where(xp.isfinite(total), total, 0)
        return _restore(xp, dy, axis, keepdims, x.ndim) * xp.exp(x - finite)

    return y, dx


@primitive(ANY)
def all(xp, x, /, *, axis=None, keepdims=False):
    """Whether all are true, that is not 0; of nothing, True.

    >>> minidl.all(minidl.tensor([[True, False], [True, True]]), axis=1)
    Tensor([False,  True], bool)
    """
    return xp.all(x, axis=axis, keepdims=keepdims), None


@primitive(ANY)
def any(xp, x, /, *, axis=None, keepdims=False):
    """Whether at least one is true, that is not 0; of nothing, False.

    >>> minidl.any(minidl.tensor([[True, False], [False, False]]), axis=1)
    Tensor([ True, False], bool)
    """
    return xp.any(x, axis=axis, keepdims=keepdims), None


@primitive(ORDERED_NUMBER)
def argmax(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first largest, along one axis or in the flattened tensor.

    >>> minidl.argmax(minidl.tensor([[1, 5, 5], [7, 2, 3]]), axis=1)
    Tensor([1, 0], int64)
    """
    check_flags(keepdims=keepdims)
    return xp.argmax(x, axis=axis, keepdims=keepdims), None


@primitive(ORDERED_NUMBER)
def argmin(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first smallest, along one axis or in the flattened tensor.

    >>> minidl.argmin(minidl.tensor([3.0, 1.0, 1.0]))
    Tensor(1, int64)
    """
    check_flags(keepdims=keepdims)
    return xp.argmin(x, axis=axis, keepdims=keepdims), None
