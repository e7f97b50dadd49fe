"""Largest numbers put back where pooling found them."""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.backends.pooling import check_pictures
from minidl.checks import is_integer, lengths
from minidl.errors import ArgumentError, DTypeError, ShapeError


def _picture(name, x, indices, kernel_size, stride, padding, output_size, axes):
    """How large the pictures were: as `output_size` says, or as large as windows without rest."""
    check_pictures(name, x.shape, axes)
    if indices.shape != x.shape:
        raise ShapeError(
            f"{name}: needs an index for each number of {x.shape}; got {indices.shape}"
        )
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are integers; got {indices.dtype}")
    sizes = lengths(name, "kernel_size", kernel_size, 1, axes)
    strides = sizes if stride is None else lengths(name, "stride", stride, 1, axes)
    paddings = lengths(name, "padding", padding, 0, axes)
    each = zip(x.shape[-axes:], sizes, strides, paddings, strict=True)
    usual = tuple((n - 1) * s - 2 * p + k for n, k, s, p in each)
    if output_size is None:
        return usual
    size = tuple(output_size) if isinstance(output_size, tuple | list) else ()
    size = size[-axes:] if len(size) == x.ndim else size
    if len(size) != axes or not all(map(is_integer, size)):
        raise ArgumentError(
            f"{name}: output_size is {axes} or {x.ndim} numbers; got {output_size!r:.60}"
        )
    if any(abs(n - m) >= s for n, m, s in zip(size, usual, strides, strict=True)):
        raise ShapeError(
            f"{name}: output_size is less than the stride {strides} away from {usual}; got {size}"
        )
    return size


def _unpool(xp, name, x, indices, *geometry):
    """Zeros, with x written where indices point, in each picture by itself."""
    picture = _picture(name, x, indices, *geometry)
    planes, size = math.prod(x.shape[: -len(picture)]), math.prod(picture)
    indices = xp.reshape(xp.check_indices(indices, size), (planes, x.size // max(planes, 1)))
    first = xp.arange(0, planes * size, max(size, 1), device=x.device)
    places = xp.reshape(indices + xp.reshape(first, (planes, 1)), (x.size,))
    zeros = xp.zeros((planes * size,), dtype=x.dtype, device=x.device)
    y = _placed(zeros, xp.reshape(x, (x.size,)), places.data)
    return xp.reshape(y, (*x.shape[: -len(picture)], *picture))


@primitive(None)
def _placed(xp, zeros, x, /, places):
    """The zeros, with x at the places;   dx = dy there.

    Windows that overlap may have found the same number: it is written twice, and both get dy, as in
    PyTorch.
    """
    return xp.put_at(zeros, x, places), (None, lambda dy: dy[places])


@composite
def max_unpool1d(xp, x, indices, /, kernel_size, stride=None, padding=0, output_size=None):
    """y = 0, but x where it came from, as max_unpool2d;   x: (N, C, L) or (C, L).

    >>> y, places = minidl.max_pool1d(minidl.tensor([[1, 5, 2, 4, 3]]), 2, return_indices=True)
    >>> minidl.max_unpool1d(y, places, 2)
    Tensor([[0, 5, 0, 4]], shape=(1, 4), int64)
    >>> minidl.max_unpool1d(y, places, 2, output_size=(5,))
    Tensor([[0, 5, 0, 4, 0]], shape=(1, 5), int64)
    """
    geometry = kernel_size, stride, padding, output_size, 1
    return _unpool(xp, "max_unpool1d", x, indices, *geometry)


@composite
def max_unpool2d(xp, x, indices, /, kernel_size, stride=None, padding=0, output_size=None):
    """y = 0, but x at the indices that max_pool2d gave with these settings;   dx = dy there.

    output_size    how large the pictures were, if a rest of them was not pooled: their last axes,
                   or their shape.  Where two windows chose one place, its x stands there once.

    Raises BoundsError for an index outside the pictures, ShapeError for an output_size that these
    windows cannot have seen.  Zeiler, Fergus, Visualizing and Understanding Convolutional
    Networks, 2014.

    >>> x = minidl.tensor([[[1, 9, 2, 3], [4, 5, 8, 7]]])
    >>> minidl.max_unpool2d(*minidl.max_pool2d(x, 2, return_indices=True), 2)
    Tensor([[[0, 9, 0, 0],
             [0, 0, 8, 0]]], shape=(1, 2, 4), int64)
    """
    geometry = kernel_size, stride, padding, output_size, 2
    return _unpool(xp, "max_unpool2d", x, indices, *geometry)


@composite
def max_unpool3d(xp, x, indices, /, kernel_size, stride=None, padding=0, output_size=None):
    """y = 0, but x where it came from, as max_unpool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> x = minidl.reshape(minidl.arange(8), (1, 1, 2, 4))
    >>> minidl.max_unpool3d(*minidl.max_pool3d(x, (1, 2, 2), return_indices=True), (1, 2, 2))
    Tensor([[[[0, 0, 0, 0],
              [0, 5, 0, 7]]]], shape=(1, 1, 2, 4), int64)
    """
    geometry = kernel_size, stride, padding, output_size, 3
    return _unpool(xp, "max_unpool3d", x, indices, *geometry)
