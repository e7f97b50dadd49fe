"""Power-average pooling: the p-norm of each window."""

import math
from numbers import Real

from minidl.autograd.primitive import composite
from minidl.checks import lengths
from minidl.errors import ArgumentError, DTypeError


def _lp_pool(xp, name, x, norm_type, geometry, avg_pool, max_pool, axes):
    """(Σ xᵖ)^(1/p), from the means of xᵖ; for p = ∞, max |x|."""
    kernel_size, stride, ceil_mode = geometry
    if isinstance(norm_type, bool) or not isinstance(norm_type, Real) or not _is_power(norm_type):
        raise ArgumentError(
            f"{name}: norm_type is a number other than 0, or infinity; got {norm_type!r:.60}"
        )
    if x.dtype.kind == "c":
        raise DTypeError(f"{name}: needs real numbers; got {x.dtype}")
    size = lengths(name, "kernel_size", kernel_size, 1, axes)
    x = x if x.dtype.kind == "f" else x / 1  # powers of integers would overflow
    if norm_type == math.inf:
        return max_pool(xp.abs(x), size, stride, 0, 1, ceil_mode)
    sums = avg_pool(x**norm_type, size, stride, 0, ceil_mode) * math.prod(size)
    zero = sums == 0
    return xp.where(zero, 0, xp.where(zero, 1, sums) ** (1 / norm_type))


def _is_power(p):
    return p == math.inf or p != 0 and math.isfinite(p)


@composite(wide=True)
def lp_pool1d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), p = norm_type;   x: (N, C, L) or (C, L).

    With norm_type = ∞ it is max |x|.  As in PyTorch, xᵖ is not |x|ᵖ: where an odd p makes the sum
    negative, its root is NaN.  Where the sum is 0, its derivative is 0.

    Raises the errors of avg_pool1d, and ArgumentError for a norm_type of 0.

    >>> minidl.lp_pool1d(minidl.tensor([[3, 4, 0, 1]]), 2, kernel_size=2)
    Tensor([[5., 1.]], shape=(1, 2), float32)
    >>> minidl.lp_pool1d(minidl.tensor([[3, 4, 0, 1]]), 1, kernel_size=2)
    Tensor([[7., 1.]], shape=(1, 2), float32)
    """
    geometry = kernel_size, stride, ceil_mode
    pools = xp.avg_pool1d, xp.max_pool1d
    return _lp_pool(xp, "lp_pool1d", x, norm_type, geometry, *pools, 1)


@composite(wide=True)
def lp_pool2d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), as lp_pool1d;   x: (N, C, H, W) or (C, H, W).

    >>> minidl.lp_pool2d(minidl.tensor([[[1, 2], [2, 4]]]), 2, kernel_size=2)
    Tensor([[[5.]]], shape=(1, 1, 1), float32)
    """
    geometry = kernel_size, stride, ceil_mode
    pools = xp.avg_pool2d, xp.max_pool2d
    return _lp_pool(xp, "lp_pool2d", x, norm_type, geometry, *pools, 2)


@composite(wide=True)
def lp_pool3d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), as lp_pool1d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> minidl.lp_pool3d(minidl.ones((1, 4, 2, 2), dtype="int64"), 2, kernel_size=(4, 2, 2))
    Tensor([[[[4.]]]], shape=(1, 1, 1, 1), float32)
    """
    geometry = kernel_size, stride, ceil_mode
    pools = xp.avg_pool3d, xp.max_pool3d
    return _lp_pool(xp, "lp_pool3d", x, norm_type, geometry, *pools, 3)
