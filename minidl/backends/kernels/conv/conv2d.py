"""2-D convolution and its transpose, with their gradients, for float32 images (N, C, H, W).

    y[n, o, i, j] = bias[o] + Σ w[o, c, a, b] · x[n, c, i·s + a·d − p, j·s + b·d − p]

with stride s, dilation d and padding p, summed over the channels c of a group and the taps (a, b).

Three things are computed, each by the algorithm that `select.py` finds the fastest:

forward            y from x            implicit GEMM, padding-free or depthwise; or Winograd
input gradient     dx from dy          the same
weight gradient    dw and db           from x and dy

Whether Winograd's algorithm is allowed is asked once, in forward, and holds for the gradients.

A transposed convolution is the second as an operation of its own.  A ReLU, or 2 × 2 max pooling and
a ReLU, are an epilogue of the first; in backward, y > 0 is then a mask through which dy is read.
"""

from typing import Any, Literal

import numpy as np

from minidl.backends import cpu
from minidl.backends.joint import Joint
from minidl.backends.kernels.conv import select
from minidl.backends.kernels.conv.depthwise import DepthwisePlan, depthwise, depthwise_gradient
from minidl.backends.kernels.conv.implicit_gemm import implicit_gemm
from minidl.backends.kernels.conv.pack import (
    NO_ARGMAX,
    NO_CLAMP,
    NO_MASK,
    GradientOperands,
    Operands,
)
from minidl.backends.kernels.conv.padding_free import PaddingFreePlan, padding_free
from minidl.backends.kernels.conv.weight_gradient import weight_gradient
from minidl.backends.kernels.conv.weight_gradient_dot import DotPlan, weight_gradient_dot
from minidl.backends.kernels.conv.weight_gradient_pooled import weight_gradient_pooled
from minidl.backends.kernels.conv.winograd import winograd
from minidl.backends.kernels.pool.max_pool_2x2 import max_pool_2x2, max_pool_2x2_backward
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import as_contiguous
from minidl.backends.mode import current
from minidl.backends.window import Convolution, convolution, transposed

Epilogue = Literal["none", "relu", "pool_relu"]
Gradients = tuple[np.ndarray | None, ...]

_ZERO = np.float32(0)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = Σ w·x + b."""
    return _convolution("none", x, weight, bias, stride, padding, dilation, groups)


def conv2d_relu(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = max(Σ w·x + b, 0)."""
    return _convolution("relu", x, weight, bias, stride, padding, dilation, groups)


def conv2d_pool_relu(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = max(maximum of each 2 × 2 window of Σ w·x + b, 0)."""
    return _convolution("pool_relu", x, weight, bias, stride, padding, dilation, groups)


def _convolution(
    epilogue: Epilogue, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, *settings: Any
) -> Any:
    """y with an epilogue, and the pullback."""
    at = _geometry(convolution, "conv2d", x, weight, bias, settings)
    pooled = epilogue == "pool_relu"
    if at is None or pooled and min(at.output) < 2:
        return NotImplemented
    height, width = at.output
    shape = (height // 2, width // 2) if pooled else (height, width)
    y = np.empty((len(x), len(weight), *shape), np.float32)
    argmax = np.empty(y.shape, np.uint8) if pooled else NO_ARGMAX
    clamp_min = NO_CLAMP if epilogue == "none" else _ZERO
    allowed = current.get().winograd
    _forward(at, as_contiguous(x), as_contiguous(weight), bias, y, argmax, clamp_min, allowed)
    if pooled:
        return y, Joint(
            lambda wanted, dy: _pooled_gradients(wanted, at, x, weight, dy, argmax, allowed)
        )
    relu_mask = y if epilogue == "relu" else NO_MASK
    return y, Joint(lambda wanted, dy: _gradients(wanted, at, x, weight, dy, relu_mask, allowed))


def conv_transpose2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """y = the input gradient of a convolution for dy = x, plus b."""
    settings = stride, padding, output_padding, groups, dilation
    at = _geometry(transposed, "conv_transpose2d", x, weight, bias, settings)
    if at is None:
        return NotImplemented
    x, weight = as_contiguous(x), as_contiguous(weight)
    y = np.empty((len(x), weight.shape[1] * at.groups, *at.image), np.float32)
    allowed = current.get().winograd
    _backward(at, x, weight, bias, y, NO_MASK, allowed)

    def gradients(wanted: tuple[bool, ...], dy: np.ndarray) -> Gradients:
        dx = dw = db = None
        dy = as_contiguous(dy)
        if wanted[0]:
            dx = np.empty(x.shape, np.float32)
            _forward(at, dy, weight, None, dx, NO_ARGMAX, NO_CLAMP, allowed)
        if wanted[1]:
            dw, _ = _weight_gradient(at, GradientOperands(dy, x, NO_MASK, NO_ARGMAX))
        if wanted[2]:
            db = cpu.sum(dy, axis=(0, 2, 3))
        return dx, dw, db

    return y, Joint(gradients)


def _geometry(
    kind: Any,
    name: str,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    settings: tuple[Any, ...],
) -> Convolution | None:
    """The guard: the geometry of a `convolution` or a `transposed` one.

    None if the arrays are not what the kernels are made for; then the operation's body runs.
    """
    if not are_arrays("f", x, weight, optional=(bias,)):
        return None
    if not x.ndim == weight.ndim == 4:
        return None
    if not x.size or not weight.size:
        return None
    at = kind(name, x.shape, weight.shape, *settings)
    outputs = weight.shape[0] if kind is convolution else weight.shape[1] * at.groups
    return at if bias is None or bias.shape == (outputs,) else None


def _gradients(
    wanted: tuple[bool, ...],
    at: Convolution,
    x: np.ndarray,
    weight: np.ndarray,
    dy: np.ndarray,
    relu_mask: np.ndarray,
    winograd_allowed: bool,
) -> Gradients:
    """dx, dw and db, as far as they are wanted, of dy through a mask."""
    dx = dw = db = None
    dy = as_contiguous(dy)
    if wanted[0]:
        dx = np.empty(x.shape, np.float32)
        _backward(at, dy, as_contiguous(weight), None, dx, relu_mask, winograd_allowed)
    if wanted[1] or wanted[2]:
        operands = GradientOperands(as_contiguous(x), dy, relu_mask, NO_ARGMAX)
        dw, db = _weight_gradient(at, operands)
    return dx, dw, db


def _pooled_gradients(
    wanted: tuple[bool, ...],
    at: Convolution,
    x: np.ndarray,
    weight: np.ndarray,
    dy: np.ndarray,
    argmax: np.ndarray,
    winograd_allowed: bool,
) -> Gradients:
    """The same, of dy at the argmax of each pooling window."""
    outputs = len(weight)
    plan = None if wanted[0] else select.pooled_weights(at, x.shape[1], outputs)
    if plan is not None and np.isfinite(np.add.reduce(x, None)):
        operands = GradientOperands(as_contiguous(x), as_contiguous(dy), NO_MASK, argmax)
        dw, db = weight_gradient_pooled(operands, plan)
        return None, dw.reshape(weight.shape), db
    full_dy = np.empty((len(x), outputs, *at.output), np.float32)
    max_pool_2x2_backward(as_contiguous(dy), argmax, full_dy)
    return _gradients(wanted, at, x, weight, full_dy, NO_MASK, winograd_allowed)


def _forward(
    at: Convolution,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    y: np.ndarray,
    argmax: np.ndarray,
    clamp_min: np.float32,
    winograd_allowed: bool,
) -> None:
    """y from x."""
    algorithms = select.forward(at, x.shape[1], y.shape[1], winograd_allowed)
    operands = Operands(x, NO_MASK, weight, _bias(bias, y), y, argmax, clamp_min)
    if algorithms.winograd is not None and winograd(operands, algorithms.winograd):
        return
    if argmax is NO_ARGMAX or algorithms.pools:
        _convolve_exactly(operands, algorithms.exact)
        return
    full_y = np.empty((*y.shape[:2], *at.output), np.float32)
    operands = operands._replace(y=full_y, argmax=NO_ARGMAX, clamp_min=NO_CLAMP)
    _convolve_exactly(operands, algorithms.exact)
    max_pool_2x2(full_y, y, argmax, relu=True)


def _backward(
    at: Convolution,
    dy: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    dx: np.ndarray,
    relu_mask: np.ndarray,
    winograd_allowed: bool,
) -> None:
    """dx from dy."""
    algorithms = select.backward(at, dx.shape[1], dy.shape[1], winograd_allowed)
    operands = Operands(dy, relu_mask, weight, _bias(bias, dx), dx, NO_ARGMAX, NO_CLAMP)
    if algorithms.winograd is None or not winograd(operands, algorithms.winograd):
        _convolve_exactly(operands, algorithms.exact)


def _bias(bias: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    return np.zeros(y.shape[1], np.float32) if bias is None else as_contiguous(bias)


def _convolve_exactly(operands: Operands, plan: select.ExactPlan) -> None:
    if isinstance(plan, DepthwisePlan):
        depthwise(operands, plan)
    elif isinstance(plan, PaddingFreePlan):
        padding_free(operands, plan)
    else:
        implicit_gemm(operands, plan)


def _weight_gradient(at: Convolution, operands: GradientOperands) -> tuple[np.ndarray, np.ndarray]:
    """dw and db from x and dy."""
    channels, outputs = operands.x.shape[1], operands.dy.shape[1]
    plan = select.weights(at, channels, outputs)
    if isinstance(plan, DepthwisePlan):
        dw, db = depthwise_gradient(operands, plan)
    elif isinstance(plan, DotPlan):
        dw, db = weight_gradient_dot(operands, plan)
    else:
        dw, db = weight_gradient(operands, plan)
    return dw.reshape(outputs, channels // at.groups, *at.window), db
