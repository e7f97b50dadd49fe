"""Linear algebra of CuPy's arrays, by cuSOLVER; what CuPy lacks is computed on the host."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends import matrices as host
from minidl.errors import ArgumentError, describe

Array = cp.ndarray


def precise_matmul(x1: Array, x2: Array) -> Array:
    """x₁·x₂ over the last two axes."""
    return x1 @ x2


def _checked(fault: str) -> Callable[..., Any]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*arrays: Array, **settings: Any) -> Any:
            half = arrays[0].dtype == "float16"
            wide = [x.astype("float32") for x in arrays] if half else arrays
            try:
                found = function(*wide, **settings)
            except np.linalg.LinAlgError:
                raise ArgumentError(f"matrix of {describe(arrays[0])} {fault}") from None
            if not half:
                return found
            return tuple(map(_narrowed, found)) if type(found) is tuple else _narrowed(found)

        return run

    return decorate


def _narrowed(x: Array) -> Array:
    return x.astype("float16") if x.dtype.kind == "f" else x


_DIVERGES = "does not converge"


def _on_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """CuPy has none: the matrices are downloaded, and the results uploaded."""

    @wraps(function)
    def run(*arrays: Array, **settings: Any) -> Any:
        found = function(*map(cp.asnumpy, arrays), **settings)
        return tuple(map(cp.asarray, found)) if type(found) is tuple else cp.asarray(found)

    return run


eig, eigvals, lu = map(_on_host, (host.eig, host.eigvals, host.lu))


@_checked("is not positive definite")
def cholesky(x: Array, *, upper: bool) -> Array:
    """The lower factor L of x = L·Lᴴ, or the upper factor."""
    lower = cp.linalg.cholesky(x)
    return cp.conj(lower.swapaxes(-1, -2)) if upper else lower


@_checked(_DIVERGES)
def eigh(x: Array) -> tuple[Array, ...]:
    """Eigenvalues in ascending order, and eigenvectors as columns."""
    return tuple(cp.linalg.eigh(x))


@_checked(_DIVERGES)
def eigvalsh(x: Array) -> Array:
    """The eigenvalues only."""
    return cp.linalg.eigvalsh(x)


@_checked("has no QR decomposition")
def qr(x: Array, *, mode: Any) -> tuple[Array, ...]:
    """Q and R of x = Q·R."""
    return tuple(cp.linalg.qr(x, mode=mode))


@_checked(_DIVERGES)
def svd(x: Array, *, full_matrices: bool) -> tuple[Array, ...]:
    """U, s and Vᴴ of x = U·diag s·Vᴴ, s in descending order."""
    return tuple(cp.linalg.svd(x, full_matrices=full_matrices))


@_checked(_DIVERGES)
def svdvals(x: Array) -> Array:
    """The singular values only."""
    return cp.linalg.svd(x, compute_uv=False)


@_checked("is singular")
def inv(x: Array) -> Array:
    """x⁻¹."""
    return cp.linalg.inv(x)


@_checked("is singular")
def solve(x1: Array, x2: Array) -> Array:
    """x₁⁻¹·x₂."""
    return cp.linalg.solve(x1, x2)


@_checked("has no determinant")
def det(x: Array) -> Array:
    """The determinant."""
    return cp.linalg.det(x)


@_checked("has no determinant")
def slogdet(x: Array) -> tuple[Array, ...]:
    """The sign of the determinant, and log |det|."""
    return tuple(cp.linalg.slogdet(x))


@_checked(_DIVERGES)
def adjugate(x: Array) -> Array:
    """det(x)·x⁻¹, also of a singular x: from x = U·diag s·Vᵀ, with Πⱼ≠ᵢ sⱼ for det(s)/sᵢ."""
    u, s, vt = cp.linalg.svd(x)
    others = cp.where(cp.eye(s.shape[-1], dtype=bool), s.dtype.type(1), s[..., None, :])
    signs = cp.linalg.det(u) * cp.linalg.det(vt)
    scaled = cp.prod(others, axis=-1) * signs[..., None]
    return (cp.conj(vt.swapaxes(-1, -2)) * scaled[..., None, :]) @ cp.conj(u.swapaxes(-1, -2))


@_checked(_DIVERGES)
def pinv(x: Array, *, rtol: Any) -> Array:
    """The pseudo-inverse."""
    if x.size == 0:
        return x.swapaxes(-1, -2).copy()
    tolerance = np.finfo(x.dtype).eps * max(x.shape[-2:]) if rtol is None else rtol
    return cp.linalg.pinv(x, rcond=tolerance)
