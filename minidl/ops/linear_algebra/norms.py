"""Vector and matrix norms."""

import math

from minidl.autograd.primitive import composite
from minidl.checks import check_flags
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.axes import axes_of, largest_of
from minidl.ops.linear_algebra.matrix import check_matrix

# For each dtype: between 1/safe and safe, squares neither overflow nor underflow; and the exponent
# of the factor that brings the others there.
_SAFE = {"float32": (1e15, 96), "float64": (1e140, 600)}


@composite(wide=True)
def vector_norm(xp, x, /, *, axis=None, keepdims=False, ord=2):
    """(Σ |x|ᵖ)^(1/p), p = ord; with gradient 0 where it is 0.

    ord     a number: ∞ is the largest |x|, −∞ the smallest, 0 how many x are not 0
    axis    an int, a tuple, or None for all axes, as one vector

    >>> minidl.linalg.vector_norm(minidl.tensor([[3.0, 4.0], [6.0, 8.0]]), axis=1)
    Tensor([ 5., 10.], float32)
    >>> minidl.linalg.vector_norm(minidl.tensor([3.0, -4.0, 0.0]), ord=0)
    Tensor(2., float32)
    >>> minidl.grad(minidl.linalg.vector_norm)(minidl.zeros(2))  # not NaN
    Tensor([0., 0.], float32)
    """
    _check_floats(x)
    check_flags("vector_norm", keepdims=keepdims)
    if not isinstance(ord, int | float) or math.isnan(ord):
        raise ArgumentError(f"ord is a number, or ±inf; got {ord!r}")
    over = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        return _euclidean(xp, x, axis, keepdims)
    size = xp.abs(x)
    if math.isinf(ord):
        return xp.max(size, **over) if ord > 0 else xp.min(size, **over)
    if ord == 0:
        nonzero = xp.where(size == 0, 0, 1)
        return xp.sum(xp.where(size < 0, size, nonzero), **over)  # with a gradient, of 0
    if ord == 1:
        return xp.sum(size, **over)
    if ord < 0:
        return xp.sum(size**ord, **over) ** (1 / ord)
    return _power(xp, xp.sum(_power(xp, size, ord), **over), 1 / ord)


@composite(wide=True)
def matrix_norm(xp, x, /, *, keepdims=False, ord="fro"):
    """A norm of each matrix of (…, m, n).

    ord     "fro": √Σ x²; "nuc": the sum of the singular values; 2 and −2: the largest and the
            smallest of them; 1 and −1: the largest and the smallest Σᵢ |xᵢⱼ| of a column; inf and
            -inf: of a row

    >>> x = minidl.tensor([[3.0, 0.0], [0.0, -4.0]])
    >>> [minidl.linalg.matrix_norm(x, ord=ord).item() for ord in ("fro", "nuc", 2, -2)]
    [5.0, 7.0, 4.0, 3.0]
    """
    _check_floats(x)
    check_matrix(x)
    check_flags("matrix_norm", keepdims=keepdims)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(f'ord is "fro", "nuc", 1, 2, inf, or one of −1, −2, −inf; got {ord!r}')
    if ord == "fro":
        return _euclidean(xp, x, (-2, -1), keepdims)
    if ord in ("nuc", 2, -2):
        parts = xp.svdvals(x)
    else:
        parts = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1)
    reduce = xp.sum if ord == "nuc" else xp.max if ord > 0 else xp.min
    y = reduce(parts, axis=-1)
    return xp.expand_dims(y, axis=(-2, -1)) if keepdims else y


def _check_floats(x):
    if x.dtype.kind not in "fc":
        raise DTypeError(f"needs floating-point numbers: astype first; got {x.dtype}")


def _euclidean(xp, x, axis, keepdims):
    """√Σ |x|², with gradient 0 at 0.

    Squares of large x overflow, and of small x underflow: these are scaled by a power of 2, which
    leaves their digits alone, as in BLAS's nrm2 (E. Anderson, ACM TOMS 44(1), 2017).
    """
    size = xp.abs(x) if x.dtype.kind == "c" else x
    largest = largest_of(xp, xp.abs(size), axis)
    safe, power = _SAFE[size.dtype.name]
    ones = xp.zeros_like(largest) + 1
    scale = xp.where(largest > safe, 2.0**-power, xp.where(largest < 1 / safe, 2.0**power, ones))
    total = xp.sum(xp.square(size * scale), axis=axis, keepdims=True)
    y = xp.where(total == 0, total, xp.sqrt(xp.where(total == 0, 1, total))) / scale
    return y if keepdims else xp.squeeze(y, tuple(axes_of(x, axis)))


def _power(xp, x, p):
    """xᵖ for p > 0, with gradient 0 at 0."""
    return xp.where(x == 0, x, xp.where(x == 0, 1, x) ** p)
