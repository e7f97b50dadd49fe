"""Normalisation to unit norm, similarities, and distances of vectors.

Where a norm or a distance is 0, so is its gradient.  cdist and pdist form every difference, and
then its norm, which is exact also for vectors that are close together; at p = ∞, the gradient is
shared by equally large differences.
"""

import math

import numpy as np

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, check_numbers
from minidl.errors import ShapeError
from minidl.ops.casting import floats, real_floats
from minidl.ops.constants import constant


def _norm(xp, name, x, p, axis, keepdims):
    """(Σ |x|ᵖ)^(1/p) along the axis; where x is 0, so is its gradient."""
    check_numbers(name, above=0, p=p)
    return xp.vector_norm(x, axis=axis, keepdims=keepdims, ord=p)


@composite(wide=True)
def normalize(xp, x, /, p=2.0, *, axis=1, eps=1e-12):
    """y = x / max(‖x‖ₚ, eps) along the axis, p > 0 or ∞; axis=None: x is one vector.

    >>> minidl.normalize(minidl.tensor([[3.0, 4.0], [0.0, 0.0]]))
    Tensor([[0.6, 0.8],
            [0. , 0. ]], shape=(2, 2), float32)
    """
    check_numbers("normalize", 0, eps=eps)
    x = floats(xp, x)
    size = _norm(xp, "normalize", x, p, axis, True)
    return x / xp.where(size > eps, size, eps)


@composite(wide=True)
def cosine_similarity(xp, x1, x2, /, *, axis=1, eps=1e-8):
    """z = x₁·x₂ / (max(‖x₁‖, eps)·max(‖x₂‖, eps)) along the axis, which is reduced.

    x₁ and x₂ broadcast; the axis is one of their common shape.

    >>> x1, x2 = minidl.tensor([[1.0, 0.0], [1.0, 1.0]]), minidl.tensor([[2.0, 0.0]])
    >>> minidl.cosine_similarity(x1, x2)  # the cosines of 0° and of 45°
    Tensor([1.        , 0.70710...], float32)
    """
    pair = xp.broadcast_arrays(x1, x2)
    x1, x2 = (xp.normalize(real_floats(xp, x), axis=axis, eps=eps) for x in pair)
    return xp.sum(x1 * x2, axis=axis)


@composite(wide=True)
def pairwise_distance(xp, x1, x2, /, p=2.0, *, eps=1e-6, keepdims=False):
    """z = ‖x₁ − x₂ + eps‖ₚ along the last axis, which is reduced unless keepdims.

    >>> x1, x2 = minidl.zeros((2, 2)), minidl.tensor([[3.0, 4.0], [0.0, 2.0]])
    >>> minidl.pairwise_distance(x1, x2, eps=0)
    Tensor([5., 2.], float32)
    """
    if not x1.ndim or not x2.ndim:
        raise ShapeError(f"needs vectors; got shapes {x1.shape} and {x2.shape}")
    check_numbers("pairwise_distance", eps=eps)
    check_flags("pairwise_distance", keepdims=keepdims)
    difference = floats(xp, x1) - floats(xp, x2) + eps
    return _norm(xp, "pairwise_distance", difference, p, -1, keepdims)


def _check(name, p, *arrays):
    check_numbers(name, 0, p=p)
    for x in arrays:
        if x.ndim < 2:
            raise ShapeError(f"{name}: needs rows of vectors, (…, n, m); got shape {x.shape}")


@composite(wide=True)
def cdist(xp, x1, x2, /, p=2.0):
    """z[…, i, j] = ‖x₁[…, i] − x₂[…, j]‖ₚ = (Σ |x₁ − x₂|ᵖ)^(1/p).

    x₁: (…, n, k), x₂: (…, m, k), z: (…, n, m); the leading axes broadcast.

    p    1: Manhattan; 2: Euclidean; inf: the largest difference; 0: the number of differences

    >>> minidl.cdist(minidl.tensor([[0.0, 0.0], [3.0, 4.0]]), minidl.tensor([[0.0, 0.0]]))
    Tensor([[0.],
            [5.]], shape=(2, 1), float32)
    """
    _check("cdist", p, x1, x2)
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: vectors must be equally long; got {x1.shape} and {x2.shape}")
    return _norms(xp, xp.expand_dims(x1, axis=-2) - xp.expand_dims(x2, axis=-3), p)


@composite(wide=True)
def pdist(xp, x, /, p=2.0):
    """The distances of the rows of x (n, k) from each other: ‖x[i] − x[j]‖ₚ for i < j, in order.

    There are n(n − 1)/2: (0, 1), (0, 2), …, (1, 2), ….  p is that of cdist.

    >>> minidl.pdist(minidl.tensor([[0.0], [1.0], [3.0]]))
    Tensor([1., 3., 2.], float32)
    """
    _check("pdist", p, x)
    if x.ndim != 2:
        raise ShapeError(f"pdist: needs rows of vectors, (n, k); got shape {x.shape}")
    first, second = _pairs(x.shape[0], x.device)
    return _norms(xp, x[first] - x[second], p)


def _pairs(n, device):
    """The indices of the first and of the second of each pair."""
    return [constant(index, device, "int64") for index in np.triu_indices(n, 1)]


def _norms(xp, difference, p):
    """Norms along the last axis; 0 for empty vectors."""
    if not difference.shape[-1]:
        return xp.sum(difference, axis=-1)
    return xp.vector_norm(difference, axis=-1, ord=math.inf if p == math.inf else p)
