"""Pooling by the p-norm of each window."""

import math

from minidl.autograd.primitive import composite
from minidl.backends.window import lengths
from minidl.errors import ArgumentError


def _root(xp, sums, norm_type):
    """sums to the power of 1 / norm_type, and 0 without a derivative where they are 0."""
    zero = sums == 0
    return xp.where(zero, 0, xp.where(zero, 1, sums) ** (1 / norm_type))


def _check_power(name, norm_type):
    if isinstance(norm_type, bool) or not isinstance(norm_type, int | float) or not norm_type:
        raise ArgumentError(f"{name}: norm_type is a number other than 0; got {norm_type!r:.60}")


@composite
def lp_pool1d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), p = norm_type;   x: (N, C, L) or (C, L).

    Where the sum is 0, its derivative is 0.
    """
    _check_power("lp_pool1d", norm_type)
    size = lengths("lp_pool1d", "kernel_size", kernel_size, 1, 1)
    means = xp.avg_pool1d(x**norm_type, size, stride, 0, ceil_mode)
    return _root(xp, means * math.prod(size), norm_type)


@composite
def lp_pool2d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), as lp_pool1d;   x: (N, C, H, W) or (C, H, W)."""
    _check_power("lp_pool2d", norm_type)
    size = lengths("lp_pool2d", "kernel_size", kernel_size, 1, 2)
    means = xp.avg_pool2d(x**norm_type, size, stride, 0, ceil_mode)
    return _root(xp, means * math.prod(size), norm_type)


@composite
def lp_pool3d(xp, x, /, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (Σ xᵖ over the window)^(1/p), as lp_pool1d;   x: (N, C, D, H, W) or (C, D, H, W)."""
    _check_power("lp_pool3d", norm_type)
    size = lengths("lp_pool3d", "kernel_size", kernel_size, 1, 3)
    means = xp.avg_pool3d(x**norm_type, size, stride, 0, ceil_mode)
    return _root(xp, means * math.prod(size), norm_type)
