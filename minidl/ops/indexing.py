"""Picking elements out, and putting gradients back where they came from.

Each pair below is one linear map and the same map turned round, so each is the other's pullback:
x[index] and scatter_at, take_along_axis and scatter_add.
"""

from collections.abc import Sequence

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.dtypes import ANY, bool_, int64
from minidl.errors import DTypeError, describe
from minidl.ops.axes import one_axis


def array_index(index):
    """An index with arrays in place of tensors, as backends take it."""
    if isinstance(index, tuple):
        return tuple(array_index(part) for part in index)
    return index.data if isinstance(index, Tensor) else index


def item_of(x, index, /):
    """x[index]: integers, slices, None and …, integer tensors, or one bool tensor."""
    return _getitem(x, index=array_index(index))


@primitive(None, of_complex=True)
def _getitem(xp, x, /, *, index):
    return x[index], lambda dy: xp.scatter_at(dy, index, x.shape)


@primitive(None, of_complex=True)
def scatter_at(xp, values, /, index, shape):
    """Zeros of `shape` with values added at [index];   dvalues = dy[index].

    A place that is named twice gets both.

    >>> minidl.scatter_at(minidl.tensor([1.0, 2.0, 3.0]), [0, 2, 2], (4,))
    Tensor([1., 0., 5., 0.], float32)
    """
    index = array_index(index)
    return xp.scatter_at(values, index, shape), lambda dy: dy[index]


@primitive(ANY, of_complex=True)
def put_at(xp, x, values, /, index):
    """A copy of x with x[index] = values;   dx = dy but 0 at index,   dvalues = dy[index].

    A place that is named twice gets the last of its values; the gradient of the others is 0.

    >>> x = minidl.zeros(3)
    >>> minidl.put_at(x, 7.0, 1), x
    (Tensor([0., 7., 0.], float32), Tensor([0., 0., 0.], float32))
    """
    if values is None:
        raise DTypeError("needs values to write; got None")
    index, ndim = array_index(index), getattr(values, "ndim", 0)

    def dvalues(dy):
        found = dy[index]
        if _may_repeat(index):
            found = xp.where(_stayed(xp, dy, index, found), found, 0)
        return xp.reshape(found, (1,) * (ndim - found.ndim) + found.shape)

    return xp.put_at(x, values, index), (lambda dy: xp.put_at(dy, 0, index), dvalues)


def _may_repeat(index):
    """Whether an index may name a place twice: if there are lists or arrays of integers in it."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(part, Sequence) or (getattr(part, "ndim", 0) and part.dtype != bool_)
        for part in parts
    )


def _stayed(xp, dy, index, found):
    """Which of the values that were written at the index no later one replaced."""
    ones = _zeros_to_count(xp, xp.reshape(found, (-1,))) + 1
    turns = xp.reshape(xp.cumulative_sum(ones, axis=0), found.shape)
    return xp.put_at(_zeros_to_count(xp, dy), turns, index)[index] == turns


def _zeros_to_count(xp, x):
    """Integers, all 0, in the shape of x."""
    return xp.astype(xp.zeros_like(x) != 0, int64)


@primitive(None, of_complex=True)
def take_along_axis(xp, x, indices, /, *, axis=-1):
    """y[…, i, …] = x[…, indices[…, i, …], …], with i on the axis;   dx = dy, added up there.

    >>> x = minidl.tensor([[3, 1, 2], [4, 6, 5]])
    >>> minidl.take_along_axis(x, minidl.argsort(x, axis=1), axis=1)
    Tensor([[1, 2, 3],
            [4, 5, 6]], shape=(2, 3), int64)
    """

    def dx(dy):
        shape = (*dy.shape[:axis], x.shape[axis], *dy.shape[axis % x.ndim + 1 :])
        places = _spread(xp, indices, dy.shape)
        return xp.scatter_add(xp.zeros_like(_spread(xp, x, shape)), places, dy, axis=axis)

    return xp.take_along_axis(x, indices, axis=axis), (dx, None)


def _spread(xp, x, shape):
    """x, repeated to this shape if it has another."""
    return x if x.shape == shape else xp.broadcast_to(x, shape)


@composite
def take(xp, x, indices, /, *, axis=None):
    """The slices of x at these indices of the axis, which may be left out if x has only one.

    indices    integers, of any shape, which stands in the place of the axis
    raises     BoundsError for an index outside the axis, AxisError for an axis that is not there

    >>> x = minidl.tensor([[1, 2, 3], [4, 5, 6]])
    >>> minidl.take(x, minidl.tensor([2, 0]), axis=1)
    Tensor([[3, 1],
            [6, 4]], shape=(2, 2), int64)
    """
    axis = one_axis(x, axis)
    if getattr(indices, "dtype", int64).kind not in "iu" or indices is None:
        raise DTypeError(f"indices are integers; got {describe(indices)}")
    return x[(slice(None),) * axis + (indices,)]


@primitive(None)
def check_indices(xp, indices, /, size):
    """The indices, or BoundsError if one of them is outside 0 … size − 1."""
    return xp.check_indices(indices, size), None
