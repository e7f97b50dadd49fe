"""Linear algebra: the extension `linalg` of the Python array API standard, with gradients.

Every function takes batches, (…, m, n), of float32 or float64 (float16 is computed in float32);
integers are refused.  What a function needs of its matrices, and what it does where that fails, is
said by its error, which names the first matrix of the batch.
"""

from typing import Any, NamedTuple

from minidl.autograd.tensor import Tensor
from minidl.ops import decomposition
from minidl.ops.decomposition import cholesky, eigvalsh, svdvals
from minidl.ops.equations import (
    adjugate,
    det,
    inv,
    matrix_power,
    matrix_rank,
    pinv,
    solve,
    solve_triangular,
)
from minidl.ops.equations import slogdet as _slogdet
from minidl.ops.linalg import matmul
from minidl.ops.magnitude import matrix_norm, vector_norm
from minidl.ops.manipulation import matrix_transpose
from minidl.ops.matrix import cross, diagonal, outer, tensordot, trace, vecdot

__all__ = [
    "EighResult",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "adjugate",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
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


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class LstsqResult(NamedTuple):
    """What `lstsq` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues w, ascending, and eigenvectors, the columns of V, of a symmetric x = V·diag w·Vᵀ.

    The gradient of V is infinite or NaN where two eigenvalues are equal, unless the function does
    not depend on the choice of their vectors.
    """
    return EighResult(*decomposition.eigh(x))


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """x = Q·R with orthonormal columns in Q and an upper triangular R.

    mode    "reduced": Q is (…, m, k) and R (…, k, n), k = min(m, n); "complete": (…, m, m) and
            (…, m, n), which has no gradient if m > n
    """
    return QRResult(*decomposition.qr(x, mode=mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign of det x and log |det x|: 0 and −∞ of a singular matrix, without a gradient."""
    return SlogdetResult(*_slogdet(x))


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """x = U·diag S·Vᵀ with orthonormal columns in U and V, and singular values S, descending.

    U, S, Vh are (…, m, m), (…, k), (…, n, n), k = min(m, n), or without `full_matrices` (…, m, k),
    (…, k), (…, k, n).  Gradients of columns of U and rows of Vh beyond k are ignored, as in
    PyTorch; those of the others are infinite or NaN where singular values are equal, unless the
    function does not depend on the choice of their vectors.
    """
    return SVDResult(*decomposition.svd(x, full_matrices=full_matrices))


def lstsq(x1: Any, x2: Any, /, *, rtol: float | None = None) -> LstsqResult:
    """The y with the least Σ (x₁·y − x₂)², and of several the shortest: y = x₁⁺·x₂.

    x1      (…, m, n)
    x2      (…, m, k), or a vector (m,)
    rtol    singular values of at most rtol times the largest count as 0; default: max(m, n)·ε
    gives   y; Σ (x₁·y − x₂)² for each column; and the rank and the singular values of x₁
    """
    solution = matmul(pinv(x1, rtol=rtol), x2)
    error = matmul(x1, solution) - x2
    residuals = (error * error).sum(axis=-2 if len(x2.shape) > 1 else -1)
    return LstsqResult(solution, residuals, matrix_rank(x1, rtol=rtol), svdvals(x1))
