"""Normalisation by size alone, and of each picture by itself."""

import numpy as np

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError


@composite
def rms_norm(xp, x, weight=None, /, *, normalized_shape, eps=None):
    """y = x / √(mean(x²) + eps) · weight, over the last axes, of `normalized_shape`.

    eps    None: the distance from 1 to the next number of x's dtype

    x: (…, *normalized_shape); weight: normalized_shape.  Zhang, Sennrich 2019.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        needs = ", ".join(map(str, ("…", *shape)))
        raise ShapeError(f"needs x of shape ({needs}), and at least one axis; got {x.shape}")
    if weight is not None and weight.shape != shape:
        raise ShapeError(f"needs a weight of shape {shape}; got {weight.shape}")
    square = xp.mean(x * x, axis=tuple(range(-len(shape), 0)), keepdims=True)
    y = x / xp.sqrt(square + (_epsilon(x.dtype) if eps is None else eps))
    return y if weight is None else y * weight


def _epsilon(dtype):
    """The distance from 1 to the next number; integers compute in float32."""
    return float(np.finfo(dtype if dtype.kind == "f" else "float32").eps)


@composite
def local_response_norm(xp, x, /, size, alpha=1e-4, beta=0.75, k=1.0):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    x: (N, C, …).  Krizhevsky, Sutskever, Hinton 2012.
    """
    if x.ndim < 3:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    if not isinstance(size, int) or size < 1:
        raise ArgumentError(f"size is a whole number of channels from 1 on; got {size!r}")
    n, channels, *rest = x.shape
    inside = slice(None), slice(size // 2, size // 2 + channels)
    padded = xp.scatter_at(x * x, inside, (n, channels + size - 1, *rest))
    total = padded[:, :channels]
    for i in range(1, size):
        total = total + padded[:, i : i + channels]
    return x / xp.pow(k + alpha / size * total, beta)


@composite
def instance_norm(xp, x, weight=None, bias=None, /, eps=1e-5):
    """y = (x − mean) / √(var + eps) · weight + bias, for each channel of each sample.

    x: (N, C, …); weight and bias: (C,).  Ulyanov, Vedaldi, Lempitsky 2016.
    """
    if x.ndim < 3 or not x.shape[1]:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    return xp.group_norm(x, weight, bias, num_groups=x.shape[1], eps=eps)
