"""Quantiles, medians and modes, covariances and correlations.

Quantiles, medians and modes are made of elements of x in sorted order, so gradients go to these
elements; among ties, to the first.  NaN is sorted last.
"""

import math

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, check_numbers
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.axes import along, checked_axis, filled_axes
from minidl.ops.casting import narrowed, scale_of_gap, widened, widest
from minidl.ops.creation import asarray, eye, ones_like

_METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


@composite(wide=True)
def quantile(xp, x, /, q, *, axis=None, keepdims=False, interpolation="linear"):
    """The number below which a fraction q of x is: at rank q·(n − 1) of the sorted x.

    q                a number in [0, 1], or a vector of them, which becomes the first axis
    axis             an int, a tuple, or None for all axes
    interpolation    for ranks between two elements: "linear", between both; the "lower", the
                     "higher", the "nearest" of them, or their "midpoint"

    Where any x is NaN, so is the quantile.  The "linear" one is differentiable in q, too: its slope
    is n − 1 times the gap between the elements, at an element that to the next one; the others are
    constant in q almost everywhere.  Hyndman, Fan 1996, definition 7.

    >>> minidl.quantile(minidl.tensor([4.0, 1.0, 2.0, 3.0]), 0.25)
    Tensor(1.75, float32)
    """
    return _quantile(xp, "quantile", x, q, axis, keepdims, interpolation, False)


@composite(wide=True)
def nanquantile(xp, x, /, q, *, axis=None, keepdims=False, interpolation="linear"):
    """The quantile of the x that are not NaN; NaN where all are.

    >>> minidl.nanquantile(minidl.tensor([1.0, float("nan"), 3.0]), 0.5)
    Tensor(2., float32)
    """
    return _quantile(xp, "nanquantile", x, q, axis, keepdims, interpolation, True)


@composite(wide=True)
def median(xp, x, /, *, axis=None, keepdims=False):
    """The middle element of the sorted x; of an even number, the mean of the two, as in NumPy.

    PyTorch's `median` is the lower of the two: `quantile(x, 0.5, interpolation="lower")`.

    >>> minidl.median(minidl.tensor([4.0, 1.0, 2.0, 3.0]))
    Tensor(2.5, float32)
    """
    return _quantile(xp, "median", x, 0.5, axis, keepdims, "midpoint", False)


@composite(constants=(1,), outputs=2)
def mode(xp, x, /, *, axis=-1, keepdims=False):
    """The most frequent element along the axis, the least of several, and its last index.

    (values, indices), as in PyTorch.  Each NaN is a value of its own.

    >>> minidl.mode(minidl.tensor([3.0, 1.0, 2.0, 3.0, 1.0]))
    (Tensor(1., float32), Tensor(4, int64))
    """
    axis = checked_axis("mode", x, axis)
    check_flags("mode", keepdims=keepdims)
    if not x.shape[axis]:
        raise ShapeError(f"mode: there is nothing along axis {axis} of shape {x.shape}")
    order = xp.argsort(x, axis=axis)
    ordered = xp.take_along_axis(x.detach(), order, axis=axis)
    position = xp.cumulative_sum(ones_like(order), axis=axis) - 1
    differs = xp.not_equal(ordered[along(axis, 1)], ordered[along(axis, 0, -1)])
    starts = xp.where(differs, position[along(axis, 1)], 0)
    starts = xp.concat([position[along(axis, 0, 1)], starts], axis=axis)
    run = position - xp.cumulative_max(starts, axis=axis)[0]  # how many equal ones stand before
    ends = xp.argmax(run, axis=axis, keepdims=True)
    indices = xp.take_along_axis(order, ends, axis=axis)
    values = xp.take_along_axis(x, indices, axis=axis)
    if keepdims:
        return values, indices
    return xp.squeeze(values, axis), xp.squeeze(indices, axis)


@composite
def cov(xp, x, /, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows of x (m, n), its m variables, over n observations: (m, m).

    C = Σₖ wₖ·(xₖ − mean)·(xₖ − mean)ᴴ / (Σ w − correction·Σ w·a / Σ w), w = f·a.  Of one variable,
    a vector or (1, n), it has no axes, as in NumPy and PyTorch.

    correction    1, unlike that of `var`, as in NumPy and PyTorch
    fweights      f: how often each observation was made, integers ≥ 0, (n,)
    aweights      a: how much each counts, numbers ≥ 0, (n,); differentiable

    >>> minidl.cov(minidl.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    Tensor([[ 1., -2.],
            [-2.,  4.]], shape=(2, 2), float32)
    """
    check_numbers("cov", correction=correction)
    rows = widened(xp, _variables(xp, "cov", x))
    weights, divisor = _weights(xp, rows.shape[1], fweights, aweights, correction)
    if weights is None:
        centred = weighted = rows - xp.mean(rows, axis=1, keepdims=True)
    else:
        mean = xp.sum(rows * weights, axis=1, keepdims=True) / xp.sum(weights)
        centred = rows - mean
        weighted = centred * weights
    c = xp.divide(weighted @ _adjoint(xp, centred), divisor)
    c = narrowed(xp, c, x, *([] if weights is None else [weights]))
    return c if rows.shape[0] != 1 else xp.reshape(c, ())


def _variables(xp, name, x):
    """x as a matrix of variables, (m, n)."""
    if x.ndim > 2:
        raise ShapeError(f"{name}: needs variables as rows, (m, n); got shape {x.shape}")
    return x if x.ndim == 2 else xp.reshape(x, (1, x.size))


def _adjoint(xp, x):
    return xp.matrix_transpose(xp.conj(x) if x.dtype.kind == "c" else x)


def _weights(xp, n, fweights, aweights, correction):
    """w, or None if all are 1, and the divisor, 0 where it would be negative."""
    for name, kinds, weights in (("fweights", "iu", fweights), ("aweights", "iuf", aweights)):
        if weights is not None:
            if getattr(weights, "shape", None) != (n,) or weights.dtype.kind not in kinds:
                raise ShapeError(
                    f"cov: {name} are {'integers' if kinds == 'iu' else 'numbers'}, one for each "
                    f"of {n} observations; got {describe(weights)}"
                )
            if bool((asarray(weights) < 0).any()):
                raise ArgumentError(f"cov: {name} are ≥ 0; got {weights!r:.60}")
    if fweights is None and aweights is None:
        return None, max(n - correction, 0)
    if aweights is None:
        weights = asarray(fweights)
        return weights, xp.maximum(xp.sum(weights) - correction, 0)
    a = asarray(aweights)
    weights = a if fweights is None else a * asarray(fweights)
    total = xp.sum(weights)
    return weights, xp.maximum(total - correction * xp.sum(weights * a) / total, 0)


@composite
def corrcoef(xp, x, /):
    """The correlations of the rows of x (m, n): Cᵢⱼ / √(Cᵢᵢ·Cⱼⱼ) of C = cov(x), in [−1, 1].

    1 of a variable with itself; NaN for one that does not vary.

    >>> minidl.corrcoef(minidl.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    Tensor([[ 1., -1.],
            [-1.,  1.]], shape=(2, 2), float32)
    """
    rows = widest(xp, widened(xp, _variables(xp, "corrcoef", x)))
    centred = rows - xp.mean(rows, axis=1, keepdims=True)
    largest = xp.max(xp.abs(centred), axis=1, keepdims=True).detach() if rows.size else math.nan
    centred = centred / largest  # before the products, which could overflow, or vanish
    length = xp.vector_norm(centred, axis=1, keepdims=True)
    units = centred / length
    r = units @ _adjoint(xp, units)
    varies = (length / length).detach()  # 1 or NaN
    itself = eye(r.shape[0], dtype="bool", device=x.device)
    r = xp.where(itself, varies, r * (varies * xp.matrix_transpose(varies)))
    if r.dtype.kind == "c":
        r = xp.complex(xp.clip(xp.real(r), -1, 1), xp.clip(xp.imag(r), -1, 1))
    else:
        r = xp.clip(r, -1, 1)
    r = narrowed(xp, r, x)
    return r if r.shape[0] != 1 else xp.reshape(r, ())


def _quantile(xp, name, x, q, axis, keepdims, interpolation, ignore_nan):
    """The quantiles q, as the first axis if there are several."""
    q = _check_q(name, x, q)
    check_flags(name, keepdims=keepdims)
    if interpolation not in _METHODS:
        raise ArgumentError(
            f"{name}: interpolation is one of {', '.join(_METHODS)}; got {interpolation!r:.60}"
        )
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: needs floating-point numbers: astype first; got {x.dtype}")
    rows, kept = _as_rows(xp, name, x, axis)
    ordered = xp.take_along_axis(rows, xp.argsort(rows, axis=-1), axis=-1)
    last, missing = _last_rank(xp, ordered, ignore_nan)
    rank = last * xp.reshape(q, (-1,))  # (…, how many q)
    y = _at_rank(xp, ordered, rank, last, interpolation)
    y = xp.where(missing, math.nan, y)
    y = xp.permute_dims(y, (y.ndim - 1, *range(y.ndim - 1)))
    shape = kept if keepdims else rows.shape[:-1]
    return xp.reshape(y, (*q.shape, *shape))


def _check_q(name, x, q):
    """q as a float64 tensor of at most one axis."""
    if not isinstance(q, int | float | list | tuple) and not hasattr(q, "shape"):
        raise ArgumentError(f"{name}: q is a number between 0 and 1, or several; got {describe(q)}")
    q = asarray(q) if hasattr(q, "dtype") else asarray(q, dtype="float64")
    if q.dtype.kind not in "fiu" or q.ndim > 1:
        raise ArgumentError(f"{name}: q is a number or a vector of reals; got {describe(q)}")
    q = asarray(q, dtype="float64", device=x.device)
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise ArgumentError(f"{name}: q lies between 0 and 1; got {q.tolist()!r:.60}")
    return q


def _as_rows(xp, name, x, axis):
    """x with the reduced axes as one, the last; and its shape, where these have length 1."""
    axes = [i % x.ndim for i in filled_axes(x, axis)]
    if len({*axes}) < len(axes):
        raise ShapeError(f"{name}: an axis is named twice in {axis}")
    rest = [i for i in range(x.ndim) if i not in axes]
    moved = xp.permute_dims(x, (*rest, *axes))
    rows = xp.reshape(moved, (*moved.shape[: len(rest)], math.prod(x.shape[i] for i in axes)))
    return rows, tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def _last_rank(xp, ordered, ignore_nan):
    """The rank of the largest number of each row, as float64, and where the result is NaN."""
    number = xp.logical_not(xp.isnan(ordered))
    count = xp.sum(number, axis=-1, keepdims=True)
    length = ordered.shape[-1]
    missing = count == 0 if ignore_nan else count < length
    last = xp.maximum(count - 1, 0) if ignore_nan else xp.maximum(count, length) - 1
    return xp.astype(last, "float64"), missing


def _at_rank(xp, ordered, rank, last, interpolation):
    """The values at these ranks of sorted rows, of which `last` is the largest."""

    def at(rank):
        return xp.take_along_axis(ordered, xp.astype(rank, "int64"), axis=-1)

    if interpolation == "nearest":
        return at(xp.round(rank))
    if interpolation == "lower":
        return at(xp.floor(rank))
    if interpolation == "higher":
        return at(xp.ceil(rank))
    whole = xp.floor(rank)
    upper = xp.minimum(whole + 1, last)
    below, above = at(xp.maximum(upper - 1, 0)), at(upper)
    fraction = xp.astype(rank - whole, ordered.dtype)
    if interpolation == "midpoint":
        fraction = xp.where(fraction > 0, 0.5, 0 * fraction)
    # Of infinite elements, a gap counts as 0 that is not entered, is between two equal ones, or
    # leaves −∞, which no finite element alters.
    infinite = xp.logical_or(xp.isinf(above), xp.isinf(below))
    unused = xp.logical_or(fraction == 0, above == below)
    unused = xp.logical_or(unused, xp.logical_and(xp.isinf(below), xp.isfinite(above)))
    unused = xp.logical_and(infinite, unused)
    scale = scale_of_gap(xp, below, above)
    gap = xp.where(unused, 0, above * scale) - xp.where(unused, 0, below * scale)
    return (at(whole) * scale + fraction * gap) / scale
