"""Functions element by element (elementwise.cu): a launch each way.

Saved is what the CPU's kernels save: x, y, or a mask of one byte an element.  Arrays of float16 are
computed in float32 and rounded once.
"""

from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl_cuda.array import Array
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

_module = Module("elementwise.cu")
_THREADS, _BYTES = 256, 16  # of a block; of a thread


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def _launch(name: str, like: Array, *arguments: Any) -> None:
    """Launch a kernel, with a thread for each 16 bytes of arrays like this one."""
    grid = blocks(like.size * like.itemsize, _THREADS * _BYTES)
    _kernel(f"{name}_{SUFFIX[like.dtype.char]}")(grid, _THREADS, arguments)


def _value(name: str, x: Array, settings: tuple[float, float], mask: Array | None = None) -> Array:
    """y, and the mask, if there is one."""
    y = cp.empty(x.shape, x.dtype)
    _launch(name, x, contiguous(x), y, mask, np.int64(x.size), *map(np.float32, settings))
    return y


def _gradient(name: str, saved: Array, dy: Array, settings: tuple[float, float] = (0, 0)) -> Array:
    """dx from what was saved; of a dy that is one number everywhere, only that is read."""
    dx, every = cp.empty(saved.shape, dy.dtype), np.int32(any(dy.strides))
    dy = contiguous(dy) if every else dy
    numbers = np.int64(dx.size), every, *map(np.float32, settings)
    _launch(f"{name}_back", dx, contiguous(saved), dy, dx, *numbers)
    return dx


def _from_x(name: str, x: Array, a: float = 0.0, b: float = 0.0) -> Any:
    """y, and the pullback, which computes dx from x."""
    if not are_arrays("fe", x):
        return NotImplemented
    return _value(name, x, (a, b)), lambda dy: _gradient(name, x, dy, (a, b))


def _from_y(name: str, x: Array) -> Any:
    """y, and the pullback, which computes dx from y."""
    if not are_arrays("fe", x):
        return NotImplemented
    y = _value(name, x, (0, 0))
    return y, lambda dy: _gradient(name, y, dy)


def _from_mask(name: str, x: Array, slope: float = 0.0) -> Any:
    """y, and the pullback, which computes dx from a mask, x > 0."""
    if not are_arrays("fe", x):
        return NotImplemented
    positive, settings = cp.empty(x.shape, np.bool_), (slope, 0.0)
    return _value(name, x, settings, positive), (lambda dy: _gradient(name, positive, dy, settings))


def exp(x: Array) -> Any:
    """y = eˣ;   dx = dy·y."""
    return _from_y("exp", x)


def log(x: Array) -> Any:
    """y = log x;   dx = dy/x, and 0 where dy is 0."""
    return _from_x("log", x)


def tanh(x: Array) -> Any:
    """y = tanh x;   dx = dy·(1 − y²)."""
    return _from_y("tanh", x)


def sigmoid(x: Array) -> Any:
    """y = 1 / (1 + e⁻ˣ);   dx = dy·y(1 − y)."""
    return _from_y("sigmoid", x)


def erf(x: Array) -> Any:
    """y = 2/√π ∫₀ˣ exp(−t²) dt;   dx = dy · 2/√π · exp(−x²)."""
    return _from_x("erf", x)


def silu(x: Array) -> Any:
    """y = x·s with s = sigmoid(x);   dx = dy·(s + x·s(1 − s))."""
    return _from_x("silu", x)


def gelu(x: Array, approximate: str = "none") -> Any:
    """y = x·Φ(x);   dx = dy·(Φ(x) + x·Φ′(x))."""
    if approximate not in ("none", "tanh"):
        return NotImplemented
    return _from_x("gelu" if approximate == "none" else "gelu_tanh", x)


def relu(x: Array) -> Any:
    """y = max(x, 0);   dx = dy where x > 0.  Saves one byte an element."""
    return _from_mask("relu", x)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Any:
    """y = x where x > 0, else slope·x;   dx = dy, else slope·dy.  Saves one byte an element."""
    return _from_mask("leaky_relu", x, negative_slope) if _are(negative_slope) else NotImplemented


def elu(x: Array, alpha: float = 1.0) -> Any:
    """y = x where x > 0, else α(eˣ − 1);   dx = dy, else dy·αeˣ."""
    return _from_x("elu", x, alpha) if _are(alpha) else NotImplemented


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """y = log(1 + exp(β·x)) / β, or x where β·x > threshold;   dx = dy·sigmoid(β·x), or dy."""
    if not _are(beta, threshold) or not beta:
        return NotImplemented
    return _from_x("softplus", x, beta, threshold)


def multiply(x1: Array, x2: Array) -> Any:
    """z = x₁·x₂;   dx₁ = dz·x₂,   dx₂ = dz·x₁, and 0 where dz is 0.

    The product is CuPy's, one pass too, as is a sum, whose gradients cost nothing.
    """
    if not are_arrays("fe", x1, x2) or x2 is None or x1.shape != x2.shape:
        return NotImplemented
    return x1 * x2, (
        lambda dz: _gradient("times", x2, dz),
        lambda dz: _gradient("times", x1, dz),
    )


def _are(*settings: Any) -> bool:
    """Whether these are numbers, as the operations demand."""
    return all(type(number) in (float, int) for number in settings)
