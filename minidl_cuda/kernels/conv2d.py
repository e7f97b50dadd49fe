"""2-D convolution and its transpose, with their gradients, for images (N, C, H, W).

    y[n, o, i, j] = bias[o] + Σ w[o, c, a, b] · x[n, c, i·s + a·d − p, j·s + b·d − p]

The algorithms, for y, for dx, and for dw with db:

depthwise        direct, where each channel is a group
implicit GEMM    in float32 (implicit_gemm, weight_gradient), and on tensor cores in float16
cuBLAS           large 1 × 1 convolutions; and all others, by im2col, if `use_algorithm` says so

A transposed convolution is dx as an operation of its own.  A ReLU, or 2 × 2 max pooling and a ReLU,
are an epilogue; in backward, y > 0 is then a mask through which dy is read.
"""

import os
from typing import Any, Literal

import cupy
import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.window import Convolution, convolution, transposed
from minidl.checks import check_choice
from minidl_cuda.array import Array
from minidl_cuda.kernels import (
    depthwise,
    im2col,
    implicit_gemm,
    implicit_gemm_half,
    weight_gradient,
)
from minidl_cuda.kernels.geometry import Problem
from minidl_cuda.kernels.guard import are_arrays, contiguous
from minidl_cuda.kernels.max_pool2d import max_pool_2x2_backward, max_pool_2x2_relu

Epilogue = Literal["none", "relu", "pool_relu"]
Gradients = tuple[Array | None, ...]

ALGORITHMS = "implicit_gemm", "im2col"
_WORTH_CUBLAS = 2**27  # multiply-adds of a 1 × 1 convolution: its launches are then the least of it


class _Choice:
    algorithm = os.environ.get("MINIDL_CUDA_CONVOLUTION", "implicit_gemm")


def use_algorithm(name: str) -> None:
    """Compute float32 convolutions by "implicit_gemm", or by "im2col" and cuBLAS.

    MINIDL_CUDA_CONVOLUTION in the environment sets what it is at first.
    """
    check_choice("use_algorithm", ALGORITHMS, name=name)
    _Choice.algorithm = name


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = Σ w·x + b."""
    return _convolution("none", x, weight, bias, stride, padding, dilation, groups)


def conv2d_relu(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = max(Σ w·x + b, 0)."""
    return _convolution("relu", x, weight, bias, stride, padding, dilation, groups)


def conv2d_pool_relu(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = max(maximum of each 2 × 2 window of Σ w·x + b, 0)."""
    return _convolution("pool_relu", x, weight, bias, stride, padding, dilation, groups)


def _convolution(
    epilogue: Epilogue, x: Array, weight: Array, bias: Array | None, *settings: Any
) -> Any:
    """y with an epilogue, and the pullback."""
    problem = _problem(convolution, "conv2d", x, weight, bias, settings)
    pooled = epilogue == "pool_relu"
    if problem is None or pooled and min(problem.at.output) < 2:
        return NotImplemented
    shape = x.shape
    x, weight, bias = _batch(contiguous(x)), contiguous(weight), contiguous(bias)
    mask = argmax = None
    if pooled:
        y, argmax = _forward_pooled(problem, x, weight, bias)
        y = y if len(shape) == 4 else y[0]
    else:
        y = cupy.empty((*shape[:-3], problem.outputs, *problem.at.output), x.dtype)
        _forward(problem, x, weight, bias, _batch(y), relu=epilogue == "relu")
        mask = _batch(y) if epilogue == "relu" else None

    def gradients(wanted: tuple[bool, ...], dy: Array) -> Gradients:
        dy = _batch(contiguous(dy))
        if argmax is not None:
            dy = max_pool_2x2_backward(dy, argmax, problem.at.output)
        dx = dw = db = None
        relu_mask = mask
        if _algorithm(problem, x) is implicit_gemm_half:
            dy, relu_mask = implicit_gemm_half.laid_out(dy, problem.at.groups, mask), None
        if wanted[0]:
            dx = cupy.empty(shape, x.dtype)
            _backward(problem, dy, weight, None, _batch(dx), relu_mask)
        if wanted[1] or wanted[2]:
            dw, db = _weight_gradient(problem, x, dy, relu_mask, with_bias=wanted[2])
        return dx, dw, db

    return y, Joint(gradients)


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """y = the input gradient of a convolution for dy = x, plus b."""
    settings = stride, padding, output_padding, groups, dilation
    problem = _problem(transposed, "conv_transpose2d", x, weight, bias, settings)
    if problem is None:
        return NotImplemented
    shape = x.shape
    x, weight, bias = _batch(contiguous(x)), contiguous(weight), contiguous(bias)
    y = cupy.empty((*shape[:-3], problem.channels, *problem.at.image), x.dtype)
    _backward(problem, x, weight, bias, _batch(y), None)

    def gradients(wanted: tuple[bool, ...], dy: Array) -> Gradients:
        dx = dw = db = None
        dy = _batch(contiguous(dy))
        if wanted[2]:
            db = depthwise.channel_sums(dy)
        if _algorithm(problem, x) is implicit_gemm_half:
            dy = implicit_gemm_half.laid_out(dy, problem.at.groups)
        if wanted[0]:
            dx = cupy.empty(shape, x.dtype)
            _forward(problem, dy, weight, None, _batch(dx), relu=False)
        if wanted[1]:
            dw, _ = _weight_gradient(problem, dy, x, None, with_bias=False)
        return dx, dw, db

    return y, Joint(gradients)


def _problem(
    kind: Any, name: str, x: Array, weight: Array, bias: Array | None, settings: tuple[Any, ...]
) -> Problem | None:
    """The guard: the geometry, or None if the arrays are not what the kernels are made for."""
    if not are_arrays("fe", x, weight, bias) or weight.ndim != 4 or x.ndim not in (3, 4):
        return None
    if not x.size or not weight.size:
        return None
    at: Convolution = kind(name, x.shape, weight.shape, *settings)
    images = x.shape[0] if x.ndim == 4 else 1
    ours, others = x.shape[-3], weight.shape[0]
    if kind is transposed:
        problem = Problem(at, images, weight.shape[1] * at.groups, ours)
    else:
        problem = Problem(at, images, ours, others)
    results = problem.outputs if kind is convolution else problem.channels
    if bias is not None and bias.shape != (results,):
        return None
    return problem if problem.fits() else None


def _batch(x: Array) -> Array:
    """Images (N, C, H, W), of one (C, H, W) too."""
    return x[None] if x.ndim == 3 else x


def _forward(
    problem: Problem, x: Array, weight: Array, bias: Array | None, y: Array, *, relu: bool
) -> None:
    """y from x."""
    _algorithm(problem, x).forward(problem, x, weight, bias, y, relu=relu)


def _forward_pooled(
    problem: Problem, x: Array, weight: Array, bias: Array | None
) -> tuple[Array, Array]:
    """y, pooled by 2 × 2 windows and at least 0, and the argmax."""
    height, width = problem.at.output
    if _algorithm(problem, x) is not implicit_gemm:
        full_y = cupy.empty((problem.images, problem.outputs, height, width), x.dtype)
        _forward(problem, x, weight, bias, full_y, relu=False)
        return max_pool_2x2_relu(full_y)
    y = cupy.empty((problem.images, problem.outputs, height // 2, width // 2), x.dtype)
    argmax = cupy.empty(y.shape, np.uint8)
    implicit_gemm.forward(problem, x, weight, bias, y, argmax, relu=True)
    return y, argmax


def _backward(
    problem: Problem, dy: Array, weight: Array, bias: Array | None, dx: Array, mask: Array | None
) -> None:
    """dx from dy."""
    algorithm = _algorithm(problem, dy)
    if algorithm is im2col and mask is not None:
        algorithm = implicit_gemm
    algorithm.backward(problem, dy, weight, bias, dx, mask)


def _weight_gradient(
    problem: Problem, x: Array, dy: Array, mask: Array | None, *, with_bias: bool
) -> weight_gradient.Gradients:
    """dw and db from x and dy; never by cuBLAS, which does not promise how exact long sums are."""
    algorithm = _algorithm(problem, x)
    if algorithm is implicit_gemm or algorithm is im2col:
        algorithm = weight_gradient
    return algorithm.weight_gradient(problem, x, dy, mask, with_bias=with_bias)


def _algorithm(problem: Problem, x: Array) -> Any:
    """The module that computes y and dx."""
    if depthwise.suits(problem):
        return depthwise
    if x.dtype.char == "e":
        return implicit_gemm_half
    worth = problem.positions * problem.outputs * problem.depth >= _WORTH_CUBLAS
    if _Choice.algorithm == "im2col" or worth and im2col.is_pointwise(problem):
        return im2col
    return implicit_gemm
