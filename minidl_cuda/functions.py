"""Functions element by element, of shape, and creation, on CuPy's arrays.

CuPy's own are used where they are what the contract says.  They differ from NumPy's where float32
numbers are below 2⁻¹²⁶: CuPy compiles with `-ftz=true`, and those count as 0.
"""

import sys
from collections.abc import Sequence
from typing import Any

import cupy as cp
import numpy as np
from cupyx.scipy import special

from minidl.backends import philox
from minidl_cuda.array import Array

# CuPy has these under the same names and, as far as the contract goes, the same arguments.
abs, ceil, floor, round, sign, trunc = cp.abs, cp.ceil, cp.floor, cp.round, cp.sign, cp.trunc
divide, pow, maximum, minimum = cp.divide, cp.pow, cp.maximum, cp.minimum
where, copysign, signbit, nextafter = cp.where, cp.copysign, cp.signbit, cp.nextafter
exp, log, log1p, log2, log10, sqrt = cp.exp, cp.log, cp.log1p, cp.log2, cp.log10, cp.sqrt
sin, cos, tan, asin, acos, atan = cp.sin, cp.cos, cp.tan, cp.asin, cp.acos, cp.atan
sinh, cosh, tanh, asinh, acosh, atanh = cp.sinh, cp.cosh, cp.tanh, cp.asinh, cp.acosh, cp.atanh
atan2, hypot, logaddexp = cp.atan2, cp.hypot, cp.logaddexp
isfinite, isinf, isnan = cp.isfinite, cp.isinf, cp.isnan
bitwise_and, bitwise_or, bitwise_xor = cp.bitwise_and, cp.bitwise_or, cp.bitwise_xor
bitwise_invert = cp.bitwise_invert
max, min, all, any, argmax, argmin = cp.max, cp.min, cp.all, cp.any, cp.argmax, cp.argmin
permute_dims, expand_dims, squeeze = cp.permute_dims, cp.expand_dims, cp.squeeze
matrix_transpose, broadcast_to, flip = cp.matrix_transpose, cp.broadcast_to, cp.flip
concat, stack, tril, triu, argwhere = cp.concat, cp.stack, cp.tril, cp.triu, cp.argwhere
zeros, zeros_like, full = cp.zeros, cp.zeros_like, cp.full
real, imag = cp.real, cp.imag
fft, ifft, rfft, irfft = cp.fft.fft, cp.fft.ifft, cp.fft.rfft, cp.fft.irfft


def conj(x: Array) -> Array:
    """The complex conjugate, a copy."""
    return cp.conj(x) if x.dtype.kind == "c" else x.copy()


def expm1(x: Array) -> Array:
    """eˣ − 1; of complex x, where CuPy has none for large imaginary parts, by its real parts.

    e^(a + ib) − 1 = (eᵃ − 1)·cos b − 2·sin²(b/2) + i·eᵃ·sin b
    """
    if x.dtype.kind != "c":
        return cp.expm1(x)
    a, b = x.real, x.imag
    half = cp.sin(b / 2)
    exact = complex(cp.expm1(a) * cp.cos(b) - 2 * half * half, cp.exp(a) * cp.sin(b))
    exact_there = cp.isfinite(x) & cp.isfinite(exact) & (x != 0)  # the formula has −0 at 0
    return cp.where(exact_there, exact, cp.exp(x) - 1)


# CuPy's x₁ // x₂ is the quotient, rounded, and then rounded down: 1 // 0.1 is 10, though 0.1 is a
# little more than a tenth; and its remainder is computed from that.  These begin with the
# remainder, which is exact, as NumPy's do.


def remainder(x1: Any, x2: Any) -> Array:
    """x₁ − x₂·⌊x₁ / x₂⌋, with the sign of x₂."""
    if _result_type(x1, x2).kind != "f":
        return cp.remainder(x1, x2)
    rest = cp.fmod(x1, x2)
    wrong_sign = (rest != 0) & (cp.signbit(rest) != cp.signbit(_float_array(x2, rest)))
    signed_zero = cp.copysign(rest.dtype.type(0), _float_array(x2, rest))
    return cp.where(wrong_sign, rest + x2, cp.where(rest == 0, signed_zero, rest))


def floor_divide(x1: Any, x2: Any) -> Array:
    """⌊x₁ / x₂⌋; the quotient itself where it is infinite or NaN, or x₂ is infinite."""
    if _result_type(x1, x2).kind != "f":
        return cp.floor_divide(x1, x2)
    quotient = cp.divide(x1, x2)
    rest = cp.fmod(x1, x2)
    wrong_sign = (rest != 0) & (cp.signbit(rest) != cp.signbit(_float_array(x2, rest)))
    whole = (x1 - rest) / x2 - wrong_sign
    down = cp.floor(whole)
    nearest = down + (whole - down > 0.5)
    result = cp.where(whole != 0, nearest, cp.copysign(quotient.dtype.type(0), quotient))
    infinite = cp.isinf(_float_array(x1, rest)) | cp.isinf(_float_array(x2, rest))
    return cp.where(cp.isfinite(quotient) & ~infinite, result, quotient)


def _result_type(*values: Any) -> np.dtype:
    """The dtype of an operation on these; numbers are weak."""
    return cp.result_type(*values)


def _float_array(x: Any, like: Array) -> Array:
    """x, which may be a number, as an array."""
    return x if isinstance(x, cp.ndarray) else cp.full((), x, like.dtype)


def bitwise_left_shift(x1: Any, x2: Any) -> Array:
    """x₁·2^x₂; a shift by all bits or more, undefined in C, gives 0."""
    return _shifted(cp.bitwise_left_shift, x1, x2)


def bitwise_right_shift(x1: Any, x2: Any) -> Array:
    """⌊x₁ / 2^x₂⌋; a shift by all bits or more, undefined in C, gives 0 or −1."""
    dtype = _result_type(x1, x2)
    if dtype.kind != "i":
        return _shifted(cp.bitwise_right_shift, x1, x2)
    most = 8 * dtype.itemsize - 1
    x2 = cp.minimum(x2, most) if isinstance(x2, cp.ndarray) else x2 if x2 < most else most
    return cp.bitwise_right_shift(x1, x2)


def _shifted(function: Any, x1: Any, x2: Any) -> Array:
    bits = 8 * _result_type(x1, x2).itemsize
    if isinstance(x2, cp.ndarray):
        return cp.where(cp.less(x2, bits), function(x1, x2), 0)
    return function(x1, x2) if x2 < bits else cp.zeros_like(x1)


# CuPy has these for real numbers only; every number but 0 is true, NaN too.


def logical_and(x1: Any, x2: Any) -> Array:
    """Both."""
    return cp.logical_and(_truth(x1), _truth(x2))


def logical_or(x1: Any, x2: Any) -> Array:
    """At least one."""
    return cp.logical_or(_truth(x1), _truth(x2))


def logical_xor(x1: Any, x2: Any) -> Array:
    """Exactly one."""
    return cp.logical_xor(_truth(x1), _truth(x2))


def logical_not(x: Any) -> Array:
    """Not."""
    return cp.logical_not(_truth(x))


def _truth(x: Any) -> Any:
    return x != 0 if isinstance(x, cp.ndarray) and x.dtype.kind == "c" else x


def xdivy(x1: Any, x2: Any) -> Array:
    """x₁/x₂, and 0 where x₁ is 0."""
    return _zero_where(cp.equal(x1, 0), x1 / x2)


def xmuly(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where x₁ is 0."""
    return _zero_where(cp.equal(x1, 0), x1 * x2)


def mul_zero(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where either is 0."""
    return _zero_where(cp.logical_or(cp.equal(x1, 0), cp.equal(x2, 0)), x1 * x2)


def xlogy(x1: Any, x2: Any) -> Array:
    """x₁·log x₂, and 0 where x₁ is 0."""
    with np.errstate(all="ignore"):
        logarithm = cp.log(x2) if isinstance(x2, cp.ndarray) else float(np.log(x2))
    return _zero_where(cp.equal(x1, 0), x1 * logarithm)


def _zero_where(condition: Any, z: Array) -> Array:
    return cp.where(condition, z.dtype.type(0), z)


def complex(x1: Any, x2: Any) -> Array:
    """x₁ + i·x₂; x₁ + 1j·x₂ would be NaN where x₂ is infinite."""
    shape = np.broadcast_shapes(*(getattr(x, "shape", ()) for x in (x1, x2)))
    result = cp.empty(shape, cp.result_type(x1, x2, np.complex64))
    result.real, result.imag = x1, x2
    return result


def erf(x: Array) -> Array:
    """The error function."""
    return special.erf(x).astype(x.dtype, copy=False)


def erfc(x: Array) -> Array:
    """1 − erf x."""
    return special.erfc(x).astype(x.dtype, copy=False)


def erfinv(x: Array) -> Array:
    """The inverse of erf."""
    return special.erfinv(x).astype(x.dtype, copy=False)


def lgamma(x: Array) -> Array:
    """log |Γ(x)|, ∞ at −∞."""
    y = special.gammaln(x).astype(x.dtype, copy=False)
    return cp.where(x == -np.inf, x.dtype.type(np.inf), y)


def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of (log Γ)ʹ."""
    return special.polygamma(cp.full((), n, x.dtype), x).astype(x.dtype, copy=False)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """A view where possible."""
    return x.reshape(shape)


def astype(x: Array, dtype: np.dtype) -> Array:
    """A copy in another dtype."""
    return x.astype(dtype)


def arange(start: Any, stop: Any, step: Any, *, dtype: Any) -> Array:
    """start, start + step, … below stop; of integers exactly, where CuPy counts in floats."""
    if not (_is_integer(start) and _is_integer(stop) and _is_integer(step)):
        return cp.arange(start, stop, step, dtype=dtype)
    numbers, dtype = range(int(start), int(stop), int(step)), np.dtype(dtype)
    count = len(numbers)
    if count and dtype.kind in "iu":
        np.array([numbers[0], numbers[-1]], dtype)  # OverflowError for what does not fit
    if dtype.kind not in "iu":
        return cp.arange(count, dtype="int64").astype(dtype) * dtype.type(step) + dtype.type(start)
    # in 64 bits of two's complement, whose last ones are those of any smaller integer
    first, by = (np.uint64(int(n) % 2**64) for n in (start, step))
    return (cp.arange(count, dtype="uint64") * by + first).astype(dtype)


def _is_integer(number: Any) -> bool:
    return isinstance(number, int | np.integer)


def uniform_like(x: Array, key: tuple[int, int]) -> Array:
    """Uniform numbers in [0, 1) of the shape and dtype of x."""
    return philox.uniform_like(sys.modules["minidl_cuda"], x, key)
