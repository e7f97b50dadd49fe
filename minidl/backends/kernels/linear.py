"""Fully connected layers."""

import math
from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.elementwise import passed
from minidl.backends.kernels.gemm import product, sum_rows


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = x·Wᵀ + b;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy."""
    if not _suited(x, weight, bias):
        return _of_any_rank(x, weight, bias)
    return product(x, weight.T, bias), (
        lambda dy: product(dy, weight),
        lambda dy: product(dy.T, x),
        sum_rows,
    )


def linear_relu(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """max(y, 0) while y is written;   only where it is positive does dy pass."""
    if not _suited(x, weight, bias):
        return NotImplemented
    y = product(x, weight.T, bias, least=0.0)

    def pullback(wanted: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        dz = passed(dy, y)
        return (
            product(dz, weight) if wanted[0] else None,
            product(dz.T, x) if wanted[1] else None,
            sum_rows(dz) if wanted[2] else None,
        )

    return y, Joint(pullback)


def _of_any_rank(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    """The same for x of any rank, and for other floats: all axes but the last count the rows."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    if any(type(array) is not np.ndarray or array.dtype != x.dtype for array in arrays):
        return NotImplemented
    if x.dtype.kind not in "fc" or weight.ndim != 2 or x.shape[-1:] != weight.shape[1:]:
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


def _suited(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> bool:
    """Whether these are matrices of float32, or of float64, that fit, with a vector or no bias."""
    return (
        type(x) is np.ndarray
        and x.dtype.char in "fd"
        and x.ndim == 2
        and type(weight) is np.ndarray
        and weight.dtype == x.dtype
        and weight.shape[1:] == x.shape[1:]
        and (
            bias is None
            or type(bias) is np.ndarray
            and bias.dtype == x.dtype
            and bias.shape == weight.shape[:1]
        )
    )
