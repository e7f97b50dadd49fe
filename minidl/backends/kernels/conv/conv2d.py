"""Convolution, and both of its gradients, without a matrix of all windows.

The plans say where everything lies; `convolve` computes y and dx, `conv_weights` dw and db, both
tile by tile.
"""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.conv.implicit_gemm import NO_MASK
from minidl.backends.kernels.conv.select import (
    bias_or_zeros,
    convolve,
    convolve_and_pool,
    convolve_back,
)
from minidl.backends.kernels.conv.weight_gradient import weight_gradient
from minidl.backends.kernels.conv.weight_gradient_pooled import is_worth_it, pooled_weight_gradient
from minidl.backends.kernels.pool.max_pool_2x2 import largest_by_twos_back
from minidl.backends.kernels.runtime.compile import as_contiguous
from minidl.backends.window import Convolution, convolution


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = Σ x·w + b, and its pullbacks, for float32 pictures (N, C, H, W)."""
    return _convolved(x, weight, bias, -np.inf, stride, padding, dilation, groups)


def conv2d_relu(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """max(y, 0) while y is written; only where it is positive does dy pass."""
    return _convolved(x, weight, bias, 0.0, stride, padding, dilation, groups)


def conv2d_pool_relu(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Of y, only the largest of each square of two by two, at least 0, and which it was."""
    at = _suited(x, weight, bias, stride, padding, dilation, groups)
    if at is None or min(at.output) < 2:
        return NotImplemented
    outputs = weight.shape[0]
    y = np.empty((x.shape[0], outputs, *(n // 2 for n in at.output)), np.float32)
    taken = np.empty(y.shape, np.uint8)
    convolve_and_pool(
        as_contiguous(x), as_contiguous(weight), bias_or_zeros(bias, outputs), y, taken, at
    )

    def gradients(wanted: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dy = as_contiguous(dy)
        if not wanted[0] and is_worth_it(at, x.shape[1]) and np.isfinite(np.add.reduce(x, None)):
            return None, *pooled_weight_gradient(as_contiguous(x), dy, taken, at)
        whole = np.empty((len(x), outputs, *at.output), np.float32)
        largest_by_twos_back(dy, taken, whole)
        return _gradients(wanted, x, weight, whole, NO_MASK, at)

    return y, Joint(gradients)


def _convolved(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, least: float, *settings: Any
) -> Any:
    """max(y, least) and its pullback: dy passes everywhere, or where y is positive if least = 0."""
    at = _suited(x, weight, bias, *settings)
    if at is None:
        return NotImplemented
    y = _forward(x, weight, bias, at, least)
    passes = NO_MASK if least == -np.inf else y
    return y, Joint(lambda wanted, dy: _gradients(wanted, x, weight, dy, passes, at))


def _suited(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, *settings: Any
) -> Convolution | None:
    """Where the windows lie; None if the kernels are not made for these arrays."""
    given = (x, weight) if bias is None else (x, weight, bias)
    if any(type(array) is not np.ndarray or array.dtype != np.float32 for array in given):
        return None
    if x.ndim != 4 or weight.ndim != 4 or bias is not None and bias.shape != weight.shape[:1]:
        return None
    if not x.size or not weight.size:
        return None
    return convolution("conv2d", x.shape, weight.shape, *settings)


def _forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, at: Convolution, least: float
) -> np.ndarray:
    outputs = weight.shape[0]
    y = np.empty((x.shape[0], outputs, *at.output), np.float32)
    convolve(as_contiguous(x), as_contiguous(weight), bias_or_zeros(bias, outputs), y, at, least)
    return y


def _gradients(
    wanted: tuple[bool, ...],
    x: np.ndarray,
    weight: np.ndarray,
    dy: np.ndarray,
    y: np.ndarray,
    at: Convolution,
) -> tuple[np.ndarray | None, ...]:
    """dx, dw and db, as far as they are wanted, of dy where y is positive."""
    dx = dw = db = None
    x, dy, weight = map(as_contiguous, (x, dy, weight))
    if wanted[0]:
        dx = np.empty(x.shape, np.float32)
        zeros = np.zeros(x.shape[1], np.float32)
        convolve_back(dy, weight, zeros, dx, at, y)
    if wanted[1] or wanted[2]:
        dw, db = weight_gradient(x, dy, y, at)
    return dx, dw, db
