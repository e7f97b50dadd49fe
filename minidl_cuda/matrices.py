"""Linear algebra of CuPy's arrays, by cuSOLVER and cuBLAS.

These wait for the device, to raise an error that names the matrix that failed.  What CuPy lacks,
the eigenvalues of general matrices and LU of stacks, is computed on the host, by
`backends.matrices`: the matrices are copied there, and the results back.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import cupy as cp
import cupyx
import numpy as np

from minidl.backends import matrices as host
from minidl.backends.matrices import (
    DIVERGES,
    NOT_FINITE,
    adjoint,
    adjugate_by_svd,
    narrowed,
    or_nan,
)
from minidl.errors import ArgumentError, describe
from minidl_cuda.array import Array


def _solver(fault: str, *, finite: bool = False) -> Callable[..., Any]:
    """Decorate a function of matrices: its error names the first matrix of the batch that fails.

    float16 is computed in float32.  With `finite`, NaN and infinity are errors, as in LAPACK.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(*arrays: Array, **settings: Any) -> Any:
            half = arrays[0].dtype == np.float16
            wide = [x.astype("float32") for x in arrays] if half else arrays
            if finite:
                _check_finite(arrays[0])
            try:
                with cupyx.errstate(linalg="raise"):
                    result = function(*wide, **settings)
            except np.linalg.LinAlgError:
                which = _first_failing(function, wide, settings)
                raise ArgumentError(f"matrix{which} of {describe(arrays[0])} {fault}") from None
            if not half:
                return result
            return tuple(map(narrowed, result)) if type(result) is tuple else narrowed(result)

        return checked

    return decorate


def _check_finite(x: Array) -> None:
    """Raise if there is a NaN or an infinity: what cuSOLVER does then is undefined."""
    finite = cp.asnumpy(cp.isfinite(x).all(axis=(-2, -1)))
    if not finite.all():
        index = tuple(map(int, np.argwhere(~finite)[0])) if finite.ndim else ()
        which = f" {index}" if index else ""
        raise ArgumentError(f"matrix{which} of {describe(x)} {NOT_FINITE}")


def _first_failing(function: Callable[..., Any], arrays: Any, settings: dict[str, Any]) -> str:
    """The index of the first matrix of a batch for which the function fails."""
    first, *others = arrays
    others = [cp.eye(first.shape[-1], dtype=x.dtype) for x in others]
    for index in np.ndindex(first.shape[:-2]):
        try:
            with cupyx.errstate(linalg="raise"):
                function(first[index], *others, **settings)
        except np.linalg.LinAlgError:
            return f" {index}" if index else ""
    return ""


def _on_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function by way of the host."""

    @wraps(function)
    def by_host(*arrays: Array, **settings: Any) -> Any:
        result = function(*map(cp.asnumpy, arrays), **settings)
        return tuple(map(cp.asarray, result)) if type(result) is tuple else cp.asarray(result)

    return by_host


eig, eigvals, lu = map(_on_host, (host.eig, host.eigvals, host.lu))


@_solver("is not positive definite", finite=True)
def cholesky(x: Array, *, upper: bool) -> Array:
    """The lower factor L of x = L·Lᴴ, or the upper factor U of x = Uᴴ·U, of the same triangle."""
    return adjoint(cp, cp.linalg.cholesky(adjoint(cp, x))) if upper else cp.linalg.cholesky(x)


@_solver(DIVERGES)
def eigh(x: Array) -> tuple[Array, ...]:
    """Eigenvalues in ascending order, and eigenvectors as columns; from the lower triangle."""
    _check_finite(cp.tril(x))
    return tuple(cp.linalg.eigh(x))


@_solver(DIVERGES)
def eigvalsh(x: Array) -> Array:
    """The eigenvalues only."""
    _check_finite(cp.tril(x))
    return cp.linalg.eigvalsh(x)


@_solver("has no QR decomposition")
def qr(x: Array, *, mode: Any) -> tuple[Array, ...]:
    """Q and R of x = Q·R."""
    return tuple(cp.linalg.qr(x, mode=mode))


@_solver(DIVERGES, finite=True)
def svd(x: Array, *, full_matrices: bool) -> tuple[Array, ...]:
    """U, s and Vᴴ of x = U·diag s·Vᴴ, s in descending order."""
    return tuple(cp.linalg.svd(x, full_matrices=full_matrices))


@_solver(DIVERGES, finite=True)
def svdvals(x: Array) -> Array:
    """The singular values only."""
    return cp.linalg.svd(x, compute_uv=False)


@_solver("is singular")
def inv(x: Array) -> Array:
    """x⁻¹."""
    return cp.linalg.inv(x)


@_solver("is singular")
def solve(x1: Array, x2: Array) -> Array:
    """x₁⁻¹·x₂."""
    return cp.linalg.solve(x1, x2)


@_solver("has no determinant")
def det(x: Array) -> Array:
    """The determinant; 0 for a singular matrix, NaN for one with NaN."""
    return or_nan(cp, cp.linalg.det(x), x)


@_solver("has no determinant")
def slogdet(x: Array) -> tuple[Array, ...]:
    """The sign of the determinant, and log |det|: 0 and −∞ for a singular matrix, NaN for NaN."""
    return tuple(or_nan(cp, part, x) for part in cp.linalg.slogdet(x))


@_solver(DIVERGES, finite=True)
def adjugate(x: Array) -> Array:
    """det(x)·x⁻¹, also of a singular x."""
    return adjugate_by_svd(cp, x)


@_solver(DIVERGES, finite=True)
def pinv(x: Array, *, rtol: Any) -> Array:
    """The pseudo-inverse; singular values of at most rtol times the largest count as 0."""
    if x.size == 0:
        return x.swapaxes(-1, -2).copy()
    tolerance = float(np.finfo(x.dtype).eps) * max(x.shape[-2:]) if rtol is None else rtol
    if isinstance(tolerance, np.ndarray):
        tolerance = cp.asarray(tolerance)
    return cp.linalg.pinv(x, rcond=tolerance)
