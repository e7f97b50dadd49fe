"""Searching: indices of nonzero elements, and of insertion into sorted vectors."""

from typing import Any

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.dtypes import ANY, NUMBER, bool_
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe, named
from minidl.ops.creation import asarray
from minidl.ops.indexing import array_index


@primitive(ANY)
def argwhere(xp, x, /):
    """The indices of the nonzero elements, one row for each, in order: (n, ndim).

    >>> minidl.argwhere(minidl.tensor([[0, 5], [6, 0]]))
    Tensor([[0, 1],
            [1, 0]], shape=(2, 2), int64)
    """
    return xp.argwhere(x), None


@named
def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The indices of the nonzero elements, x[nonzero(x)]: a tensor for each axis.

    Raises ShapeError for a tensor without axes.

    >>> x = minidl.tensor([[0, 5], [6, 0]])
    >>> rows, columns = minidl.nonzero(x)
    >>> rows, columns, x[rows, columns]
    (Tensor([0, 1], int64), Tensor([1, 0], int64), Tensor([5, 6], int64))
    """
    x = asarray(x)
    if not x.ndim:
        raise ShapeError("a tensor without axes has no indices; needs at least one axis")
    indices = argwhere(x)
    return tuple(indices[:, axis] for axis in range(x.ndim))


@composite
def count_nonzero(xp, x, /, *, axis=None, keepdims=False):
    """The number of nonzero elements, along an axis, several, or all.

    >>> minidl.count_nonzero(minidl.tensor([[0, 5], [6, 7]]), axis=1)
    Tensor([1, 2], int64)
    """
    return xp.sum(xp.not_equal(x, 0), axis=axis, keepdims=keepdims)


@primitive(NUMBER)
def searchsorted(xp, x1, x2, /, *, side="left", sorter=None):
    """The indices at which to insert each x₂ into x₁, a sorted vector, so that it stays sorted.

    side      "left": before equals, x₁[i−1] < x₂ ≤ x₁[i]; "right": after them
    sorter    the indices that sort x₁, if it is not sorted

    >>> edges = minidl.tensor([1.0, 2.0, 3.0])
    >>> minidl.searchsorted(edges, minidl.tensor([0.5, 2.0, 9.0]))
    Tensor([0, 1, 3], int64)
    >>> minidl.searchsorted(edges, minidl.tensor([2.0]), side="right")
    Tensor([2], int64)
    """
    if side not in ("left", "right"):
        raise ArgumentError(f'side must be "left" or "right"; got {side!r}')
    if x1.ndim != 1:
        raise ShapeError(f"needs a sorted vector to search in; got shape {x1.shape}")
    if sorter is not None:
        x1 = x1[xp.check_indices(_order(x1, sorter), x1.shape[0])]
    return xp.searchsorted(x1, x2, side=side), None


def _order(x1, sorter):
    """The sorting indices as an array."""
    if getattr(sorter, "dtype", bool_).kind not in "iu":
        raise DTypeError(f"sorter is a tensor of indices, as argsort gives; got {describe(sorter)}")
    return array_index(sorter, x1)
