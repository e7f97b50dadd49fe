"""Pooling of windows that lie at random, so that pictures shrink by any factor."""

import math

import numpy as np

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, lengths
from minidl.errors import DTypeError, ShapeError, describe


def _starts(sample, length, size, count):
    """Where windows begin along an axis, for each sample u in [0, 1): (…) → (…, count).

    Window i begins at ⌊α·(i + u)⌋ − ⌊α·u⌋ with α = (length − size) / (count − 1), the last one at
    length − size.
    """
    last = np.full((*sample.shape, 1), length - size, dtype="int64")
    if count == 1:
        return last
    alpha = sample.dtype.type(length - size) / sample.dtype.type(count - 1)
    sample = sample[..., None]
    steps = np.arange(count - 1).astype(sample.dtype)
    starts = ((steps + sample) * alpha).astype("int64") - (sample * alpha).astype("int64")
    return np.concatenate([starts, last], axis=-1)


def _places_of_windows(samples, picture, size, output):
    """The places that each window sees, numbered row by row: (N, C, *output, ∏size)."""
    axes = len(picture)
    order = (1, 0) if axes == 2 else range(axes)  # in PyTorch's, columns come first in pictures
    places = np.zeros((1,) * (2 + 2 * axes), dtype="int64")
    for axis in range(axes):
        starts = _starts(samples[..., order[axis]], picture[axis], size[axis], output[axis])
        seen = starts[..., None] + np.arange(size[axis])  # (N, C, windows, size)
        shape = [*seen.shape[:2], *[1] * (2 * axes)]
        shape[2 + axis], shape[2 + axes + axis] = output[axis], size[axis]
        places = places * picture[axis] + seen.reshape(shape)
    return places.reshape(*places.shape[: 2 + axes], math.prod(size))


def _pooled(xp, name, x, samples, kernel_size, output_size, return_indices, axes):
    """The largest of each window, of equals the first, and its place in its picture."""
    check_flags(name, return_indices=return_indices)
    letters = "C, H, W" if axes == 2 else "C, D, H, W"
    if getattr(x, "ndim", None) not in (axes + 1, axes + 2):
        raise ShapeError(f"needs x of shape (N, {letters}) or ({letters}); got {describe(x)}")
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers, of which one is the largest; got {x.dtype}")
    size = lengths(name, "kernel_size", kernel_size, 1, axes)
    output = lengths(name, "output_size", output_size, 1, axes)
    picture = x.shape[-axes:]
    if any(k + n - 1 > length for k, n, length in zip(size, output, picture, strict=True)):
        raise ShapeError(
            f"{output} windows of {size}, each a step after the one before, do not fit {picture}"
        )
    needs = (x.shape[0] if x.ndim == axes + 2 else 1, x.shape[-axes - 1], axes)
    if getattr(samples, "shape", None) != needs or samples.dtype.kind != "f":
        raise ShapeError(f"needs samples of shape {needs}, floats; got {describe(samples)}")
    given = samples.numpy()
    if not ((given >= 0) & (given < 1)).all():
        raise ShapeError("samples are numbers from 0 on, below 1")
    places = xp.asarray(_places_of_windows(given, picture, size, output), device=x.device)
    planes = xp.reshape(x, (*needs[:2], math.prod(picture)))
    windows = xp.reshape(places, (*needs[:2], math.prod(places.shape[2:])))
    seen = xp.reshape(xp.take_along_axis(planes.detach(), windows, axis=-1), places.shape)
    best = xp.expand_dims(xp.argmax(xp.where(seen != seen, math.inf, seen), axis=-1), axis=-1)
    indices = xp.squeeze(xp.take_along_axis(places, best, axis=-1), -1)
    flat = xp.reshape(indices, (*needs[:2], math.prod(output)))
    shape = (*x.shape[:-axes], *output)
    y = xp.reshape(xp.take_along_axis(planes, flat, axis=-1), shape)
    return (y, xp.reshape(indices, shape)) if return_indices else y


@composite
def fractional_max_pool2d(xp, x, samples, /, kernel_size, output_size, return_indices=False):
    """y = the largest x of the window, of which there are output_size, at steps that vary.

    x            (N, C, H, W) or (C, H, W)
    samples      (N, C, 2), uniform in [0, 1): window i of an axis of length n begins at
                 ⌊α·(i + u)⌋ − ⌊α·u⌋ with α = (n − kernel_size) / (output_size − 1), and the last
                 one ends where the axis does; (C, H, W) has N = 1
    raises       ShapeError where so many windows, each at least a step after the one before, do
                 not fit

    return_indices also gives the place of each y in its plane, numbered row by row.  Graham 2014.

    >>> x = minidl.reshape(minidl.arange(25), (1, 5, 5))
    >>> minidl.fractional_max_pool2d(x, minidl.zeros((1, 1, 2)), 2, output_size=3)
    Tensor([[[ 6,  7,  9],
             [11, 12, 14],
             [21, 22, 24]]], shape=(1, 3, 3), int64)
    """
    settings = kernel_size, output_size, return_indices
    return _pooled(xp, "fractional_max_pool2d", x, samples, *settings, 2)


@composite
def fractional_max_pool3d(xp, x, samples, /, kernel_size, output_size, return_indices=False):
    """y = the largest x of the window, as fractional_max_pool2d;   x: (N, C, D, H, W), or one.

    >>> x = minidl.reshape(minidl.arange(24), (1, 2, 3, 4))
    >>> samples = minidl.zeros((1, 1, 3))
    >>> minidl.fractional_max_pool3d(x, samples, (1, 2, 2), output_size=(1, 2, 2))
    Tensor([[[[17, 19],
              [21, 23]]]], shape=(1, 1, 2, 2), int64)
    """
    settings = kernel_size, output_size, return_indices
    return _pooled(xp, "fractional_max_pool3d", x, samples, *settings, 3)
