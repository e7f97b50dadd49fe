"""Sums over each channel of (N, C, S) (channel_sums.cu), and how kernels divide channels."""

from functools import cache
from typing import Any, NamedTuple, TypeAlias

import cupy as cp
import numpy as np

from minidl_cuda.kernels.guard import SUFFIX, blocks
from minidl_cuda.launch import Kernel, Module

Array: TypeAlias = cp.ndarray

THREADS = 256
_module = Module("channel_sums.cu")
_MOST_CHUNKS = 256  # of a channel: what each of a kernel's blocks adds up again
_SHORTEST = {1: 4096, 32: 128}  # chunks, where a block has so many channels
_STRUCT = np.dtype([(name, "i4") for name in ("samples", "channels", "space", "chunk", "chunks")])
_MOMENTS = np.dtype([("a", "i4"), ("b", "i4")])


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


class Layout(NamedTuple):
    """How x (N, C, S), fewer than 2³¹ elements, is divided into chunks of channels, a block each.

    wide    channels that a block has side by side: 1, or 32 where S is small
    """

    wide: int
    blocks: int
    chunks: int
    struct: Any


@cache
def layout(samples: int, channels: int, space: int) -> Layout:
    """How to divide them."""
    wide, count = 1 if space >= 8 else 32, samples * space
    chunk = max(_SHORTEST[wide], blocks(count, _MOST_CHUNKS))
    chunks = blocks(count, chunk)
    struct = np.array((samples, channels, space, chunk, chunks), _STRUCT)[()]
    return Layout(wide, blocks(channels, wide) * chunks, chunks, struct)


def channel_parts(
    dy: Array, x: Array, stats: Array, division: Layout, moments: tuple[int, int]
) -> Array:
    """Σ dy·x̂ and Σ dy of each chunk: (chunks, C, 2) pairs.  All arrays are contiguous.

    moments    (a, b): x[n, c] has row n·a + c // b of stats
    """
    parts = cp.empty((division.chunks, int(division.struct["channels"]), 2, 2), np.float32)
    of = np.array(moments, _MOMENTS)[()]
    kernel = _kernel(f"channel_sums_{division.wide}_{SUFFIX[x.dtype.char]}")
    kernel(division.blocks, THREADS, (dy, x, stats, parts, division.struct, of))
    return parts


def channel_sums(
    dy: Array, x: Array, stats: Array, division: Layout, moments: tuple[int, int], shape: Any
) -> tuple[Array, Array]:
    """Σ dy·x̂ and Σ dy of each channel, in arrays of this shape."""
    parts = channel_parts(dy, x, stats, division, moments)
    products, totals = cp.empty(shape, x.dtype), cp.empty(shape, x.dtype)
    grid = blocks(int(division.struct["channels"]), 32)
    kernel = _kernel(f"channel_sums_total_{SUFFIX[x.dtype.char]}")
    kernel(grid, THREADS, (parts, products, totals, division.struct))
    return products, totals
