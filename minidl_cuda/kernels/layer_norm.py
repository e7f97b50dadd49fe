"""Layer, group and RMS norm (layer_norm.cu): a launch forward, up to three back.

Saved are x, and three numbers a row: the mean, in two floats, and rstd.
"""

import math
from functools import cache
from typing import Any, TypeAlias

import cupy as cp
import numpy as np

from minidl.backends.joint import Joint
from minidl_cuda.kernels.channel_sums import channel_sums, layout
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

Array: TypeAlias = cp.ndarray

_module = Module("layer_norm.cu")
_THREADS, _WARP = 256, 1024  # of a block; elements up to which a warp has a row
_MOST = 2**31 - 1
_COUNTS = "n", "groups", "space", "centred"
_ROWS = np.dtype([("rows", "i8"), *((name, "i4") for name in _COUNTS), ("eps", "f4")], align=True)


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: Any,
    eps: float = 1e-5,
) -> Any:
    """y = (x − mean)·rstd·weight + bias over the last axes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not _are_of_last_axes(shape, x, weight, bias) or not is_positive(eps):
        return NotImplemented
    return _normalize(x, weight, bias, eps, _last_axes(x, shape))


def rms_norm(
    x: Array, weight: Array | None = None, *, normalized_shape: Any, eps: float | None = None
) -> Any:
    """y = x / √(mean(x²) + eps) · weight over the last axes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not _are_of_last_axes(shape, x, weight) or not (eps is None or is_positive(eps)):
        return NotImplemented
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    return _normalize(x, weight, None, eps, _last_axes(x, shape), centred=False)


def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    num_groups: int,
    eps: float = 1e-5,
) -> Any:
    """y = (x − mean)·rstd·weight + bias over the channels of a group of each sample."""
    if not are_of_channels(x, weight, bias) or not is_positive(eps):
        return NotImplemented
    if type(num_groups) is not int or num_groups < 1 or x.shape[1] % num_groups:
        return NotImplemented
    shape = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    return _normalize(x, weight, bias, eps, shape, groups=num_groups)


def _last_axes(x: Array, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """x as rows of channels."""
    channels = math.prod(shape)
    return x.size // channels, channels, 1


def is_positive(eps: Any) -> bool:
    """Whether eps is a positive float32, the usual case; the body judges any other."""
    return isinstance(eps, float) and 1e-37 < eps < 1e37


def are_of_channels(x: Any, *vectors: Any) -> bool:
    """Whether the kernels are for x (N, C, …) and vectors (C,), each of which may be None."""
    return x.ndim > 1 and _are_of_shape(x.shape[1:2], x, *vectors)


def _are_of_last_axes(shape: tuple[int, ...], x: Any, *parameters: Any) -> bool:
    """Whether the kernels are for x (…, *shape) and parameters of this shape."""
    return bool(shape) and x.shape[-len(shape) :] == shape and _are_of_shape(shape, x, *parameters)


def _are_of_shape(shape: tuple[int, ...], x: Any, *vectors: Any) -> bool:
    if not are_arrays("fe", x, *vectors) or not 0 < x.size <= _MOST:
        return False
    return all(v is None or v.shape == shape for v in vectors)


def _normalize(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    shape: tuple[int, int, int],
    *,
    groups: int = 1,
    centred: bool = True,
) -> Any:
    """y and its pullback, for x of shape (samples, channels, space), a weight for each channel.

    A sample consists of as many rows as groups, whose moments these are.
    """
    samples, channels, space = shape
    n = channels // groups * space
    suffix = SUFFIX[x.dtype.char]
    x_shape, x, weight, bias = x.shape, contiguous(x), contiguous(weight), contiguous(bias)
    rows = np.array((samples * groups, n, groups, space, centred, eps), _ROWS)[()]
    y, stats = cp.empty(x_shape, x.dtype), cp.empty((samples * groups, 3), np.float32)
    team = "rows" if n <= _WARP else "long_rows"
    grid = blocks(32 * samples * groups, _THREADS) if n <= _WARP else samples * groups
    name = "layer_norm" if space == groups == 1 else "group_norm"
    forward, backward = (_kernel(f"{name}_{team}{way}_{suffix}") for way in ("", "_back"))
    forward(grid, _THREADS, (x, weight, bias, y, stats, rows))

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Array | None, ...]:
        dy, dx = contiguous(dy), None
        if needed[0]:
            dx = cp.empty(x_shape, x.dtype)
            backward(grid, _THREADS, (dy, x, weight, stats, dx, rows))
        products = totals = None
        if any(needed[1:]):
            like = weight if weight is not None else bias
            moments = groups, channels // groups
            sums = dy, x, stats, layout(*shape), moments, like.shape
            products, totals = channel_sums(*sums)
        return (dx, products, totals)[: len(needed)]

    return y, Joint(pullback)
