"""Scatter: values written to, added to or reduced with elements, at indices or by a mask."""

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags
from minidl.dtypes import ANY, bool_
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.axes import one_axis
from minidl.ops.creation import arange, ones_like
from minidl.ops.indexing import array_index
from minidl.ops.manipulation import concat
from minidl.ops.searching import nonzero

_REDUCTIONS = {
    "sum": "segment_sum",
    "prod": "segment_prod",
    "mean": "segment_mean",
    "amax": "segment_max",
    "amin": "segment_min",
}


@primitive(ANY, keep_dtype=(1,), of_complex=True)
def scatter_add(xp, x, indices, values, /, *, axis=-1):
    """A copy of x, with values added where indices point;   dx = dy,   dvalues = dy at the indices.

    >>> ids = minidl.tensor([0, 2, 2])
    >>> minidl.scatter_add(minidl.zeros(4), ids, minidl.tensor([1.0, 2.0, 3.0]), axis=0)
    Tensor([1., 0., 5., 0.], float32)
    """
    axis = one_axis(x, axis)

    def dvalues(dy):
        if indices.shape != dy.shape:  # on other axes than this, there may be fewer than in x
            first = [slice(n) for n in indices.shape]
            first[axis] = slice(None)
            dy = dy[tuple(first)]
        return xp.take_along_axis(dy, indices, axis=axis)

    return xp.scatter_add(x, indices, values, axis=axis), (lambda dy: dy, None, dvalues)


def _index_of(xp, x, indices, axis):
    """The index of x for each of the indices, which count along the axis."""
    if not hasattr(x, "shape") or getattr(getattr(indices, "dtype", None), "kind", "") not in (
        *"iu",
    ):
        raise DTypeError(
            f"needs a tensor, and integers as indices; got {describe(x)} and {describe(indices)}"
        )
    axis = one_axis(x, axis)
    fits = indices.ndim == x.ndim and all(
        m <= n for i, (m, n) in enumerate(zip(indices.shape, x.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ShapeError(
            f"indices have as many axes as x, {x.shape}, and no longer ones but axis {axis}; got "
            f"{indices.shape}"
        )
    index = []
    for i, n in enumerate(indices.shape):
        along = tuple(n if i == j else 1 for j in range(x.ndim))
        index.append(xp.reshape(arange(n, device=x.device), along))
    n = x.shape[axis]
    index[axis] = xp.check_indices(xp.where(indices < 0, indices + n, indices), n)
    return tuple(index)


def _values(xp, values, x, indices):
    """The values in the dtype of x, one for each of the indices."""
    try:
        values = xp.asarray(values, dtype=getattr(values, "dtype", x.dtype))
        values = xp.broadcast_to(values, indices.shape)
    except ValueError:
        raise ShapeError(
            f"values have the shape of the indices, {indices.shape}, or broadcast to it; got "
            f"{describe(values)}"
        ) from None
    return values


@composite
def put_along_axis(xp, x, indices, values, /, *, axis=-1):
    """A copy of x, with values written where indices point;   dx = dy, 0 there; dvalues = dy there.

    y[…, indices[…, i, …], …] = values[…, i, …], with i on the axis: the transpose of
    take_along_axis, and `scatter` in PyTorch.  Where an index occurs twice, one of the values is
    written.

    indices    integers, of as many axes as x, and no longer except along the axis; negative ones
               count from the end
    values     of the shape of the indices, or broadcast to it
    raises     BoundsError for an index outside the axis

    >>> x, ids = minidl.zeros((2, 3)), minidl.tensor([[2], [0]])
    >>> minidl.put_along_axis(x, ids, minidl.tensor([[7.0], [8.0]]), axis=1)
    Tensor([[0., 0., 7.],
            [8., 0., 0.]], shape=(2, 3), float32)
    """
    index = _index_of(xp, x, indices, axis)
    return xp.put_at(x, _values(xp, values, x, indices), array_index(index))


@composite(wide=True)
def scatter_reduce(xp, x, indices, values, /, reduce, *, axis=-1, include_self=True):
    """A copy of x, where elements that indices point to are a reduction of their values.

    reduce          "sum", "prod", "mean", "amax" or "amin"
    include_self    whether the element of x is one of the reduced values
    indices         as for put_along_axis, but may occur any number of times

    Each element is a segment; the derivatives are those of segment_sum, segment_prod, …: dy goes to
    the extreme, divided equally among ties.  Raises BoundsError for an index outside the axis.

    >>> x, ids = minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([0, 2, 2])
    >>> minidl.scatter_reduce(x, ids, minidl.tensor([5.0, 6.0, 7.0]), "amax")
    Tensor([5., 2., 7.], float32)
    >>> minidl.scatter_reduce(x, ids, minidl.tensor([5.0, 6.0, 7.0]), "mean", include_self=False)
    Tensor([5. , 2. , 6.5], float32)
    """
    if not isinstance(reduce, str) or reduce not in _REDUCTIONS:
        raise ArgumentError(f"reduce is one of {', '.join(_REDUCTIONS)}; got {describe(reduce)}")
    check_flags("scatter_reduce", include_self=include_self)
    index = _index_of(xp, x, indices, axis)
    numbers = xp.reshape(arange(x.size, device=x.device), x.shape)
    ids = xp.reshape(numbers[index], (indices.size,))
    data = xp.reshape(_values(xp, values, x, indices), (indices.size,))
    own, own_ids = xp.reshape(x, (x.size,)), xp.reshape(numbers, (x.size,))
    if not include_self:
        counts = xp.segment_sum(ones_like(ids), ids, x.size)
        keep = nonzero(counts == 0)[0]
        own, own_ids = own[keep], own_ids[keep]
    data, ids = concat([own, data], axis=0), concat([own_ids, ids], axis=0)
    return xp.reshape(getattr(xp, _REDUCTIONS[reduce])(data, ids, x.size), x.shape)


def _slices_at(name, xp, x, indices, axis):
    """The index of the slices of x along the axis, from a vector of indices or one of them."""
    axis = one_axis(x, axis)
    if getattr(getattr(indices, "dtype", None), "kind", "") not in ("i", "u"):
        raise DTypeError(f"{name}: indices are a tensor of integers; got {describe(indices)}")
    if indices.ndim > 1:
        raise ShapeError(f"{name}: indices are a vector; got shape {indices.shape}")
    n = x.shape[axis]
    indices = xp.check_indices(xp.where(indices < 0, indices + n, indices), n)
    return (slice(None),) * axis + (array_index(xp.reshape(indices, (-1,))),)


@composite
def index_copy(xp, x, indices, values, /, *, axis=None):
    """A copy of x whose slices at the indices are those of `values`;   dx = dy, 0 there.

    y[…, indices[i], …] = values[…, i, …].  Where an index occurs twice, the last one is written.

    indices    integers, a vector; negative ones count from the end
    values     of the shape of x, but with as many slices along the axis as there are indices
    axis       may be left out if there is only one
    raises     BoundsError for an index outside the axis

    >>> x, ids = minidl.zeros((3, 2)), minidl.tensor([2, 0])
    >>> minidl.index_copy(x, ids, minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([[3., 4.],
            [0., 0.],
            [1., 2.]], shape=(3, 2), float32)
    """
    index = _slices_at("index_copy", xp, x, indices, axis)
    shape = tuple(index[-1].size if i == len(index) - 1 else n for i, n in enumerate(x.shape))
    if getattr(values, "shape", None) != shape:
        raise ShapeError(f"index_copy: needs values of shape {shape}; got {describe(values)}")
    return xp.put_at(x, values, index)


@composite
def index_fill(xp, x, indices, value, /, *, axis=None):
    """A copy of x whose slices at the indices are filled with a number;   dvalue = Σ dy there.

    indices, axis    as for index_copy

    >>> minidl.index_fill(minidl.zeros((2, 3)), minidl.tensor([0, 2]), 7.0, axis=1)
    Tensor([[7., 0., 7.],
            [7., 0., 7.]], shape=(2, 3), float32)
    """
    index = _slices_at("index_fill", xp, x, indices, axis)
    if not isinstance(value, int | float | complex) and getattr(value, "shape", None) != ():
        raise ShapeError(f"index_fill: value is a number; got {describe(value)}")
    return xp.put_at(x, value, index)


@composite
def masked_scatter(xp, x, mask, values, /):
    """A copy of x with the first of the values where the mask first holds, the next where next, ….

    dx = dy, 0 there;   dvalues = dy there, 0 for values that are left over.

    mask      bools that broadcast to x
    values    of any shape, read row by row: at least as many as the mask holds, else ShapeError

    >>> mask = minidl.tensor([[True, False], [True, True]])
    >>> minidl.masked_scatter(minidl.zeros((2, 2)), mask, minidl.tensor([5.0, 6.0, 7.0, 8.0]))
    Tensor([[5., 0.],
            [6., 7.]], shape=(2, 2), float32)
    """
    if getattr(mask, "dtype", None) != bool_:
        raise DTypeError(f"masked_scatter: mask is a tensor of bools; got {describe(mask)}")
    if not hasattr(values, "shape"):
        raise DTypeError(f"masked_scatter: values are a tensor; got {describe(values)}")
    mask = xp.broadcast_to(mask, x.shape)
    order = xp.cumulative_sum(xp.reshape(mask, (-1,)), axis=0)
    count = int(order[-1].item()) if x.size else 0
    if count > values.size:
        raise ShapeError(f"masked_scatter: the mask holds {count} times; got {describe(values)}")
    if not values.size:
        return xp.astype(x, x.dtype)
    source = xp.reshape(values, (-1,))[xp.maximum(order - 1, 0)]
    return xp.where(mask, xp.reshape(source, x.shape), x)
