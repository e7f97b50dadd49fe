"""Convolution of each channel by itself, and its gradients, in float32 and float16."""

import cupy
import numpy as np

from minidl.backends.window import Convolution
from minidl_cuda.kernels.geometry import Problem, struct
from minidl_cuda.kernels.guard import SUFFIX, blocks, split
from minidl_cuda.kernels.weight_gradient import Gradients, sum_of_parts
from minidl_cuda.launch import Kernel, Module

_module = Module("depthwise.cu")


def _kernels(name: str) -> dict[str, Kernel]:
    return {char: _module.kernel(f"{name}_{suffix}") for char, suffix in SUFFIX.items()}


_forward, _backward = _kernels("depthwise"), _kernels("depthwise_backward")
_weights = _kernels("depthwise_weights")
_STRIP, _TAPS = 4, 9  # as in the .cu file
_PART = 256 * 16  # positions that one block adds up
_FEW_OUTPUTS = 4  # of a channel; more are worth a tile of a matrix product


def suits(problem: Problem) -> bool:
    """Whether each channel is a group, with few outputs."""
    groups = problem.at.groups
    return groups == problem.channels > 1 and problem.outputs <= _FEW_OUTPUTS * groups


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
    height, width = problem.at.output
    threads, own = split(height * blocks(width, _STRIP))
    grid = problem.images * problem.outputs * own
    arguments = x, weight, bias, y, struct(problem), np.int32(relu), np.int32(own)
    _forward[x.dtype.char](grid, threads, arguments)


def backward(
    problem: Problem,
    dy: cupy.ndarray,
    weight: cupy.ndarray,
    bias: cupy.ndarray | None,
    dx: cupy.ndarray,
    relu_mask: cupy.ndarray | None = None,
) -> None:
    """dx of dy, which counts as 0 where the mask is not positive; and a bias."""
    (height, width), (down, right) = problem.at.image, problem.at.stride
    threads, own = split(blocks(height, down) * blocks(blocks(width, right), _STRIP))
    grid = problem.images * problem.channels * own, problem.phases
    arguments = dy, relu_mask, weight, bias, dx, struct(problem), np.int32(own)
    _backward[dy.dtype.char](grid, threads, arguments)


def weight_gradient(
    problem: Problem,
    x: cupy.ndarray,
    dy: cupy.ndarray,
    relu_mask: cupy.ndarray | None = None,
    *,
    with_bias: bool = True,
) -> Gradients:
    """dw and db of dy, which counts as 0 where the mask is not positive."""
    parts, taps = blocks(problem.positions, _PART), problem.at.window[0] * problem.at.window[1]
    grid = problem.outputs * parts, max(1, blocks(taps, _TAPS))

    def compute(dw: cupy.ndarray, db: cupy.ndarray | None, apart: int) -> None:
        arguments = x, dy, relu_mask, dw, db, struct(problem), np.int32(parts), np.int64(apart)
        _weights[x.dtype.char](grid, 256, arguments)

    return sum_of_parts(problem, parts, x.dtype, compute, with_bias=with_bias)


def channel_sums(x: cupy.ndarray) -> cupy.ndarray:
    """The sum of each channel of x (N, C, H, W): the gradient of a bias."""
    images, channels, height, width = x.shape
    no_taps = (0, 0)
    at = Convolution((1, 1), no_taps, (1, 1), (0, 0), (1, 1), channels, (height, width))
    return weight_gradient(Problem(at, images, channels, channels), x, x)[1]
