"""The input gradient of a convolution as an operation of its own, by the same plans."""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.conv.implicit_gemm import NO_MASK
from minidl.backends.kernels.conv.select import bias_or_zeros, convolve, convolve_back
from minidl.backends.kernels.conv.weight_gradient import weight_gradient
from minidl.backends.kernels.runtime.compile import as_contiguous
from minidl.backends.window import transposed


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
    """y: x·w spread over windows, plus b, and its pullbacks, for float32 pictures (N, C, H, W)."""
    given = (x, weight) if bias is None else (x, weight, bias)
    if any(type(array) is not np.ndarray or array.dtype != np.float32 for array in given):
        return NotImplemented
    if x.ndim != 4 or weight.ndim != 4 or not x.size or not weight.size:
        return NotImplemented
    settings = stride, padding, output_padding, groups, dilation
    at = transposed("conv_transpose2d", x.shape, weight.shape, *settings)
    channels, outputs = weight.shape[0], weight.shape[1] * groups
    if bias is not None and bias.shape != (outputs,):
        return NotImplemented
    x, weight = as_contiguous(x), as_contiguous(weight)
    y = np.empty((len(x), outputs, *at.picture), np.float32)
    convolve_back(x, weight, bias_or_zeros(bias, outputs), y, at)

    def gradients(wanted: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dx = dw = db = None
        dy = as_contiguous(dy)
        if wanted[0]:
            dx, zeros = np.empty(x.shape, np.float32), np.zeros(channels, np.float32)
            convolve(dy, weight, zeros, dx, at)
        if wanted[1]:
            dw, _ = weight_gradient(dy, x, NO_MASK, at)
        if wanted[2]:
            db = np.add.reduce(dy, axis=(0, 2, 3))
        return dx, dw, db

    return y, Joint(gradients)
