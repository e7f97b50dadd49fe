"""Clipping of gradients where they are: nothing is read from a GPU.

A backend may have kernels that take all gradients at once.  Without one, the norm is computed in
float64, in which no power of a float32 over- or underflows, and the factor that follows from it is
a number on the device too.
"""

import math
from typing import Any

from minidl.autograd.graph import Leaf
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.backends.registry import on_device_of
from minidl.dtypes import float64, result_type
from minidl.errors import GradientError
from minidl.optim.gradients import beside, by_device, by_kernel, put, replace, rows_of


def clip_norm(
    gradients: dict[Leaf, Any], max_norm: float, p: float, error_if_nonfinite: bool
) -> Tensor:
    """Clip the gradients of the leaves by the p-norm of all; returns the norm.

    Gradients may be on several devices; the norm is on that of the first.
    """
    arrays = rows_of(gradients)
    xp: Any = backend_of(arrays[0])
    if p == 2 and len({device_of(g) for g in arrays}) == 1:
        result = by_kernel("clip_norm", arrays, max_norm)
        if result is not NotImplemented:
            clipped, norm = result
            if error_if_nonfinite:
                check_finite(float(norm))
            put(gradients, clipped)
            return Tensor(norm)
    with on_device_of(arrays[0]):
        norms = [beside(arrays[0], _norm(g, p)) for g in arrays if g.size]
        total = _combined(xp, xp.stack(norms, axis=0), p) if norms else xp.zeros((), dtype=float64)
        if error_if_nonfinite:
            check_finite(Tensor(total).item())
        coefficient = xp.minimum(xp.divide(max_norm, total + 1e-6), 1.0)  # NaN if it is
        norm = Tensor(xp.astype(total, result_type(*arrays)))
    replace(gradients, lambda xp, g: g * xp.astype(beside(g, coefficient), g.dtype))
    return norm


def clip_value(gradients: dict[Leaf, Any], bound: float) -> None:
    """Clip each element of the gradients of the leaves to [−bound, bound]."""
    for own in by_device(gradients):
        clipped = by_kernel("clip_value", rows_of(own), bound)
        if clipped is not NotImplemented:
            put(own, clipped)
        else:
            replace(own, lambda xp, g: xp.minimum(xp.maximum(g, -bound), bound))


def check_finite(norm: float) -> None:
    """Raise GradientError if the norm is infinite or NaN."""
    if not math.isfinite(norm):
        raise GradientError(
            f"clip_grad_norm_: the norm of the gradients is {norm}; error_if_nonfinite=False "
            "clips them nevertheless"
        )


def _norm(g: Any, p: float) -> Any:
    """(Σ |g|ᵖ)^(1/p) of one array, as an array without axes."""
    xp: Any = backend_of(g)
    with on_device_of(g):
        magnitudes = xp.abs(xp.astype(g, float64))
        if p == math.inf:
            return xp.max(magnitudes, axis=None, keepdims=False)
        if p == 2:
            return xp.sqrt(xp.sum(magnitudes * magnitudes, axis=None, keepdims=False))
        return xp.pow(xp.sum(xp.pow(magnitudes, p), axis=None, keepdims=False), 1 / p)


def _combined(xp: Any, norms: Any, p: float) -> Any:
    """The norm of all arrays together, from their norms."""
    largest = xp.max(norms, axis=None, keepdims=False)
    if p == math.inf:
        return largest
    parts = xp.where(norms == 0, 0.0, xp.divide(norms, largest))  # 0 / 0 if all are 0
    total = largest * xp.pow(xp.sum(xp.pow(parts, p), axis=None, keepdims=False), 1 / p)
    plain = xp.logical_and(largest > 0, xp.isfinite(largest))
    return xp.where(plain, total, xp.sum(norms, axis=None, keepdims=False))
