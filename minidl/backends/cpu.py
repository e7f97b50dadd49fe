"""The CPU: NumPy's functions under the names of the contract, and the kernels."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from minidl.backends import philox
from minidl.backends.host import (  # noqa: F401
    check,
    check_index,
    current_device,
    device_of,
    devices,
    imported,
    location,
    memory,
    pinned,
    reset_peak_memory,
    set_device,
    synchronize,
    upload,
)
from minidl.backends.matrices import (  # noqa: F401
    adjugate,
    cholesky,
    det,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    inv,
    lu,
    pinv,
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
)
from minidl.backends.products import precise_matmul  # noqa: F401
from minidl.backends.reductions import (  # noqa: F401
    cumulative_prod,
    cumulative_sum,
    prod,
    sum,
)
from minidl.backends.registry import to_device  # noqa: F401
from minidl.backends.rows import row_gradient  # noqa: F401
from minidl.backends.scatter import add_at, coalesce, scatter_add, scatter_at  # noqa: F401
from minidl.errors import BoundsError, DTypeError, describe

name = "cpu"
Array = np.ndarray
Scalar = np.generic

# NumPy has these under the same names.
abs, ceil, floor, round, sign = np.abs, np.ceil, np.floor, np.round, np.sign
maximum, minimum, where = np.maximum, np.minimum, np.where
atan, tanh = np.atan, np.tanh
isfinite, isinf, isnan = np.isfinite, np.isinf, np.isnan
logical_and, logical_or, logical_xor = np.logical_and, np.logical_or, np.logical_xor
logical_not, argmax, argmin = np.logical_not, np.argmax, np.argmin
permute_dims, squeeze = np.permute_dims, np.squeeze
broadcast_to, flip, concat, stack = np.broadcast_to, np.flip, np.concat, np.stack
tril, triu = np.tril, np.triu
take_along_axis, asarray, arange = np.take_along_axis, np.asarray, np.arange
zeros, zeros_like, full = np.zeros, np.zeros_like, np.full
bitwise_and, bitwise_or, bitwise_xor = np.bitwise_and, np.bitwise_or, np.bitwise_xor
bitwise_invert = np.bitwise_invert
bitwise_left_shift, bitwise_right_shift = np.bitwise_left_shift, np.bitwise_right_shift
fft, ifft, rfft, irfft = np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft
asinh, atan2, copysign, signbit, trunc = np.asinh, np.atan2, np.copysign, np.signbit, np.trunc
real, imag, conj, argwhere, searchsorted = np.real, np.imag, np.conj, np.argwhere, np.searchsorted

# The reductions of the ufuncs skip a Python layer that costs as much as a small sum does.
max, min = np.maximum.reduce, np.minimum.reduce
all, any = np.logical_and.reduce, np.logical_or.reduce


def quiet() -> np.errstate:
    """Infinities and NaNs come without a warning inside this context."""
    return np.errstate(all="ignore")


def _quiet(*functions: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """These functions without their warnings."""
    return (quiet()(function) for function in functions)


# Functions with poles, or that overflow.
acos, asin, cosh, sinh, tan = _quiet(np.acos, np.asin, np.cosh, np.sinh, np.tan)
sin, cos = _quiet(np.sin, np.cos)  # NaN at infinity
exp, log, log1p, sqrt = _quiet(np.exp, np.log, np.log1p, np.sqrt)
divide, remainder, pow = _quiet(np.divide, np.remainder, np.pow)
acosh, atanh, hypot, log2, log10 = _quiet(np.acosh, np.atanh, np.hypot, np.log2, np.log10)
logaddexp, nextafter = _quiet(np.logaddexp, np.nextafter)


@quiet()
def expm1(x: Array) -> Array:
    """eˣ − 1; for complex x, NumPy's is NaN where ∞·0 occurs in the formula, and −0 at 0."""
    y = np.expm1(x)
    if x.dtype.kind != "c":
        return y
    return np.where(np.isfinite(x) & np.isfinite(y) & (x != 0), y, np.exp(x) - 1)


@quiet()
def floor_divide(x1: Any, x2: Any) -> Array:
    """⌊x₁ / x₂⌋, also of infinities, where NumPy's (x₁ − x₁ % x₂) / x₂ is NaN or −1."""
    z = np.floor_divide(x1, x2)
    return np.where(np.isinf(x1) | np.isinf(x2), np.divide(x1, x2), z) if z.dtype.kind == "f" else z


# 0·x₂, 0/x₂ and 0·log x₂ are 0 or NaN: so where there is no NaN, nothing is left to do.  The
# products run in pullbacks, where the engine is quiet: that takes as long as a product.


@quiet()
def xdivy(x1: Any, x2: Any) -> Array:
    """x₁/x₂, and 0 where x₁ is 0."""
    z = x1 / x2
    return np.where(np.equal(x1, 0), 0, z) if _has_nan(z) else z


def xmuly(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where x₁ is 0."""
    z = x1 * x2
    return np.where(np.equal(x1, 0), 0, z) if _has_nan(z) else z


def mul_zero(x1: Any, x2: Any) -> Array:
    """x₁·x₂, and 0 where either is 0."""
    z = x1 * x2
    return np.where(np.equal(x1, 0) | np.equal(x2, 0), 0, z) if _has_nan(z) else z


@quiet()
def xlogy(x1: Any, x2: Any) -> Array:
    """x₁·log x₂, and 0 where x₁ is 0."""
    z = x1 * (np.log(x2) if isinstance(x2, Array) else float(np.log(x2)))  # a number stays weak
    return np.where(np.equal(x1, 0), 0, z) if _has_nan(z) else z


_MOST_IN_DOT = 8192  # BLAS uses one thread up to here


def _has_nan(z: Any) -> bool:
    """Whether there may be a NaN: not if Σ |z|², or the maximum, is a number.

    The sum takes a third of the time of `isnan(z).any()` for a small array, the maximum for a large
    one.
    """
    if z.size <= _MOST_IN_DOT:
        number = np.vdot(z, z)
    elif z.dtype.kind == "f":
        number = np.maximum.reduce(z, axis=None)
    else:
        return np.isnan(z).any()
    return number != number


def complex(x1: Any, x2: Any) -> Array:
    """x₁ + i·x₂; x₁ + 1j·x₂ would be NaN where x₂ is infinite."""
    result = np.empty(np.broadcast(x1, x2).shape, np.result_type(x1, x2, np.complex64))
    result.real, result.imag = x1, x2
    return result


def argsort(x: Array, *, axis: int = -1) -> Array:
    """The indices that sort x; the sort is stable."""
    return np.argsort(x, axis=axis, stable=True)


def to_numpy(x: Array) -> Array:
    """The array itself: it is on the host."""
    return x


def plain(x: Array) -> Array:
    """An array of a subclass (`numpy.memmap`, `numpy.matrix`) as one of NumPy's own, in place.

    raises    DTypeError for masked arrays: their masked entries have no value
    """
    if isinstance(x, np.ma.MaskedArray):
        raise DTypeError(
            f"a masked array, {describe(x)}, has entries without a value; say which they get: "
            "a.filled(0), or a.filled(numpy.nan)"
        )
    return np.asarray(x)


def erf(x: Array) -> Array:
    """The error function, SciPy's, which is imported when first needed."""
    return import_module("scipy.special").erf(x).astype(x.dtype)


def erfc(x: Array) -> Array:
    """1 − erf x, SciPy's, as all below."""
    return import_module("scipy.special").erfc(x).astype(x.dtype)


def erfinv(x: Array) -> Array:
    """The inverse of erf."""
    return import_module("scipy.special").erfinv(x).astype(x.dtype)


def lgamma(x: Array) -> Array:
    """log |Γ(x)|."""
    y = import_module("scipy.special").gammaln(x).astype(x.dtype)
    return np.where(x == -np.inf, np.inf, y)  # SciPy gives −∞, C's lgamma ∞


def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of (log Γ)ʹ."""
    return import_module("scipy.special").polygamma(n, x).astype(x.dtype)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """A view where possible."""
    return x.reshape(shape)


def expand_dims(x: Array, axis: int | tuple[int, ...] = 0) -> Array:
    """A view with new axes of length 1; NumPy's function takes ten times as long for the first."""
    return x[None] if type(axis) is int and axis == 0 else np.expand_dims(x, axis)


def matrix_transpose(x: Array) -> Array:
    """The last two axes exchanged."""
    return x.swapaxes(-1, -2)


@quiet()
def astype(x: Array, dtype: np.dtype) -> Array:
    """A copy in another dtype; NaN becomes an arbitrary integer, as everywhere."""
    return x.astype(dtype)


def set_at(x: Array, index: Any, values: Array) -> None:
    """x[index] = values, in place."""
    x[index] = values


def put_at(x: Array, values: Array, index: Any) -> Array:
    """A copy of x with x[index] = values."""
    result: Any = np.array(x)  # an array also of a scalar, whose copy() is a scalar
    result[index] = values
    return result


def check_indices(indices: Array, size: int) -> Array:
    """The indices, after checking that all are in 0 … size − 1."""
    if indices.size and (min(indices, axis=None) < 0 or max(indices, axis=None) >= size):
        wrong = indices[(indices < 0) | (indices >= size)].flat[0]
        raise BoundsError(f"index {wrong} is outside 0 … {size - 1}")
    return indices


def uniform_like(x: Array, key: tuple[int, int]) -> Array:
    """Uniform numbers in [0, 1) of the shape and dtype of x."""
    return philox.uniform_like(sys.modules[__name__], x, key)


_KERNEL_FILES = {
    "add": "arithmetic",
    "multiply": "arithmetic",
    "conv2d": "conv.conv2d",
    "conv_transpose2d": "conv.conv2d",
    "cross_entropy": "loss",
    "dropout": "random",
    "elu": "elementwise",
    "erf": "elementwise",
    "exp": "elementwise",
    "fused": "fused",
    "gelu": "elementwise",
    "leaky_relu": "elementwise",
    "log": "elementwise",
    "log_softmax": "softmax",
    "relu": "elementwise",
    "scaled_dot_product_attention": "attention.attention",
    "sigmoid": "elementwise",
    "silu": "elementwise",
    "softmax": "softmax",
    "softplus": "elementwise",
    "tanh": "elementwise",
    "uniform_like": "random",
    "embedding": "embedding",
    "embedding_bag": "embedding_bag",
    "batch_norm": "norm.batch_norm",
    "batch_norm_inference": "norm.batch_norm",
    "group_norm": "norm.layer_norm",
    "layer_norm": "norm.layer_norm",
    "linear": "linear",
    "max_pool2d": "pool.max_pool",
    "avg_pool2d": "pool.avg_pool",
    "adaptive_avg_pool2d": "pool.avg_pool",
    "rnn": "recurrent.rnn",
    "lstm": "recurrent.lstm",
    "gru": "recurrent.gru",
    "rnn_cell": "recurrent.cells",
    "lstm_cell": "recurrent.cells",
    "gru_cell": "recurrent.cells",
    "adam": "optimizer",
    "adamw": "optimizer",
    "sgd": "optimizer",
}


# What NumPy does as fast for fewer elements, and without importing Numba.
_FEWEST = {"add": 2**17, "multiply": 2**17}


@cache
def kernel(name: str) -> Callable[..., Any] | None:
    """The kernel of that name; its module is imported when first needed."""
    if name not in _KERNEL_FILES:
        return None
    return _of_large(name, _FEWEST[name]) if name in _FEWEST else _loaded(name)


@cache
def _loaded(name: str) -> Callable[..., Any]:
    return getattr(import_module(f"minidl.backends.kernels.{_KERNEL_FILES[name]}"), name)


def _of_large(name: str, fewest: int) -> Callable[..., Any]:
    """The kernel of that name, for arrays of at least so many elements."""

    def large(x1: Any, x2: Any) -> Any:
        if type(x1) is not Array or x1.size < fewest:
            return NotImplemented
        return _loaded(name)(x1, x2)

    return large
