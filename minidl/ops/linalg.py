"""Matrices."""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import NUMBER
from minidl.errors import ShapeError


@primitive(NUMBER, of_complex=True)
def matmul(xp, x1, x2, /):
    """z = x₁·x₂ over the last two axes;   dx₁ = dz·x₂ᵀ,   dx₂ = x₁ᵀ·dz.

    (…, m, k) times (…, k, n) is (…, m, n), with broadcasting of the axes before.  A vector on the
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
    a = xp.expand_dims(x1, axis=0) if x1.ndim == 1 else x1
    b = xp.expand_dims(x2, axis=1) if x2.ndim == 1 else x2

    def matrix(dz):
        dz = xp.expand_dims(dz, axis=-1) if x2.ndim == 1 else dz
        return xp.expand_dims(dz, axis=-2) if x1.ndim == 1 else dz

    def dx2(dz):
        db = xp.matrix_transpose(a) @ matrix(dz)
        return xp.squeeze(db, -1) if x2.ndim == 1 else db

    def dx1(dz):
        da = matrix(dz) @ xp.matrix_transpose(b)
        return xp.squeeze(da, -2) if x1.ndim == 1 else da

    return x1 @ x2, (dx1, dx2)


@composite
def linear(xp, x, weight, bias=None, /):
    """y = x·Wᵀ + b over the last axis;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy.

    x: (…, in), weight: (out, in), bias: (out,), y: (…, out).

    >>> x, weight, bias = minidl.ones((2, 3)), minidl.ones((4, 3)), minidl.arange(4.0)
    >>> minidl.linear(x, weight, bias)
    Tensor([[3., 4., 5., 6.],
            [3., 4., 5., 6.]], shape=(2, 4), float32)
    """
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"needs x of shape (…, in) and weight (out, in); got {x.shape} and {weight.shape}"
        )
    y = x @ weight.T
    return y if bias is None else y + bias
