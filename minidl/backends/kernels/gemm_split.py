"""How threads share a matrix product: parts of its rows, and groups of its columns."""

import math
from typing import NamedTuple

from minidl.backends.kernels.gemm_packing import BAND, PANEL, ROWS
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import LINE
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import MR, NR, RUN, tile_count

DEPTH = 32 * RUN  # products whose sum is float32, a multiple of PANEL
_WIDTH, _AREA = 32 * LANES, 2**18  # columns and elements of out that are computed at a time
# Multiply-adds that take as long as packing an element; and as what a tile loads besides vectors.
_COPY_COST, TRANSPOSE_COST, _TILE_COST = 8, 20, LANES / 2


class Split(NamedTuple):
    """Into how many parts rows and columns of each product are split, and the memory of a chunk."""

    parts: int
    groups: int  # of columns
    totals: int  # sums in float64
    workspace: int  # panels, tiles at edges, and bands


@planned
def split_product(
    count: int, m: int, n: int, k: int, a_transposed: bool, b_transposed: bool, chunks: int
) -> Split:
    """The split of `count` products (m, k)·(k, n) that takes the least time."""
    tiles, vectors = -(-m // MR), -(-n // LANES)

    def time(parts: int, groups: int) -> float:
        rows, width = -(-tiles // parts) * MR, -(-vectors // groups)
        columns = width * LANES + tile_count.py_func(width) * _TILE_COST
        packing = columns * (TRANSPOSE_COST if b_transposed else _COPY_COST)
        packing += rows * _COPY_COST if a_transposed else 0
        return -(-count * parts * groups // chunks) * (rows * columns + packing)

    splits = []
    least = -(-vectors * LANES // _WIDTH)
    for groups in range(least, min(least + chunks, vectors + 1)):
        unit = chunks // math.gcd(chunks, count * groups)
        area = m * -(-vectors // groups) * LANES
        fewest = max(-(-tiles // (ROWS // MR)), -(-area // _AREA))
        even = -(-fewest // unit) * unit
        splits += [(min(parts, tiles), groups) for parts in (fewest, even)]
    parts, groups = min(splits, key=lambda split: time(*split))
    rows, slices = -(-tiles // parts) * MR, tile_count.py_func(-(-vectors // groups))
    bands = -(-rows // BAND) * BAND * PANEL if a_transposed else 0
    workspace = slices * NR * PANEL + (rows + slices * MR) * NR + bands
    workspace = -(-workspace // LINE) * LINE
    return Split(parts, groups, rows * slices * NR if k > DEPTH else 0, workspace)
