"""Where things are."""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, NUMBER
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.creation import asarray
from minidl.ops.indexing import _plain


@primitive(ANY)
def argwhere(xp, x, /):
    """The indices of the elements that are not 0, one row for each, in order: (n, ndim)."""
    return xp.argwhere(x), None


def nonzero(x, /):
    """The indices of the elements that are not 0, x[nonzero(x)]: a tensor for each axis."""
    x = asarray(x)
    if not x.ndim:
        raise ShapeError("nonzero: a tensor without axes has no indices; needs at least one axis")
    places = argwhere(x)
    return tuple(places[:, axis] for axis in range(x.ndim))


@composite
def count_nonzero(xp, x, /, *, axis=None, keepdims=False):
    """How many elements are not 0, along an axis, several, or all."""
    return xp.sum(xp.not_equal(x, 0), axis=axis, keepdims=keepdims)


@primitive(NUMBER)
def searchsorted(xp, x1, x2, /, *, side="left", sorter=None):
    """Where each of x₂ is to be put into x₁, a sorted vector, so that it stays sorted.

    side      "left": before equals, x₁[i−1] < x₂ ≤ x₁[i]; "right": behind them
    sorter    the indices that sort x₁, if it is not sorted
    """
    if side not in ("left", "right"):
        raise ArgumentError(f'side must be "left" or "right"; got {side!r}')
    if x1.ndim != 1:
        raise ShapeError(f"needs a sorted vector to search in; got shape {x1.shape}")
    return xp.searchsorted(x1 if sorter is None else x1[_plain(sorter)], x2, side=side), None
