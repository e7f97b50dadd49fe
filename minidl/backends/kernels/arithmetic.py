"""Sums and products of large arrays: NumPy's speed on each of several threads.

The gradient of a product takes one pass, its mask included: where dz is 0, so is dz·x, whatever x
is.

Cost: 12 bytes an element each way, and 8 where dz is one number, as after a sum.
"""

from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import as_contiguous, chunk_bounds, parallel
from minidl.backends.kernels.simd.math import xmuly32

_NANOSECONDS = 0.15  # of an element on one thread


def add(x1: np.ndarray, x2: np.ndarray) -> Any:
    """z = x₁ + x₂;   dx₁ = dz,   dx₂ = dz."""
    if not are_arrays("f", x1, x2) or x1.shape != x2.shape:
        return NotImplemented
    return _mapped(_add, x1, x2), (lambda dz: dz, lambda dz: dz)


def multiply(x1: np.ndarray, x2: np.ndarray) -> Any:
    """z = x₁·x₂;   dx₁ = dz·x₂,   dx₂ = dz·x₁."""
    if not are_arrays("f", x1, x2) or x1.shape != x2.shape:
        return NotImplemented
    return _mapped(_multiply, x1, x2), (lambda dz: _times(dz, x2), lambda dz: _times(dz, x1))


def _times(dz: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dz·x, and 0 where dz is 0."""
    if any(dz.strides):
        return _mapped(_mask, dz, x)
    number = dz[(0,) * dz.ndim]  # the same everywhere
    return _mapped(_scale, x, number) if number else np.zeros(x.shape, x.dtype)


def _mapped(loop: Any, x1: np.ndarray, x2: Any) -> np.ndarray:
    """The result of a loop over two arrays, or an array and a number."""
    z = np.empty(x1.shape, x1.dtype)
    other = as_contiguous(x2).reshape(-1) if isinstance(x2, np.ndarray) else x2
    flat = as_contiguous(x1).reshape(-1), other, z.reshape(-1)
    loop(*flat, threads.chunks(_NANOSECONDS * z.size))
    return z


@parallel("f32[n] f32[n] f32[n]")
def _add(x1, x2, z, chunk, chunks):
    start, stop = chunk_bounds(z.size, chunk, chunks)
    one, other, result = x1[start:stop], x2[start:stop], z[start:stop]
    for i in range(result.size):
        result[i] = one[i] + other[i]


@parallel("f32[n] f32[n] f32[n]")
def _multiply(x1, x2, z, chunk, chunks):
    start, stop = chunk_bounds(z.size, chunk, chunks)
    one, other, result = x1[start:stop], x2[start:stop], z[start:stop]
    for i in range(result.size):
        result[i] = one[i] * other[i]


@parallel("f32[n] f32[n] f32[n]")
def _mask(dz, x, dx, chunk, chunks):
    start, stop = chunk_bounds(dx.size, chunk, chunks)
    gradient, factor, result = dz[start:stop], x[start:stop], dx[start:stop]
    for i in range(result.size):
        result[i] = xmuly32(gradient[i], factor[i])


@parallel("f32[n] f32 f32[n]")
def _scale(x, factor, z, chunk, chunks):
    start, stop = chunk_bounds(z.size, chunk, chunks)
    part, result = x[start:stop], z[start:stop]
    for i in range(result.size):
        result[i] = part[i] * factor
