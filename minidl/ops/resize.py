"""Pictures made larger or smaller: each new place is a mean of old ones, axis by axis."""

import math

import numpy as np

from minidl.autograd.primitive import composite
from minidl.backends.window import is_number, lengths
from minidl.errors import ArgumentError, ShapeError

_AXES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}
_CORNERS = ("linear", "bilinear", "bicubic", "trilinear")
_A = -0.75  # of Keys's kernel, as image libraries have it


@composite
def interpolate(
    xp,
    x,
    /,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
):
    """x with `size` places along its last axes, or with ⌊scale_factor·length⌋.

    x                       (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    mode                    "nearest", as older image libraries round, or "nearest-exact";
                            "linear", "bilinear", "trilinear" by the number of axes; "bicubic"
                            (Keys 1981, a = −0.75); "area": the mean of a window
    align_corners           whether the first and the last places lie upon those of x, in place of
                            the outer edges of the pictures: of linear modes and bicubic
    recompute_scale_factor  whether distances follow from the two sizes, not from the scale_factor
    """
    axes = x.ndim - 2
    _check(x.shape, mode, align_corners)
    output, scales = _sizes(x.shape[2:], size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return getattr(xp, f"adaptive_avg_pool{axes}d")(x, output)
    for i, (new, scale) in enumerate(zip(output, scales, strict=True)):
        x = _resized(xp, x, 2 + i, new, scale, mode, bool(align_corners))
    return x


def _check(shape, mode, align_corners):
    if mode not in _AXES:
        raise ArgumentError(f"interpolate: mode is one of {', '.join(_AXES)}; got {mode!r:.60}")
    if len(shape) - 2 not in _AXES[mode]:
        needs = " or ".join(str(axes + 2) for axes in _AXES[mode])
        raise ShapeError(f"interpolate: {mode} needs x of {needs} axes; got shape {shape}")
    if 0 in shape[2:]:
        raise ShapeError(f"interpolate: pictures of {shape[2:]} have no places to take from")
    if align_corners is not None and mode not in _CORNERS:
        raise ArgumentError(f"interpolate: align_corners is for {', '.join(_CORNERS)}; not {mode}")


def _sizes(picture, size, scale_factor, recompute):
    """The new lengths, and how far apart the new places lie, where a scale_factor says so."""
    axes = len(picture)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"interpolate: needs a size or a scale_factor; got {size!r} and {scale_factor!r}"
        )
    if size is not None:
        if recompute:
            raise ArgumentError("interpolate: recompute_scale_factor needs a scale_factor")
        return lengths("interpolate", "size", size, 1, axes), (None,) * axes
    each = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * axes
    numbers = all(is_number(f) or isinstance(f, float) for f in each)
    if len(each) != axes or not numbers or not all(0 < f < math.inf for f in each):
        raise ArgumentError(
            f"interpolate: scale_factor is a number above 0, or {axes}; got {scale_factor!r:.60}"
        )
    output = tuple(math.floor(n * f) for n, f in zip(picture, each, strict=True))
    if 0 in output:
        raise ShapeError(f"interpolate: nothing is left of pictures of {picture} times {each}")
    return output, (None,) * axes if recompute else tuple(1 / f for f in each)


def _resized(xp, x, axis, new, scale, mode, align_corners):
    """x with so many places along an axis."""
    old = x.shape[axis]
    if mode.startswith("nearest"):
        return _taken(x, axis, _nearest(old, new, scale, mode))
    at = _corners(old, new) if align_corners else _centres(new, scale or old / new)
    places, weights = (_cubic if mode == "bicubic" else _linear)(old, at)
    shape = (new,) + (1,) * (x.ndim - 1 - axis)
    return sum(
        _taken(x, axis, place) * _as(xp, x, weight.reshape(shape))
        for place, weight in zip(places, weights, strict=True)
    )


def _corners(old, new):
    """Where the new places lie among the old, if the first and the last of both are the same."""
    return np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0)


def _centres(new, scale):
    """Where the new places lie among the old, if both are as long from edge to edge."""
    return (np.arange(new) + 0.5) * scale - 0.5


def _as(xp, x, weights):
    """The weights beside x, in its dtype if that is of reals."""
    dtype = x.dtype if x.dtype.kind == "f" else "float32"
    return xp.asarray(weights, dtype=dtype, device=x.device)


def _taken(x, axis, places):
    """The slices of x at these places of the axis."""
    if np.array_equal(places, np.arange(x.shape[axis])):
        return x
    return x[(slice(None),) * axis + (places,)]


def _nearest(old, new, scale, mode):
    """The place that each new one is taken from; roundings to single precision decide ties."""
    scale = np.float64(np.float32(old / new if scale is None else scale))
    if mode == "nearest":
        at = (np.arange(new) * scale).astype(np.float32)
    else:
        at = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
        at = np.maximum(at, 0) + np.float32(0.5)
    return np.minimum(at.astype(np.int64), old - 1)


def _linear(old, at):
    """The two places around each new one, and their weights."""
    at = np.clip(at, 0, old - 1)
    first = at.astype(np.int64)
    part = at - first
    return (first, np.minimum(first + 1, old - 1)), (1 - part, part)


def _cubic(old, at):
    """The four places around each new one, and their weights by Keys's kernel."""
    first = np.floor(at)
    part = at - first
    places = [np.clip(first + i, 0, old - 1).astype(np.int64) for i in (-1, 0, 1, 2)]
    near = [((_A + 2) * t - (_A + 3)) * t * t + 1 for t in (part, 1 - part)]
    far = [((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A for t in (part + 1, 2 - part)]
    return places, (far[0], near[0], near[1], far[1])
