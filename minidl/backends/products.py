"""Products of NumPy arrays whose error does not grow with the length of their sums.

A sum of k products is within max(1, log₂ k)·ε·Σ|terms| of the exact one, where ε is the distance
from 1 to the next number of the dtype.  BLAS adds up to several hundred products one after the
other, in the order of k, and blocks of them likewise: with constant factors, whose rounding goes in
the same direction each time, a thousand terms are wrong by 60 ε, and a million float32 by 1 %.

So sums are cut into runs, which BLAS multiplies, and which are added in pairs; larger products of
float32 are the kernel's (`kernels.gemm`).  float16 is multiplied in float32 and rounded once.
"""

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

_RUN = 32  # terms that BLAS adds up
_BLOCK = 512  # terms whose runs are added one after the other
_STACK = 2**18  # elements of runs that are computed before they are added


@cache
def _kernels() -> Any:
    return import_module("minidl.backends.kernels.gemm")


def precise_matmul(x1: np.ndarray, x2: np.ndarray) -> Any:
    """x₁·x₂ over the last two axes, as NumPy's, for vectors and stacks of matrices too."""
    char, k = np.result_type(x1, x2).char, x1.shape[-1]
    if char == "e":
        wide = precise_matmul(x1.astype(np.float32), x2.astype(np.float32))
        with np.errstate(over="ignore"):
            return wide.astype(np.float16)
    if k <= _RUN or char not in "fdFD":
        return x1 @ x2
    a = x1[None] if x1.ndim == 1 else x1
    b = x2[:, None] if x2.ndim == 1 else x2
    float32 = x1.dtype == x2.dtype == np.float32
    y = _kernels().sums_of_products(a, b) if float32 else in_runs(a, b)
    y = y[..., 0] if x2.ndim == 1 else y
    return (y[..., 0] if x2.ndim == 1 else y[..., 0, :]) if x1.ndim == 1 else y


def in_runs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a·b of stacks of matrices: runs of the sums by BLAS, added in pairs."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    if k <= _RUN:
        return a @ b
    if m == n == 1 and a.ndim == b.ndim == 2:
        return np.add.reduce(a[0] * b[:, 0]).reshape(1, 1)  # in pairs, too
    if k <= _BLOCK:
        total = a[..., :_RUN] @ b[..., :_RUN, :]
        for begin in range(_RUN, k, _RUN):
            total += a[..., begin : begin + _RUN] @ b[..., begin : begin + _RUN, :]
        return total
    if a.ndim == b.ndim == 2 and k * m * n <= _STACK * _RUN:
        return _in_stack(a, b)
    half = -(-k // (2 * _BLOCK)) * _BLOCK
    return in_runs(a[..., :half], b[..., :half, :]) + in_runs(a[..., half:], b[..., half:, :])


def _in_stack(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same of two matrices with a small product, whose runs are one call of NumPy."""
    (m, k), n = a.shape, b.shape[1]
    runs = k // _RUN
    end = runs * _RUN
    of_a = a[:, :end].reshape(m, runs, _RUN).swapaxes(0, 1)
    sums = of_a @ b[:end].reshape(runs, _RUN, n)
    while len(sums) > 1:
        half = len(sums) // 2
        pairs = sums[:half] + sums[half : 2 * half]
        if len(sums) % 2:
            pairs[-1] += sums[-1]
        sums = pairs
    return sums[0] + a[:, end:] @ b[end:]
