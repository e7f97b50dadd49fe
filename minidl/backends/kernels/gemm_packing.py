"""Packing the factors of a matrix product: copies that the micro-kernel reads line by line.

The second factor is cut into slices as wide as a tile; PANEL rows of a slice are a panel, which
stays in the first-level cache.  The first one is packed only if its columns are contiguous, in
bands that are as wide as tiles and vectors can share.
"""

import math

import numpy as np

from minidl.backends.kernels.runtime.kernel import carray, chunk_bounds, inner
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    pointer,
    zero_vector,
)
from minidl.backends.kernels.simd.micro_kernel import MR, NR, tile_count, transpose_panel

PANEL = 1 << (6144 // NR).bit_length() - 1  # rows of a panel, which has 24 KiB at most
BAND = math.lcm(MR, LANES)
ROWS = 1024 // MR * MR  # of the first factor that are packed at a time
BAND_ROWS = np.arange(PANEL, dtype=np.int64) * BAND  # offsets of the rows of a band
IN_BANDS = np.arange(ROWS, dtype=np.int64)  # and of what were columns, in all bands
IN_BANDS = IN_BANDS // BAND * (BAND * PANEL) + IN_BANDS % BAND


@inner
def pack(b, transposed, begin, depth, left, right, panels):
    """Pack rows begin … begin + depth − 1 of b, columns left … right − 1, into a panel a slice.

    Panels have rows of NR elements, padded with zeros to full vectors.
    """
    stride, vectors = b.shape[1], (right - left + LANES - 1) // LANES
    slices = tile_count(vectors)
    for i in range(slices):
        first, last = chunk_bounds(vectors, i, slices)
        first, last = left + first * LANES, min(left + last * LANES, right)
        target = pointer(panels, i * PANEL * NR)
        if transposed:
            source = pointer(b, first * stride + begin)
            transpose_panel(source, stride, last - first, depth, target, NR)
            continue
        for k in range(depth):
            row = pointer(b, (begin + k) * stride + first)
            _copy_padded(row, last - first, advance(target, k * NR))


@inner
def pack_bands(a, begin, depth, left, width, bands):
    """Pack rows of aᵀ, `width` columns from `left` on, into bands, padded to full vectors."""
    stride, full = a.shape[1], width - width % BAND
    for k in range(depth):
        source, target = pointer(a, (begin + k) * stride + left), pointer(bands, k * BAND)
        for first in range(0, full, BAND):
            band = advance(target, first * PANEL)
            for j in range(0, BAND, LANES):
                copy_vector(advance(source, first + j), advance(band, j))
        if full < width:
            _copy_padded(advance(source, full), width - full, advance(target, full * PANEL))


@inner
def _copy_padded(source, width, target):
    """Copy `width` elements, padded with zeros to full vectors."""
    rest = width % LANES
    full = width - rest
    for j in range(0, full, LANES):
        copy_vector(advance(source, j), advance(target, j))
    if rest:
        zero_vector(advance(target, full))
        x, y = carray(advance(source, full), rest), carray(advance(target, full), rest)
        for j in range(rest):
            y[j] = x[j]
