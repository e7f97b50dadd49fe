"""Linear algebra on the CPU, by LAPACK: decompositions of batches of matrices."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, describe

Array = np.ndarray


def _lapack(fault: str) -> Callable[..., Any]:
    """Decorate a function of matrices: its error names the first matrix of the batch that fails.

    float16 is computed in float32.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(*arrays: Array, **settings: Any) -> Any:
            half = arrays[0].dtype == np.float16
            wide = [x.astype(np.float32) for x in arrays] if half else arrays
            try:
                with np.errstate(all="ignore"):
                    result = function(*wide, **settings)
            except np.linalg.LinAlgError:
                which, finite = _first_failing(function, wide, settings)
                why = fault if finite else NOT_FINITE
                raise ArgumentError(f"matrix{which} of {describe(arrays[0])} {why}") from None
            if not half:
                return result
            return tuple(map(narrowed, result)) if type(result) is tuple else narrowed(result)

        return checked

    return decorate


def narrowed(x: Any) -> Any:
    """A float32 result as float16; there is no smaller complex dtype than complex64."""
    return x.astype("float16") if x.dtype.kind == "f" else x


def _first_failing(
    function: Callable[..., Any], arrays: Any, settings: dict[str, Any]
) -> tuple[str, bool]:
    """The index of the first matrix of a batch for which the function fails; if it is finite."""
    first, *others = arrays
    others = [np.eye(first.shape[-1], dtype=x.dtype) for x in others]
    for index in np.ndindex(first.shape[:-2]):
        try:
            function(first[index], *others, **settings)
        except np.linalg.LinAlgError:
            return f" {index}" if index else "", bool(np.isfinite(first[index]).all())
    return "", True


DIVERGES = "does not converge"
NOT_FINITE = "has NaN or infinity in it"


def _check_triangle(x: Array) -> None:
    """Raise if the lower triangle is not finite: LAPACK's syevd invents eigenvalues then."""
    if not np.isfinite(np.tril(x)).all():
        raise np.linalg.LinAlgError


# What is the same for arrays of any kind, which have the functions of `xp`.


def or_nan(xp: Any, result: Any, x: Any) -> Any:
    """The result for each matrix, but NaN for those with NaN, which LAPACK may call singular."""
    return xp.where(xp.isnan(x).any(axis=(-2, -1)), result.dtype.type(np.nan), result)


def adjoint(xp: Any, x: Any) -> Any:
    """xᴴ of each matrix."""
    return xp.conj(x.swapaxes(-1, -2))


def adjugate_by_svd(xp: Any, x: Any) -> Any:
    """det(x)·x⁻¹, also of a singular x: from x = U·diag s·Vᴴ, with Πⱼ≠ᵢ sⱼ for det(s)/sᵢ."""
    u, s, vh = xp.linalg.svd(x)
    others = xp.where(xp.eye(s.shape[-1], dtype=bool), s.dtype.type(1), s[..., None, :])
    signs = xp.linalg.det(u) * xp.linalg.det(vh)
    scaled = xp.prod(others, axis=-1) * signs[..., None]
    return (adjoint(xp, vh) * scaled[..., None, :]) @ adjoint(xp, u)


# By LAPACK.


@_lapack("is not positive definite")
def cholesky(x: Array, *, upper: bool) -> Array:
    """The lower factor L of x = L·Lᴴ, or the upper factor U of x = Uᴴ·U."""
    return np.linalg.cholesky(x, upper=upper)


@_lapack(DIVERGES)
def eigh(x: Array) -> tuple[Array, ...]:
    """Eigenvalues in ascending order, and eigenvectors as columns; from the lower triangle."""
    _check_triangle(x)
    return tuple(np.linalg.eigh(x))


@_lapack(DIVERGES)
def eigvalsh(x: Array) -> Array:
    """The eigenvalues only."""
    _check_triangle(x)
    return np.linalg.eigvalsh(x)


def _complex(x: Array) -> Array:
    """x as complex numbers, which NumPy gives real ones for if all eigenvalues are real."""
    return x.astype(np.result_type(x, np.complex64), copy=False)


@_lapack(DIVERGES)
def eig(x: Array) -> tuple[Array, ...]:
    """Eigenvalues in no order, and eigenvectors of length 1 as columns; complex."""
    return tuple(map(_complex, np.linalg.eig(x)))


@_lapack(DIVERGES)
def eigvals(x: Array) -> Array:
    """The eigenvalues only; complex."""
    return _complex(np.linalg.eigvals(x))


@_lapack("has no LU decomposition")
def lu(x: Array) -> tuple[Array, ...]:
    """P, L and U of x = P·L·U, by SciPy, which is imported when first needed: LAPACK's getrf."""
    (*batch, m, n), k = x.shape, min(x.shape[-2:])
    shapes = (m, m), (m, k), (k, n)
    parts = tuple(np.empty((*batch, *shape), x.dtype) for shape in shapes)
    if not k:
        parts[0][...] = np.eye(m)
        return parts
    factorize = import_module("scipy.linalg").lu
    for index in np.ndindex(*batch):
        for part, factor in zip(parts, factorize(x[index], check_finite=False), strict=True):
            part[index] = factor
    return parts


@_lapack("has no QR decomposition")
def qr(x: Array, *, mode: Any) -> tuple[Array, ...]:
    """Q and R of x = Q·R."""
    return tuple(np.linalg.qr(x, mode=mode))


@_lapack(DIVERGES)
def svd(x: Array, *, full_matrices: bool) -> tuple[Array, ...]:
    """U, s and Vᴴ of x = U·diag s·Vᴴ, s in descending order."""
    return tuple(np.linalg.svd(x, full_matrices=full_matrices))


@_lapack(DIVERGES)
def svdvals(x: Array) -> Array:
    """The singular values only."""
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
    """The determinant; 0 for a singular matrix, NaN for one with NaN."""
    return or_nan(np, np.linalg.det(x), x)


@_lapack("has no determinant")
def slogdet(x: Array) -> tuple[Array, ...]:
    """The sign of the determinant, and log |det|: 0 and −∞ for a singular matrix, NaN for NaN."""
    return tuple(or_nan(np, part, x) for part in np.linalg.slogdet(x))


@_lapack(DIVERGES)
def adjugate(x: Array) -> Array:
    """det(x)·x⁻¹, also of a singular x."""
    return adjugate_by_svd(np, x)


@_lapack(DIVERGES)
def pinv(x: Array, *, rtol: Any) -> Array:
    """The pseudo-inverse; singular values of at most rtol times the largest count as 0."""
    if x.size == 0:
        return x.mT.copy()
    tolerance = np.finfo(x.dtype).eps * max(x.shape[-2:]) if rtol is None else np.asarray(rtol)
    return np.linalg.pinv(x, rtol=tolerance)
