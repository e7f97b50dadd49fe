"""Sliding windows: padding, taps, and the maximum of each window."""

import math

from minidl.errors import DTypeError


def padded(xp, x, before, after=None):
    """x with zeros around its last two axes: `before` (top, left), `after` (bottom, right).

    (…, H, W) → (…, top + H + bottom, left + W + right).  `after` defaults to `before`.
    """
    (top, left), (bottom, right) = before, after or before
    if not (top or left or bottom or right):
        return x
    height, width = x.shape[-2:]
    inside = (..., slice(top, top + height), slice(left, left + width))
    shape = (*x.shape[:-2], top + height + bottom, left + width + right)
    return xp.scatter_at(x, inside, shape)


def taps(window, stride, dilation, output):
    """For each tap (a, b) of the window, row by row, the index of its strided view.

    x[index] of a padded x (…, H, W) is (…, *output): element (i, j) is the tap (a, b) of window
    (i, j).  `scatter_at` with the same index carries gradients back.
    """
    rows, columns = (
        [slice(a, a + s * (n - 1) + 1, s) for a in range(0, d * k, d)]
        for k, s, d, n in zip(window, stride, dilation, output, strict=True)
    )
    return [(..., row, column) for row in rows for column in columns]


def largest(xp, x, taps):
    """The maximum of each window, and its index: of equal elements the first, of NaNs the last.

    x: (…, L), taps: (K, *output), the indices of the taps of each window.
    """
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers, of which one is the largest; got {x.dtype}")
    axis = -taps.ndim
    patches = x[..., taps]
    equal = patches == xp.max(patches, axis=axis, keepdims=True)
    first_of_equals = xp.min(xp.where(equal, taps, x.shape[-1]), axis=axis)
    last_nan = xp.max(xp.where(patches != patches, taps, -1), axis=axis)
    indices = xp.where(last_nan < 0, first_of_equals, last_nan)
    flat_indices = xp.reshape(indices, (*x.shape[:-1], math.prod(taps.shape[1:])))
    y = xp.take_along_axis(x, flat_indices, axis=-1)
    return xp.reshape(y, indices.shape), indices


def sum_in_pairs(parts):
    """The sum of a list of arrays: neighbours first, so that its error grows as log₂ n."""
    while len(parts) > 1:
        pairs = [parts[i] + parts[i + 1] for i in range(0, len(parts) - 1, 2)]
        parts = pairs + parts[2 * len(pairs) :]
    return parts[0]
