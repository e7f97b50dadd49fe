"""Indexing: gather, and its transpose, scatter.

Each pair below is a linear map and its transpose, so each is the other's pullback:
x[index] and scatter_at, take_along_axis and scatter_add.
"""

import warnings
from collections.abc import Sequence
from types import EllipsisType, NoneType

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.backends.registry import create, on_device_of
from minidl.dtypes import ANY, bool_, int64
from minidl.errors import (
    EXPLAINED,
    BoundsError,
    DeviceError,
    DTypeError,
    MinidlError,
    describe,
    raise_explained,
)
from minidl.ops.axes import one_axis


def array_index(index, x=None):
    """An index with arrays instead of tensors, for backends.

    x    what is indexed: arrays and lists of the host are moved to its device
    """
    if isinstance(index, tuple):
        return tuple(array_index(part, x) for part in index)
    index = index.data if isinstance(index, Tensor) else index
    if x is None or type(index) in _WITHOUT_ARRAYS:
        return index
    array = x.data if isinstance(x, Tensor) else x
    if type(array) is type(index) is np.ndarray:
        return index
    return _on_device_of(array, index)


_WITHOUT_ARRAYS = {int, bool, slice, EllipsisType, NoneType}


def _on_device_of(x, index):
    """An array or a list as an index on the device of x; DeviceError for one on another GPU."""
    own, device = backend_of(index), device_of(x)
    if isinstance(index, np.generic | str) or own is None and not isinstance(index, Sequence):
        return index
    if own is None and device != "cpu":
        index = np.asarray(index, None if len(index) else np.int64)
    elif own is None or own.device_of(index) == device:
        return index
    elif own.device_of(index) != "cpu":
        raise DeviceError(
            f"{describe(x)} is on {str(device)!r}, and its index, {describe(index)}, on "
            f"{str(own.device_of(index))!r}; move one, as by index.to({str(device)!r})"
        )
    return create(device, "asarray", index)


def item_of(x, index, /):
    """x[index]: integers, slices, None and …, integer tensors, or one bool tensor."""
    of_host = type(x.data) is np.ndarray
    try:  # NumPy checks it when it is used
        index = array_index(index, x) if of_host else _checked_index(x, index)
    except (MinidlError, *EXPLAINED) as error:
        raise_explained("getitem", (x, index), error)
    if x.size:
        return _getitem(x, index=index)
    with warnings.catch_warnings():  # older NumPys only warn where none is selected
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return _getitem(x, index=index)
        except DeprecationWarning:
            raise BoundsError(f"getitem({describe(x)}): an index is out of bounds") from None


def _checked_index(x, index):
    """The index on the device of x, whose bounds are checked, at once or later."""
    with on_device_of(x.data):
        return backend_of(x.data).check_index(array_index(index, x), x.shape)


@primitive(None, of_complex=True)
def _getitem(xp, x, /, *, index):
    return x[index], lambda dy: xp.scatter_at(dy, index, x.shape)


@primitive(None, of_complex=True)
def scatter_at(xp, values, /, index, shape):
    """Zeros of `shape` with values added at [index];   dvalues = dy[index].

    A position that is indexed twice gets the sum.

    >>> scatter_at(minidl.tensor([1.0, 2.0, 3.0]), [0, 2, 2], (4,))
    Tensor([1., 0., 5., 0.], float32)
    """
    index = array_index(index, values)
    return xp.scatter_at(values, index, shape), lambda dy: dy[index]


def row_gradient(values, /, index, shape):
    """scatter_at; on arrays, in the pullback of a table, its result is a RowGradient instead."""
    return scatter_at(values, index, shape)


@primitive(ANY, of_complex=True)
def put_at(xp, x, values, /, index):
    """A copy of x with x[index] = values;   dx = dy but 0 at index,   dvalues = dy[index].

    A position that is indexed twice gets the last value; the gradient of the others is 0.

    >>> x = minidl.zeros(3)
    >>> put_at(x, 7.0, 1), x
    (Tensor([0., 7., 0.], float32), Tensor([0., 0., 0.], float32))
    """
    if values is None:
        raise DTypeError("needs values to write; got None")
    index, ndim = array_index(index, x), getattr(values, "ndim", 0)

    def dvalues(dy):
        dy_at_index = dy[index]
        if _may_repeat(index):
            dy_at_index = xp.where(_not_replaced(xp, dy, index, dy_at_index), dy_at_index, 0)
        return xp.reshape(dy_at_index, (1,) * (ndim - dy_at_index.ndim) + dy_at_index.shape)

    return xp.put_at(x, values, index), (lambda dy: xp.put_at(dy, 0, index), dvalues)


def _may_repeat(index):
    """Whether an index may contain a position twice: if it has lists or arrays of integers."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(part, Sequence) or (getattr(part, "ndim", 0) and part.dtype != bool_)
        for part in parts
    )


def _not_replaced(xp, dy, index, dy_at_index):
    """Which of the values written at the index were not replaced by later ones."""
    ones = _zeros_to_count(xp, xp.reshape(dy_at_index, (-1,))) + 1
    order = xp.reshape(xp.cumulative_sum(ones, axis=0), dy_at_index.shape)
    return xp.put_at(_zeros_to_count(xp, dy), order, index)[index] == order


def _zeros_to_count(xp, x):
    """Integer zeros of the shape of x."""
    return xp.astype(xp.zeros_like(x) != 0, int64)


@primitive(None, of_complex=True)
def take_along_axis(xp, x, indices, /, *, axis=-1):
    """y[…, i, …] = x[…, indices[…, i, …], …], with i on the axis;   dx = dy, summed there.

    >>> x = minidl.tensor([[3, 1, 2], [4, 6, 5]])
    >>> minidl.take_along_axis(x, minidl.argsort(x, axis=1), axis=1)
    Tensor([[1, 2, 3],
            [4, 5, 6]], shape=(2, 3), int64)
    """

    def dx(dy):
        shape = (*dy.shape[:axis], x.shape[axis], *dy.shape[axis % x.ndim + 1 :])
        positions = _broadcast(xp, indices, dy.shape)
        return xp.scatter_add(xp.zeros_like(_broadcast(xp, x, shape)), positions, dy, axis=axis)

    return xp.take_along_axis(x, indices, axis=axis), (dx, None)


def _broadcast(xp, x, shape):
    """x, broadcast to this shape if it has another."""
    return x if x.shape == shape else xp.broadcast_to(x, shape)


@composite
def take(xp, x, indices, /, *, axis=None):
    """The slices of x at these indices of the axis, which may be left out if x has only one.

    indices    integers, of any shape, which replaces the axis
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
