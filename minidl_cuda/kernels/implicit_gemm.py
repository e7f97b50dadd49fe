"""Convolution in float32 by implicit GEMM: y, and the gradient of the images.  See the .cu file."""

import cupy
import numpy as np

from minidl_cuda.kernels.geometry import Problem, struct
from minidl_cuda.kernels.guard import blocks
from minidl_cuda.launch import Kernel, Module

_module = Module("implicit_gemm.cu")
_COLUMNS = 128  # of a tile
_TALL, _SHORT = 64, 16  # outputs of a tile
_THREADS = {_TALL: 256, _SHORT: 128}
_FEW_OUTPUTS = 32
_FEW_TILES = 160  # fewer do not fill a GPU: smaller ones are taken

Kernels = dict[int, Kernel]
_plain: Kernels
_masked: Kernels
_pooled: Kernels
_plain, _masked, _pooled = (
    {
        size: _module.kernel(f"conv2d_{name}{kind}_f32")
        for size, name in ((_TALL, "tall"), (_SHORT, "short"))
    }
    for kind in ("", "_masked", "_pooled")
)


def forward(
    problem: Problem,
    x: cupy.ndarray,
    weight: cupy.ndarray,
    bias: cupy.ndarray | None,
    y: cupy.ndarray,
    argmax: cupy.ndarray | None = None,
    *,
    relu: bool = False,
) -> None:
    """y = Σ w·x + b; pooled by 2 × 2 windows if there is an argmax; then at least 0 with relu."""
    columns, kernels = problem.positions, _plain
    if argmax is not None:
        height, width = problem.at.output
        columns, kernels = problem.images * (height // 2) * (width // 2) * 4, _pooled
    arrays = x, None, weight, bias, y, argmax
    _launch(kernels, problem, problem.outputs, columns, 1, arrays, backward=False, relu=relu)


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
    columns = problem.images * blocks(height, down) * blocks(width, right)  # of the largest phase
    kernels = _plain if relu_mask is None else _masked
    arrays = dy, relu_mask, weight, bias, dx, None
    phases = problem.phases
    _launch(kernels, problem, problem.channels, columns, phases, arrays, backward=True, relu=False)


def _launch(
    kernels: Kernels,
    problem: Problem,
    outputs: int,
    columns: int,
    phases: int,
    arrays: tuple[cupy.ndarray | None, ...],
    *,
    backward: bool,
    relu: bool,
) -> None:
    groups = problem.at.groups
    own, across = outputs // groups, blocks(columns, _COLUMNS)
    tiles = across * blocks(own, _TALL) * groups * phases
    size = _SHORT if own <= _FEW_OUTPUTS or tiles < _FEW_TILES else _TALL
    grid = across, blocks(own, size), groups * phases
    flags = np.int32(backward), np.int32(relu)
    kernels[size](grid, _THREADS[size], (*arrays, struct(problem), *flags))
