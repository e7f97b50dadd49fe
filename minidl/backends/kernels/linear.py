"""Fully connected layers: y = x·Wᵀ + b, and their gradients, from matrix products.

With a ReLU, the clamp at 0 is part of the product's epilogue, and y, which is saved anyway, is the
mask of the gradient.

Cost: 2·m·n·k flops forward, twice as many back.
"""

import math
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.joint import Joint
from minidl.backends.kernels.gemm import product, sums_of_products
from minidl.backends.kernels.reduction import sum_rows
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import as_contiguous, chunk_bounds, parallel
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.products import precise_matmul

_ZERO = np.float32(0)


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = x·Wᵀ + b;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy."""
    if not _suits(x, weight, bias):
        return _with_numpy(x, weight, bias)
    rows = _rows(x)
    return product(rows, weight.T, bias).reshape(*x.shape[:-1], len(weight)), (
        lambda dy: product(_rows(dy), weight).reshape(x.shape),
        lambda dy: _weight_gradient(_rows(dy), rows),
        lambda dy: _sum_rows(_rows(dy)),
    )


def linear_relu(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = max(x·Wᵀ + b, 0);   as `linear`, with dy masked by y > 0."""
    if not _suits(x, weight, bias):
        return NotImplemented
    rows = _rows(x)
    y = product(rows, weight.T, bias, clamp_min=0.0)

    def pullback(needed: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dz = relu_gradient(_rows(dy), y)
        return (
            product(dz, weight).reshape(x.shape) if needed[0] else None,
            _weight_gradient(dz, rows) if needed[1] else None,
            _sum_rows(dz) if needed[2] else None,
        )

    return y.reshape(*x.shape[:-1], len(weight)), Joint(pullback)


def _rows(x: np.ndarray) -> np.ndarray:
    """x (…, n) as a matrix with n columns."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _weight_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dyᵀ·x, or (xᵀ·dy)ᵀ where only that has rows of full vectors."""
    if x.shape[1] < LANES <= dy.shape[1]:
        return np.ascontiguousarray(sums_of_products(x.T, dy).T)
    return sums_of_products(dy.T, x)


def _sum_rows(dy: np.ndarray) -> np.ndarray:
    if not dy.size:
        return np.zeros(dy.shape[1], dy.dtype)
    return sum_rows(as_contiguous(dy)[None], dy.dtype)[0]


def relu_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y = max(x, 0) is positive, else 0."""
    if y.dtype != np.float32 or y.size < 2048:  # NumPy is as fast
        return np.where(y > 0, dy, y.dtype.type(0))
    dx = np.empty(y.shape, np.float32)
    chunks = threads.chunks(0.3 * y.size)
    _relu_gradient(y.reshape(-1), as_contiguous(dy).reshape(-1), dx.reshape(-1), chunks)
    return dx


@parallel("f32[n] f32[n] f32[n]")
def _relu_gradient(y, dy, dx, chunk, chunks):
    start, stop = chunk_bounds(y.size, chunk, chunks)
    mask, part, result = y[start:stop], dy[start:stop], dx[start:stop]
    for i in range(mask.size):
        result[i] = part[i] if mask[i] > _ZERO else _ZERO


def _suits(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> bool:
    if not are_arrays("fd", x, weight, optional=(bias,)):
        return False
    if x.ndim < 2 or weight.ndim != 2 or x.shape[-1:] != weight.shape[1:]:
        return False
    return bias is None or bias.shape == weight.shape[:1]


def _with_numpy(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    """The same for a vector, and for complex numbers."""
    if not are_arrays("fdFD", x, weight, optional=(bias,)):
        return NotImplemented
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[1:]:
        return NotImplemented
    if bias is not None and bias.shape != weight.shape[:1]:
        return NotImplemented
    rows, (outputs, inputs) = math.prod(x.shape[:-1]), weight.shape
    y = x @ weight.T
    return y if bias is None else y + bias, (
        lambda dy: dy @ weight,
        lambda dy: precise_matmul(dy.reshape(rows, outputs).T, x.reshape(rows, inputs)),
        lambda dy: dy,  # the engine sums over the rows
    )
