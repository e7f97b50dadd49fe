"""From many numbers to few.

`axis` is an int, a tuple of ints, or None for all axes; `keepdims` leaves the reduced axes in
place, with length 1.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, NUMBER, dtype_of


def _axes(axis, ndim):
    return range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis


def _restore(xp, y, axis, keepdims, ndim):
    """A reduced result with its lost axes put back, ready to broadcast against the input."""
    return y if keepdims else xp.expand_dims(y, axis=tuple(_axes(axis, ndim)))


def _cast(xp, x, dtype):
    """x in this dtype; None leaves it as it is."""
    if dtype is None or x.dtype == (dtype := dtype_of(dtype)):
        return x
    return xp.astype(x, dtype)


@primitive(ANY)
def sum(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Σ x;   dx = dy, at every place.  Bools and integers give int64."""

    def dx(dy):
        return xp.broadcast_to(_restore(xp, dy, axis, keepdims, x.ndim), x.shape)

    return _cast(xp, xp.sum(_cast(xp, x, dtype), axis=axis, keepdims=keepdims), dtype), dx


@primitive
def mean(xp, x, /, *, axis=None, keepdims=False):
    """y = Σ x / n;   dx = dy / n, at every place."""
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))

    def dx(dy):
        return xp.broadcast_to(_restore(xp, xp.divide(dy, n), axis, keepdims, x.ndim), x.shape)

    return xp.divide(xp.sum(x, axis=axis, keepdims=keepdims), n), dx


@composite
def var(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = Σ (x − mean)² / (n − correction).  PyTorch's default correction is 1."""
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    return xp.sum(centred * centred, axis=axis, keepdims=keepdims) / (
        n - correction if n > correction else 0
    )


@composite
def std(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = √var(x), with gradient 0 where it is 0.  PyTorch's default correction is 1."""
    v = xp.var(x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(v == 0, v, xp.sqrt(xp.where(v == 0, 1, v)))


def _extremum(xp, x, y, axis, keepdims):
    """The pullback of max and min: dy goes to where x equals y, in equal parts."""

    def dx(dy):
        here = xp.astype(x == _restore(xp, y, axis, keepdims, x.ndim), x.dtype)
        ties = xp.sum(here, axis=axis, keepdims=True)
        return xp.xdivy(here * _restore(xp, dy, axis, keepdims, x.ndim), ties)

    return dx


@primitive(NUMBER)
def max(xp, x, /, *, axis=None, keepdims=False):
    """y = the largest x;   dy goes to it, in equal parts to equals."""
    y = xp.max(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(NUMBER)
def min(xp, x, /, *, axis=None, keepdims=False):
    """y = the smallest x;   dy goes to it, in equal parts to equals."""
    y = xp.min(x, axis=axis, keepdims=keepdims)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive
def logsumexp(xp, x, /, *, axis=None, keepdims=False):
    """y = log Σ eˣ, without overflow;   dx = dy·exp(x − y)."""
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
    """Whether all are true."""
    return xp.all(x, axis=axis, keepdims=keepdims), None


@primitive(ANY)
def any(xp, x, /, *, axis=None, keepdims=False):
    """Whether at least one is true."""
    return xp.any(x, axis=axis, keepdims=keepdims), None


@primitive(NUMBER)
def argmax(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first largest, along one axis or in the flattened tensor."""
    return xp.argmax(x, axis=axis, keepdims=keepdims), None


@primitive(NUMBER)
def argmin(xp, x, /, *, axis=None, keepdims=False):
    """The index of the first smallest, along one axis or in the flattened tensor."""
    return xp.argmin(x, axis=axis, keepdims=keepdims), None
