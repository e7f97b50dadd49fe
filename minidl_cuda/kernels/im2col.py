"""Convolution in float32 as products of matrices, by cuBLAS: of patches (im2col), or of x itself.

For 1 × 1 windows side by side x is the matrix of patches, and nothing is copied.
"""

import cupy
import numpy as np

from minidl_cuda.kernels.geometry import Problem, struct
from minidl_cuda.kernels.guard import blocks
from minidl_cuda.launch import Module

_module = Module("im2col.cu")
_im2col, _col2im = _module.kernel("im2col_f32"), _module.kernel("col2im_f32")
_bias_relu = _module.kernel("bias_relu_f32")
_LARGEST = 2**26  # elements of the patches at a time
_THREADS = 256


def is_pointwise(problem: Problem) -> bool:
    """Whether each window is one element, and each element a window."""
    _, window, stride, padding, _, _, _ = problem.at
    return window == stride == (1, 1) and padding == (0, 0)


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
    weights = _matrices(problem, weight)
    for some, part in _parts(problem):
        patches = _rows(part, x[some])
        if not is_pointwise(part):
            patches = _empty_patches(part)
            arguments = x[some], patches, struct(part), np.int64(patches.size)
            _im2col(blocks(patches.size, _THREADS), _THREADS, arguments)
        cupy.matmul(weights, patches, out=_rows(part, y[some]))
    if bias is not None or relu:
        _add(y, bias, relu)


def backward(
    problem: Problem,
    dy: cupy.ndarray,
    weight: cupy.ndarray,
    bias: cupy.ndarray | None,
    dx: cupy.ndarray,
    relu_mask: None = None,
) -> None:
    """dx of dy; and a bias."""
    weights = _matrices(problem, weight).transpose(0, 2, 1)
    for some, part in _parts(problem):
        gradients = _rows(part, dy[some])
        if is_pointwise(part):
            cupy.matmul(weights, gradients, out=_rows(part, dx[some]))
            continue
        patches = _empty_patches(part)
        cupy.matmul(weights, gradients, out=patches)
        own = dx[some]
        arguments = patches, bias, own, struct(part), np.int64(own.size)
        _col2im(blocks(own.size, _THREADS), _THREADS, arguments)
    if is_pointwise(problem) and bias is not None:
        _add(dx, bias, False)


def _parts(problem: Problem) -> list[tuple[slice, Problem]]:
    """Some images at a time, as far as their patches are too large."""
    patches = problem.depth * problem.at.groups * problem.at.output[0] * problem.at.output[1]
    most = problem.images if is_pointwise(problem) else max(1, _LARGEST // patches)
    ranges = [(n, min(n + most, problem.images)) for n in range(0, problem.images, most)]
    return [(slice(a, b), problem._replace(images=b - a)) for a, b in ranges]


def _matrices(problem: Problem, weight: cupy.ndarray) -> cupy.ndarray:
    """The weights of each group: (groups, outputs, depth)."""
    groups = problem.at.groups
    return weight.reshape(groups, problem.outputs // groups, problem.depth)


def _rows(problem: Problem, x: cupy.ndarray) -> cupy.ndarray:
    """(N, C, H, W) → (N, groups, channels, positions)."""
    images, channels, height, width = x.shape
    return x.reshape(images, problem.at.groups, channels // problem.at.groups, height * width)


def _empty_patches(problem: Problem) -> cupy.ndarray:
    positions = problem.at.output[0] * problem.at.output[1]
    shape = problem.images, problem.at.groups, problem.depth, positions
    return cupy.empty(shape, np.float32)


def _add(y: cupy.ndarray, bias: cupy.ndarray | None, relu: bool) -> None:
    """y = max(y + b, 0), in place."""
    _, channels, height, width = y.shape
    counts = np.int32(channels), np.int32(height * width), np.int64(y.size), np.int32(relu)
    _bias_relu(blocks(y.size, _THREADS), _THREADS, (y, bias, *counts))
