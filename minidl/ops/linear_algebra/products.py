"""Products: matmul, vecdot, outer, cross, tensordot and the Kronecker product."""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_integers
from minidl.dtypes import NUMBER
from minidl.errors import ArgumentError, AxisError, ShapeError


@primitive(NUMBER, of_complex=True, wide=True)
def matmul(xp, x1, x2, /):
    """z = x₁·x₂ over the last two axes;   dx₁ = dz·x₂ᵀ,   dx₂ = x₁ᵀ·dz.

    (…, m, k) times (…, k, n) is (…, m, n), with broadcasting of the leading axes.  A vector on the
    left is a row, one on the right a column, and their axis is missing in the result.

    >>> minidl.matmul(minidl.tensor([[1, 2], [3, 4]]), minidl.tensor([10, 1]))
    Tensor([12, 34], int64)
    >>> minidl.matmul(minidl.ones((5, 1, 2, 3)), minidl.ones((7, 3, 4))).shape
    (5, 7, 2, 4)
    """
    if not x1.ndim or not x2.ndim:
        raise ShapeError(f"needs vectors or matrices; got shapes {x1.shape} and {x2.shape}")
    if x1.shape[-1] != x2.shape[-2 if x2.ndim > 1 else 0]:
        raise ShapeError(f"inner lengths must agree; got shapes {x1.shape} and {x2.shape}")
    return x1 @ x2, _pullbacks(xp, x1, x2)


@primitive(NUMBER, of_complex=True, wide=True)
def precise_matmul(xp, x1, x2, /):
    """matmul with an error of at most max(1, log₂ k)·ε·Σ|x₁||x₂|, for sums over a batch.

    BLAS adds k products one after the other, whose errors may add up to k·ε / 2.

    >>> ones = minidl.ones((1, 2**25))
    >>> precise_matmul(ones, ones.T).item() / 2**25
    1.0
    """
    return xp.precise_matmul(x1, x2), _pullbacks(xp, x1, x2)


def _pullbacks(xp, x1, x2):
    """dx₁ = dz·x₂ᵀ and dx₂ = x₁ᵀ·dz: for a weight, one of them is a sum over a batch."""
    a = xp.expand_dims(x1, axis=0) if x1.ndim == 1 else x1
    b = xp.expand_dims(x2, axis=1) if x2.ndim == 1 else x2

    def matrix(dz):
        dz = xp.expand_dims(dz, axis=-1) if x2.ndim == 1 else dz
        return xp.expand_dims(dz, axis=-2) if x1.ndim == 1 else dz

    def dx1(dz):
        da = xp.precise_matmul(matrix(dz), xp.matrix_transpose(b))
        return xp.squeeze(da, -2) if x1.ndim == 1 else da

    def dx2(dz):
        rows, dz = a, matrix(dz)
        if b.ndim == 2 and a.ndim > 2:  # one sum over all rows of the stack
            rows, dz = (xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])) for x in (a, dz))
        db = xp.precise_matmul(xp.matrix_transpose(rows), dz)
        return xp.squeeze(db, -1) if x2.ndim == 1 else db

    return dx1, dx2


def _common_axis(name, x1, x2, axis):
    """The axis, counted from the end, after checking that both have it."""
    check_integers(name, axis=axis)
    ndim = min(x1.ndim, x2.ndim)
    if not -ndim <= axis < (ndim if x1.ndim == x2.ndim else 0):
        raise AxisError(
            f"shapes {x1.shape} and {x2.shape} have no common axis {axis}; axes are "
            "counted from the end where they broadcast"
        )
    axis = axis - x1.ndim if axis >= 0 else axis
    if x1.shape[axis] != x2.shape[axis]:
        raise ShapeError(
            f"lengths along axis {axis} must agree; got shapes {x1.shape} and {x2.shape}"
        )
    return axis


@composite(wide=True)
def vecdot(xp, x1, x2, /, *, axis=-1):
    """z = Σ x₁·x₂ along an axis, for complex numbers Σ x₁*·x₂; the other axes broadcast.

    >>> minidl.vecdot(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, -1.0]))
    Tensor([-1., -1.], float32)
    """
    axis = _common_axis("vecdot", x1, x2, axis)
    products = (xp.conj(x1) if x1.dtype.kind == "c" else x1) * x2
    return xp.sum(products, axis=axis).astype(products.dtype)  # sums of integers are int64


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


@composite
def cross(xp, x1, x2, /, *, axis=-1):
    """z = x₁ × x₂, of vectors of length 3 along an axis; the others broadcast.

    >>> minidl.linalg.cross(minidl.tensor([1.0, 0.0, 0.0]), minidl.tensor([0.0, 1.0, 0.0]))
    Tensor([0., 0., 1.], float32)
    """
    axis = _common_axis("cross", x1, x2, axis)
    if x1.shape[axis] != 3:
        raise ShapeError(f"needs length 3 along axis {axis}; got shape {x1.shape}")
    after = (slice(None),) * (-1 - axis)
    next_, last = (..., [1, 2, 0], *after), (..., [2, 0, 1], *after)
    return x1[next_] * x2[last] - x1[last] * x2[next_]


@composite(wide=True)
def tensordot(xp, x1, x2, /, *, axes=2):
    """z = Σ x₁·x₂ over pairs of axes; the other axes of x₁ come first, then those of x₂.

    axes    the number of last axes of x₁ and first axes of x₂, or two equally long sequences:
            axes of x₁, axes of x₂

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
    """The axes of both that are summed over, as non-negative numbers."""
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


@composite
def kron(xp, x1, x2, /):
    """The Kronecker product: z[i·k + j] = x₁[i]·x₂[j] along each axis, k the length of that of x₂.

    >>> minidl.kron(minidl.tensor([1.0, 10.0]), minidl.tensor([2.0, 3.0]))
    Tensor([ 2.,  3., 20., 30.], float32)
    """
    ndim = max(x1.ndim, x2.ndim)
    first, second = ((1,) * (ndim - x.ndim) + x.shape for x in (x1, x2))
    left = xp.reshape(x1, tuple(n for length in first for n in (length, 1)))
    right = xp.reshape(x2, tuple(n for length in second for n in (1, length)))
    return xp.reshape(left * right, tuple(n * m for n, m in zip(first, second, strict=True)))
