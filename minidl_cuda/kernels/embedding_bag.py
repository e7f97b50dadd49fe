"""Embedding bags (embedding_bag.cu): one launch gathers and reduces; back, parts are added by row.

Ids and offsets are checked on the way; the error is raised at the next wait.
"""

from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends.call_site import call_site
from minidl.backends.joint import Joint
from minidl.backends.rows import RowGradient
from minidl.checks import is_integer
from minidl.errors import ArgumentError
from minidl_cuda.array import Array
from minidl_cuda.checks import deferred, outside
from minidl_cuda.kernels.embedding import sum_rows
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

_module = Module("embedding_bag.cu")
_MODES = {"sum": 0, "mean": 1, "max": 2}
_MOST_THREADS = 256
_COUNTS = "bags", "width", "mode", "each", "last_included"
_BAGS = np.dtype(
    [*((name, "i8") for name in ("ids", "rows", "padding")), *((name, "i4") for name in _COUNTS)],
    align=True,
)


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def embedding_bag(
    weight: Array,
    ids: Array,
    offsets: Array | None = None,
    per_sample_weights: Array | None = None,
    *,
    mode: str = "mean",
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    include_last_offset: bool = False,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """y[b] = the sum, the mean or the maximum of the rows of bag b."""
    given = per_sample_weights
    if not are_arrays("fe", weight, given) or weight.ndim != 2 or not weight.size:
        return NotImplemented
    flags = include_last_offset, scale_grad_by_freq, sparse
    if type(mode) is not str or mode not in _MODES or not {bool}.issuperset(map(type, flags)):
        return NotImplemented
    if max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    if given is not None and (mode != "sum" or given.size != ids.size):
        return NotImplemented
    if padding_idx is not None and not is_integer(padding_idx):
        return NotImplemented
    bags = _bags(ids, offsets, include_last_offset)
    size, width = weight.shape
    if bags is None or padding_idx is not None and not -size <= padding_idx < size:
        return NotImplemented
    count, each = bags
    padding = -1 if padding_idx is None else int(padding_idx) % size
    counts = count, width, _MODES[mode], each, include_last_offset
    struct = np.array((ids.size, size, padding, *counts), _BAGS)[()]
    rows = contiguous(ids.astype("int64", copy=False)).reshape(-1)
    starts = None if offsets is None else contiguous(offsets.astype("int64", copy=False))
    table, factors = contiguous(weight), contiguous(given)
    arrays, suffix = (table, rows, starts), SUFFIX[weight.dtype.char]
    threads = min(_MOST_THREADS, 32 * blocks(width, 32))
    y = cp.empty((count, width), weight.dtype)
    _reduce(f"embedding_bag_{suffix}", threads, (*arrays, factors, y), struct)

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Any, ...]:
        dy, dtable, dfactors = contiguous(dy), None, None
        if needed[0]:
            parts = cp.empty((rows.size, width), y.dtype)
            arguments = *arrays, factors, y, dy, parts, struct
            _kernel(f"embedding_bag_back_{suffix}")(count, threads, arguments)
            dtable = _table_gradient(rows, parts, weight.shape, padding, sparse)
        if given is not None and needed[-1]:
            dfactors = cp.empty(given.shape, y.dtype)
            kernel = _kernel(f"embedding_bag_factors_{suffix}")
            kernel(count, _MOST_THREADS, (*arrays, dy, dfactors, struct))
        return (dtable, None, None, dfactors)[: len(needed)]

    return y, Joint(pullback)


def _bags(ids: Any, offsets: Any, ends: bool) -> tuple[int, int] | None:
    """How many bags there are, and how many ids each has, without offsets; None if it cannot be."""
    if type(ids) is not cp.ndarray or ids.dtype.kind not in "iu" or ids.dtype == np.uint64:
        return None
    if offsets is None:
        return ids.shape if ids.ndim == 2 else None
    if ids.ndim != 1 or type(offsets) is not cp.ndarray or offsets.ndim != 1:
        return None
    count = offsets.size - ends
    if offsets.dtype.kind not in "iu" or offsets.dtype == np.uint64 or count < 1:
        return None
    return count, 0


def _reduce(name: str, threads: int, arrays: tuple[Any, ...], struct: Any) -> None:
    """Launch the kernel, with slots for the checks of the offsets and of the ids."""
    where, ids = call_site(), int(struct["ids"])

    def error(found: int) -> Exception:
        return ArgumentError(
            f"offsets ascend from 0 to at most {ids}, the number of ids, which is the last with "
            f"include_last_offset; that of bag {found >> 32} does not (checked by {where})"
        )

    with deferred(error, outside(int(struct["rows"]))) as slots:
        _kernel(name)(int(struct["bags"]), threads, (*arrays, struct, *slots))


def _table_gradient(
    rows: Array, parts: Array, shape: tuple[int, int], padding: int, sparse: bool
) -> Any:
    """The parts added up by row, or as a RowGradient."""
    if not sparse:
        return sum_rows(rows, parts, shape[0], None if padding < 0 else padding)
    if padding < 0:
        return RowGradient(rows, parts, shape)
    kept = rows != padding
    return RowGradient(rows[kept], parts[kept], shape)
