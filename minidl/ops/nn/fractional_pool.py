"""Fractional max pooling: windows at random offsets, for any ratio of sizes (Graham 2014)."""

import math
from numbers import Real
from typing import Any

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, lengths
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops import value_checks


def _offsets(xp, sample, length, size, count):
    """The offsets of the windows along an axis, for each sample u in [0, 1): (…) → (…, count).

    Window i offsets at ⌊α·(i + u)⌋ − ⌊α·u⌋ with α = (length − size) / (count − 1), the last one at
    length − size.
    """
    sample, where = xp.expand_dims(sample, axis=-1), {"device": sample.device}
    last = xp.full(sample.shape, length - size, dtype="int64", **where)
    if count == 1:
        return last
    real = sample.dtype.type
    alpha = (real(length - size) / real(count - 1)).item()
    steps = xp.astype(xp.arange(count - 1, **where), sample.dtype)
    begin = xp.astype(sample * alpha, "int64")
    return xp.concat([xp.astype((steps + sample) * alpha, "int64") - begin, last], axis=-1)


def _tap_indices(xp, samples, image, size, output):
    """The flat indices of the taps of each window: (N, C, *output, ∏size)."""
    axes = len(image)
    order = (1, 0) if axes == 2 else range(axes)  # PyTorch's samples: columns first for images
    taps = 0
    for axis in range(axes):
        offsets = _offsets(xp, samples[..., order[axis]], image[axis], size[axis], output[axis])
        within = xp.arange(size[axis], device=samples.device)
        patches = xp.expand_dims(offsets, axis=-1) + within  # (N, C, windows, size)
        shape = [*patches.shape[:2], *[1] * (2 * axes)]
        shape[2 + axis], shape[2 + axes + axis] = output[axis], size[axis]
        taps = taps * image[axis] + xp.reshape(patches, tuple(shape))
    return xp.reshape(taps, (*taps.shape[: 2 + axes], math.prod(size)))


def _pooled(xp, name, x, samples, kernel_size, output_size, return_indices, ratio, axes):
    """The maximum of each window, of equal elements the first, and its flat index in its image."""
    check_flags(name, return_indices=return_indices)
    letters = "C, H, W" if axes == 2 else "C, D, H, W"
    if getattr(x, "ndim", None) not in (axes + 1, axes + 2):
        raise ShapeError(f"needs x of shape (N, {letters}) or ({letters}); got {describe(x)}")
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers, of which one is the largest; got {x.dtype}")
    size = lengths(name, "kernel_size", kernel_size, 1, axes)
    image = x.shape[-axes:]
    if (output_size is None) == (ratio is None):
        raise ArgumentError(
            f"{name}: needs output_size or output_ratio; got {describe(output_size)} and "
            f"{describe(ratio)}"
        )
    if ratio is not None:
        each = zip(image, ratios_of_axes(name, ratio, axes), strict=True)
        output_size = tuple(math.floor(length * ratio) for length, ratio in each)
    output = lengths(name, "output_size", output_size, 1, axes)
    if any(k + n - 1 > length for k, n, length in zip(size, output, image, strict=True)):
        raise ShapeError(
            f"{output} windows of {size}, each a step after the one before, do not fit {image}"
        )
    needs = (x.shape[0] if x.ndim == axes + 2 else 1, x.shape[-axes - 1], axes)
    if getattr(samples, "shape", None) != needs or samples.dtype.kind != "f":
        raise ShapeError(f"needs samples of shape {needs}, floats; got {describe(samples)}")
    samples = samples.detach()
    within = xp.logical_and(samples >= 0, samples < 1)
    value_checks.check(within, lambda: ShapeError(f"{name}: samples are numbers ≥ 0, below 1"))
    taps = _tap_indices(xp, samples, image, size, output)
    images = xp.reshape(x, (*needs[:2], math.prod(image)))
    windows = xp.reshape(taps, (*needs[:2], math.prod(taps.shape[2:])))
    patches = xp.reshape(xp.take_along_axis(images.detach(), windows, axis=-1), taps.shape)
    scores = xp.where(patches != patches, math.inf, patches)
    best = xp.expand_dims(xp.argmax(scores, axis=-1), axis=-1)
    indices = xp.squeeze(xp.take_along_axis(taps, best, axis=-1), -1)
    flat = xp.reshape(indices, (*needs[:2], math.prod(output)))
    shape = (*x.shape[:-axes], *output)
    y = xp.reshape(xp.take_along_axis(images, flat, axis=-1), shape)
    return (y, xp.reshape(indices, shape)) if return_indices else y


def ratios_of_axes(name: str, given: Any, axes: int) -> tuple[float, ...]:
    """A ratio for each axis, of one for all or of one each."""
    ratios = tuple(given) if isinstance(given, tuple | list) else (given,) * axes
    if len(ratios) != axes or not all(isinstance(r, Real) and 0 < float(r) < 1 for r in ratios):
        raise ArgumentError(
            f"{name}: output_ratio is a number between 0 and 1, or {axes}; got {describe(given)}"
        )
    return ratios


@composite
def fractional_max_pool2d(
    xp, x, samples, /, kernel_size, output_size=None, return_indices=False, output_ratio=None
):
    """y = max x over each of output_size windows, at steps that vary.

    x            (N, C, H, W) or (C, H, W)
    samples      (N, C, 2), uniform in [0, 1): window i along an axis of length n offsets at
                 ⌊α·(i + u)⌋ − ⌊α·u⌋ with α = (n − kernel_size) / (output_size − 1), and the last
                 one ends at the end of the axis; (C, H, W) has N = 1
    output_ratio instead of output_size: that number / the length of the axis, between 0 and 1
    raises       ShapeError if that many windows, each at least one step after the last, do not fit

    return_indices also returns the flat index of each y in its image.  Graham 2014.

    >>> x = minidl.reshape(minidl.arange(25), (1, 5, 5))
    >>> minidl.fractional_max_pool2d(x, minidl.zeros((1, 1, 2)), 2, output_size=3)
    Tensor([[[ 6,  7,  9],
             [11, 12, 14],
             [21, 22, 24]]], shape=(1, 3, 3), int64)
    """
    settings = kernel_size, output_size, return_indices, output_ratio
    return _pooled(xp, "fractional_max_pool2d", x, samples, *settings, 2)


@composite
def fractional_max_pool3d(
    xp, x, samples, /, kernel_size, output_size=None, return_indices=False, output_ratio=None
):
    """y = max x over the window, as fractional_max_pool2d;   x: (N, C, D, H, W) or (C, D, H, W).

    >>> x = minidl.reshape(minidl.arange(24), (1, 2, 3, 4))
    >>> samples = minidl.zeros((1, 1, 3))
    >>> minidl.fractional_max_pool3d(x, samples, (1, 2, 2), output_size=(1, 2, 2))
    Tensor([[[[17, 19],
              [21, 23]]]], shape=(1, 1, 2, 2), int64)
    """
    settings = kernel_size, output_size, return_indices, output_ratio
    return _pooled(xp, "fractional_max_pool3d", x, samples, *settings, 3)
