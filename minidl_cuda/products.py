"""Matrix products of CuPy's arrays.

`x1 @ x2` is cuBLAS's: float32 without TF32, unless CUPY_TF32=1 is in the environment.  It adds up
k products one after the other; `precise_matmul`, for sums over a batch, is a kernel
(`kernels.gemm`).
"""

import numpy as np

from minidl_cuda.array import Array
from minidl_cuda.functions import complex
from minidl_cuda.kernels.gemm import precise_product

_RUN_HALF = 2**14  # products of float16 likewise: cuBLAS adds them in float32
_RUN = 16  # products that may be added one after the other: k/4·ε is less than log₂ k·ε


def precise_matmul(x1: Array, x2: Array) -> Array:
    """x₁·x₂ over the last two axes, as NumPy's, for vectors and stacks of matrices too."""
    char, k = np.result_type(x1.dtype, x2.dtype).char, x1.shape[-1]
    if char == "e" and k <= _RUN_HALF:
        return x1 @ x2
    if char == "e":
        return precise_matmul(x1.astype("float32"), x2.astype("float32")).astype("float16")
    if k <= _RUN or char not in "fdFD":
        return x1 @ x2
    a = x1[None] if x1.ndim == 1 else x1
    b = x2[:, None] if x2.ndim == 1 else x2
    dtype = np.result_type(x1.dtype, x2.dtype)
    y = _product(a.astype(dtype, copy=False), b.astype(dtype, copy=False))
    y = y[..., 0] if x2.ndim == 1 else y
    return (y[..., 0] if x2.ndim == 1 else y[..., 0, :]) if x1.ndim == 1 else y


def _product(a: Array, b: Array) -> Array:
    """a·b of stacks; complex numbers by four products of real ones."""
    if a.dtype.kind != "c":
        return precise_product(a, b)
    real = precise_product(a.real, b.real) - precise_product(a.imag, b.imag)
    return complex(real, precise_product(a.real, b.imag) + precise_product(a.imag, b.real))
