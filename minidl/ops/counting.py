"""Counting: bincount and histogram."""

import math
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, is_integer
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError, describe
from minidl.ops.creation import asarray, ones_like
from minidl.ops.manipulation import astype, reshape
from minidl.ops.searching import searchsorted
from minidl.ops.segments import segment_sum


def _tensor(name, argument, x):
    """x as a tensor, or an error that names the function."""
    try:
        return asarray(x)
    except MinidlError as error:
        raise type(error)(f"{name}: {argument}: {error}") from None


def integer_tensor(name, argument, x):
    """x as a tensor of integers, without a gradient."""
    x = _tensor(name, argument, x).detach()
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{name}: {argument} are integers; got {describe(x)}")
    return x


def bincount(x: Any, /, weights: Any = None, *, minlength: int = 0) -> Tensor:
    """y[i] = how often i is in x, or the sum of the weights there;   dweights[k] = dy[x[k]].

    x            non-negative integers, (n,)
    weights      (n,), differentiable
    minlength    the least length of y; default: the largest x + 1

    >>> minidl.bincount(minidl.tensor([0, 2, 2]), minlength=5)
    Tensor([1, 0, 2, 0, 0], int64)
    """
    x = integer_tensor("bincount", "x", x)
    if x.ndim != 1:
        raise ShapeError(f"bincount: needs a vector of integers; got {describe(x)}")
    check_integers("bincount", 0, minlength=minlength)
    if x.size and x.min() < 0:
        raise BoundsError(f"bincount: x are integers ≥ 0; got {x.min().item()}")
    weights = (
        ones_like(x, dtype="int64") if weights is None else _tensor("bincount", "weights", weights)
    )
    if weights.shape != x.shape:
        raise ShapeError(f"bincount: needs a weight for each of {x.shape}; got {weights.shape}")
    return segment_sum(weights, x, max(int(x.max().item()) + 1 if x.size else 0, minlength))


def histogram(
    x: Any,
    /,
    bins: Any = 10,
    range: tuple[float, float] | None = None,
    *,
    weights: Any = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """The number of x in each bin [left, right), the last bin closed: (counts, edges).

    bins       the number of equally wide bins, or a vector of edges, ascending
    range      (lowest, highest) of equally wide bins; default: those of x
    weights    of the shape of x: their sums, which are differentiable, instead of counts
    density    divide by the total and the widths, so that the integral is 1

    NaN is an error; x outside the bins are not counted.

    >>> counts, edges = minidl.histogram(minidl.tensor([1.0, 2.0, 1.0, 4.0]), bins=3)
    >>> counts, edges
    (Tensor([2, 1, 1], int64), Tensor([1., 2., 3., 4.], float32))
    """
    x = _tensor("histogram", "x", x).detach()
    if x.dtype.kind not in "fiu":
        raise DTypeError(f"histogram: needs real numbers; got {describe(x)}")
    check_flags("histogram", density=density)
    flat = reshape(x, (-1,)) if x.dtype.kind == "f" else astype(reshape(x, (-1,)), "float64")
    edges = _edges(flat, bins, range)
    if weights is None:
        weights = ones_like(flat, dtype="int64")
    elif (weights := _tensor("histogram", "weights", weights)).shape != x.shape:
        raise ShapeError(f"histogram: needs a weight for each of {x.shape}; got {weights.shape}")
    inside = (flat >= edges[0]) & (flat <= edges[-1])
    bin_of = searchsorted(edges[1:-1], flat[inside], side="right")
    y = segment_sum(reshape(weights, (-1,))[inside], bin_of, edges.shape[0] - 1)
    if density:
        y = astype(y, edges.dtype) if y.dtype.kind in "iu" else y
        y = y / y.sum() / (edges[1:] - edges[:-1])
    return y, edges


def _edges(x, bins, range):
    """The edges of the bins, ascending, in the dtype of x."""
    if isinstance(bins, list | tuple) or hasattr(bins, "shape"):
        edges = asarray(bins, dtype=x.dtype, device=x.device).detach()
        if edges.ndim != 1 or edges.shape[0] < 2 or not (edges[1:] >= edges[:-1]).all():
            raise ArgumentError(f"histogram: edges are a vector, ascending; got {bins!r:.60}")
        return edges
    if not is_integer(bins) or bins < 1:
        raise ArgumentError(f"histogram: bins is a number ≥ 1, or edges; got {bins!r:.60}")
    low, high = _range(x, range)
    return asarray(np.linspace(low, high, bins + 1).astype(x.dtype), device=x.device)


def _range(x, range):
    """The first and the last edge."""
    if range is None:
        low, high = (x.min().item(), x.max().item()) if x.size else (0.0, 1.0)
    else:
        pair = isinstance(range, tuple | list) and len(range) == 2
        if not pair or not all(isinstance(n, int | float) for n in range):
            raise ArgumentError(f"histogram: range is (lowest, highest); got {range!r:.60}")
        low, high = range
    if not math.isfinite(low) or not math.isfinite(high) or low > high:
        raise ArgumentError(f"histogram: needs finite numbers, ascending; got {low} to {high}")
    return (low - 0.5, high + 0.5) if low == high else (low, high)
