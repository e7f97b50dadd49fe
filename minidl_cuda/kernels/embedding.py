"""Embedding (embedding.cu): a gather, one launch; back, zeros and a launch, or a sort.

Ids are checked on the way; the error is raised at the next wait.
"""

from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends.rows import RowGradient
from minidl.checks import is_integer
from minidl_cuda.array import Array
from minidl_cuda.checks import deferred, outside
from minidl_cuda.kernels import scatter
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

_module = Module("embedding.cu")
_THREADS = 256
_MOST_COMPARED = 16384  # ids that are compared with each other: more are sorted
_NOWHERE = -1  # no row is this padding


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def embedding(
    weight: Array, ids: Array, *, padding_idx: int | None = None, sparse: bool = False
) -> Any:
    """y = weight[ids];   dweight[r] = Σ dy where ids = r, or a RowGradient if sparse."""
    if not are_arrays("fe", weight) or weight.ndim != 2 or type(ids) is not cp.ndarray:
        return NotImplemented
    if ids.dtype.kind not in "iu" or ids.dtype == np.uint64 or type(sparse) is not bool:
        return NotImplemented
    if padding_idx is not None and not is_integer(padding_idx):
        return NotImplemented
    shape, rows = weight.shape, contiguous(ids.astype("int64", copy=False)).reshape(-1)
    y = gathered(weight, rows).reshape(*ids.shape, shape[1])

    def dweight(dy: Array) -> Any:
        dy = contiguous(dy).reshape(rows.size, shape[1])
        if not sparse:
            return sum_rows(rows, dy, shape[0], padding_idx)
        if padding_idx is None:
            return RowGradient(rows, dy, shape)
        kept = cp.flatnonzero(rows != padding_idx)  # how many, only the device knows: this waits
        return RowGradient(rows[kept], dy[kept], shape)

    return y, (dweight, None)


def gathered(weight: Array, rows: Array) -> Array:
    """weight[rows], (n, d), after a check of the rows, which is deferred."""
    size, width = weight.shape
    y = cp.empty((rows.size, width), weight.dtype)
    if not y.size:
        return y
    weight = contiguous(weight)
    length = width * weight.itemsize
    word = next(w for w in (16, 8, 4, 2) if length % w == weight.data.ptr % w == 0)
    words, kind = length // word, f"u{min(word, 4)}"
    grid = blocks(rows.size * words, _THREADS)
    sizes = np.int64(rows.size), np.int32(words), np.int64(size)
    tables = weight.view(kind), rows, y.view(kind)
    with deferred(outside(size)) as slot:
        _kernel(f"embedding_gather_{word}")(grid, _THREADS, (*tables, *sizes, *slot))
    return y


def sum_rows(ids: Array, terms: Array, size: int, padding: int | None) -> Array:
    """Zeros (size, d), plus terms[i] in row ids[i], except in the row of the padding."""
    n, width = terms.shape
    total = cp.zeros((size, width), terms.dtype)
    if n <= _MOST_COMPARED:
        padding = _NOWHERE if padding is None else padding
        sizes = np.int32(n), np.int32(width), np.int64(size), np.int64(padding)
        kernel = _kernel(f"embedding_add_equal_{SUFFIX[terms.dtype.char]}")
        kernel(n, _THREADS, (terms, ids, total, *sizes))
        return total
    scatter.add_rows(total, ids, terms)
    if padding is not None:
        total[padding] = 0
    return total
