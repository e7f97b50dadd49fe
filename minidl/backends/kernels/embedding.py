"""Embedding: a gather of rows, and its gradient, a scatter-add.

Cost: 8 bytes an element of y forward; back, a pass over the table and one over dy.  `sparse` skips
the table: the gradient is dy and the ids.
"""

from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.prefetch import AHEAD, fetch
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    inner,
    parallel,
)
from minidl.backends.kernels.scatter import sum_rows
from minidl.backends.rows import RowGradient
from minidl.checks import is_integer
from minidl.errors import BoundsError


def embedding(
    weight: np.ndarray, ids: np.ndarray, *, padding_idx: int | None = None, sparse: bool = False
) -> Any:
    """y = weight[ids];   dweight[r] = Σ dy where ids = r, or a RowGradient if sparse."""
    if not are_arrays("fd", weight) or weight.ndim != 2 or ids.dtype.kind not in "iu":
        return NotImplemented
    if sparse is not True and sparse is not False:
        return NotImplemented
    if padding_idx is not None and not is_integer(padding_idx):
        return NotImplemented
    shape, rows = weight.shape, np.ascontiguousarray(ids, np.int64).reshape(-1)
    y = np.empty((rows.size, shape[1]), weight.dtype)
    chunks = threads.chunks(y.size * 0.2)
    wrong = np.empty(chunks, np.int64)
    _gather(np.ascontiguousarray(weight), rows, y, wrong, chunks)
    for i in wrong.tolist():
        if i >= 0:
            raise BoundsError(f"index {ids.reshape(-1)[i]} is outside 0 … {shape[0] - 1}")

    def dweight(dy: np.ndarray) -> Any:
        dy = dy.reshape(rows.size, shape[1])
        if sparse:
            kept = slice(None) if padding_idx is None else rows != padding_idx
            return RowGradient(rows[kept], dy[kept], shape)
        total = sum_rows(shape[0], rows, as_contiguous(dy))
        if padding_idx is not None:
            total[padding_idx] = 0
        return total

    return y.reshape(*ids.shape, shape[1]), (dweight, None)


@parallel("F[rows,width] i64[n] F[n,width] i64[chunks]", then=["scatter:_add"])
def _gather(table, rows, values, wrong, chunk, chunks):
    """values[i] = table[rows[i]];   for each chunk, the first i whose row does not exist, or −1."""
    start, stop = chunk_bounds(rows.size, chunk, chunks)
    first = _gather_chunk(table, rows[start:stop], values[start:stop])
    wrong[chunk] = first + start if first >= 0 else -1


@inner
def _gather_chunk(table, rows, values):
    for i in range(rows.size):
        row = rows[i]
        if row < 0 or row >= table.shape[0]:
            return i
        if i + AHEAD < rows.size and 0 <= rows[i + AHEAD] < table.shape[0]:
            fetch(table[rows[i + AHEAD]])
        source, target = table[row], values[i]
        for j in range(target.size):
            target[j] = source[j]
    return -1
