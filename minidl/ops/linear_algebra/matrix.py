"""Triangles and diagonals of matrices, and matrices made from vectors and matrices."""

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers
from minidl.dtypes import Rule, dtype_of
from minidl.errors import ShapeError, describe, named
from minidl.ops.creation import asarray, ones_like, zeros
from minidl.ops.manipulation import concat, stack

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
    """The index of a diagonal of matrices (…, rows, columns)."""
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
    check_integers("tril", k=k)
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
    check_integers("triu", k=k)
    return xp.triu(x, k=k), lambda dy: xp.triu(dy, k=k)


@named
def tril_indices(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, device: str | None = None
) -> tuple[Tensor, Tensor]:
    """The indices of the elements of `tril(x, k=k)`, of x (n_rows, n_cols): rows and columns.

    x[…, *tril_indices(m, n)] are these elements, row by row.  The arguments are those of `eye`.

    >>> rows, columns = minidl.tril_indices(2, 3)
    >>> rows, columns
    (Tensor([0, 1, 1], int64), Tensor([0, 0, 1], int64))
    """
    return _triangle("tril_indices", np.tri, n_rows, n_cols, k, device)


@named
def triu_indices(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, device: str | None = None
) -> tuple[Tensor, Tensor]:
    """The indices of the elements of `triu(x, k=k)`, of x (n_rows, n_cols): rows and columns.

    >>> rows, columns = minidl.triu_indices(2, k=1)
    >>> rows, columns
    (Tensor([0], int64), Tensor([1], int64))
    """
    above = lambda m, n, k: 1 - np.tri(m, n, k - 1)
    return _triangle("triu_indices", above, n_rows, n_cols, k, device)


def _triangle(name, mask, n_rows, n_cols, k, device):
    """The indices of the elements of a mask."""
    n_cols = n_rows if n_cols is None else n_cols
    check_integers(name, 0, n_rows=n_rows, n_cols=n_cols)
    check_integers(name, k=k)
    rows, columns = np.nonzero(mask(n_rows, n_cols, k))
    return asarray(rows, device=device), asarray(columns, device=device)


@composite
def block_diag(xp, *arrays):
    """A matrix with these matrices along its diagonal, and 0 elsewhere.

    Vectors are rows, numbers matrices of one element.  The gradient of each is its block of dy.

    >>> minidl.block_diag(minidl.ones((2, 2)), minidl.tensor([5.0, 6.0]))
    Tensor([[1., 1., 0., 0.],
            [1., 1., 0., 0.],
            [0., 0., 5., 6.]], shape=(3, 4), float32)
    """
    blocks = [_as_matrix(xp, x) for x in arrays]
    if not blocks:
        raise ShapeError("block_diag: needs at least one matrix")
    width, before, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        left, right = before, width - before - x.shape[1]
        sides = [zeros((x.shape[0], n), dtype=x.dtype, device=x.device) for n in (left, right)]
        rows.append(concat([sides[0], x, sides[1]], axis=1))
        before += x.shape[1]
    return concat(rows, axis=0)


def _as_matrix(xp, x):
    """A matrix, or a vector or a number as one."""
    if not hasattr(x, "shape") or x.ndim > 2:
        raise ShapeError(f"block_diag: needs matrices, vectors or numbers; got {describe(x)}")
    return x if x.ndim == 2 else xp.reshape(x, (1, x.size))


@primitive(None, of_complex=True)
def diagonal(xp, x, /, *, offset=0):
    """y = x[…, i, i + offset];   dx = dy there, 0 elsewhere.  A copy.

    >>> minidl.linalg.diagonal(minidl.tensor([[1, 2, 3], [4, 5, 6]]), offset=1)
    Tensor([2, 6], int64)
    """
    check_matrix(x)
    check_integers("diagonal", offset=offset)
    index = on_diagonal(*x.shape[-2:], offset)
    return x[index], lambda dy: xp.put_at(xp.zeros_like(x), dy, index)


@composite
def diag_embed(xp, x, /, *, offset=0):
    """Matrices with the vectors x (…, n) on the diagonal, and 0 elsewhere; see linalg.diagonal.

    offset    above the diagonal, below if negative; matrices of n + |offset| rows and columns

    >>> minidl.diag_embed(minidl.tensor([1.0, 2.0]))
    Tensor([[1., 0.],
            [0., 2.]], shape=(2, 2), float32)
    """
    if not x.ndim:
        raise ShapeError(f"diag_embed: needs vectors, (…, n); got shape {x.shape}")
    check_integers("diag_embed", offset=offset)
    n = x.shape[-1] + abs(offset)
    return xp.scatter_at(x, on_diagonal(n, n, offset), (*x.shape[:-1], n, n))


@composite
def trace(xp, x, /, *, offset=0, dtype=None):
    """y = Σ x[…, i, i + offset], computed in `dtype`.  Integers give int64.

    >>> minidl.linalg.trace(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5., float32)
    """
    d = xp.diagonal(x, offset=offset)
    return xp.sum(d if dtype is None else xp.astype(d, dtype_of(dtype, "trace")), axis=-1)


@composite
def vander(xp, x, /, n=None, *, increasing=False):
    """Vandermonde matrices of vectors x (…, m): rows xⁿ⁻¹, …, x², x, 1.

    n             the number of columns; default: m
    increasing    1, x, x², …

    >>> minidl.vander(minidl.tensor([2.0, 3.0]), 3)
    Tensor([[4., 2., 1.],
            [9., 3., 1.]], shape=(2, 3), float32)
    """
    if not x.ndim:
        raise ShapeError(f"vander: needs vectors, (…, m); got shape {x.shape}")
    check_flags("vander", increasing=increasing)
    if n is not None:
        check_integers("vander", 0, n=n)
    columns = [ones_like(x)]
    for _ in range(1, x.shape[-1] if n is None else n):
        columns.append(columns[-1] * x)
    columns = columns[: x.shape[-1] if n is None else n]
    if not columns:
        return xp.reshape(x[..., :0], (*x.shape, 0))
    return stack(columns if increasing else columns[::-1], axis=-1)
