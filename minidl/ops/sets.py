"""The distinct elements of a tensor, in ascending order.

NaNs are all distinct, as in the array API standard; 0.0 and −0.0 are equal.  The results are
constants.
"""

from typing import NamedTuple

from minidl.autograd.tensor import Tensor
from minidl.dtypes import bool_, uint8
from minidl.errors import named
from minidl.ops.comparison import not_equal
from minidl.ops.creation import asarray, ones
from minidl.ops.cumulative import cumulative_sum, diff
from minidl.ops.indexing import array_index, put_at
from minidl.ops.manipulation import astype, concat, reshape
from minidl.ops.searching import argwhere
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
