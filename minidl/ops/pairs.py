"""Distances of all pairs of vectors.

Every difference is formed, and then its norm: exact also where vectors are close together.  Where
a distance is 0, so is its gradient; at p = ∞, equally large differences share it.
"""

import math

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError, describe
from minidl.ops.creation import asarray

__all__ = ["cdist", "pdist"]


def _check(name, p, *arrays):
    if isinstance(p, bool) or not isinstance(p, int | float) or not p >= 0:
        raise ArgumentError(f"{name}: p is a number from 0 on, or inf; got {describe(p)}")
    for x in arrays:
        if x.ndim < 2:
            raise ShapeError(f"{name}: needs rows of vectors, (…, n, m); got shape {x.shape}")


@composite
def cdist(xp, x1, x2, /, p=2.0):
    """z[…, i, j] = ‖x₁[…, i] − x₂[…, j]‖ₚ = (Σ |x₁ − x₂|ᵖ)^(1/p).

    x₁: (…, n, k), x₂: (…, m, k), z: (…, n, m); the axes before broadcast.

    p    1: city blocks; 2: Euclid; inf: the largest difference; 0: how many differ

    >>> minidl.cdist(minidl.tensor([[0.0, 0.0], [3.0, 4.0]]), minidl.tensor([[0.0, 0.0]]))
    Tensor([[0.],
            [5.]], shape=(2, 1), float32)
    """
    _check("cdist", p, x1, x2)
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: vectors must be equally long; got {x1.shape} and {x2.shape}")
    return _norms(xp, xp.expand_dims(x1, axis=-2) - xp.expand_dims(x2, axis=-3), p)


@composite
def pdist(xp, x, /, p=2.0):
    """The distances of the rows of x (n, k) from each other: ‖x[i] − x[j]‖ₚ for i < j, in order.

    They are n(n − 1)/2: (0, 1), (0, 2), …, (1, 2), ….  Of p, see cdist.

    >>> minidl.pdist(minidl.tensor([[0.0], [1.0], [3.0]]))
    Tensor([1., 3., 2.], float32)
    """
    _check("pdist", p, x)
    if x.ndim != 2:
        raise ShapeError(f"pdist: needs rows of vectors, (n, k); got shape {x.shape}")
    n = x.shape[0]
    first = asarray([i for i in range(n) for _ in range(i + 1, n)], dtype="int64", device=x.device)
    second = asarray([j for i in range(n) for j in range(i + 1, n)], dtype="int64", device=x.device)
    return _norms(xp, x[first] - x[second], p)


def _norms(xp, difference, p):
    """Norms along the last axis; those of no numbers are 0."""
    if not difference.shape[-1]:
        return xp.sum(difference, axis=-1)
    return xp.vector_norm(difference, axis=-1, ord=math.inf if p == math.inf else p)
