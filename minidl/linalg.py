"""Linear algebra: the array API standard's extension `linalg`, and more, with gradients.

Every function takes batches, (…, m, n), of float32 or float64 (float16 is computed in float32);
integers are refused.  What a function needs of its matrices, and what it does where that fails, is
said by its error, which names the first matrix of the batch.
"""

from typing import Any, NamedTuple

from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError, named
from minidl.ops.arithmetic import abs, square
from minidl.ops.linear_algebra import decomposition
from minidl.ops.linear_algebra.decomposition import cholesky, eigvals, eigvalsh, svdvals
from minidl.ops.linear_algebra.equations import (
    adjugate,
    cholesky_solve,
    cond,
    det,
    inv,
    matrix_power,
    matrix_rank,
    pinv,
    solve,
    solve_triangular,
)
from minidl.ops.linear_algebra.equations import slogdet as _slogdet
from minidl.ops.linear_algebra.exponential import matrix_exp
from minidl.ops.linear_algebra.matrix import diagonal, trace
from minidl.ops.linear_algebra.norms import matrix_norm, vector_norm
from minidl.ops.linear_algebra.products import cross, matmul, outer, tensordot, vecdot
from minidl.ops.manipulation import expand_dims, matrix_transpose

__all__ = [
    "EigResult",
    "EighResult",
    "LUResult",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "adjugate",
    "cholesky",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "lu",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class EigResult(NamedTuple):
    """What `eig` gives.

    >>> minidl.linalg.eig(minidl.eye(2)).eigenvalues
    Tensor([1.+0.j, 1.+0.j], complex64)
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


class EighResult(NamedTuple):
    """What `eigh` gives.

    >>> minidl.linalg.eigh(minidl.eye(2)).eigenvalues
    Tensor([1., 1.], float32)
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


class LUResult(NamedTuple):
    """What `lu` gives.

    >>> P, L, U = minidl.linalg.lu(minidl.ones((4, 2)))
    >>> P.shape, L.shape, U.shape
    ((4, 4), (4, 2), (2, 2))
    """

    P: Tensor
    L: Tensor
    U: Tensor


class QRResult(NamedTuple):
    """What `qr` gives.

    >>> Q, R = minidl.linalg.qr(minidl.ones((4, 2)))
    >>> Q.shape, R.shape
    ((4, 2), (2, 2))
    """

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` gives.

    >>> minidl.linalg.slogdet(minidl.eye(2)).logabsdet
    Tensor(0., float32)
    """

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives.

    >>> U, S, Vh = minidl.linalg.svd(minidl.ones((4, 2)))
    >>> U.shape, S.shape, Vh.shape
    ((4, 4), (2,), (2, 2))
    """

    U: Tensor
    S: Tensor
    Vh: Tensor


class LstsqResult(NamedTuple):
    """What `lstsq` gives.

    >>> minidl.linalg.lstsq(minidl.eye(3)[:, :2], minidl.ones(3)).residuals
    Tensor(1., float32)
    """

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def eig(x: Any, /) -> EigResult:
    """Eigenvalues w, in no order, and eigenvectors of a square x: x·V = V·diag w.

    Both are complex: complex64 of float32 and below.  The columns of V have length 1; their phase
    is LAPACK's, and gradients are those of functions that do not depend on it.  The gradient of V
    is infinite or NaN where two eigenvalues are equal.

    >>> x = minidl.tensor([[0.0, -1.0], [1.0, 0.0]])  # a rotation by 90°
    >>> w, V = minidl.linalg.eig(x)
    >>> w, minidl.abs(V * w - x.astype("complex64") @ V).max() < 1e-6
    (Tensor([0.+1.j, 0.-1.j], complex64), Tensor(True, bool))
    """
    return EigResult(*decomposition.eig(x))


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues w, ascending, and eigenvectors, the columns of V, of a symmetric x = V·diag w·Vᵀ.

    The gradient of V is infinite or NaN where two eigenvalues are equal, unless the function does
    not depend on the choice of their vectors.  NaN or infinity in the lower triangle, which is all
    that is read, is an ArgumentError.

    >>> x = minidl.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> w, V = minidl.linalg.eigh(x)
    >>> w.round(), (V * w @ V.T - x).abs().max() < 1e-6
    (Tensor([-1.,  1.], float32), Tensor(True, bool))
    """
    return EighResult(*decomposition.eigh(x))


def lu(x: Any, /) -> LUResult:
    """x = P·L·U: a permutation, L with ones on its diagonal and 0 above, and 0 below that of U.

    (…, m, n) gives (…, m, m), (…, m, k) and (…, k, n), k = min(m, n).  By partial pivoting, so that
    no element of L is beyond ±1; `solve` does the same.  P is a constant.

    >>> P, L, U = minidl.linalg.lu(minidl.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> P, L, U
    (Tensor([[0., 1.],
            [1., 0.]], shape=(2, 2), float32), Tensor([[1.  , 0.  ],
            [0.25, 1.  ]], shape=(2, 2), float32), Tensor([[4., 4.],
            [0., 1.]], shape=(2, 2), float32))
    """
    return LUResult(*decomposition.lu(x))


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """x = Q·R with orthonormal columns in Q and an upper triangular R.

    mode    "reduced": Q is (…, m, k) and R (…, k, n), k = min(m, n); "complete": (…, m, m) and
            (…, m, n), which has no gradient if m > n

    >>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> Q, R = minidl.linalg.qr(x)
    >>> Q.shape, R.shape, (Q @ R).round()
    ((3, 2), (2, 2), Tensor([[1., 2.],
            [3., 4.],
            [5., 6.]], shape=(3, 2), float32))
    """
    return QRResult(*decomposition.qr(x, mode=mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign of det x and log |det x|: 0 and −∞ of a singular matrix, without a gradient.

    Of a matrix with NaN both are NaN.

    >>> minidl.linalg.slogdet(1e20 * minidl.eye(3))  # det overflows float32
    SlogdetResult(sign=Tensor(1., float32), logabsdet=Tensor(138.15..., float32))
    """
    return SlogdetResult(*_slogdet(x))


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """x = U·diag S·Vᵀ with orthonormal columns in U and V, and singular values S, descending.

    U, S, Vh are (…, m, m), (…, k), (…, n, n), k = min(m, n), or without `full_matrices` (…, m, k),
    (…, k), (…, k, n).  Gradients of columns of U and rows of Vh beyond k are ignored, as in
    PyTorch; those of the others are infinite or NaN where singular values are equal, unless the
    function does not depend on the choice of their vectors.

    >>> x = minidl.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    >>> U, S, Vh = minidl.linalg.svd(x, full_matrices=False)
    >>> U.shape, S, Vh.shape
    ((2, 2), Tensor([4., 3.], float32), (2, 3))
    """
    return SVDResult(*decomposition.svd(x, full_matrices=full_matrices))


@named
def lstsq(x1: Any, x2: Any, /, *, rtol: float | None = None) -> LstsqResult:
    """The y with the least Σ |x₁·y − x₂|², and of several the shortest: y = x₁⁺·x₂.

    It goes by singular values, which serve every rank, but take longer than Q·R.

    x1      (…, m, n)
    x2      (…, m, k), or a vector (m,)
    rtol    singular values of at most rtol times the largest count as 0; default: max(m, n)·ε
    gives   y; Σ |x₁·y − x₂|² for each column; and the rank and the singular values of x₁

    >>> x = minidl.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])  # a line: height at 0, slope
    >>> minidl.linalg.lstsq(x, minidl.tensor([1.0, 3.0, 5.0])).solution.round()
    Tensor([1., 2.], float32)
    """
    inverse = pinv(x1, rtol=rtol)
    vector = len(x2.shape) == 1
    if not x2.shape or x2.shape[0 if vector else -2] != x1.shape[-2]:
        raise ShapeError(
            f"needs (…, m, n) and (…, m, k) or (m,); got shapes {x1.shape} and {x2.shape}"
        )
    columns = expand_dims(x2, axis=-1) if vector else x2
    solution = matmul(inverse, columns)
    residuals = square(abs(matmul(x1, solution) - columns)).sum(axis=-2)
    if vector:
        solution, residuals = solution.squeeze(-1), residuals.squeeze(-1)
    return LstsqResult(solution, residuals, matrix_rank(x1, rtol=rtol), svdvals(x1))
