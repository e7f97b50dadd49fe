"""Reductions of segments: rows with the same id become one row.

    data          (n, …)
    segment_ids   (n,), non-negative integers, in any order
    num_segments  the number of rows of the result; default: the largest id + 1

Ids outside 0 … num_segments − 1 are a BoundsError.
"""

import math

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_integers
from minidl.dtypes import NUMBER
from minidl.errors import DTypeError, ShapeError, describe
from minidl.ops.creation import arange, asarray, ones, ones_like
from minidl.ops.indexing import array_index


def _ids(name, data, ids, num_segments):
    """The ids as a tensor, and the number of segments, after checking both."""
    if not hasattr(data, "shape"):
        raise DTypeError(f"{name}: data is a tensor; got {describe(data)}")
    ids = asarray(ids).detach()
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{name}: segment_ids are integers; got {describe(ids)}")
    if ids.ndim != 1 or data.shape[:1] != ids.shape:
        raise ShapeError(
            f"{name}: needs an id for each row of data {data.shape}; got {describe(ids)}"
        )
    if num_segments is None:
        num_segments = int(ids.max().item()) + 1 if ids.size else 0
    check_integers(name, 0, num_segments=num_segments)
    return ids, int(num_segments)


@composite
def segment_sum(xp, data, segment_ids, /, num_segments=None):
    """y[s] = Σ data[i] over the i with segment_ids[i] = s;   ddata[i] = dy[id of i].

    >>> minidl.segment_sum(minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([0, 2, 0]))
    Tensor([4., 0., 2.], float32)
    """
    ids, count = _ids("segment_sum", data, segment_ids, num_segments)
    ids = xp.check_indices(ids, count)
    return xp.scatter_at(data, array_index(ids), (count, *data.shape[1:]))


@composite(wide=True)
def segment_mean(xp, data, segment_ids, /, num_segments=None):
    """y[s] = the mean of data[i] over the i with segment_ids[i] = s, 0 if there are none.

    >>> minidl.segment_mean(minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([0, 2, 0]))
    Tensor([2., 0., 2.], float32)
    """
    ids, count = _ids("segment_mean", data, segment_ids, num_segments)
    total = xp.segment_sum(data, ids, count)
    sizes = xp.segment_sum(ones_like(ids), ids, count)
    return total / xp.reshape(xp.maximum(sizes, 1), (count,) + (1,) * (data.ndim - 1))


@composite
def segment_prod(xp, data, segment_ids, /, num_segments=None):
    """y[s] = Π data[i] over the i with segment_ids[i] = s, else 1;   ddata as that of prod.

    The segments are padded with 1 to rows of one length.

    >>> minidl.segment_prod(minidl.tensor([5.0, 2.0, 3.0]), minidl.tensor([0, 2, 0]))
    Tensor([15.,  1.,  2.], float32)
    """
    ids, count = _ids("segment_prod", data, segment_ids, num_segments)
    order = xp.argsort(xp.check_indices(ids, count))
    ids = ids[order]
    sizes = xp.segment_sum(ones_like(ids), ids, count)
    first = xp.cumulative_sum(sizes) - sizes
    positions = arange(ids.size, device=ids.device) - first[ids]
    longest = int(xp.max(sizes).item()) if ids.size else 0
    shape = (count, longest, *data.shape[1:])
    rows = ones(shape, dtype=data.dtype, device=ids.device)
    return xp.prod(xp.put_at(rows, data[order], array_index((ids, positions))), axis=1)


@composite
def segment_max(xp, data, segment_ids, /, num_segments=None):
    """y[s] = max data[i] over the i with segment_ids[i] = s, in each column; NaN if any is.

    For an empty segment it is −∞, or the smallest integer.  dy goes to it, divided equally among
    ties.

    >>> minidl.segment_max(minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([0, 2, 0]))
    Tensor([  3., -inf,   2.], float32)
    """
    ids, count = _ids("segment_max", data, segment_ids, num_segments)
    ids = xp.check_indices(ids, count)
    return _segment_extremum(data, ids, count=count, largest=True)


@composite
def segment_min(xp, data, segment_ids, /, num_segments=None):
    """y[s] = min data[i] over the i with segment_ids[i] = s, in each column; NaN if any is.

    For an empty segment it is ∞, or the largest integer.  dy goes to it, divided equally among
    ties.

    >>> minidl.segment_min(minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([0, 2, 0]))
    Tensor([ 1., inf,  2.], float32)
    """
    ids, count = _ids("segment_min", data, segment_ids, num_segments)
    ids = xp.check_indices(ids, count)
    return _segment_extremum(data, ids, count=count, largest=False)


@primitive(NUMBER, keep_dtype=(1,))
def _segment_extremum(xp, data, ids, /, count, largest):
    """The last, or the first, of each segment's sorted rows, column by column."""
    shape = (count, *data.shape[1:])
    rows = xp.reshape(data, (data.shape[0], math.prod(data.shape[1:])))
    ordered = _by_segment_and_size(xp, rows, ids)
    of_none = xp.astype(xp.zeros_like(xp.any(rows, axis=0, keepdims=True)), data.dtype)
    ordered = xp.concat([ordered, of_none + _empty_extremum(data.dtype, largest)], axis=0)
    sizes = xp.scatter_at(ids * 0 + 1, array_index(ids), (count,))
    stops = xp.cumulative_sum(sizes, axis=0)
    last = ordered[xp.where(sizes > 0, stops - 1, data.shape[0])]
    y = last
    if not largest:
        first = ordered[xp.where(sizes > 0, stops - sizes, data.shape[0])]
        y = xp.where(last != last, last, first)  # NaN comes last
    y = xp.reshape(y, shape)

    def ddata(dy):
        here = xp.astype(data == y[ids], data.dtype)
        ties = xp.scatter_at(here, array_index(ids), shape)
        return xp.xdivy(here * dy[ids], ties[ids])

    return y, (ddata, None)


def _by_segment_and_size(xp, rows, ids):
    """Each column sorted within each segment, the segments one after the other."""
    order = xp.argsort(rows, axis=0)
    segments = ids[order]
    order = xp.take_along_axis(order, xp.argsort(segments, axis=0), axis=0)
    return xp.take_along_axis(rows, order, axis=0)


def _empty_extremum(dtype, largest):
    """The maximum, or the minimum, of an empty segment."""
    if dtype.kind == "f":
        return -math.inf if largest else math.inf
    return int(np.iinfo(dtype).min if largest else np.iinfo(dtype).max)
