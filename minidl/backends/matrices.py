"""LAPACK for the CPU: decompositions of batches of matrices, and what is computed from them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, describe

Array = np.ndarray


def _lapack(fault: str) -> Callable[..., Any]:
    """A function of matrices whose error says which matrix of the batch has the fault.

    float16 is computed in float32.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(*arrays: Array, **settings: Any) -> Any:
            dtype = arrays[0].dtype
            half = dtype == np.float16
            wide = [x.astype(np.float32) for x in arrays] if half else arrays
            try:
                with np.errstate(all="ignore"):
                    found = function(*wide, **settings)
            except np.linalg.LinAlgError:
                which = _first_at_fault(function, wide, settings)
                raise ArgumentError(f"matrix{which} of {describe(arrays[0])} {fault}") from None
            if not half:
                return found
            return tuple(map(np.float16, found)) if type(found) is tuple else found.astype(dtype)

        return checked

    return decorate


def _first_at_fault(function: Callable[..., Any], arrays: Any, settings: dict) -> str:
    """The index of the first matrix of a batch that the function fails for."""
    first, *others = arrays
    others = [np.eye(first.shape[-1], dtype=x.dtype) for x in others]
    for index in np.ndindex(first.shape[:-2]):
        try:
            function(first[index], *others, **settings)
        except np.linalg.LinAlgError:
            return f" {index}" if index else ""
    return ""


_CONVERGES_NOT = "does not converge: there may be NaN or infinity in it"


@_lapack("is not positive definite")
def cholesky(x: Array, *, upper: bool) -> Array:
    """The lower factor L of x = L·Lᴴ, or the upper factor U of x = Uᴴ·U."""
    return np.linalg.cholesky(x, upper=upper)


@_lapack(_CONVERGES_NOT)
def eigh(x: Array) -> tuple[Array, Array]:
    """Eigenvalues in ascending order, and eigenvectors as columns; from the lower triangle."""
    return tuple(np.linalg.eigh(x))


@_lapack(_CONVERGES_NOT)
def eigvalsh(x: Array) -> Array:
    """The eigenvalues alone."""
    return np.linalg.eigvalsh(x)


@_lapack("has no QR decomposition")
def qr(x: Array, *, mode: str) -> tuple[Array, Array]:
    """Q and R of x = Q·R."""
    return tuple(np.linalg.qr(x, mode=mode))


@_lapack(_CONVERGES_NOT)
def svd(x: Array, *, full_matrices: bool) -> tuple[Array, Array, Array]:
    """U, s and Vᴴ of x = U·diag s·Vᴴ, the largest of s first."""
    return tuple(np.linalg.svd(x, full_matrices=full_matrices))


@_lapack(_CONVERGES_NOT)
def svdvals(x: Array) -> Array:
    """The singular values alone."""
    return np.linalg.svdvals(x)


@_lapack("is singular")
def inv(x: Array) -> Array:
    """x⁻¹."""
    return np.linalg.inv(x)


@_lapack("is singular")
def solve(x1: Array, x2: Array) -> Array:
    """x₁⁻¹·x₂."""
    return np.linalg.solve(x1, x2)


@_lapack("has no determinant")
def det(x: Array) -> Array:
    """The determinant; 0 of a singular matrix."""
    return np.asarray(np.linalg.det(x))


@_lapack("has no determinant")
def slogdet(x: Array) -> tuple[Array, Array]:
    """The sign of the determinant, and log |det|: 0 and −∞ of a singular matrix."""
    return tuple(map(np.asarray, np.linalg.slogdet(x)))


@_lapack(_CONVERGES_NOT)
def adjugate(x: Array) -> Array:
    """det(x)·x⁻¹, also where x is singular: from x = U·diag s·Vᵀ, each 1/sᵢ by the other s."""
    u, s, vt = np.linalg.svd(x)
    others = np.broadcast_to(s[..., None, :], x.shape).copy()
    others[..., range(s.shape[-1]), range(s.shape[-1])] = 1
    signs = np.linalg.det(u) * np.linalg.det(vt)
    scaled = np.prod(others, axis=-1) * signs[..., None]
    return (vt.mT.conj() * scaled[..., None, :]) @ u.mT.conj()


@_lapack(_CONVERGES_NOT)
def pinv(x: Array, *, rtol: Any) -> Array:
    """The pseudo-inverse; singular values of at most rtol times the largest count as 0."""
    if x.size == 0:
        return x.mT.copy()
    tolerance = np.finfo(x.dtype).eps * max(x.shape[-2:]) if rtol is None else np.asarray(rtol)
    return np.linalg.pinv(x, rtol=tolerance)
