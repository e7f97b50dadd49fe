"""Pixel shuffle and channel shuffle."""

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, ShapeError


@composite
def pixel_shuffle(xp, x, /, upscale_factor):
    """(…, C·r², H, W) → (…, C, H·r, W·r): r² channels become r × r pixels.

    Shi et al. 2016.

    >>> x = minidl.reshape(minidl.arange(4), (1, 4, 1, 1))
    >>> minidl.pixel_shuffle(x, 2)
    Tensor([[[[0, 1],
              [2, 3]]]], shape=(1, 1, 2, 2), int64)
    """
    r = _factor("pixel_shuffle", x, upscale_factor)
    *rest, channels, height, width = x.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {r}² does not divide the {channels} channels of {x.shape}"
        )
    n = len(rest)
    parts = xp.reshape(x, (*rest, channels // (r * r), r, r, height, width))
    parts = xp.permute_dims(parts, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return xp.reshape(parts, (*rest, channels // (r * r), height * r, width * r))


@composite
def pixel_unshuffle(xp, x, /, downscale_factor):
    """(…, C, H·r, W·r) → (…, C·r², H, W): the inverse of pixel_shuffle.

    >>> minidl.pixel_unshuffle(minidl.zeros((1, 2, 6, 6)), 3).shape
    (1, 18, 2, 2)
    """
    r = _factor("pixel_unshuffle", x, downscale_factor)
    *rest, channels, height, width = x.shape
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle: {r} does not divide height and width of {x.shape}")
    n = len(rest)
    parts = xp.reshape(x, (*rest, channels, height // r, r, width // r, r))
    parts = xp.permute_dims(parts, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return xp.reshape(parts, (*rest, channels * r * r, height // r, width // r))


@composite
def channel_shuffle(xp, x, /, groups):
    """(N, C, …) → the same shape, with the channels of the groups interleaved.

    Zhang et al. 2018.

    >>> x = minidl.reshape(minidl.arange(6), (1, 6, 1))
    >>> minidl.channel_shuffle(x, 2).flatten()
    Tensor([0, 3, 1, 4, 2, 5], int64)
    """
    if x.ndim < 3 or not isinstance(groups, int) or groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: needs x of shape (N, C, *), where {groups!r} groups divide C; "
            f"got {x.shape}"
        )
    n, channels, *rest = x.shape
    grouped = xp.reshape(x, (n, groups, channels // groups, *rest))
    swapped = xp.permute_dims(grouped, (0, 2, 1, *range(3, grouped.ndim)))
    return xp.reshape(swapped, x.shape)


def _factor(name, x, factor):
    """The factor, after checking it and that x has channels, height and width."""
    if x.ndim < 3:
        raise ShapeError(f"{name}: needs x of shape (…, C, H, W); got {x.shape}")
    if not isinstance(factor, int) or factor < 1:
        raise ArgumentError(f"{name}: a factor is an integer ≥ 1; got {factor!r}")
    return factor
