"""Fully connected layers."""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.elementwise import passed
from minidl.backends.kernels.gemm import product, sum_rows


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = x·Wᵀ + b for a matrix x;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy."""
    if not _suited(x, weight, bias):
        return NotImplemented
    return product(x, weight.T, bias), (
        lambda dy: product(dy, weight),
        lambda dy: product(dy.T, x),
        sum_rows,
    )


def linear_relu(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """max(y, 0) while y is written;   only where it is positive does dy pass."""
    if not _suited(x, weight, bias):
        return NotImplemented
    y = product(x, weight.T, bias, clamp_min=0.0)

    def pullback(wanted: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dz = passed(dy, y)
        return (
            product(dz, weight) if wanted[0] else None,
            product(dz.T, x) if wanted[1] else None,
            sum_rows(dz) if wanted[2] else None,
        )

    return y, Joint(pullback)


def _suited(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> bool:
    given = (x, weight) if bias is None else (x, weight, bias)
    if any(type(array) is not np.ndarray or array.dtype != x.dtype for array in given):
        return False
    fits = x.dtype.char in "fd" and x.ndim == 2 and x.shape[1:] == weight.shape[1:]
    return fits and (bias is None or bias.shape == weight.shape[:1])
