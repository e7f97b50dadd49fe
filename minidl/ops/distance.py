"""Norms, distances and similarities of vectors along an axis, and forms of two vectors."""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ShapeError, check_flags
from minidl.ops import settings
from minidl.ops.settings import floats, real_floats


def _norm(xp, x, p, axis, keepdims):
    """(Σ |x|ᵖ)^(1/p) along the axis; where x is 0, so is its gradient."""
    settings.check_positive(p=p)
    size = xp.abs(x)
    if p == math.inf:
        return xp.max(size, axis=axis, keepdims=keepdims)
    total = xp.sum(_power(xp, size, p), axis=axis, keepdims=keepdims)
    return _power(xp, total, 1 / p)


def _power(xp, x, p):
    """x to the power of p for x ≥ 0, with a derivative of 0 at 0."""
    if p in (1, 2):
        return x if p == 1 else x * x
    zero = x == 0
    root = xp.where(zero, 1, x)
    return xp.where(zero, 0, xp.sqrt(root) if p == 0.5 else xp.pow(root, p))


@composite
def normalize(xp, x, /, p=2.0, *, axis=1, eps=1e-12):
    """y = x / max(‖x‖ₚ, eps) along the axis, p > 0 or ∞; axis=None: x is one vector.

    >>> minidl.normalize(minidl.tensor([[3.0, 4.0], [0.0, 0.0]]))
    Tensor([[0.6, 0.8],
            [0. , 0. ]], shape=(2, 2), float32)
    """
    settings.check_not_negative(eps=eps)
    x = floats(xp, x)
    size = _norm(xp, x, p, axis, True)
    return x / xp.where(size > eps, size, eps)


@composite
def cosine_similarity(xp, x1, x2, /, *, axis=1, eps=1e-8):
    """z = x₁·x₂ / (max(‖x₁‖, eps)·max(‖x₂‖, eps)) along the axis, which goes.

    x₁ and x₂ broadcast, and the axis is one of both together.

    >>> x1, x2 = minidl.tensor([[1.0, 0.0], [1.0, 1.0]]), minidl.tensor([[2.0, 0.0]])
    >>> minidl.cosine_similarity(x1, x2)  # the cosines of 0° and of 45°
    Tensor([1.        , 0.70710...], float32)
    """
    pair = xp.broadcast_arrays(x1, x2)
    x1, x2 = (xp.normalize(real_floats(xp, x), axis=axis, eps=eps) for x in pair)
    return xp.sum(x1 * x2, axis=axis)


@composite
def pairwise_distance(xp, x1, x2, /, p=2.0, *, eps=1e-6, keepdims=False):
    """z = ‖x₁ − x₂ + eps‖ₚ along the last axis, which goes unless keepdims.

    >>> x1, x2 = minidl.zeros((2, 2)), minidl.tensor([[3.0, 4.0], [0.0, 2.0]])
    >>> minidl.pairwise_distance(x1, x2, eps=0)
    Tensor([5., 2.], float32)
    """
    if not x1.ndim or not x2.ndim:
        raise ShapeError(f"needs vectors; got shapes {x1.shape} and {x2.shape}")
    settings.check_numbers(eps=eps)
    check_flags(keepdims=keepdims)
    return _norm(xp, floats(xp, x1) - floats(xp, x2) + eps, p, -1, keepdims)


@composite
def bilinear(xp, x1, x2, weight, bias=None, /):
    """yₖ = x₁ᵀ·Wₖ·x₂ + bₖ over the last axes.

    x₁: (…, in₁), x₂: (…, in₂), weight: (out, in₁, in₂), bias: (out,), y: (…, out).

    >>> x1, x2 = minidl.ones((7, 3)), minidl.ones((7, 4))
    >>> minidl.bilinear(x1, x2, minidl.ones((5, 3, 4))).shape
    (7, 5)
    """
    fits = weight.ndim == 3 and x1.shape[-1:] + x2.shape[-1:] == weight.shape[1:]
    if not fits or x1.shape[:-1] != x2.shape[:-1]:
        raise ShapeError(
            "needs x1 of shape (…, in1), x2 (…, in2) and weight (out, in1, in2); got "
            f"{x1.shape}, {x2.shape} and {weight.shape}"
        )
    out, in1, in2 = weight.shape
    columns = xp.reshape(xp.permute_dims(weight, (1, 0, 2)), (in1, out * in2))
    rows = xp.reshape(xp.matmul(x1, columns), (*x1.shape[:-1], out, in2))
    y = xp.squeeze(rows @ xp.expand_dims(x2, axis=-1), -1)
    return y if bias is None else y + bias
