"""Resampling of images, axis by axis: each output is a weighted sum of a few inputs.

Along one axis that is a product with a sparse matrix, which is stored as a table: for each output,
the indices of its inputs and their weights.  The pullback is the product with the transposed
matrix, which is another table.
"""

import math

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.checks import is_integer, lengths
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.constants import constant
from minidl.ops.nn.resize_tables import table_of, transpose

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
_ANTIALIASED = ("bilinear", "bicubic")


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
    antialias=False,
):
    """x resampled to `size` along its last axes, or to ⌊scale_factor·length⌋.

    x                       (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    mode                    "nearest", as older image libraries round, or "nearest-exact";
                            "linear", "bilinear", "trilinear" by the number of axes; "bicubic"
                            (Keys 1981, a = −0.75); "area": the mean of a window
    align_corners           whether the centres of the corner pixels are aligned, instead of the
                            edges of the images: for linear modes and bicubic
    recompute_scale_factor  whether the scale follows from the two sizes, not from the scale_factor
    antialias               whether a smaller image gets a wider kernel, so that every input counts:
                            for bilinear and bicubic (here a = −0.5)

    PyTorch's "nearest" ignores a scale_factor where y is as long as x, or twice as long: for the
    values along two axes, and for all gradients.

    >>> x = minidl.tensor([[[1.0, 3.0]]])
    >>> minidl.interpolate(x, 4)
    Tensor([[[1., 1., 3., 3.]]], shape=(1, 1, 4), float32)
    >>> minidl.interpolate(x, 4, mode="linear")
    Tensor([[[1. , 1.5, 2.5, 3. ]]], shape=(1, 1, 4), float32)
    >>> minidl.interpolate(x, 3, mode="linear", align_corners=True)
    Tensor([[[1., 2., 3.]]], shape=(1, 1, 3), float32)
    """
    axes = x.ndim - 2
    _check(x.shape, mode, align_corners, antialias)
    output, scales = _sizes(x.shape[2:], size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return getattr(xp, f"adaptive_avg_pool{axes}d")(x, output)
    for i, (new, scale) in enumerate(zip(output, scales, strict=True)):
        table = table_of(x.shape[2 + i], new, scale, mode, bool(align_corners), bool(antialias))
        x = _resize_axis(x, 2 + i, *table)
    return x


def _check(shape, mode, align_corners, antialias):
    if mode not in _AXES:
        raise ArgumentError(f"interpolate: mode is one of {', '.join(_AXES)}; got {mode!r:.60}")
    if len(shape) - 2 not in _AXES[mode]:
        needs = " or ".join(str(axes + 2) for axes in _AXES[mode])
        raise ShapeError(f"interpolate: {mode} needs x of {needs} axes; got shape {shape}")
    if 0 in shape[2:]:
        raise ShapeError(f"interpolate: images of {shape[2:]} are empty")
    if align_corners is not None and mode not in _CORNERS:
        raise ArgumentError(f"interpolate: align_corners is for {', '.join(_CORNERS)}; not {mode}")
    for name, value in (("align_corners", align_corners), ("antialias", antialias)):
        if value not in (None, False, True):
            raise ArgumentError(f"interpolate: {name} is True or False; got {value!r:.60}")
    if antialias and mode not in _ANTIALIASED:
        raise ArgumentError(f"interpolate: antialias is for {', '.join(_ANTIALIASED)}; not {mode}")


def _sizes(shape, size, scale_factor, recompute):
    """The new lengths, and the stride of the outputs among the inputs, if scale_factor gives it."""
    axes = len(shape)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"interpolate: needs a size or a scale_factor; got {size!r} and {scale_factor!r}"
        )
    if size is not None:
        if recompute:
            raise ArgumentError("interpolate: recompute_scale_factor needs a scale_factor")
        return lengths("interpolate", "size", size, 1, axes), (None,) * axes
    each = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * axes
    numbers = all(is_integer(f) or isinstance(f, float) for f in each)
    if len(each) != axes or not numbers or not all(0 < f < math.inf for f in each):
        raise ArgumentError(
            f"interpolate: scale_factor is a number above 0, or {axes}; got {scale_factor!r:.60}"
        )
    output = tuple(math.floor(n * f) for n, f in zip(shape, each, strict=True))
    if 0 in output:
        raise ShapeError(f"interpolate: nothing is left of images of {shape} times {each}")
    return output, (None,) * axes if recompute else tuple(1 / f for f in each)


def _resize_axis(x, axis, indices, weights):
    """x, resampled along an axis by a table."""
    length = x.shape[axis]
    if indices.shape == (1, length) and np.array_equal(indices[0], np.arange(length)):
        return x  # the identity
    back_indices, back_weights = transpose(indices, weights, length)
    shape = (-1,) + (1,) * (x.ndim - 1 - axis)

    def like_x(weights):
        """The weights on the device of x, in its dtype if that is real."""
        dtype = x.dtype if x.dtype.kind == "f" else "float32"
        weights = weights.reshape(len(weights), *shape)
        return constant(weights.astype(dtype), x.device)

    forwards = None if weights is None else like_x(weights)
    unused = (back_indices[0] < 0).nonzero()[0]
    tables = {"indices": indices, "back_indices": back_indices, "unused": unused}
    settings = {name: constant(table, x.device).data for name, table in tables.items()}
    return _resample(x, like_x(back_weights), forwards, axis=axis, **settings)


@primitive(None)
def _resample(xp, x, back_weights, weights=None, /, *, axis, indices, back_indices, unused):
    """y[i] = Σₖ wₖᵢ·x[pₖᵢ] along the axis;   dx[j] = Σₖ vₖⱼ·dy[qₖⱼ], the transposed matrix.

    indices, weights: p and w, (K, new); without weights, K = 1 and all are 1.
    back_indices, back_weights: q and v, (K', old); an x that no y depends on has q = −1: `unused`.
    """

    def dx(dy):
        total = _weighted_sum(dy, axis, back_indices, back_weights)
        if not unused.size:
            return total
        return xp.put_at(total, 0, (slice(None),) * axis + (unused,))  # even where dy is NaN

    return _weighted_sum(x, axis, indices, weights), (dx, None, None)


def _weighted_sum(x, axis, indices, weights):
    """Σₖ wₖᵢ·x[pₖᵢ] along the axis."""
    before = (slice(None),) * axis
    if weights is None:
        return x[(*before, indices[0])]
    total = x[(*before, indices[0])] * weights[0]
    for k in range(1, indices.shape[0]):
        total = total + x[(*before, indices[k])] * weights[k]
    return total
