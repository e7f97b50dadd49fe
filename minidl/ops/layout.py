"""Matrices from vectors and from smaller matrices, and pictures turned."""

from minidl.autograd.primitive import composite
from minidl.backends.window import is_number
from minidl.errors import ArgumentError, ShapeError, check_flags
from minidl.ops.creation import ones_like
from minidl.ops.manipulation import stack
from minidl.ops.matrix import on_diagonal

__all__ = ["diag_embed", "kron", "rot90", "vander"]


@composite
def diag_embed(xp, x, /, *, offset=0):
    """Matrices with the vectors x (…, n) on the diagonal, and 0 elsewhere: linalg.diagonal undone.

    offset    above the diagonal, below if negative; matrices of n + |offset| rows and columns

    >>> minidl.diag_embed(minidl.tensor([1.0, 2.0]))
    Tensor([[1., 0.],
            [0., 2.]], shape=(2, 2), float32)
    """
    if not x.ndim:
        raise ShapeError(f"diag_embed: needs vectors, (…, n); got shape {x.shape}")
    if not is_number(offset):
        raise ArgumentError(f"diag_embed: offset is a whole number; got {offset!r:.60}")
    n = x.shape[-1] + abs(offset)
    return xp.scatter_at(x, on_diagonal(n, n, offset), (*x.shape[:-1], n, n))


@composite
def kron(xp, x1, x2, /):
    """Kronecker's product: z[i·k + j] = x₁[i]·x₂[j] along each axis, k the length of that of x₂.

    >>> minidl.kron(minidl.tensor([1.0, 10.0]), minidl.tensor([2.0, 3.0]))
    Tensor([ 2.,  3., 20., 30.], float32)
    """
    ndim = max(x1.ndim, x2.ndim)
    first, second = ((1,) * (ndim - x.ndim) + x.shape for x in (x1, x2))
    left = xp.reshape(x1, tuple(n for length in first for n in (length, 1)))
    right = xp.reshape(x2, tuple(n for length in second for n in (1, length)))
    return xp.reshape(left * right, tuple(n * m for n, m in zip(first, second, strict=True)))


@composite
def rot90(xp, x, /, k=1, *, axes=(0, 1)):
    """x turned k times by a quarter, from the first of two axes towards the second.

    >>> minidl.rot90(minidl.tensor([[1, 2], [3, 4]]))
    Tensor([[2, 4],
            [1, 3]], shape=(2, 2), int64)
    """
    if not is_number(k):
        raise ArgumentError(f"rot90: k is a whole number; got {k!r:.60}")
    fits = isinstance(axes, tuple | list) and len(axes) == 2 and all(map(is_number, axes))
    if not fits or not all(-x.ndim <= axis < x.ndim for axis in axes):
        raise ShapeError(f"rot90: axes are two of those of shape {x.shape}; got {axes!r:.60}")
    first, second = (axis % x.ndim for axis in axes)
    if first == second:
        raise ShapeError(f"rot90: axes are two different ones; got {axes!r}")
    if k % 4 == 2:
        return xp.flip(x, axis=(first, second))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    if k % 4 == 1:
        return xp.permute_dims(xp.flip(x, axis=second), tuple(order))
    return xp.flip(xp.permute_dims(x, tuple(order)), axis=second) if k % 4 == 3 else x


@composite
def vander(xp, x, /, n=None, *, increasing=False):
    """Vandermonde's matrices of vectors x (…, m): rows xⁿ⁻¹, …, x², x, 1, in all n columns.

    n             how many; without it, m
    increasing    1, x, x², …

    >>> minidl.vander(minidl.tensor([2.0, 3.0]), 3)
    Tensor([[4., 2., 1.],
            [9., 3., 1.]], shape=(2, 3), float32)
    """
    if not x.ndim:
        raise ShapeError(f"vander: needs vectors, (…, m); got shape {x.shape}")
    check_flags(increasing=increasing)
    if n is not None and (not is_number(n) or n < 0):
        raise ArgumentError(f"vander: n is a number from 0 on; got {n!r:.60}")
    columns = [ones_like(x)]
    for _ in range(1, x.shape[-1] if n is None else n):
        columns.append(columns[-1] * x)
    columns = columns[: x.shape[-1] if n is None else n]
    if not columns:
        return xp.reshape(x[..., :0], (*x.shape, 0))
    return stack(columns if increasing else columns[::-1], axis=-1)
