"""Reductions of the elements that are not NaN; `nanquantile` is in `statistics`.

`axis` is an int, a tuple of ints, or None for all axes.  What is left out gets the gradient 0.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, check_numbers
from minidl.dtypes import ORDERED_NUMBER
from minidl.ops.axes import filled_axes
from minidl.ops.casting import narrowed, widened
from minidl.ops.reduction import _extremum


def _without_nan(xp, x, value):
    """x with `value` instead of NaN."""
    return xp.where(xp.isnan(x), value, x) if x.dtype.kind in "fc" else x


@composite
def nansum(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Σ x over the x that are not NaN, 0 if there are none.  Bools and integers give int64.

    >>> minidl.nansum(minidl.tensor([1.0, float("nan"), 2.0]))
    Tensor(3., float32)
    """
    check_flags("nansum", keepdims=keepdims)
    return xp.sum(_without_nan(xp, x, 0), axis=axis, dtype=dtype, keepdims=keepdims)


@composite
def nanprod(xp, x, /, *, axis=None, dtype=None, keepdims=False):
    """y = Π x over the x that are not NaN, 1 if there are none.  Bools and integers give int64.

    >>> minidl.nanprod(minidl.tensor([3.0, float("nan"), 2.0]))
    Tensor(6., float32)
    """
    check_flags("nanprod", keepdims=keepdims)
    return xp.prod(_without_nan(xp, x, 1), axis=axis, dtype=dtype, keepdims=keepdims)


def _count(xp, x, axis, keepdims):
    """How many x are not NaN: an integer, which takes the dtype of the sum that it divides."""
    return xp.sum(xp.logical_not(xp.isnan(x)), axis=axis, keepdims=keepdims)


@composite
def nanmean(xp, x, /, *, axis=None, keepdims=False):
    """y = Σ x / n over the n elements that are not NaN; NaN if there are none.

    >>> x = minidl.tensor([1.0, float("nan"), 2.0], requires_grad=True)
    >>> y = minidl.nanmean(x)
    >>> y.backward()
    >>> y, x.grad
    (Tensor(1.5, float32, from divide), Tensor([0.5, 0. , 0.5], float32))
    """
    check_flags("nanmean", keepdims=keepdims)
    wide = widened(xp, x)
    total = xp.sum(_without_nan(xp, wide, 0), axis=axis, keepdims=keepdims)
    y = total / _count(xp, wide, axis, keepdims)
    return narrowed(xp, y, x)


@composite
def nanvar(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = Σ |x − nanmean|² / (n − correction) over the n elements that are not NaN.

    NaN where n ≤ correction, as NumPy's.

    >>> minidl.nanvar(minidl.tensor([1.0, float("nan"), 3.0]))
    Tensor(1., float32)
    """
    check_numbers("nanvar", correction=correction)
    check_flags("nanvar", keepdims=keepdims)
    wide = widened(xp, x)
    centred = wide - xp.nanmean(wide, axis=axis, keepdims=True)
    centred = xp.where(xp.isnan(wide), 0, centred)  # but not ∞ − ∞, of an x that is there
    squares = xp.real(centred * xp.conj(centred)) if x.dtype.kind == "c" else centred * centred
    total = xp.sum(squares, axis=axis, keepdims=keepdims)
    divisor = xp.astype(_count(xp, wide, axis, keepdims), total.dtype) - correction
    y = total / xp.where(divisor > 0, divisor, math.nan)
    return narrowed(xp, y, x)


@composite
def nanstd(xp, x, /, *, axis=None, correction=0.0, keepdims=False):
    """y = √nanvar(x), with gradient 0 where it is 0.

    >>> minidl.nanstd(minidl.tensor([1.0, float("nan"), 3.0]))
    Tensor(1., float32)
    """
    v = xp.nanvar(x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(v == 0, v, xp.sqrt(xp.where(v == 0, 1, v)))


def _nan_extremum(xp, x, reduce, worst, axis, keepdims):
    """The value and the pullback of nanmax or nanmin."""
    filled_axes(x, axis)
    if x.dtype.kind != "f":
        y = reduce(x, axis=axis, keepdims=keepdims)
    else:
        missing = xp.isnan(x)
        y = reduce(xp.where(missing, worst, x), axis=axis, keepdims=keepdims)
        y = xp.where(xp.all(missing, axis=axis, keepdims=keepdims), math.nan, y)
    return y, _extremum(xp, x, y, axis, keepdims)


@primitive(ORDERED_NUMBER)
def nanmax(xp, x, /, *, axis=None, keepdims=False):
    """y = max x over the x that are not NaN; NaN if there are none.

    dy goes to it, divided equally among ties.  Raises ShapeError for an empty axis.

    >>> minidl.nanmax(minidl.tensor([[1.0, float("nan")], [float("nan")] * 2]), axis=1)
    Tensor([ 1., nan], float32)
    """
    return _nan_extremum(xp, x, xp.max, -math.inf, axis, keepdims)


@primitive(ORDERED_NUMBER)
def nanmin(xp, x, /, *, axis=None, keepdims=False):
    """y = min x over the x that are not NaN; NaN if there are none.

    dy goes to it, divided equally among ties.  Raises ShapeError for an empty axis.

    >>> minidl.nanmin(minidl.tensor([3.0, float("nan"), 2.0]))
    Tensor(2., float32)
    """
    return _nan_extremum(xp, x, xp.min, math.inf, axis, keepdims)


@composite
def nanmedian(xp, x, /, *, axis=None, keepdims=False):
    """The middle of the sorted x that are not NaN; of an even number, the mean of the two.

    PyTorch's `nanmedian` is the lower of the two: `nanquantile(x, 0.5, interpolation="lower")`.

    >>> minidl.nanmedian(minidl.tensor([4.0, float("nan"), 1.0]))
    Tensor(2.5, float32)
    """
    return xp.nanquantile(x, 0.5, axis=axis, keepdims=keepdims, interpolation="midpoint")
