"""Parts of matrices, and products other than matmul."""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import Rule, dtype_of
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.settings import check_whole

__all__ = ["cross", "diagonal", "outer", "tensordot", "trace", "tril", "triu", "vecdot"]

FLOAT = Rule(2, False, "floating-point numbers: astype first")


def check_matrix(x):
    """Raise unless x is a matrix or a batch of them."""
    if x.ndim < 2:
        raise ShapeError(f"needs a matrix or a batch of them, (…, m, n); got shape {x.shape}")


def check_square(x):
    """Raise unless x is a square matrix or a batch of them."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"needs square matrices, (…, n, n); got shape {x.shape}")


def on_diagonal(rows, columns, offset=0):
    """The index of a diagonal of matrices of that many rows and columns."""
    first, below = max(offset, 0), max(-offset, 0)
    length = max(min(rows - below, columns - first), 0)
    return ..., list(range(below, below + length)), list(range(first, first + length))


@primitive(None, of_complex=True)
def tril(xp, x, /, *, k=0):
    """y = x on and below the k-th diagonal, 0 above it;   dx = dy there, 0 above.

    >>> minidl.tril(minidl.ones((2, 3)))
    Tensor([[1., 0., 0.],
            [1., 1., 0.]], shape=(2, 3), float32)
    >>> minidl.tril(minidl.ones((2, 3)), k=-1)
    Tensor([[0., 0., 0.],
            [1., 0., 0.]], shape=(2, 3), float32)
    """
    check_matrix(x)
    check_whole(k=k)
    return xp.tril(x, k=k), lambda dy: xp.tril(dy, k=k)


@primitive(None, of_complex=True)
def triu(xp, x, /, *, k=0):
    """y = x on and above the k-th diagonal, 0 below it;   dx = dy there, 0 below.

    >>> minidl.triu(minidl.ones((2, 3)))
    Tensor([[1., 1., 1.],
            [0., 1., 1.]], shape=(2, 3), float32)
    >>> minidl.triu(minidl.ones((2, 3)), k=1)
    Tensor([[0., 1., 1.],
            [0., 0., 1.]], shape=(2, 3), float32)
    """
    check_matrix(x)
    check_whole(k=k)
    return xp.triu(x, k=k), lambda dy: xp.triu(dy, k=k)


@primitive(None, of_complex=True)
def diagonal(xp, x, /, *, offset=0):
    """y = x[…, i, i + offset];   dx = dy there, 0 elsewhere.  A copy.

    >>> minidl.linalg.diagonal(minidl.tensor([[1, 2, 3], [4, 5, 6]]), offset=1)
    Tensor([2, 6], int64)
    """
    check_matrix(x)
    check_whole(offset=offset)
    index = on_diagonal(*x.shape[-2:], offset)
    return x[index], lambda dy: xp.put_at(xp.zeros_like(x), dy, index)


@composite
def trace(xp, x, /, *, offset=0, dtype=None):
    """y = Σ x[…, i, i + offset], computed in `dtype`.  Integers give int64.

    >>> minidl.linalg.trace(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5., float32)
    """
    d = xp.diagonal(x, offset=offset)
    return xp.sum(d if dtype is None else xp.astype(d, dtype_of(dtype, "trace")), axis=-1)


@composite
def outer(xp, x1, x2, /):
    """z[i, j] = x₁[i]·x₂[j], of two vectors.

    >>> minidl.linalg.outer(minidl.tensor([1, 2]), minidl.tensor([3, 4, 5]))
    Tensor([[ 3,  4,  5],
            [ 6,  8, 10]], shape=(2, 3), int64)
    """
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"needs two vectors; got shapes {x1.shape} and {x2.shape}")
    return xp.expand_dims(x1, axis=1) * x2


def _common_axis(x1, x2, axis):
    """The axis, counted from the end, after checking that it is the same one in both."""
    check_whole(axis=axis)
    ndim = min(x1.ndim, x2.ndim)
    if not -ndim <= axis < (ndim if x1.ndim == x2.ndim else 0):
        raise ShapeError(
            f"shapes {x1.shape} and {x2.shape} have no common axis {axis}; axes are "
            "counted from the end where they broadcast"
        )
    axis = axis - x1.ndim if axis >= 0 else axis
    if x1.shape[axis] != x2.shape[axis]:
        raise ShapeError(
            f"lengths along axis {axis} must agree; got shapes {x1.shape} and {x2.shape}"
        )
    return axis


@composite
def vecdot(xp, x1, x2, /, *, axis=-1):
    """z = Σ x₁·x₂ along an axis, of complex numbers Σ x₁*·x₂; the other axes broadcast.

    >>> minidl.vecdot(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, -1.0]))
    Tensor([-1., -1.], float32)
    """
    axis = _common_axis(x1, x2, axis)
    products = (xp.conj(x1) if x1.dtype.kind == "c" else x1) * x2
    return xp.sum(products, axis=axis).astype(products.dtype)  # sums of integers are int64


@composite
def cross(xp, x1, x2, /, *, axis=-1):
    """z = x₁ × x₂, of vectors of length 3 along an axis; the others broadcast.

    >>> minidl.linalg.cross(minidl.tensor([1.0, 0.0, 0.0]), minidl.tensor([0.0, 1.0, 0.0]))
    Tensor([0., 0., 1.], float32)
    """
    axis = _common_axis(x1, x2, axis)
    if x1.shape[axis] != 3:
        raise ShapeError(f"needs length 3 along axis {axis}; got shape {x1.shape}")
    after = (slice(None),) * (-1 - axis)
    next_, last = (..., [1, 2, 0], *after), (..., [2, 0, 1], *after)
    return x1[next_] * x2[last] - x1[last] * x2[next_]


@composite
def tensordot(xp, x1, x2, /, *, axes=2):
    """z = Σ x₁·x₂ over pairs of axes; the other axes of x₁ come first, then those of x₂.

    axes    how many of the last of x₁ meet as many of the first of x₂, or two equally long
            sequences: axes of x₁, axes of x₂

    >>> minidl.tensordot(minidl.ones((2, 3, 4)), minidl.ones((3, 4, 5))).shape
    (2, 5)
    >>> minidl.tensordot(minidl.ones((2, 3)), minidl.ones((4, 2)), axes=(0, 1)).shape
    (3, 4)
    """
    first, second = _pairs_of_axes(x1, x2, axes)
    free1 = [i for i in range(x1.ndim) if i not in first]
    free2 = [i for i in range(x2.ndim) if i not in second]
    shape = [x1.shape[i] for i in free1] + [x2.shape[i] for i in free2]
    inner = math.prod(x1.shape[i] for i in first)
    rows = math.prod(x1.shape[i] for i in free1)
    columns = math.prod(x2.shape[i] for i in free2)
    left = xp.reshape(xp.permute_dims(x1, (*free1, *first)), (rows, inner))
    right = xp.reshape(xp.permute_dims(x2, (*second, *free2)), (inner, columns))
    return xp.reshape(left @ right, tuple(shape))


def _pairs_of_axes(x1, x2, axes):
    """The axes of both that are summed over, from 0 on."""
    about = f"axes={axes!r} of shapes {x1.shape} and {x2.shape}"
    if isinstance(axes, int):
        if not 0 <= axes <= min(x1.ndim, x2.ndim):
            raise ArgumentError(f"{about}: there are not so many")
        axes = range(x1.ndim - axes, x1.ndim), range(axes)
    first, second = ([a] if isinstance(a, int) else list(a) for a in axes)
    for x, own in ((x1, first), (x2, second)):
        if not all(-x.ndim <= a < x.ndim for a in own):
            raise ShapeError(f"{about}: there are no such axes")
    first, second = [a % x1.ndim for a in first], [a % x2.ndim for a in second]
    if len({*first}) < len(first) or len({*second}) < len(second):
        raise ArgumentError(f"{about}: an axis is named twice")
    if [x1.shape[a] for a in first] != [x2.shape[a] for a in second]:
        raise ShapeError(f"{about}: lengths must agree pair by pair")
    return first, second
