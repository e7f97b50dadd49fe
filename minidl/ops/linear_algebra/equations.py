"""Linear equations, inverses and determinants.

Each function takes (…, n, n), or (…, m, n) where stated, and computes for every matrix of the
batch.  Complex matrices are supported without gradients.  The derivatives:
M. Giles 2008, An extended collection of matrix derivative results for forward and reverse mode
automatic differentiation.
"""

import math
from typing import Any

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers
from minidl.errors import ArgumentError, ShapeError, named
from minidl.ops.creation import asarray, eye
from minidl.ops.linear_algebra.decomposition import svdvals
from minidl.ops.linear_algebra.matrix import FLOAT, check_matrix, check_square, on_diagonal
from minidl.ops.manipulation import expand_dims
from minidl.ops.reduction import sum


@primitive(FLOAT, of_complex=True)
def inv(xp, x, /):
    """y = x⁻¹;   dx = −yᵀ·dy·yᵀ.  A singular matrix is an error.

    >>> minidl.linalg.inv(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], shape=(2, 2), float32)
    """
    check_square(x)
    y = xp.inv(x)

    def dx(dy):
        yt = xp.matrix_transpose(y)
        return -(yt @ dy @ yt)

    return y, dx


@primitive(FLOAT, of_complex=True)
def solve(xp, x1, x2, /):
    """y = x₁⁻¹·x₂;   dx₂ = x₁⁻ᵀ·dy,   dx₁ = −dx₂·yᵀ.  A singular x₁ is an error.

    x1: (…, n, n), x2: (…, n, k), with broadcasting of the axes before, or a vector (n,), for which
    y is (…, n).

    >>> a, b = minidl.tensor([[2.0, 0.0], [0.0, 4.0]]), minidl.tensor([6.0, 8.0])
    >>> minidl.linalg.solve(a, b)
    Tensor([3., 2.], float32)
    >>> minidl.linalg.solve(minidl.zeros((2, 2)), b)
    Traceback (most recent call last):
        ...
    minidl.errors.ArgumentError: solve: matrix of float32 (2, 2) is singular
    """
    check_square(x1)
    if not x2.ndim or x2.shape[-2 if x2.ndim > 1 else 0] != x1.shape[-1]:
        raise ShapeError(
            f"needs (…, n, n) and (…, n, k) or (n,); got shapes {x1.shape} and {x2.shape}"
        )
    vector = x2.ndim == 1
    b = xp.expand_dims(x2, axis=-1) if vector else x2
    y = xp.solve(x1, b)

    def pull(dy):
        dy = xp.expand_dims(dy, axis=-1) if vector else dy
        db = xp.solve(xp.matrix_transpose(x1), dy)
        dx1 = -(db @ xp.matrix_transpose(y))
        return dx1, xp.squeeze(db, -1) if vector else db

    return xp.squeeze(y, -1) if vector else y, pull


@composite
def solve_triangular(xp, x1, x2, /, *, upper, unitriangular=False):
    """y = T⁻¹·x₂, where T is the upper or the lower triangle of x₁, whatever is beyond it.

    It is `solve`, by LU factors, of x₁ with zeros beyond T: O(n³) where substitution alone would
    be O(n²).  A 0 on the diagonal is an error.

    unitriangular    take 1 for every element of the diagonal

    >>> a, b = minidl.tensor([[2.0, 1.0], [9.0, 4.0]]), minidl.tensor([4.0, 8.0])
    >>> minidl.linalg.solve_triangular(a, b, upper=True)  # the 9 is not looked at
    Tensor([1., 2.], float32)
    """
    check_square(x1)
    check_flags("solve_triangular", upper=upper, unitriangular=unitriangular)
    t = xp.triu(x1) if upper else xp.tril(x1)
    return xp.solve(xp.put_at(t, 1, on_diagonal(*x1.shape[-2:])) if unitriangular else t, x2)


@composite
def cholesky_solve(xp, x1, x2, /, *, upper=False):
    """y = (L·Lᴴ)⁻¹·x₁, given the factor L that `cholesky` gives as x₂: L⁻ᴴ·(L⁻¹·x₁).

    x1       (…, n, k), the right-hand sides, which come first, as in PyTorch
    x2       (…, n, n), of which one triangle is read
    upper    whether x₂ is U = Lᴴ, whose lower triangle is not read

    >>> a, b = minidl.tensor([[4.0, 2.0], [2.0, 5.0]]), minidl.tensor([[8.0], [12.0]])
    >>> minidl.linalg.cholesky_solve(b, minidl.linalg.cholesky(a))
    Tensor([[1.],
            [2.]], shape=(2, 1), float32)
    """
    check_square(x2)
    check_flags("cholesky_solve", upper=upper)
    if x1.ndim < 2 or x1.shape[-2] != x2.shape[-1]:
        raise ShapeError(
            f"cholesky_solve: needs (…, n, k) and a factor (…, n, n); got shapes {x1.shape} and "
            f"{x2.shape}"
        )
    adjoint = xp.matrix_transpose(xp.conj(x2) if x2.dtype.kind == "c" else x2)
    first, second = (adjoint, x2) if upper else (x2, adjoint)
    y = xp.solve_triangular(first, x1, upper=False)
    return xp.solve_triangular(second, y, upper=True)


@primitive(FLOAT, of_complex=True)
def det(xp, x, /):
    """y = det x;   dx = dy·adj(x)ᵀ, where adj(x) = y·x⁻¹, and finite if x is singular.

    >>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minidl.linalg.det(x).round(), minidl.grad(minidl.linalg.det)(x).round()
    (Tensor(-2., float32), Tensor([[ 4., -3.],
            [-2.,  1.]], shape=(2, 2), float32))
    """
    check_square(x)

    def dx(dy):
        return _on_matrices(xp, dy) * xp.matrix_transpose(xp.adjugate(x))

    return xp.det(x), dx


def _on_matrices(xp, numbers):
    """Numbers with two axes of length 1 behind them."""
    return xp.expand_dims(numbers, axis=(-2, -1))


@primitive(FLOAT, of_complex=True)
def adjugate(xp, x, /):
    """y = det(x)·x⁻¹, the transposed cofactors;   dx = tr(dyᵀ·x⁻¹)·yᵀ − x⁻ᵀ·dy·yᵀ.

    It exists for a singular x; its gradient does not.

    >>> minidl.linalg.adjugate(minidl.tensor([[1.0, 2.0], [2.0, 4.0]])).round()  # it is singular
    Tensor([[ 4., -2.],
            [-2.,  1.]], shape=(2, 2), float32)
    """
    check_square(x)
    y = xp.adjugate(x)

    def dx(dy):
        inverse = xp.inv(x)
        yt = xp.matrix_transpose(y)
        total = xp.sum(dy * inverse, axis=(-2, -1), keepdims=True)
        return total * yt - xp.matrix_transpose(inverse) @ dy @ yt

    return y, dx


@primitive(FLOAT, constants=(0,), outputs=2)
def slogdet(xp, x, /):
    """The sign of det x, a constant, and y = log |det x|;   dx = dy·x⁻ᵀ.

    Of a singular matrix 0 and −∞, without a gradient; of one with NaN both are NaN.
    """
    check_square(x)

    def dx(_, dy):
        return _on_matrices(xp, dy) * xp.matrix_transpose(xp.inv(x))

    return xp.slogdet(x), dx


@primitive(FLOAT)
def pinv(xp, x, /, *, rtol=None):
    """y = x⁺, the pseudo-inverse, (…, n, m) of (…, m, n), by Moore and Penrose.

    dx = −yᵀ·dy·yᵀ + (1 − x·y)·dyᵀ·y·yᵀ + yᵀ·y·dyᵀ·(1 − y·x), where the rank is constant.
    G. H. Golub, V. Pereyra 1973.

    rtol    singular values of at most rtol times the largest count as 0; default: max(m, n)·ε;
            non-negative, or one for each matrix

    >>> minidl.linalg.pinv(minidl.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    Tensor([[0.5, 0. , 0. ],
            [0. , 0. , 0. ]], shape=(2, 3), float32)
    """
    check_matrix(x)
    _check_rtol("pinv", x, rtol)
    y = xp.pinv(x, rtol=asarray(rtol).numpy() if hasattr(rtol, "shape") else rtol)

    def dx(dy):
        yt, dyt = xp.matrix_transpose(y), xp.matrix_transpose(dy)
        left, right = dyt @ y @ yt, yt @ y @ dyt
        return left - x @ (y @ left) + right - (right @ y) @ x - yt @ dy @ yt

    return y, dx


def _check_rtol(name, x, rtol):
    """Raise unless rtol is None, a non-negative number, or an array of one for each matrix."""
    batch = x.shape[:-2]
    if hasattr(rtol, "shape"):
        if rtol.shape not in ((), batch):
            raise ShapeError(f"rtol is a number, or one for each matrix, {batch}; got {rtol.shape}")
        if rtol.dtype.kind not in "iuf" or not (asarray(rtol) >= 0).all():
            raise ArgumentError(f"rtol is made of numbers ≥ 0; got {rtol!r:.60}")
    elif rtol is not None:
        check_numbers(name, 0, rtol=rtol)


@named
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The number of singular values above rtol times the largest: int64, a constant.

    rtol    non-negative, or one for each matrix; default: max(m, n)·ε

    >>> minidl.linalg.matrix_rank(minidl.tensor([[1.0, 2.0], [2.0, 4.0]]))
    Tensor(1, int64)
    """
    x = asarray(x).detach()
    check_matrix(x)
    _check_rtol("matrix_rank", x, rtol)
    s = svdvals(x)
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(np.finfo(s.dtype).eps)
    elif not isinstance(rtol, Tensor):
        rtol = asarray(rtol, device=x.device)
    smallest = s[..., :1] * (expand_dims(rtol, axis=-1) if hasattr(rtol, "ndim") else rtol)
    return sum(s > smallest, axis=-1)


@composite
def matrix_power(xp, x, /, n):
    """x·x·… n times, by squaring; 1 for n = 0; powers of the inverse for n < 0.

    >>> x = minidl.tensor([[1.0, 1.0], [0.0, 1.0]])
    >>> minidl.linalg.matrix_power(x, 10)
    Tensor([[ 1., 10.],
            [ 0.,  1.]], shape=(2, 2), float32)
    """
    check_square(x)
    check_integers("matrix_power", n=n)
    if n == 0:
        return xp.broadcast_to(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape)
    square, result = xp.inv(x) if n < 0 else x, None
    for bit in reversed(f"{abs(n):b}"):
        if bit == "1":
            result = square if result is None else result @ square
        square = square @ square
    return result


@composite
def cond(xp, x, /, p=None):
    """The condition number |x|·|x⁻¹| of each matrix: how much solving may enlarge relative errors.

    p    which norm, as `ord` of `matrix_norm`.  None or 2: the largest singular value over the
         smallest, of any (…, m, n); −2: its inverse; for others x is square

    ∞ for a singular matrix, but 0 for p = −2 unless it is zero.  NaN for one with NaN, which is an
    error where singular values are needed: for None, 2, −2 and "nuc".

    >>> minidl.linalg.cond(minidl.tensor([[2.0, 0.0], [0.0, 0.5]]))
    Tensor(4., float32)
    >>> minidl.linalg.cond(minidl.tensor([[1.0, 2.0], [2.0, 4.0]]), 1)
    Tensor(inf, float32)
    """
    check_matrix(x)
    if p in (None, 2, -2):
        s = xp.svdvals(x)
        if not s.shape[-1]:
            raise ShapeError(f"cond: there is nothing in matrices of shape {x.shape}")
        largest, smallest = s[..., 0], s[..., -1]
        ratio = largest / smallest if p != -2 else smallest / largest
        return xp.where(largest == 0, math.inf, ratio)
    check_square(x)
    sign = xp.slogdet(x)[0]
    singular = sign == 0
    without_inverse = _on_matrices(xp, singular | (sign != sign))  # or NaN
    regular = xp.where(without_inverse, eye(x.shape[-1], dtype=x.dtype, device=x.device), x)
    product = xp.matrix_norm(x, ord=p) * xp.matrix_norm(xp.inv(regular), ord=p)
    return xp.where(singular, math.inf, product)
