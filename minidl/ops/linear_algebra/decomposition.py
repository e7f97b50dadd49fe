"""Matrix decompositions: Cholesky, LU, QR, eigenvalues and singular values.

Each function takes (…, m, n) and decomposes every matrix of the batch.  Signs of eigenvectors,
singular vectors and columns of Q are LAPACK's; gradients are those of functions that do not depend
on them.  Where eigenvalues or singular values are equal, their vectors may be any basis of one
space: gradients of functions that do not depend on the choice are finite, others are infinite or
NaN, as in PyTorch.  Complex matrices are supported, with gradients by eig, eigvals and lu alone.

The derivatives: M. Giles 2008, An extended collection of matrix derivative results for forward and
reverse mode automatic differentiation; M. Seeger et al. 2017, arXiv:1710.08717.
"""

from minidl.autograd.primitive import primitive
from minidl.checks import check_flags
from minidl.errors import ArgumentError, GradientError
from minidl.ops.linear_algebra.matrix import FLOAT, check_matrix, check_square, on_diagonal


@primitive(FLOAT)
def cholesky(xp, x, /, *, upper=False):
    """x = L·Lᵀ, L lower triangular;   dx = (S + Sᵀ)/2,   S = L⁻ᵀ·Φ(Lᵀ·dL)·L⁻¹.

    Φ takes the lower triangle, with half of its diagonal.  x is symmetric and positive definite:
    one triangle is read, and dx is symmetric.  `upper` returns U = Lᵀ.  I. Murray 2016,
    arXiv:1602.07527.

    >>> x = minidl.tensor([[4.0, 2.0], [2.0, 5.0]])
    >>> minidl.linalg.cholesky(x)
    Tensor([[2., 0.],
            [1., 2.]], shape=(2, 2), float32)
    """
    check_square(x)
    check_flags("cholesky", upper=upper)
    factor = xp.cholesky(x, upper=upper)

    def dx(dfactor):
        lower, dlower = factor, dfactor
        if upper:
            lower, dlower = xp.matrix_transpose(lower), xp.matrix_transpose(dlower)
        transposed = xp.matrix_transpose(lower)
        product = transposed @ dlower
        half = (xp.tril(product) + xp.tril(product, k=-1)) / 2
        s = xp.solve(transposed, xp.matrix_transpose(xp.solve(transposed, half)))
        return (s + xp.matrix_transpose(s)) / 2

    return factor, dx


def _over_gaps(xp, x, row, column):
    """(x − xᵀ)ᵢⱼ / (rowⱼ − columnᵢ)·(rowⱼ + columnᵢ), and 0 where x − xᵀ is 0."""
    skew = x - xp.matrix_transpose(x)
    gap = (row - column) * (row + column)
    return xp.xdivy(skew, xp.put_at(gap, 1, on_diagonal(*x.shape[-2:])))


@primitive(FLOAT, outputs=2)
def eigh(xp, x, /):
    """x·V = V·diag w;   dx = V·(diag dw + K∘(Vᵀ·dV))·Vᵀ,   Kᵢⱼ = 1 / (wⱼ − wᵢ).

    w ascends; the columns of V are orthonormal.  x is symmetric: its lower triangle is read, and
    dx is symmetric.
    """
    check_square(x)
    w, v = xp.eigh(x)

    def dx(dw, dv):
        row, column = xp.expand_dims(w, axis=-2), xp.expand_dims(w, axis=-1)
        vt = xp.matrix_transpose(v)
        product = vt @ dv
        skew = (product - xp.matrix_transpose(product)) / 2
        gap = xp.put_at(row - column, 1, on_diagonal(*x.shape[-2:]))
        return (v @ xp.xdivy(skew, gap) + v * xp.expand_dims(dw, axis=-2)) @ vt

    return (w, v), dx


@primitive(FLOAT)
def eigvalsh(xp, x, /):
    """The eigenvalues of a symmetric x, ascending;   dx = V·diag dw·Vᵀ.

    >>> minidl.linalg.eigvalsh(minidl.tensor([[0.0, 1.0], [1.0, 0.0]])).round()
    Tensor([-1.,  1.], float32)
    """
    check_square(x)

    def dx(dw):
        _, v = xp.eigh(x)
        return (v * xp.expand_dims(dw, axis=-2)) @ xp.matrix_transpose(v)

    return xp.eigvalsh(x), dx


@primitive(FLOAT, of_complex=True, outputs=2)
def eig(xp, x, /):
    """x·V = V·diag w, complex;   dx = V⁻ᵀ·(diag dw + K∘(Vᵀ·dV'))·Vᵀ,   Kᵢⱼ = 1 / (wⱼ − wᵢ).

    The columns of V have length 1, so that dV' = dV − V*·diag Re(Vᵀ·dV), without the part of dV
    that would change it.  C. Boeddeker et al. 2017, arXiv:1701.00392.
    """
    check_square(x)
    w, v = xp.eig(x)

    def dx(dw, dv):
        growth = xp.real(xp.sum(v * dv, axis=-2, keepdims=True))
        dv = dv - xp.conj(v) * growth
        vt = xp.matrix_transpose(v)
        gap = xp.expand_dims(w, axis=-2) - xp.expand_dims(w, axis=-1)
        diagonal = on_diagonal(*x.shape[-2:])
        inner = xp.xdivy(vt @ dv, xp.put_at(gap, 1, diagonal))
        return xp.solve(vt, xp.put_at(inner, dw, diagonal) @ vt)

    return (w, v), dx


@primitive(FLOAT, of_complex=True)
def eigvals(xp, x, /):
    """The eigenvalues of x, complex, in no order;   dx = V⁻ᵀ·diag dw·Vᵀ.

    >>> minidl.linalg.eigvals(minidl.tensor([[0.0, -1.0], [1.0, 0.0]]))  # of a rotation by 90°
    Tensor([0.+1.j, 0.-1.j], complex64)
    """
    check_square(x)

    def dx(dw):
        _, v = xp.eig(x)
        vt = xp.matrix_transpose(v)
        return xp.solve(vt, xp.expand_dims(dw, axis=-1) * vt)

    return xp.eigvals(x), dx


@primitive(FLOAT, constants=(0,), of_complex=True, outputs=3)
def lu(xp, x, /):
    """x = P·L·U;   dx = P·L⁻ᵀ·(tril(Lᵀ·dL, −1) + triu(dU·Uᵀ))·U⁻ᵀ, of a square x.

    For m < n, x = P·L·[U|W], where W = L⁻¹·Pᵀ·Y gets dY = P·L⁻ᵀ·dW, and dL loses L⁻ᵀ·dW·Wᵀ; for
    m > n likewise with rows.  F. de Hoog, R. Anderssen, M. Lukas 2011, Differentiation of matrix
    functionals using triangular factorization.
    """
    check_matrix(x)
    p, lower, upper = xp.lu(x)
    m, n = x.shape[-2:]
    k = min(m, n)

    def dx(_, dlower, dupper):
        first, last = lower[..., :k, :], upper[..., :k]
        of_lower = xp.matrix_transpose(first) @ dlower[..., :k, :]
        of_upper = dupper[..., :k] @ xp.matrix_transpose(last)
        if n > m:
            of_lower = of_lower - dupper[..., k:] @ xp.matrix_transpose(upper[..., k:])
        if m > n:
            of_upper = of_upper - xp.matrix_transpose(lower[..., k:, :]) @ dlower[..., k:, :]
        inner = xp.tril(of_lower, k=-1) + xp.triu(of_upper, k=0)
        dx = xp.matrix_transpose(xp.solve(last, xp.matrix_transpose(inner)))
        if n > m:
            dx = xp.concat([dx, dupper[..., k:]], axis=-1)
        dx = xp.solve(xp.matrix_transpose(first), dx)
        if m > n:
            behind = xp.solve(last, xp.matrix_transpose(dlower[..., k:, :]))
            dx = xp.concat([dx, xp.matrix_transpose(behind)], axis=-2)
        return p @ dx

    return (p, lower, upper), dx


@primitive(FLOAT, outputs=2)
def qr(xp, x, /, *, mode="reduced"):
    """x = Q·R, QᵀQ = 1, R upper triangular;   dx = (dQ + Q·sym(R·dRᵀ − dQᵀ·Q))·R⁻ᵀ.

    sym mirrors the lower triangle.  For m < n, x = [X|Y] and R = [U|W], where X = Q·U gets
    dQ + Y·dWᵀ for dQ, and dY = Q·dW (H.-J. Liao et al. 2019, arXiv:1903.09650).

    mode    "reduced": Q is (…, m, k) and R (…, k, n), k = min(m, n); "complete": (…, m, m) and
            (…, m, n), which has no gradient if m > n, since the last columns are arbitrary
    """
    check_matrix(x)
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f'mode is "reduced" or "complete"; got {mode!r}')
    q, r = xp.qr(x, mode=mode)
    m, n = x.shape[-2:]

    def dx(dq, dr):
        if mode == "complete" and m > n:
            raise GradientError(
                f'qr: mode="complete" of {m} rows and {n} columns has no gradient; "reduced" has'
            )
        if m >= n:
            return _qr_of_columns(xp, q, r, dq, dr)
        dw = dr[..., m:]
        dq = dq + x[..., m:] @ xp.matrix_transpose(dw)
        return xp.concat([_qr_of_columns(xp, q, r[..., :m], dq, dr[..., :m]), q @ dw], axis=-1)

    return (q, r), dx


def _qr_of_columns(xp, q, r, dq, dr):
    """dx of x = Q·R, for a square R."""
    product = r @ xp.matrix_transpose(dr) - xp.matrix_transpose(dq) @ q
    mirrored = xp.tril(product) + xp.matrix_transpose(xp.tril(product, k=-1))
    return xp.matrix_transpose(xp.solve(r, xp.matrix_transpose(dq + q @ mirrored)))


@primitive(FLOAT, outputs=3)
def svd(xp, x, /, *, full_matrices=True):
    """x = U·diag s·Vᵀ;   dx = U·(K∘(Uᵀ·dU)·s + diag ds + s·K∘(Vᵀ·dV))·Vᵀ + ….

    K∘P = (Pᵢⱼ − Pⱼᵢ) / (sⱼ² − sᵢ²); the dots are the parts outside the spans of U and V, over s:
    (1 − U·Uᵀ)·dU·s⁻¹·Vᵀ + U·s⁻¹·dVᵀ·(1 − V·Vᵀ).  s descends; U, s, Vᵀ are (…, m, k), (…, k) and
    (…, k, n), k = min(m, n), or with `full_matrices` (…, m, m), (…, k), (…, n, n), where gradients
    beyond the first k are ignored, as in PyTorch.  J. Townsend 2016, Differentiating the singular
    value decomposition.
    """
    check_matrix(x)
    check_flags("svd", full_matrices=full_matrices)
    u, s, vt = xp.svd(x, full_matrices=full_matrices)
    k = min(x.shape[-2:])

    def dx(du, ds, dvt):
        return _svd_pullback(xp, u[..., :k], s, vt[..., :k, :], du[..., :k], ds, dvt[..., :k, :])

    return (u, s, vt), dx


def _svd_pullback(xp, u, s, vt, du, ds, dvt):
    """dx of x = U·diag s·Vᵀ, k singular values of each matrix."""
    row, column = xp.expand_dims(s, axis=-2), xp.expand_dims(s, axis=-1)
    ut, v = xp.matrix_transpose(u), xp.matrix_transpose(vt)
    of_u, of_v = ut @ du, dvt @ v
    inner = _over_gaps(xp, of_u, row, column) * row
    inner = inner + column * _over_gaps(xp, xp.matrix_transpose(of_v), row, column)
    dx = (u @ inner + u * xp.expand_dims(ds, axis=-2)) @ vt
    if u.shape[-2] > s.shape[-1]:
        dx = dx + xp.xdivy(du - u @ of_u, row) @ vt
    if v.shape[-2] > s.shape[-1]:
        dx = dx + u @ xp.xdivy(dvt - of_v @ vt, column)
    return dx


@primitive(FLOAT)
def svdvals(xp, x, /):
    """The singular values, descending;   dx = U·diag ds·Vᵀ.

    >>> minidl.linalg.svdvals(minidl.tensor([[3.0, 0.0, 0.0], [0.0, -4.0, 0.0]]))
    Tensor([4., 3.], float32)
    """
    check_matrix(x)

    def dx(ds):
        u, _, vt = xp.svd(x, full_matrices=False)
        return (u * xp.expand_dims(ds, axis=-2)) @ vt

    return xp.svdvals(x), dx
