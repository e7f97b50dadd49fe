"""The distinct elements of a tensor, in ascending order.

NaNs are all distinct, as the array API standard wants it; 0.0 and −0.0 are equal.  The results are
constants.
"""

from typing import NamedTuple

from minidl.autograd.tensor import Tensor
from minidl.dtypes import bool_, uint8
from minidl.ops.creation import asarray, ones
from minidl.ops.elementwise import not_equal
from minidl.ops.indexing import _plain, argsort, put_at
from minidl.ops.manipulation import astype, concat, reshape
from minidl.ops.searching import argwhere
from minidl.ops.statistics import cumulative_sum, diff


class UniqueAll(NamedTuple):
    """What unique_all gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What unique_counts gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What unique_inverse gives."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct values, where each occurs first, which of them each element is, and how often.

    values[inverse_indices] is x, and flattened x[indices] are the values.
    """
    x = asarray(x).detach()
    flat = reshape(x, (-1,))
    order = argsort(astype(flat, uint8) if x.dtype == bool_ else flat)
    ordered = flat[order]
    begins = ones(flat.shape, dtype=bool_, device=x.device)
    begins[1:] = not_equal(ordered[1:], ordered[:-1])
    starts = argwhere(begins)[:, 0]
    rank = cumulative_sum(begins) - 1
    inverse = reshape(put_at(rank, rank, _plain(order)), x.shape)
    counts = diff(concat([starts, asarray([x.size], dtype=starts.dtype, device=x.device)]))
    return UniqueAll(ordered[starts], order[starts], inverse, counts)


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct values, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct values, and which of them each element is: values[inverse_indices] is x."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct values."""
    return unique_all(x).values
