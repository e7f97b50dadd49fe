"""Addition to rows of a table, and assignment to them, where rows may occur more than once."""

from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl_cuda.launch import Kernel, Module

_module = Module("scatter.cu")
_THREADS = 256
_CHUNK = 32  # sorted terms a thread, as in scatter.cu
_NAMES = {"e": "f16", "f": "f32", "d": "f64"}
_WORK = {"e": "f4", "f": "f4", "d": "f8"}


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def add_rows(table: Any, ids: Any, terms: Any) -> None:
    """table[ids[i], :] += terms[i, :]: floats, contiguous; ids (n,) int64, in the table."""
    order = cp.argsort(ids, kind="stable")
    add_sorted(table, ids[order], order, terms)


def add_sorted(table: Any, ids: Any, order: Any, terms: Any) -> None:
    """table[ids[i], :] += terms[order[i], :], for ascending ids."""
    n, width = ids.size, terms.size // max(1, ids.size)
    if not terms.size:
        return
    chunks = -(-n // _CHUNK)
    char = table.dtype.char
    heads, tails = (cp.empty((chunks, width, 2), _WORK[char]) for _ in range(2))
    grid = -(-chunks * width // _THREADS)
    sizes = np.int64(n), np.int64(width)
    runs = (table, ids, order, terms, heads, tails, *sizes)
    _kernel(f"add_runs_{_NAMES[char]}")(grid, _THREADS, runs)
    if chunks > 1:
        borders = (table, ids, heads, tails, *sizes)
        _kernel(f"add_borders_{_NAMES[char]}")(grid, _THREADS, borders)


def write_rows(table: Any, places: Any, values: Any) -> None:
    """table[places[i], :] = values[i, :], contiguous; of several for one place the last stays."""
    n, width = places.size, values.size // max(1, places.size)
    if not values.size:
        return
    order = cp.argsort(places, kind="stable")
    size = table.dtype.itemsize
    word = min(size, 8)
    words, width = f"u{word}", width * size // word
    arguments = (table.view(words), places[order], order, values.view(words))
    grid = -(-n * width // _THREADS)
    _kernel(f"write_last_{word}")(grid, _THREADS, (*arguments, np.int64(n), np.int64(width)))
