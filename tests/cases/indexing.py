"""Rows of indexing, gathering and scattering, and of reductions of segments."""

import numpy as np

from tests.cases.registry import ops
from tests.cases.support import IDS, MASK, written
from tests.helpers import Case, distinct, fixed, real
from tests.oracle import torch

ROWS, COLUMNS = np.array([[0, 2], [1, 1]]), np.array([3, 0])
INDICES = [[0, 2, 2, 1], [1, 1, 1, 0]]  # along axis 0 of three rows; some are named twice
PLACES = [3, 1]
TARGETS = np.array([[2, 0], [2, 2], [1, 0], [2, 2]])  # along axis 0; some are named twice


def added_at(values, index, shape):
    """PyTorch's zeros with values added at index."""
    return torch.zeros(shape, dtype=values.dtype).index_put(index, values, accumulate=True)


def segments(reduce):
    """PyTorch's reduction of segments."""

    def of(x, ids):
        zeros = torch.zeros(3, *x.shape[1:], dtype=x.dtype)
        rows = [x[ids == i] for i in range(3)]
        return torch.stack([reduce(row) for row in rows]) + zeros

    return of


def joined(x, indices, values, reduce, include_self=True):
    """PyTorch's scatter_reduce along axis 0, written out, as prod has no second derivative."""
    reductions = {"amax": torch.amax, "amin": torch.amin}

    def element(i, j):
        found = [x[i, j]] if include_self else []
        found += [values[k, j] for k in range(len(values)) if indices[k, j] == i]
        if not found:
            return x[i, j]
        return reductions.get(reduce, getattr(torch, reduce))(torch.stack(found), 0)

    columns = range(x.shape[1])
    return torch.stack([torch.stack([element(i, j) for j in columns]) for i in range(len(x))])


# fmt: off
CASES = [
    Case("getitem integer", lambda x: x[1], lambda x: x[1], real(3, 4)),
    Case("getitem one number", lambda x: x[-1, 2], lambda x: x[-1, 2], real(3, 4)),
    Case("getitem slices", lambda x: x[1:, ::2], lambda x: x[1:, ::2], real(3, 4)),
    Case("getitem negative steps", lambda x: x[::-1, 2::-2],
         lambda x: x.flip(0)[:, [2, 0]], real(3, 4)),
    Case("getitem nothing", lambda x: x[2:2], lambda x: x[2:2], real(3, 4)),
    Case("getitem None", lambda x: x[:, None, 1], lambda x: x[:, None, 1], real(3, 4)),
    Case("getitem Ellipsis", lambda x: x[..., 1, None], lambda x: x[..., 1, None], real(2, 3, 4)),
    Case("getitem array, repeated", lambda x: x[ROWS], lambda x: x[ROWS], real(3, 4)),
    Case("getitem array from the end", lambda x: x[:, np.array([-1, 0, -1])],
         lambda x: x[:, [-1, 0, -1]], real(3, 4)),
    Case("getitem tensor", lambda x, i: x[i], lambda x, i: x[i], real(3, 4), fixed([2, 2, 0])),
    Case("getitem list", lambda x: x[[0, 2, 0]], lambda x: x[[0, 2, 0]], real(3, 4)),
    Case("getitem arrays together", lambda x: x[ROWS, COLUMNS],
         lambda x: x[ROWS, COLUMNS], real(3, 4)),
    Case("getitem arrays apart", lambda x: x[COLUMNS % 2, :, COLUMNS],
         lambda x: x[COLUMNS % 2, :, COLUMNS], real(2, 3, 4)),
    Case("getitem array and None", lambda x: x[None, 1:, COLUMNS],
         lambda x: x[None, 1:, COLUMNS], real(3, 4)),
    Case("getitem mask", lambda x, m: x[m], lambda x, m: x[m], real(2, 3), fixed(MASK)),
    Case("getitem mask of one axis", lambda x: x[:, MASK[0]],
         lambda x: x[:, MASK[0]], real(2, 3)),
    Case("scatter_at", lambda v: ops.scatter_at(v, (slice(1, 3), 0), (4, 2)),
         lambda v: written(torch.zeros(4, 2, dtype=v.dtype), (slice(1, 3), 0), v), real(2)),
    Case("scatter_at repeated", lambda v: ops.scatter_at(v, (np.array([2, 0, 2]),), (4, 3)),
         lambda v: added_at(v, (torch.tensor([2, 0, 2]),), (4, 3)), real(3, 3)),
    Case("put_at", lambda x, v: ops.put_at(x, v, (slice(None), 1)),
         lambda x, v: written(x, (slice(None), 1), v), real(3, 4), real(3)),
    Case("put_at broadcast", lambda x, v: ops.put_at(x, v, slice(1, 3)),
         lambda x, v: written(x, slice(1, 3), v), real(3, 4), real(4)),
    Case("put_at array", lambda x, v: ops.put_at(x, v, np.array([2, 0])),
         lambda x, v: written(x, [2, 0], v), real(3, 4), real(2, 4)),
    Case("put_at mask", lambda x, m, v: ops.put_at(x, v, m),
         lambda x, m, v: written(x, m, v), real(2, 3), fixed(MASK), real()),
    Case("take", ops.take, lambda x, i: x[i], real(4), fixed([[3, 0], [0, 1]])),
    Case("take axis", lambda x, i: ops.take(x, i, axis=1), lambda x, i: x[:, i],
         real(2, 3, 4), fixed([2, 0, 0, 1])),
    Case("take last axis", lambda x, i: ops.take(x, i, axis=-1), lambda x, i: x[..., i],
         real(2, 3), fixed([2, 0, 2])),
    Case("take_along_axis", lambda x, i: ops.take_along_axis(x, i, axis=0),
         lambda x, i: torch.gather(x, 0, i), real(3, 4), fixed(INDICES)),
    Case("take_along_axis last", ops.take_along_axis, lambda x, i: torch.gather(x, -1, i),
         real(2, 3), fixed(INDICES)),
    Case("put_along_axis", lambda x, i, v: ops.put_along_axis(x, i, v, axis=1),
         lambda x, i, v: x.scatter(1, i, v), real(2, 4), fixed([[3, 0], [1, 2]]), real(2, 2)),
    Case("scatter_add", lambda x, i, v: ops.scatter_add(x, i, v, axis=0),
         lambda x, i, v: x.scatter_add(0, i, v), real(3, 4), fixed(INDICES), real(2, 4)),
    Case("scatter_add last", ops.scatter_add, lambda x, i, v: x.scatter_add(-1, i, v),
         real(2, 3), fixed(INDICES), real(2, 4)),
    *(Case(f"scatter_reduce {reduce}",
           lambda x, i, v, r=reduce: ops.scatter_reduce(x, i, v, r, axis=0),
           lambda x, i, v, r=reduce: joined(x, i, v, r), distinct(3, 2), fixed(TARGETS),
           distinct(4, 2, shift=0.2)) for reduce in ("sum", "prod", "mean", "amax", "amin")),
    *(Case(f"scatter_reduce {reduce} alone",
           lambda x, i, v, r=reduce: ops.scatter_reduce(x, i, v, r, axis=0, include_self=False),
           lambda x, i, v, r=reduce: joined(x, i, v, r, False), distinct(3, 2), fixed(TARGETS),
           distinct(4, 2, shift=0.2)) for reduce in ("prod", "mean", "amax")),
    Case("segment_sum", ops.segment_sum, segments(lambda x: x.sum(0)), real(5, 2), fixed(IDS)),
    Case("segment_mean", ops.segment_mean, segments(lambda x: x.mean(0)), real(5, 2), fixed(IDS)),
    Case("segment_prod", ops.segment_prod, segments(lambda x: x.prod(0)), real(5, 2), fixed(IDS)),
    Case("segment_max", ops.segment_max, segments(lambda x: x.amax(0)), distinct(5, 2),
         fixed(IDS)),
    Case("segment_min", ops.segment_min, segments(lambda x: x.amin(0)), distinct(5, 2),
         fixed(IDS)),
    Case("segment_extremum", ops.segment_min, segments(lambda x: x.amin(0)), distinct(5),
         fixed(IDS)),
    Case("index_copy", lambda x, v: ops.index_copy(x, ops.asarray(PLACES), v, axis=1),
         lambda x, v: x.index_copy(1, torch.tensor(PLACES), v), real(2, 4), real(2, 2)),
    Case("index_fill", lambda x, v: ops.index_fill(x, ops.asarray(PLACES), v, axis=0),
         lambda x, v: x.index_fill(0, torch.tensor(PLACES), v), real(4, 3), real()),
    Case("masked_scatter", lambda x, v: ops.masked_scatter(x, ops.asarray(MASK), v),
         lambda x, v: x.masked_scatter(torch.tensor(MASK), v), real(2, 3), real(2, 4)),
    Case("masked_scatter broadcast", lambda x, v: ops.masked_scatter(x, ops.asarray(MASK[0]), v),
         lambda x, v: x.masked_scatter(torch.tensor(MASK[0]), v), real(2, 3), real(5)),
]
# fmt: on
