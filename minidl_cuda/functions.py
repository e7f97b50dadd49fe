"""Functions element by element, of shape, and creation, on CuPy's arrays."""

from collections.abc import Sequence
from typing import Any

import cupy as cp
import numpy as np
from cupyx.scipy import special

from minidl.backends import philox

Array = cp.ndarray

# CuPy has these under the same names and, as far as the contract goes, the same arguments.
_SAME = """
    abs sign divide remainder pow maximum minimum floor ceil where trunc copysign signbit nextafter
    exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh log2 log10 logaddexp
    asinh acosh atanh atan2 hypot isfinite isinf isnan logical_and logical_or logical_xor
    logical_not bitwise_and bitwise_or bitwise_xor bitwise_invert bitwise_left_shift
    bitwise_right_shift round max min all any argmax argmin permute_dims expand_dims squeeze flip
    concat stack tril triu arange zeros zeros_like full real imag argwhere broadcast_to
    matrix_transpose
""".split()
globals().update({name: getattr(cp, name) for name in _SAME})
fft, ifft, rfft, irfft = cp.fft.fft, cp.fft.ifft, cp.fft.rfft, cp.fft.irfft


def conj(x: Array) -> Array:
    """The complex conjugate, a copy."""
    return cp.conj(x) if x.dtype.kind == "c" else x.copy()


def floor_divide(x1: Any, x2: Any) -> Array:
    """⌊x₁ / x₂⌋, also of infinities."""
    z = cp.floor_divide(x1, x2)
    if z.dtype.kind != "f":
        return z
    return cp.where(cp.isinf(x1) | cp.isinf(x2), cp.divide(x1, x2), z)


def xdivy(x1: Any, x2: Any) -> Array:
    """x₁/x₂, and 0 where x₁ is 0."""
    return _zero_where(x1 == 0, x1 / x2)


def xmuly(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where x₁ is 0."""
    return _zero_where(x1 == 0, x1 * x2)


def mul_zero(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where either is 0."""
    return _zero_where(cp.logical_or(x1 == 0, x2 == 0), x1 * x2)


def xlogy(x1: Any, x2: Any) -> Array:
    """x₁·log x₂, and 0 where x₁ is 0."""
    with np.errstate(all="ignore"):
        logarithm = cp.log(x2) if isinstance(x2, Array) else float(np.log(x2))
    return _zero_where(x1 == 0, x1 * logarithm)


def _zero_where(condition: Any, z: Array) -> Array:
    return cp.where(condition, z.dtype.type(0), z)


def complex(x1: Any, x2: Any) -> Array:
    """x₁ + i·x₂; x₁ + 1j·x₂ would be NaN where x₂ is infinite."""
    x1, x2 = cp.broadcast_arrays(cp.asarray(x1), cp.asarray(x2))
    result = cp.empty(x1.shape, np.result_type(x1.dtype, x2.dtype, np.complex64))
    result.real, result.imag = x1, x2
    return result


def erf(x: Array) -> Array:
    """The error function."""
    return special.erf(x).astype(x.dtype)


def erfc(x: Array) -> Array:
    """1 − erf x."""
    return special.erfc(x).astype(x.dtype)


def erfinv(x: Array) -> Array:
    """The inverse of erf."""
    return special.erfinv(x).astype(x.dtype)


def lgamma(x: Array) -> Array:
    """log |Γ(x)|."""
    return cp.where(x == -np.inf, x.dtype.type(np.inf), special.gammaln(x).astype(x.dtype))


def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of (log Γ)ʹ."""
    return special.polygamma(n, x).astype(x.dtype)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """A view where possible."""
    return x.reshape(shape)


def astype(x: Array, dtype: np.dtype) -> Array:
    """A copy in another dtype."""
    return x.astype(dtype)


def uniform_like(x: Array, key: tuple[int, int]) -> Array:
    """Uniform numbers in [0, 1) of the shape and dtype of x."""
    import minidl_cuda

    return philox.uniform_like(minidl_cuda, x, key)
