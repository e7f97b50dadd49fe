"""Convolution in float16 by implicit GEMM on tensor cores, and its gradients.  See the .cu file.

Images and weights are laid out anew for each call, the channels of a group side by side; images
may be given as `laid_out` returns them, where several calls have the same.
"""

import cupy
import numpy as np

from minidl_cuda.kernels.geometry import Problem, struct
from minidl_cuda.kernels.guard import blocks
from minidl_cuda.kernels.weight_gradient import Gradients, part_length, sum_of_parts
from minidl_cuda.launch import Module

_module = Module("implicit_gemm_half.cu")
_channels_last = _module.kernel("channels_last_f16")
_pack_weights = _module.kernel("pack_weights_f16")
_convolve, _weights = _module.kernel("conv2d_f16"), _module.kernel("conv2d_weights_f16")

# As in the .cu file.
_CHUNK = 8
_THREADS = 128
_OUTPUTS, _COLUMNS = 64, 128  # of a tile of y
_SIDE = 64  # of a tile of dw
_LAID_OUT = 64, 32  # elements of a plane × channels


def forward(
    problem: Problem,
    x: cupy.ndarray,
    weight: cupy.ndarray,
    bias: cupy.ndarray | None,
    y: cupy.ndarray,
    *,
    relu: bool = False,
) -> None:
    """y = Σ w·x + b; at least 0 with relu."""
    groups = problem.at.groups
    grid = blocks(problem.positions, _COLUMNS), blocks(problem.outputs // groups, _OUTPUTS), groups
    arrays = laid_out(x, groups), _packed(problem, weight, backward=False), bias, y
    _convolve(grid, _THREADS, (*arrays, struct(problem), np.int32(False), np.int32(relu)))


def backward(
    problem: Problem,
    dy: cupy.ndarray,
    weight: cupy.ndarray,
    bias: cupy.ndarray | None,
    dx: cupy.ndarray,
    relu_mask: cupy.ndarray | None = None,
) -> None:
    """dx of dy, which counts as 0 where the mask is not positive; and a bias."""
    groups = problem.at.groups
    (height, width), (down, right) = problem.at.image, problem.at.stride
    columns = problem.images * blocks(height, down) * blocks(width, right)  # of the largest phase
    outputs = blocks(problem.channels // groups, _OUTPUTS)
    grid = blocks(columns, _COLUMNS), outputs, groups * problem.phases
    arrays = laid_out(dy, groups, relu_mask), _packed(problem, weight, backward=True), bias, dx
    _convolve(grid, _THREADS, (*arrays, struct(problem), np.int32(True), np.int32(False)))


def weight_gradient(
    problem: Problem,
    x: cupy.ndarray,
    dy: cupy.ndarray,
    relu_mask: cupy.ndarray | None = None,
    *,
    with_bias: bool = True,
) -> Gradients:
    """dw and db of dy, which counts as 0 where the mask is not positive."""
    groups, taps = problem.at.groups, problem.at.window[0] * problem.at.window[1]
    chunks = taps * blocks(problem.channels // groups, _CHUNK) + with_bias
    grid = blocks(chunks * _CHUNK, _SIDE), blocks(problem.outputs // groups, _SIDE)
    length = part_length(problem, grid[0] * grid[1] * groups, with_bias)
    parts = blocks(problem.positions, length)
    x, dy = laid_out(x, groups), laid_out(dy, groups, relu_mask)

    def compute(dw: cupy.ndarray, db: cupy.ndarray | None, apart: int) -> None:
        arguments = x, dy, dw, db, struct(problem), np.int32(length), np.int64(apart)
        _weights((*grid, groups * parts), _THREADS, arguments)

    return sum_of_parts(problem, parts, x.dtype, compute, with_bias=with_bias)


def laid_out(x: cupy.ndarray, groups: int, relu_mask: cupy.ndarray | None = None) -> cupy.ndarray:
    """(N, groups·channels, H, W) → (N, H, W, groups, channels filled up to whole chunks).

    Elements count as 0 where the mask is not positive.  What is laid out so already stays as it is.
    """
    if x.ndim == 5:
        return x
    images, channels, height, width = x.shape
    own, plane = channels // groups, height * width
    chunks = blocks(own, _CHUNK)
    y = cupy.empty((images, height, width, groups, chunks * _CHUNK), x.dtype)
    across = blocks(plane, _LAID_OUT[0])
    grid = images * groups * across, blocks(chunks * _CHUNK, _LAID_OUT[1])
    counts = (np.int32(n) for n in (groups, own, chunks, plane, across))
    _channels_last(grid, _THREADS, (x, relu_mask, y, *counts))
    return y


def _packed(problem: Problem, weight: cupy.ndarray, *, backward: bool) -> cupy.ndarray:
    """The weights as (groups, outputs, taps, channels), or backward, with these two exchanged."""
    groups = problem.at.groups
    outputs, channels = problem.outputs // groups, problem.channels // groups
    results, inner = (channels, outputs) if backward else (outputs, channels)
    taps, chunks = problem.at.window[0] * problem.at.window[1], blocks(inner, _CHUNK)
    packed = cupy.empty((groups, results, taps, chunks * _CHUNK), weight.dtype)
    counts = (np.int32(n) for n in (outputs, channels, taps, chunks, backward))
    arguments = weight, packed, *counts, np.int64(packed.size)
    _pack_weights(blocks(packed.size, 256), 256, arguments)
    return packed
