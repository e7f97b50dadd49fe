"""Picking elements out, and putting gradients back where they came from.

Each pair below is one linear map and the same map turned round, so each is the other's pullback:
x[index] and scatter_at, take_along_axis and scatter_add.
"""

from collections.abc import Sequence

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.dtypes import ANY, NUMBER, bool_, int64
from minidl.errors import DTypeError, check_flags, describe
from minidl.ops.axes import one_axis


def _plain(index):
    """An index with arrays in place of tensors, as backends take it."""
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    return index.data if isinstance(index, Tensor) else index


def item_of(x, index, /):
    """x[index]: integers, slices, None and …, integer tensors, or one bool tensor."""
    return _getitem(x, index=_plain(index))


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
    index = _plain(index)
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
    index, ndim = _plain(index), getattr(values, "ndim", 0)

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


@primitive(ANY, keep_dtype=(1,), of_complex=True)
def scatter_add(xp, x, indices, values, /, *, axis=-1):
    """A copy of x, with values added where indices point;   dx = dy,   dvalues = dy taken there.

    >>> ids = minidl.tensor([0, 2, 2])
    >>> minidl.scatter_add(minidl.zeros(4), ids, minidl.tensor([1.0, 2.0, 3.0]), axis=0)
    Tensor([1., 0., 5., 0.], float32)
    """

    def dvalues(dy):
        if indices.shape != dy.shape:  # on other axes than this, there may be fewer than in x
            first = [slice(n) for n in indices.shape]
            first[axis] = slice(None)
            dy = dy[tuple(first)]
        return xp.take_along_axis(dy, indices, axis=axis)

    return xp.scatter_add(x, indices, values, axis=axis), (lambda dy: dy, None, dvalues)


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


@composite
def embedding(xp, weight, ids, /, *, sparse=False):
    """Row ids[…] of the table for each id;   dweight: each row gets its dy, added up.

    weight    (n, d), and the result has shape (*ids.shape, d)
    sparse    let the gradient be a RowGradient, which holds the used rows only
    raises    BoundsError for an id outside 0 … n − 1

    >>> table = minidl.tensor([[0.0, 0.0], [1.0, 1.5], [2.0, 2.5]])
    >>> minidl.embedding(table, minidl.tensor([2, 1, 2]))
    Tensor([[2. , 2.5],
            [1. , 1.5],
            [2. , 2.5]], shape=(3, 2), float32)
    """
    check_flags(sparse=sparse)
    return xp.take(weight, xp.check_indices(ids, weight.shape[0]), axis=0)


@primitive(None)
def check_indices(xp, indices, /, size):
    """The indices, or BoundsError if one of them is outside 0 … size − 1."""
    return xp.check_indices(indices, size), None


@primitive(NUMBER)
def argsort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """The indices that sort x along the axis; equals keep their order.

    >>> minidl.argsort(minidl.tensor([0.3, 0.1, 0.2]))
    Tensor([1, 2, 0], int64)
    >>> minidl.argsort(minidl.tensor([1, 2, 1, 2]), descending=True)
    Tensor([1, 3, 0, 2], int64)
    """
    check_flags(descending=descending, stable=stable)
    axis = one_axis(x, axis)
    if not descending:
        return xp.argsort(x, axis=axis), None
    backwards = xp.flip(xp.argsort(xp.flip(x, axis=axis), axis=axis), axis=axis)
    return x.shape[axis] - 1 - backwards, None


@composite
def sort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """x in order along the axis;   dx = dy, each where its element came from.

    >>> x = minidl.tensor([0.3, 0.1, 0.2], requires_grad=True)
    >>> minidl.sort(x)[0].backward()
    >>> x.grad
    Tensor([0., 1., 0.], float32)
    """
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(x, order, axis=axis)
