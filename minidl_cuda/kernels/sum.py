"""Sums along one axis, exact to one rounding of the result."""

from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl_cuda.launch import Kernel, Module

_module = Module("sum.cu")

_THREADS, _WARPS = 256, 8
_ENOUGH = 8192  # warps that keep a large GPU busy
_FEWEST = 256  # elements that are worth a warp of their own
_NAMES = {"e": "f16", "f": "f32", "d": "f64"}
_WORK = {"f16": "f32", "f32": "f32", "f64": "f64"}


@cache
def _kernel(form: str, suffix: str) -> Kernel:
    return _module.kernel(f"sum_{form}_{suffix}")


def sum_rows(x: Any, before: int, n: int, behind: int) -> Any:
    """Σ over the middle axis of contiguous floats (before, n, behind): (before, behind)."""
    name = _NAMES[x.dtype.char]
    return _summed(x, name, name, before, n, behind)


def sum_parts(parts: Any, before: int, n: int, behind: int, dtype: Any) -> Any:
    """The same of pairs (before, n, behind, 2) that other kernels have added up."""
    return _summed(parts, "parts", _NAMES[np.dtype(dtype).char], before, n, behind)


def _summed(x: Any, source: str, final: str, before: int, n: int, behind: int) -> Any:
    """Σ of elements, or of pairs, in as many passes as it takes."""
    work = _WORK[final]
    while (chunks := -(-n // (chunk := _chunk_length(before, n, behind)))) > 1:
        suffix = f"{source}_parts" if source == final else f"parts_{work}_parts"
        y = cp.empty((before, chunks, behind, 2), f"f{int(work[1:]) // 8}")
        _launch(suffix, x, y, before, chunks, n, behind, chunk)
        x, source, n = y, "parts", chunks
    y = cp.empty((before, behind), f"f{int(final[1:]) // 8}")
    suffix = final if source == final else f"parts_{final}"
    _launch(suffix, x, y, before, 1, n, behind, chunk)
    return y


def _chunk_length(before: int, n: int, behind: int) -> int:
    """The length of the chunks into which the axis is cut, such that there are enough of them."""
    warps = before if behind == 1 else before * -(-behind // 32) * _WARPS
    wanted = max(1, _ENOUGH // max(1, warps))
    return max(_FEWEST, -(-n // wanted))


def _launch(
    suffix: str, x: Any, y: Any, before: int, chunks: int, n: int, behind: int, chunk: int
) -> None:
    if behind == 1:
        sums = before * chunks
        arguments = (x, y, np.int64(sums), np.int32(chunks), np.int64(n), np.int64(chunk))
        _kernel("rows", suffix)(-(-sums // _WARPS), _THREADS, arguments)
    else:
        tiles = -(-behind // 32)
        sizes = (np.int32(chunks), np.int64(n), np.int64(behind), np.int64(chunk), np.int64(tiles))
        _kernel("columns", suffix)(before * chunks * tiles, _THREADS, (x, y, *sizes))
