"""Fully connected layers: y = x·Wᵀ + b, and their gradients, from matrix products.

With a ReLU, the clamp at 0 is part of the product's epilogue, and y, which is saved anyway, is the
mask of the gradient.

Cost: 2·m·n·k flops forward, twice as many back.
"""

import math
from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.elementwise import relu_gradient
from minidl.backends.kernels.gemm import product, sum_rows
from minidl.backends.kernels.runtime.guard import are_arrays


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = x·Wᵀ + b;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy."""
    if not _suits(x, weight, bias):
        return _of_any_rank(x, weight, bias)
    return product(x, weight.T, bias), (
        lambda dy: product(dy, weight),
        lambda dy: product(dy.T, x),
        sum_rows,
    )


def linear_relu(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = max(x·Wᵀ + b, 0);   as `linear`, with dy masked by y > 0."""
    if not _suits(x, weight, bias):
        return NotImplemented
    y = product(x, weight.T, bias, clamp_min=0.0)

    def pullback(needed: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dz = relu_gradient(dy, y)
        return (
            product(dz, weight) if needed[0] else None,
            product(dz.T, x) if needed[1] else None,
            sum_rows(dz) if needed[2] else None,
        )

    return y, Joint(pullback)


def _suits(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> bool:
    if weight is None or not are_arrays("fd", x, weight, bias):
        return False
    if x.ndim != 2 or x.shape[1:] != weight.shape[1:]:
        return False
    return bias is None or bias.shape == weight.shape[:1]


def _of_any_rank(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    """The same for x of any rank, and for other floats: all axes but the last count the rows."""
    if weight is None or not are_arrays("efdFD", x, weight, bias):
        return NotImplemented
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[1:]:
        return NotImplemented
    if bias is not None and bias.shape != weight.shape[:1]:
        return NotImplemented
    rows, (outputs, inputs) = math.prod(x.shape[:-1]), weight.shape
    y = x @ weight.T
    return y if bias is None else y + bias, (
        lambda dy: dy @ weight,
        lambda dy: dy.reshape(rows, outputs).T @ x.reshape(rows, inputs),
        lambda dy: dy,  # the engine sums over the rows
    )
