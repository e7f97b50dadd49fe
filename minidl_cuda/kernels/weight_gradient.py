"""The gradients of weights and bias in float32, by implicit GEMM split over the positions.

See the .cu file.  The sum of parts serves other algorithms, too.
"""

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from minidl_cuda.kernels.geometry import Problem, struct
from minidl_cuda.kernels.guard import SUFFIX, blocks
from minidl_cuda.launch import Module

Gradients = tuple[cupy.ndarray, cupy.ndarray | None]

_module = Module("weight_gradient.cu")
_sum_parts = {char: _module.kernel(f"sum_parts_{suffix}") for char, suffix in SUFFIX.items()}
_kernels = {
    (size, masked): _module.kernel(f"conv2d_weights_{size}{'_masked' * masked}_f32")
    for size in ("square", "short")
    for masked in (False, True)
}
_TILES = {"square": (64, 64), "short": (16, 128)}  # outputs × rows of patches
_FEW_OUTPUTS = 32
_THREADS = 128
_WHOLE = 32  # positions: a part has a multiple of them
_LONGEST = 16 * 32 * 32  # of a part: three levels of sums
_SHORTEST = 256
_TILES_OF_A_GPU = 512  # about as many run at once
_LARGEST = 2**26  # elements of all parts
_MOST_BLOCKS = 65535


def weight_gradient(
    problem: Problem,
    x: cupy.ndarray,
    dy: cupy.ndarray,
    relu_mask: cupy.ndarray | None = None,
    *,
    with_bias: bool = True,
) -> Gradients:
    """dw and db of dy, which counts as 0 where the mask is not positive."""
    groups = problem.at.groups
    outputs = problem.outputs // groups
    size = "short" if outputs <= _FEW_OUTPUTS else "square"
    height, width = _TILES[size]
    grid = blocks(problem.depth + with_bias, width), blocks(outputs, height)
    length = part_length(problem, grid[0] * grid[1] * groups, with_bias)
    parts = blocks(problem.positions, length)
    kernel = _kernels[size, relu_mask is not None]

    def compute(dw: cupy.ndarray, db: cupy.ndarray | None, apart: int) -> None:
        arguments = x, dy, relu_mask, dw, db, struct(problem), np.int32(length), np.int64(apart)
        kernel((*grid, groups * parts), _THREADS, arguments)

    return sum_of_parts(problem, parts, np.float32, compute, with_bias=with_bias)


def part_length(problem: Problem, tiles: int, with_bias: bool) -> int:
    """How many positions one block adds up: as many as keep a GPU busy, in whole runs.

    It depends on sizes alone, so that every GPU gives the same bits.
    """
    positions, elements = problem.positions, problem.outputs * (problem.depth + with_bias)
    parts = min(
        blocks(_TILES_OF_A_GPU, tiles),
        positions // _SHORTEST,
        _LARGEST // elements,
    )
    parts = min(max(parts, blocks(positions, _LONGEST)), _MOST_BLOCKS // problem.at.groups)
    return blocks(blocks(positions, parts), _WHOLE) * _WHOLE


def sum_of_parts(
    problem: Problem,
    parts: int,
    dtype: Any,
    compute: Callable[[cupy.ndarray, cupy.ndarray | None, int], None],
    *,
    with_bias: bool,
) -> Gradients:
    """dw and db, the sums of parts in float32: compute(dw, db, elements from part to part)."""
    at, outputs = problem.at, problem.outputs
    dw = cupy.empty((outputs, problem.channels // at.groups, *at.window), dtype)
    db = cupy.empty(outputs, dtype) if with_bias else None
    if parts == 1 and dw.dtype == np.float32:
        compute(dw, db, 0)
        return dw, db
    count, length = dw.size, dw.size + with_bias * outputs
    sums = cupy.empty(parts * length, np.float32)
    compute(sums, sums[count:] if with_bias else None, length)
    arguments = sums, dw, db, np.int64(count), np.int64(length), np.int32(parts)
    _sum_parts[dw.dtype.char](blocks(length, 256), 256, arguments)
    return dw, db
