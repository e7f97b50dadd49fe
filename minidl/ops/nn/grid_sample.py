"""Sampling of images at the points of a grid (spatial transformers, Jaderberg et al. 2015).

A coordinate of the grid runs from −1 to 1 along its axis of the image, x before y before z.  Along
each axis a sample has a few taps, each with a weight; the sample is the weighted sum over all
combinations of taps.  Everything here is differentiable in the image and in the grid.
"""

import math
from itertools import product

import numpy as np

from minidl.autograd.primitive import composite
from minidl.checks import is_integer
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.constants import constant
from minidl.ops.nn.resize_tables import keys_weights

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


@composite
def grid_sample(xp, x, grid, /, mode="bilinear", padding_mode="zeros", align_corners=False):
    """y[n, c, i, j] = x[n, c] at the point grid[n, i, j] = (x, y), each between −1 and 1.

    x                (N, C, H, W), or (N, C, D, H, W)
    grid             (N, Hʹ, Wʹ, 2), or (N, Dʹ, Hʹ, Wʹ, 3) with points (x, y, z)
    mode             "bilinear", between the 4 pixels around the point (8 along three axes);
                     "nearest", halves to even, which gives the grid no gradient;
                     "bicubic" (Keys 1981, a = −0.75), for two axes
    padding_mode     the values outside: "zeros", the "border", or its "reflection"
    align_corners    whether −1 and 1 are the centres of the corner pixels, instead of the edges of
                     the image

    y has shape (N, C, Hʹ, Wʹ), or (N, C, Dʹ, Hʹ, Wʹ).  Points that are NaN
    or infinite give NaN with padding_mode "zeros", unless mode is "nearest".

    >>> x = minidl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> corner_and_middle = minidl.tensor([[[[1.0, -1.0], [0.0, 0.0]]]])
    >>> minidl.grid_sample(x, corner_and_middle, align_corners=True)
    Tensor([[[[2. , 2.5]]]], shape=(1, 1, 1, 2), float32)
    """
    _check(x, grid, mode, padding_mode, align_corners)
    axes = x.ndim - 2
    shape, samples = x.shape[2:], grid.shape[1:-1]
    ends = [_ends(length, align_corners) for length in shape]
    taps = []
    for i, length in enumerate(shape):
        at = grid[..., axes - 1 - i]
        low, high = ends[i]
        at = (at + 1) * ((high - low) / 2) + low
        taps.append(_taps(xp, at, length, mode, padding_mode, ends[i]))
    flat = xp.reshape(x, (x.size,))
    offsets = _image_offsets(x.shape, axes, x.device)
    y = None
    for combination in product(*taps):
        term = _weighted_tap(xp, flat, offsets, combination, shape)
        y = term if y is None else y + term
    return xp.reshape(y, (*x.shape[:2], *samples))


def _check(x, grid, mode, padding_mode, align_corners):
    for name, value in (("x", x), ("grid", grid)):
        if getattr(getattr(value, "dtype", None), "kind", "") != "f":
            raise DTypeError(f"grid_sample: {name} is a tensor of reals; got {describe(value)}")
    axes = x.ndim - 2
    if axes not in (2, 3) or grid.ndim != x.ndim or grid.shape[-1] != axes:
        raise ShapeError(
            "grid_sample: needs x (N, C, H, W) and a grid (N, H', W', 2), or x (N, C, D, H, W) and "
            f"a grid (N, D', H', W', 3); got {x.shape} and {grid.shape}"
        )
    if x.shape[0] != grid.shape[0]:
        raise ShapeError(
            f"grid_sample: needs a grid for each of {x.shape[0]} images; got {grid.shape}"
        )
    if 0 in x.shape[2:]:
        raise ShapeError(f"grid_sample: images of {x.shape[2:]} are empty")
    for name, value, choices in (
        ("mode", mode, _MODES),
        ("padding_mode", padding_mode, _PADDINGS),
        ("align_corners", align_corners, (True, False, None)),
    ):
        if value not in choices:
            words = ", ".join(map(repr, choices))
            raise ArgumentError(f"grid_sample: {name} is one of {words}; got {value!r:.60}")
    if mode == "bicubic" and axes == 3:
        raise ArgumentError(f"grid_sample: bicubic is for two axes; got x of shape {x.shape}")


def _ends(length, align_corners):
    """The coordinates of −1 and 1: the centres of the corner pixels, or half a pixel beyond."""
    return (0, length - 1) if align_corners else (-0.5, length - 0.5)


def _taps(xp, at, length, mode, padding_mode, ends):
    """The taps of each sample along an axis, and their weights: pairs.

    Taps are integers as floats, and may be outside; a weight of None is 1.
    """
    if mode == "bicubic":
        second = xp.floor(at)
        taps = [second + i for i in (-1, 0, 1, 2)]
        taps = [_inside(xp, tap, length, padding_mode, ends) for tap in taps]
        return list(zip(taps, keys_weights(at - second), strict=True))
    at = _inside(xp, at, length, padding_mode, ends)
    if mode == "nearest":
        return [(xp.round(at), None)]
    low = xp.floor(at)
    return [(low, 1 - (at - low)), (low + 1, at - low)]


def _inside(xp, at, length, padding_mode, ends):
    """Coordinates moved inside the image, unless zeros are outside."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        at = _reflected(xp, at, *ends)
    at = xp.where(at > 0, at, 0)  # with gradient 0 at the border too; NaN goes to 0
    return xp.where(at < length - 1, at, length - 1)


def _reflected(xp, at, low, high):
    """Coordinates mirrored at both ends as often as needed."""
    span = high - low
    if not span:
        return at * 0
    at = (at - low) * xp.where(at < low, -1, 1)
    times = xp.floor(at / span)
    rest = at - times * span
    return low + xp.where(times % 2 == 0, rest, span - rest)


def _image_offsets(shape, axes, device):
    """The offset of each image in the flattened tensor: (N, C, 1)."""
    images, size = math.prod(shape[:2]), math.prod(shape[-axes:])
    offsets = np.arange(images, dtype="int64") * size
    return constant(offsets, device).reshape((*shape[:2], 1))


def _weighted_tap(xp, flat, offsets, combination, shape):
    """x at one combination of taps times its weight, 0 outside: (N, C, samples)."""
    index, inside, weight = 0, True, None
    for length, (tap, factor) in zip(shape, combination, strict=True):
        here = (tap >= 0) & (tap <= length - 1)
        inside = here & inside
        index = index * length + xp.astype(xp.where(here, tap, 0), "int64")
        if factor is not None:
            weight = factor if weight is None else weight * factor
    samples = offsets.shape[0], 1, math.prod(index.shape[1:])
    values = xp.where(xp.reshape(inside, samples), flat[offsets + xp.reshape(index, samples)], 0)
    return values if weight is None else values * xp.reshape(weight, samples)


@composite
def affine_grid(xp, theta, /, size, align_corners=False):
    """The grid for grid_sample of an affine map: point = θ·(x, y, 1)ᵀ for each pixel.

    theta            (N, 2, 3), or (N, 3, 4) for three axes: differentiable
    size             (N, C, H, W), or (N, C, D, H, W): the shape of the sampled images
    align_corners    as in grid_sample

    Returns (N, H, W, 2), or (N, D, H, W, 3).

    >>> flip_left_right = minidl.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> grid = minidl.affine_grid(flip_left_right, (1, 1, 1, 2), align_corners=True)
    >>> minidl.grid_sample(minidl.tensor([[[[1.0, 2.0]]]]), grid, align_corners=True)
    Tensor([[[[2., 1.]]]], shape=(1, 1, 1, 2), float32)
    """
    _check_affine(theta, size, align_corners)
    base = constant(_homogeneous(size[2:], align_corners), theta.device, theta.dtype)
    points = xp.matmul(base, xp.matrix_transpose(theta))
    return xp.reshape(points, (theta.shape[0], *size[2:], theta.shape[1]))


def _check_affine(theta, size, align_corners):
    fits = isinstance(size, tuple | list) and len(size) in (4, 5)
    if not fits or not all(is_integer(n) and n > 0 for n in size):
        raise ArgumentError(
            f"affine_grid: size is (N, C, H, W) or (N, C, D, H, W), ≥ 1; got {size!r:.60}"
        )
    if getattr(getattr(theta, "dtype", None), "kind", "") != "f":
        raise DTypeError(f"affine_grid: theta is a tensor of reals; got {describe(theta)}")
    axes = len(size) - 2
    if theta.shape != (size[0], axes, axes + 1):
        raise ShapeError(
            f"affine_grid: size {tuple(size)} needs theta {(size[0], axes, axes + 1)}; got "
            f"{theta.shape}"
        )
    if align_corners not in (True, False, None):
        raise ArgumentError(f"affine_grid: align_corners is True or False; got {align_corners!r}")


def _homogeneous(shape, align_corners):
    """The points (x, y, 1), or (x, y, z, 1), of all pixels, row by row."""
    along = []
    for length in shape:
        low, high = _ends(length, align_corners)
        at = np.arange(length)
        along.append((2 * at - low - high) / (high - low) if high > low else 0.0 * at)
    points = np.meshgrid(*along, indexing="ij")[::-1]
    return np.stack([*points, np.ones(shape)], axis=-1).reshape(-1, len(shape) + 1)
