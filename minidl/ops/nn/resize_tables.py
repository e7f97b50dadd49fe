"""Resampling tables: the inputs of each output, and their weights.

A table is two arrays (K, new), indices p and weights w: y[i] = Σₖ w[k, i]·x[p[k, i]].
Weights are None if K = 1 and all are 1.
"""

import math

import numpy as np

_A = -0.75  # of Keys's kernel, as in OpenCV and PyTorch
_A_ANTIALIASED = -0.5  # as in Pillow, where the kernel is widened


def table_of(old, new, scale, mode, align_corners, antialias):
    """The table from `old` inputs to `new` outputs, with stride `scale` (None: old / new)."""
    if mode.startswith("nearest"):
        return _nearest(old, new, scale, mode)[None], None
    if antialias:
        return _antialiased(old, new, _stride(old, new, scale, align_corners), mode)
    at = _aligned_corners(old, new) if align_corners else _aligned_edges(new, scale or old / new)
    return (_cubic if mode == "bicubic" else _linear)(old, at)


def transpose(indices, weights, length):
    """The table of the transposed matrix: for each of `length` inputs, its outputs.

    Columns are padded with weight 0 at an index that they have already; for an input that is never
    used, all indices are −1.
    """
    new = np.broadcast_to(np.arange(indices.shape[1]), indices.shape).ravel()
    old = indices.ravel()
    weights = np.ones(len(old)) if weights is None else weights.ravel()
    order = np.argsort(old, stable=True)
    counts = np.bincount(old, minlength=length)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(old)) - starts[old[order]]  # among those with the same input
    first = np.where(counts > 0, new[order][np.minimum(starts, len(old) - 1)], -1)
    back_indices = np.tile(first, (counts.max(), 1))
    back_weights = np.zeros(back_indices.shape)
    back_indices[rank, old[order]] = new[order]
    back_weights[rank, old[order]] = weights[order]
    return back_indices, back_weights


def _stride(old, new, scale, align_corners):
    """The stride of the outputs, in units of the inputs."""
    if align_corners:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return scale or old / new


def _aligned_corners(old, new):
    """The coordinates of the outputs, with the centres of the corners aligned."""
    return np.arange(new) * _stride(old, new, None, True)


def _aligned_edges(new, scale):
    """The coordinates of the outputs, with the edges aligned."""
    return (np.arange(new) + 0.5) * scale - 0.5


def _nearest(old, new, scale, mode):
    """The nearest input of each output; rounding to single precision decides ties."""
    scale = np.float64(np.float32(old / new if scale is None else scale))
    if mode == "nearest":
        at = (np.arange(new) * scale).astype(np.float32)
    else:
        at = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
        at = np.maximum(at, 0) + np.float32(0.5)
    return np.minimum(at.astype(np.int64), old - 1)


def _linear(old, at):
    """The two inputs around each output, and their weights."""
    at = np.clip(at, 0, old - 1)
    first = at.astype(np.int64)
    part = at - first
    return np.stack([first, np.minimum(first + 1, old - 1)]), np.stack([1 - part, part])


def keys_weights(part, a=_A):
    """The weights of the four inputs around an output, at `part` after the second: Keys 1981.

    For numbers, arrays or tensors: w(t) = (a+2)t³ − (a+3)t² + 1 up to t = 1, and
    at³ − 5at² + 8at − 4a from there to 2.
    """
    near = [((a + 2) * t - (a + 3)) * t * t + 1 for t in (part, 1 - part)]
    far = [((a * t - 5 * a) * t + 8 * a) * t - 4 * a for t in (part + 1, 2 - part)]
    return far[0], near[0], near[1], far[1]


def _cubic(old, at):
    """The four inputs around each output, and their weights by Keys's kernel."""
    first = np.floor(at)
    indices = np.stack([first + i for i in (-1, 0, 1, 2)])
    return np.clip(indices, 0, old - 1).astype(np.int64), np.stack(keys_weights(at - first))


def _antialiased(old, new, scale, mode):
    """The inputs under a kernel widened by `scale`, with weights of sum 1.

    Kernels are truncated at the edges of the image, as in Pillow and PyTorch.
    """
    widened = max(scale, 1.0)
    support = (2 if mode == "bicubic" else 1) * widened
    centre = scale * (np.arange(new) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + support + 0.5).astype(np.int64), old)
    indices = first + np.arange(math.ceil(support) * 2 + 1)[:, None]
    distance = np.abs((indices - centre + 0.5) / widened)
    weights = _triangle(distance) if mode == "bilinear" else _keys(distance)
    weights = np.where(indices < stop, weights, 0)
    total = weights.sum(0)
    indices = np.where(indices < stop, indices, first)
    return np.minimum(indices, old - 1), weights / np.where(total == 0, 1, total)


def _triangle(t):
    """1 − |t|, and 0 beyond 1."""
    return np.maximum(1 - t, 0)


def _keys(t, a=_A_ANTIALIASED):
    """Keys's kernel at a distance t ≥ 0."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t < 1, near, np.where(t < 2, far, 0))
