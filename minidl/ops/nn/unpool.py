"""Max unpooling: maxima returned to the positions that max pooling took them from."""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.backends.pooling import check_images
from minidl.checks import is_integer, lengths
from minidl.errors import ArgumentError, DTypeError, ShapeError


def _image_size(name, x, indices, kernel_size, stride, padding, output_size, axes):
    """The size of the images: `output_size`, or the size that the windows cover exactly."""
    check_images(name, x.shape, axes)
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
    """Zeros, with x written at its indices, in each image separately."""
    image = _image_size(name, x, indices, *geometry)
    images, size = math.prod(x.shape[: -len(image)]), math.prod(image)
    indices = xp.reshape(xp.check_indices(indices, size), (images, x.size // max(images, 1)))
    offsets = xp.arange(0, images * size, max(size, 1), device=x.device)
    indices = xp.reshape(indices + xp.reshape(offsets, (images, 1)), (x.size,))
    zeros = xp.zeros((images * size,), dtype=x.dtype, device=x.device)
    y = _placed(zeros, xp.reshape(x, (x.size,)), indices.data)
    return xp.reshape(y, (*x.shape[: -len(image)], *image))


@primitive(None)
def _placed(xp, zeros, x, /, indices):
    """The zeros, with x at the given indices;   dx = dy there.

    Overlapping windows may have the same argmax: it is written twice, and both get dy, as in
    PyTorch.
    """
    return xp.put_at(zeros, x, indices), (None, lambda dy: dy[indices])


@composite
def max_unpool1d(xp, x, indices, /, kernel_size, stride=None, padding=0, output_size=None):
    """y = 0, except x at its indices, as max_unpool2d;   x: (N, C, L) or (C, L).

    >>> y, indices = minidl.max_pool1d(minidl.tensor([[1, 5, 2, 4, 3]]), 2, return_indices=True)
    >>> minidl.max_unpool1d(y, indices, 2)
    Tensor([[0, 5, 0, 4]], shape=(1, 4), int64)
    >>> minidl.max_unpool1d(y, indices, 2, output_size=(5,))
    Tensor([[0, 5, 0, 4, 0]], shape=(1, 5), int64)
    """
    geometry = kernel_size, stride, padding, output_size, 1
    return _unpool(xp, "max_unpool1d", x, indices, *geometry)


@composite
def max_unpool2d(xp, x, indices, /, kernel_size, stride=None, padding=0, output_size=None):
    """y = 0, except x at the indices that max_pool2d returned with these settings;   dx = dy there.

    output_size    the size of the images, if the windows did not cover all of them: their last
                   axes, or their shape

    Raises BoundsError for an index outside the images, ShapeError for an output_size that these
    windows cannot come from.  Zeiler, Fergus, Visualizing and Understanding Convolutional
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
    """y = 0, except x at its indices, as max_unpool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> x = minidl.reshape(minidl.arange(8), (1, 1, 2, 4))
    >>> minidl.max_unpool3d(*minidl.max_pool3d(x, (1, 2, 2), return_indices=True), (1, 2, 2))
    Tensor([[[[0, 0, 0, 0],
              [0, 5, 0, 7]]]], shape=(1, 1, 2, 4), int64)
    """
    geometry = kernel_size, stride, padding, output_size, 3
    return _unpool(xp, "max_unpool3d", x, indices, *geometry)
