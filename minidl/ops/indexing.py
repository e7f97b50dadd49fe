"""Picking elements out, and putting gradients back where they came from.

Each pair below is one linear map and the same map turned round, so each is the other's pullback:
x[index] and scatter_at, take_along_axis and scatter_add.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.dtypes import ANY, NUMBER
from minidl.errors import ShapeError


def _plain(index):
    """An index with arrays in place of tensors, as backends take it."""
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    return index.data if isinstance(index, Tensor) else index


def getitem(x, index, /):
    """x[index]: integers, slices, None and …, integer tensors, or one bool tensor."""
    return _getitem(x, index=_plain(index))


@primitive(None)
def _getitem(xp, x, /, *, index):
    return x[index], lambda dy: xp.scatter_at(dy, index, x.shape)


@primitive(None)
def scatter_at(xp, values, /, index, shape):
    """Zeros of `shape` with values added at [index];   dvalues = dy[index]."""
    return xp.scatter_at(values, index, shape), lambda dy: dy[index]


@primitive(ANY)
def put_at(xp, x, values, /, index):
    """A copy of x with x[index] = values;   dx = dy but 0 at index,   dvalues = dy[index]."""
    return xp.put_at(x, values, index), (
        lambda dy: xp.put_at(dy, 0, index),
        lambda dy: dy[index],
    )


@primitive(None)
def take_along_axis(xp, x, indices, /, *, axis=-1):
    """y[…, i, …] = x[…, indices[…, i, …], …], with i on the axis;   dx = dy, added up there."""

    def dx(dy):
        return xp.scatter_add(xp.zeros_like(x), indices, dy, axis=axis)

    return xp.take_along_axis(x, indices, axis=axis), (dx, None)


@primitive(ANY, apart=(1,))
def scatter_add(xp, x, indices, values, /, *, axis=-1):
    """A copy of x, with values added where indices point;   dx = dy,   dvalues = dy taken there."""
    pullbacks = lambda dy: dy, None, lambda dy: xp.take_along_axis(dy, indices, axis=axis)
    return xp.scatter_add(x, indices, values, axis=axis), pullbacks


@composite
def take(xp, x, indices, /, *, axis=None):
    """The slices of x at these indices of the axis, which may be left out if x has only one."""
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take: x has shape {x.shape}; say which axis")
    return x[(slice(None),) * ((axis or 0) % x.ndim) + (indices,)]


@composite
def embedding(xp, weight, ids, /, *, sparse=False):
    """Row ids[…] of the table for each id;   dweight: each row gets its dy, added up.

    sparse    let the gradient be a RowGradient, which holds the used rows only
    """
    return xp.take(weight, xp.check_indices(ids, weight.shape[0]), axis=0)


@primitive(None)
def check_indices(xp, indices, /, size):
    """The indices, or BoundsError if one of them is outside 0 … size − 1."""
    return xp.check_indices(indices, size), None


@primitive(NUMBER)
def argsort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """The indices that sort x along the axis; equals keep their order."""
    if not descending:
        return xp.argsort(x, axis=axis), None
    backwards = xp.flip(xp.argsort(xp.flip(x, axis=axis), axis=axis), axis=axis)
    return x.shape[axis] - 1 - backwards, None


@composite
def sort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """x in order along the axis;   dx = dy, each where its element came from."""
    order = xp.argsort(x, axis=axis, descending=descending)
    return xp.take_along_axis(x, order, axis=axis)
