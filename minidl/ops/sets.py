"""The distinct elements of a tensor, in ascending order or as they follow, and membership.

NaNs are all distinct, as in the array API standard; 0.0 and −0.0 are equal.  The results are
constants.
"""

from typing import Any, NamedTuple

from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags
from minidl.dtypes import bool_, result_type, uint8
from minidl.errors import named
from minidl.ops.axes import along, one_axis
from minidl.ops.comparison import equal, logical_not, not_equal
from minidl.ops.creation import asarray, ones
from minidl.ops.cumulative import cumulative_sum, diff
from minidl.ops.elementwise import minimum
from minidl.ops.indexing import array_index, put_at
from minidl.ops.manipulation import astype, broadcast_to, concat, reshape
from minidl.ops.reduction import any
from minidl.ops.searching import argwhere, searchsorted
from minidl.ops.sorting import argsort


class UniqueAll(NamedTuple):
    """The result of unique_all.

    >>> found = minidl.unique_all(minidl.tensor([7, 5, 7]))
    >>> found.values, found.indices
    (Tensor([5, 7], int64), Tensor([1, 0], int64))
    """

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The result of unique_counts.

    >>> values, counts = minidl.unique_counts(minidl.tensor([7, 5, 7]))
    >>> dict(zip(values.tolist(), counts.tolist()))
    {5: 1, 7: 2}
    """

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The result of unique_inverse.

    >>> found = minidl.unique_inverse(minidl.tensor([7, 5, 7]))
    >>> found.values[found.inverse_indices]
    Tensor([7, 5, 7], int64)
    """

    values: Tensor
    inverse_indices: Tensor


class UniqueConsecutive(NamedTuple):
    """The result of unique_consecutive.

    >>> found = minidl.unique_consecutive(minidl.tensor([7, 7, 5, 7]))
    >>> found.values, found.counts
    (Tensor([7, 5, 7], int64), Tensor([2, 1, 1], int64))
    """

    values: Tensor
    inverse_indices: Tensor
    counts: Tensor


@named
def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct values, their first indices, the inverse indices, and the counts.

    values[inverse_indices] is x, and flattened x[indices] are the values.

    >>> values, indices, inverse, counts = minidl.unique_all(minidl.tensor([7, 5, 7, 9]))
    >>> values, indices
    (Tensor([5, 7, 9], int64), Tensor([1, 0, 3], int64))
    >>> inverse, counts
    (Tensor([1, 0, 1, 2], int64), Tensor([1, 2, 1], int64))
    """
    return _unique(x)


def _unique(x):
    """The result of unique_all, parts of which the other functions return."""
    x = asarray(x).detach()
    flat = reshape(x, (-1,))
    order = argsort(astype(flat, uint8) if x.dtype == bool_ else flat)
    ordered = flat[order]
    begins = ones(flat.shape, dtype=bool_, device=x.device)
    begins[1:] = not_equal(ordered[1:], ordered[:-1])
    starts = argwhere(begins)[:, 0]
    rank = cumulative_sum(begins) - 1
    inverse = reshape(put_at(rank, rank, array_index(order)), x.shape)
    counts = diff(concat([starts, asarray([x.size], dtype=starts.dtype, device=x.device)]))
    return UniqueAll(ordered[starts], order[starts], inverse, counts)


@named
def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct values, and their counts.

    >>> values, counts = minidl.unique_counts(minidl.tensor([7, 5, 7, 9]))
    >>> values, counts
    (Tensor([5, 7, 9], int64), Tensor([1, 2, 1], int64))
    """
    found = _unique(x)
    return UniqueCounts(found.values, found.counts)


@named
def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct values, and the inverse indices: values[inverse_indices] is x.

    >>> values, inverse = minidl.unique_inverse(minidl.tensor([7, 5, 7, 9]))
    >>> values, inverse
    (Tensor([5, 7, 9], int64), Tensor([1, 0, 1, 2], int64))
    """
    found = _unique(x)
    return UniqueInverse(found.values, found.inverse_indices)


@named
def unique_values(x: Tensor, /) -> Tensor:
    """The distinct values.

    >>> minidl.unique_values(minidl.tensor([7, 5, 7, 9]))
    Tensor([5, 7, 9], int64)
    """
    return _unique(x).values


@named
def unique_consecutive(x: Tensor, /, *, axis: int | None = None) -> UniqueConsecutive:
    """The first of each run of equal elements: values, inverse indices, and lengths of the runs.

    values[inverse_indices] is x.  Without an axis, x is flattened first; with one, its slices are
    compared as a whole.

    >>> values, inverse, counts = minidl.unique_consecutive(minidl.tensor([7, 7, 5, 7]))
    >>> values, inverse, counts
    (Tensor([7, 5, 7], int64), Tensor([0, 0, 1, 2], int64), Tensor([2, 1, 1], int64))
    """
    x = asarray(x).detach()
    rows, place = (reshape(x, (-1,)), 0) if axis is None else (x, one_axis(x, axis))
    length = rows.shape[place]
    begins = ones((length,), dtype=bool_, device=x.device)
    differ = not_equal(rows[along(place, 1)], rows[along(place, 0, -1)])
    others = tuple(i for i in range(rows.ndim) if i != place)
    begins[1:] = any(differ, axis=others) if others else differ
    starts = argwhere(begins)[:, 0]
    inverse = cumulative_sum(begins) - 1
    inverse = reshape(inverse, x.shape) if axis is None else inverse
    counts = diff(concat([starts, asarray([length], dtype=starts.dtype, device=x.device)]))
    return UniqueConsecutive(rows[(*along(place, None)[:-1], starts)], inverse, counts)


@named
def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each x₁ is one of the x₂; NaN never is.

    invert    whether it is not

    >>> minidl.isin(minidl.tensor([[1, 2], [3, 4]]), minidl.tensor([2, 3, 5]))
    Tensor([[False,  True],
            [ True, False]], shape=(2, 2), bool)
    """
    check_flags("isin", invert=invert)
    given = [x if isinstance(x, int | float | complex) else asarray(x).detach() for x in (x1, x2)]
    dtype = result_type(*given)
    dtype = uint8 if dtype == bool_ else dtype
    x1, x2 = (astype(asarray(x), dtype, copy=False) for x in given)
    flat = reshape(x2, (-1,))
    if not flat.size:
        return broadcast_to(asarray(invert, device=x1.device), x1.shape)
    ordered = flat[argsort(flat)]
    places = reshape(searchsorted(ordered, reshape(x1, (-1,))), x1.shape)
    found = equal(ordered[minimum(places, flat.size - 1)], x1)
    return logical_not(found) if invert else found
