"""Normalisation by size alone, and of each picture by itself."""

import numpy as np

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.settings import check_not_negative, check_numbers, real_floats


@composite
def rms_norm(xp, x, weight=None, /, *, normalized_shape, eps=None):
    """y = x / √(mean(x²) + eps) · weight, over the last axes, of `normalized_shape`.

    eps    None: the distance from 1 to the next number of x's dtype

    x: (…, *normalized_shape); weight: normalized_shape.  Zhang, Sennrich 2019.

    >>> minidl.rms_norm(minidl.tensor([[1.0, 7.0]]), normalized_shape=2)  # √mean(x²) is 5
    Tensor([[0.2, 1.4]], shape=(1, 2), float32)
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        needs = ", ".join(map(str, ("…", *shape)))
        raise ShapeError(f"needs x of shape ({needs}), and at least one axis; got {x.shape}")
    if weight is not None and weight.shape != shape:
        raise ShapeError(f"needs a weight of shape {shape}; got {weight.shape}")
    x, eps = real_floats(xp, x), _epsilon(x.dtype) if eps is None else eps
    check_not_negative(eps=eps)
    square = xp.mean(x * x, axis=tuple(range(-len(shape), 0)), keepdims=True)
    y = x / xp.sqrt(square + eps)
    return y if weight is None else y * weight


def _epsilon(dtype):
    """The distance from 1 to the next number; integers compute in float32."""
    return float(np.finfo(dtype if dtype.kind == "f" else "float32").eps)


@composite
def local_response_norm(xp, x, /, size, alpha=1e-4, beta=0.75, k=1.0):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    x: (N, C, …).  Krizhevsky, Sutskever, Hinton 2012.

    >>> minidl.local_response_norm(minidl.ones((1, 3, 1)), 3, alpha=3.0, beta=1.0).flatten()
    Tensor([0.33333..., 0.25      , 0.33333...], float32)
    """
    if x.ndim < 3:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    if not isinstance(size, int) or size < 1:
        raise ArgumentError(f"size is a whole number of channels from 1 on; got {size!r}")
    check_numbers(alpha=alpha, beta=beta, k=k)
    x = real_floats(xp, x)
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

    >>> minidl.instance_norm(minidl.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0)
    Tensor([[[-1.,  1.],
             [-1.,  1.]]], shape=(1, 2, 2), float32)
    """
    if x.ndim < 3:
        raise ShapeError(f"needs x of shape (N, C, *), with at least three axes; got {x.shape}")
    return xp.group_norm(x, weight, bias, num_groups=x.shape[1] or 1, eps=eps)
