"""Elementwise functions and activations, as vectorised maps.

    value       yᵢ  = f(xᵢ)
    pullback    dxᵢ = g(sᵢ, dyᵢ), from one saved array s: the input x, the output y, or a mask

f and g are formulas of scalars, inlined into a loop that LLVM vectorises: one pass over memory each
way, without the temporaries of whole-array arithmetic.  Saved is what the body keeps anyway (x or
y), or a mask of one byte an element (ReLU, leaky ReLU).

Cost: 8 bytes an element forward (read x, write y), 12 back; arithmetic that takes 0.2 to 1.6 ns an
element and core, the most of it in exp, log and erf (`simd.math`).

Kernels are for float32, and for arrays large enough: for a hundred elements, NumPy takes less time
than a kernel is called in.

As in the bodies, a gradient of 0 stays 0, whatever the slope is, and NaN stays NaN: `xmuly32`.

The last few elements of a chunk do not go through vector instructions.  For the same bits with any
number of chunks, no formula adds two products: LLVM may contract either one of them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    parallel,
    scalar_function,
)
from minidl.backends.kernels.simd.math import (
    erf32,
    exp32,
    expm1_32,
    log1p_32,
    log32,
    sigmoid32,
    tanh32,
    xmuly32,
)

_F = np.float32
_ZERO, _HALF, _ONE = _F(0), _F(0.5), _F(1)
_TWO_OVER_ROOT_PI, _ROOT_HALF = _F(2 / np.sqrt(np.pi)), _F(np.sqrt(0.5))
_ROOT_TWO_OVER_PI, _CUBIC = _F(np.sqrt(2 / np.pi)), _F(0.044715)
_DENSITY = _F(1 / np.sqrt(2 * np.pi))  # φ(0), of the normal distribution

# The sizes from which a kernel beats the NumPy calls of the body: one call, vectorised by NumPy;
# two calls, a comparison and a selection; four calls and more.
_FEWEST_FOR_ONE, _FEWEST_FOR_TWO, _FEWEST_FOR_MANY = 16384, 2048, 256


class _Map:
    """A formula of scalars, mapped over arrays on one thread or several.

    formula        a scalar function (x, *settings), inlined into the loop
    nanoseconds    the time of an element on one thread
    settings       how many there are, each a float32
    dtype          that of x
    """

    def __init__(
        self,
        formula: Callable[..., Any],
        nanoseconds: float,
        settings: int = 0,
        dtype: str = "f32",
    ) -> None:
        self._loop, self._nanoseconds = _unary_loop(formula, settings, dtype), nanoseconds

    def __call__(self, x: np.ndarray, *settings: Any) -> np.ndarray:
        """formula(xᵢ, *settings) for all i."""
        result = np.empty(x.shape, _F)
        chunks = threads.chunks(x.size * self._nanoseconds)
        self._loop(as_contiguous(x).reshape(-1), result.reshape(-1), settings, chunks)
        return result


class _Pullback:
    """The same of a formula (saved, dy, *settings), over two arrays.

    After a sum, dy is one element broadcast to a shape: it is passed as a setting then.
    """

    def __init__(
        self,
        formula: Callable[..., Any],
        nanoseconds: float,
        settings: int = 0,
        saved: str = "f32",
    ) -> None:
        self._of_number = _Map(formula, nanoseconds, 1 + settings, saved)
        self._loop, self._nanoseconds = _binary_loop(formula, settings, saved), nanoseconds

    def __call__(self, saved: np.ndarray, dy: np.ndarray, *settings: Any) -> np.ndarray:
        """formula(savedᵢ, dyᵢ, *settings) for all i."""
        if not any(dy.strides):
            return self._of_number(saved, dy[(0,) * dy.ndim], *settings)
        result = np.empty(saved.shape, _F)
        chunks = threads.chunks(saved.size * self._nanoseconds)
        flat = as_contiguous(dy).reshape(-1)
        self._loop(as_contiguous(saved).reshape(-1), flat, result.reshape(-1), settings, chunks)
        return result


# Each loop has a name of its own, by which its machine code is found.


def _unary_loop(formula: Callable[..., Any], settings: int, dtype: str) -> Any:
    def loop(x, y, settings, chunk, chunks):
        start, stop = chunk_bounds(x.size, chunk, chunks)
        part, result = x[start:stop], y[start:stop]
        for i in range(part.size):
            result[i] = formula(part[i], *settings)

    loop.__qualname__ = f"{formula.__name__}.unary"
    return parallel(f"{dtype}[n] f32[n] ({'f32 ' * settings})")(loop)


def _binary_loop(formula: Callable[..., Any], settings: int, dtype: str) -> Any:
    def loop(x, dy, dx, settings, chunk, chunks):
        start, stop = chunk_bounds(x.size, chunk, chunks)
        part, gradient, result = x[start:stop], dy[start:stop], dx[start:stop]
        for i in range(part.size):
            result[i] = formula(part[i], gradient[i], *settings)

    loop.__qualname__ = f"{formula.__name__}.binary"
    return parallel(f"{dtype}[n] f32[n] f32[n] ({'f32 ' * settings})")(loop)


def _suits(x: np.ndarray, fewest: int) -> bool:
    return are_arrays("f", x) and x.ndim > 0 and x.size >= fewest


# Exponentials, and functions made of them.


@scalar_function
def _exp_formula(x):
    return exp32(x)


@scalar_function
def _exp_gradient_formula(y, dy):
    return xmuly32(dy, y)


@scalar_function
def _log_formula(x):
    return log32(x)


@scalar_function
def _log_gradient_formula(x, dy):
    return _ZERO if dy == _ZERO else dy / x


@scalar_function
def _tanh_formula(x):
    return tanh32(x)


@scalar_function
def _tanh_gradient_formula(y, dy):
    return xmuly32(dy, _ONE - y * y)


@scalar_function
def _sigmoid_formula(x):
    return sigmoid32(x)


@scalar_function
def _sigmoid_gradient_formula(y, dy):
    return xmuly32(dy, y * (_ONE - y))


@scalar_function
def _erf_formula(x):
    return erf32(x)


@scalar_function
def _erf_gradient_formula(x, dy):
    return xmuly32(dy, _TWO_OVER_ROOT_PI * exp32(-x * x))


_exp, _exp_gradient = _Map(_exp_formula, 0.6), _Pullback(_exp_gradient_formula, 0.2)
_log, _log_gradient = _Map(_log_formula, 0.8), _Pullback(_log_gradient_formula, 0.4)
_tanh, _tanh_gradient = _Map(_tanh_formula, 0.8), _Pullback(_tanh_gradient_formula, 0.2)
_sigmoid, _sigmoid_gradient = _Map(_sigmoid_formula, 0.8), _Pullback(_sigmoid_gradient_formula, 0.2)
_erf, _erf_gradient = _Map(_erf_formula, 0.8), _Pullback(_erf_gradient_formula, 0.7)


def exp(x: np.ndarray) -> Any:
    """y = eˣ;   dx = dy·y."""
    if not _suits(x, _FEWEST_FOR_ONE):
        return NotImplemented
    y = _exp(x)
    return y, lambda dy: _exp_gradient(y, dy)


def log(x: np.ndarray) -> Any:
    """y = log x;   dx = dy/x, and 0 where dy is 0."""
    if not _suits(x, _FEWEST_FOR_ONE):
        return NotImplemented
    return _log(x), lambda dy: _log_gradient(x, dy)


def tanh(x: np.ndarray) -> Any:
    """y = tanh x;   dx = dy·(1 − y²)."""
    if not _suits(x, _FEWEST_FOR_ONE):
        return NotImplemented
    y = _tanh(x)
    return y, lambda dy: _tanh_gradient(y, dy)


def sigmoid(x: np.ndarray) -> Any:
    """y = 1 / (1 + e⁻ˣ);   dx = dy·y(1 − y)."""
    if not _suits(x, _FEWEST_FOR_MANY):
        return NotImplemented
    y = _sigmoid(x)
    return y, lambda dy: _sigmoid_gradient(y, dy)


def erf(x: np.ndarray) -> Any:
    """y = 2/√π ∫₀ˣ exp(−t²) dt;   dx = dy · 2/√π · exp(−x²)."""
    if not _suits(x, _FEWEST_FOR_MANY):
        return NotImplemented
    return _erf(x), lambda dy: _erf_gradient(x, dy)


# Gated units: x times a probability.


@scalar_function
def _silu_formula(x):
    return x * sigmoid32(x)


@scalar_function
def _silu_gradient_formula(x, dy):
    y = sigmoid32(x)
    return xmuly32(dy, y + x * (y * (_ONE - y)))


@scalar_function
def _gelu_formula(x):
    return _HALF * x * (_ONE + erf32(x * _ROOT_HALF))


@scalar_function
def _gelu_gradient_formula(x, dy):
    """Φ(x) + x·φ(x), with the density φ = Φ′."""
    phi = _HALF + _HALF * erf32(x * _ROOT_HALF)
    return xmuly32(dy, phi + x * (_DENSITY * exp32(-_HALF * x * x)))


@scalar_function
def _gelu_tanh_formula(x):
    return _HALF * x * (_ONE + tanh32(_ROOT_TWO_OVER_PI * (x + _CUBIC * x * x * x)))


@scalar_function
def _gelu_tanh_gradient_formula(x, dy):
    """Φ + x·Φ′ for Φ = (1 + tanh u) / 2:  Φ′ = (1 − tanh² u)·u′ / 2."""
    t = tanh32(_ROOT_TWO_OVER_PI * (x + _CUBIC * x * x * x))
    du = _ROOT_TWO_OVER_PI * (_ONE + _F(3) * _CUBIC * x * x)
    phi = _HALF + _HALF * t
    return xmuly32(dy, phi + _HALF * x * xmuly32(_ONE - t * t, du))  # u′ overflows before x does


_silu, _silu_gradient = _Map(_silu_formula, 0.8), _Pullback(_silu_gradient_formula, 0.9)
_gelu, _gelu_gradient = _Map(_gelu_formula, 0.9), _Pullback(_gelu_gradient_formula, 1.5)
_gelu_tanh = _Map(_gelu_tanh_formula, 0.9)
_gelu_tanh_gradient = _Pullback(_gelu_tanh_gradient_formula, 1.0)


def silu(x: np.ndarray) -> Any:
    """y = x·s with s = sigmoid(x);   dx = dy·(s + x·s(1 − s))."""
    if not _suits(x, 1):
        return NotImplemented
    return _silu(x), lambda dy: _silu_gradient(x, dy)


def gelu(x: np.ndarray, approximate: str = "none") -> Any:
    """y = x·Φ(x);   dx = dy·(Φ(x) + x·Φ′(x))."""
    if approximate not in ("none", "tanh") or not _suits(x, 1):
        return NotImplemented
    value, gradient = (
        (_gelu, _gelu_gradient) if approximate == "none" else (_gelu_tanh, _gelu_tanh_gradient)
    )
    return value(x), lambda dy: gradient(x, dy)


# Rectifiers.


@scalar_function
def _leaky_relu_formula(x, slope):
    return x if x > _ZERO else x * slope


@scalar_function
def _leaky_relu_gradient_formula(positive, dy, slope):
    return dy if positive else dy * slope


@scalar_function
def _elu_formula(x, alpha):
    return x if x > _ZERO else alpha * expm1_32(x)


@scalar_function
def _elu_gradient_formula(x, dy, alpha):
    return dy if x > _ZERO else xmuly32(dy, alpha * exp32(x))


@scalar_function
def _softplus_formula(x, beta, threshold):
    z = beta * x
    y = (z if z > _ZERO else _ZERO) + log1p_32(exp32(-abs(z)))
    return x if z > threshold else y / beta if z == z else z


@scalar_function
def _softplus_gradient_formula(x, dy, beta, threshold):
    z = beta * x
    return dy if z > threshold else xmuly32(dy, sigmoid32(z))


_leaky_relu = _Map(_leaky_relu_formula, 0.2, settings=1)
_leaky_relu_gradient = _Pullback(_leaky_relu_gradient_formula, 0.2, settings=1, saved="bool")
_elu = _Map(_elu_formula, 0.8, settings=1)
_elu_gradient = _Pullback(_elu_gradient_formula, 0.8, settings=1)
_softplus = _Map(_softplus_formula, 1.6, settings=2)
_softplus_gradient = _Pullback(_softplus_gradient_formula, 0.9, settings=2)


def relu(x: np.ndarray) -> Any:
    """y = max(x, 0);   dx = dy where x > 0.  Saves one byte an element."""
    if not _suits(x, _FEWEST_FOR_TWO):
        return NotImplemented
    y, positive = np.empty(x.shape, _F), np.empty(x.shape, np.bool_)
    flat = as_contiguous(x).reshape(-1), y.reshape(-1), positive.reshape(-1)
    _relu(*flat, threads.chunks(0.25 * x.size))
    return y, lambda dy: _relu_gradient(positive, dy)


@parallel("f32[n] f32[n] bool[n]", then=["_relu_gradient_formula.binary"])
def _relu(x, y, positive, chunk, chunks):
    start, stop = chunk_bounds(x.size, chunk, chunks)
    part, result, mask = x[start:stop], y[start:stop], positive[start:stop]
    for i in range(part.size):
        mask[i] = part[i] > _ZERO
        result[i] = _ZERO if part[i] <= _ZERO else part[i]


@scalar_function
def _relu_gradient_formula(positive, dy):
    return dy if positive else _ZERO


_relu_gradient = _Pullback(_relu_gradient_formula, 0.2, saved="bool")


def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> Any:
    """y = x where x > 0, else slope·x;   dx = dy, else slope·dy.  Saves one byte an element."""
    if not _suits(x, _FEWEST_FOR_TWO) or not _are_numbers(negative_slope):
        return NotImplemented
    slope, positive = _F(negative_slope), x > 0
    return _leaky_relu(x, slope), lambda dy: _leaky_relu_gradient(positive, dy, slope)


def elu(x: np.ndarray, alpha: float = 1.0) -> Any:
    """y = x where x > 0, else α(eˣ − 1);   dx = dy, else dy·αeˣ."""
    if not _suits(x, _FEWEST_FOR_MANY) or not _are_numbers(alpha):
        return NotImplemented
    return _elu(x, _F(alpha)), lambda dy: _elu_gradient(x, dy, _F(alpha))


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """y = log(1 + exp(β·x)) / β, or x where β·x > threshold;   dx = dy·sigmoid(β·x), or dy."""
    if not _suits(x, _FEWEST_FOR_MANY) or not _are_numbers(beta, threshold) or not beta:
        return NotImplemented
    settings = _F(beta), _F(threshold)
    return _softplus(x, *settings), lambda dy: _softplus_gradient(x, dy, *settings)


def _are_numbers(*settings: Any) -> bool:
    return all(type(number) in (float, int) for number in settings)
