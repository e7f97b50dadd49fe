"""Rows of decompositions: what does not depend on the choice of signs is compared."""

import numpy as np

from tests.cases.linear_algebra.support import definite, regular, symmetric, wrapped
from tests.cases.registry import ops
from tests.helpers import Case, distinct, unit
from tests.oracle import torch

linalg = torch.linalg


def values_and_projections(values, vectors, others):
    """For each value the product of its column of `vectors` with that of `others`."""
    projections = vectors[..., :, None, :] * others[..., None, :, :]
    return values[..., None, None, :] + projections


def of_eigh(eigh):
    return lambda x: (lambda w, v: values_and_projections(w, v, v))(*eigh(x))


def of_svd(svd, k=3, **settings):
    def function(x):
        u, s, vt = svd(x, **settings)
        return values_and_projections(s, u[..., :k], vt.mT[..., :k])

    return function


def turning(library, x):
    """A real matrix with two complex eigenvalues."""
    turn = np.array([[0.0, -6.0, 0.0], [6.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    return (
        x + library.asarray(turn).astype(x.dtype)
        if library is ops
        else x + torch.tensor(turn, dtype=x.dtype)
    )


def of_eig(library, prepared=lambda library, x: x):
    """What depends neither on the phase of eigenvectors nor on their order: Σ |w|²·(v·v*)."""

    def function(x):
        w, v = (library.linalg if library is torch else library).eig(prepared(library, x))
        projections = v[..., :, None, :] * library.conj(v)[..., None, :, :]
        sizes = library.abs(w)[..., None, None, :] ** 2
        y = (library.real(projections) + 2 * library.imag(projections)) * sizes
        y = y.sum(-1) if library is torch else y.sum(axis=-1)
        return y.type(x.dtype) if library is torch else y.astype(x.dtype)

    return function


def of_eigvals(library):
    """Σ of powers of the eigenvalues, which do not depend on their order."""

    def function(x):
        w = (library.linalg if library is torch else library).eigvals(x)
        powers = [library.real(w) / 4, library.abs(w) / 4, library.real(w**2) / 9]
        sums = [p.sum(-1) if library is torch else p.sum(axis=-1) for p in powers]
        y = library.stack(sums)
        return y.type(x.dtype) if library is torch else y.astype(x.dtype)

    return function


def of_lu(lu, concat, axis):
    """L and U side by side, of which the shorter is filled up."""

    def function(x):
        _, lower, upper = lu(x)
        return concat([lower, upper], axis)

    return function


def of_qr(qr, concat, axis, **settings):
    return lambda x: concat(list(qr(x, **settings)), axis)


def joined(xs, axis):
    return ops.concat(xs, axis=axis)


# fmt: off
CASES = [
    wrapped("cholesky", ops.cholesky, linalg.cholesky, definite, unit(2, 3, 3)),
    wrapped("cholesky upper", lambda x: ops.cholesky(x, upper=True),
         lambda x: linalg.cholesky(x, upper=True), definite, unit(3, 3)),
    wrapped("eigh", of_eigh(ops.eigh), of_eigh(linalg.eigh), symmetric, unit(2, 3, 3)),
    wrapped("eigvalsh", ops.eigvalsh, linalg.eigvalsh, symmetric, unit(2, 3, 3)),
    wrapped("qr", of_qr(ops.qr, joined, -1), of_qr(linalg.qr, torch.cat, -1), regular,
            unit(2, 3, 3)),
    Case("qr tall", of_qr(ops.qr, joined, -2), of_qr(linalg.qr, torch.cat, -2), unit(2, 4, 2)),
    Case("qr wide", of_qr(ops.qr, joined, -1), of_qr(linalg.qr, torch.cat, -1), unit(2, 4)),
    Case("qr complete", of_qr(ops.qr, joined, -1, mode="complete"),
         of_qr(linalg.qr, torch.cat, -1, mode="complete"), unit(2, 4)),
    wrapped("svd", of_svd(ops.svd), of_svd(linalg.svd), regular, unit(2, 3, 3)),
    Case("svd tall", of_svd(ops.svd, 2, full_matrices=False),
         of_svd(linalg.svd, 2, full_matrices=False), distinct(4, 2)),
    Case("svd wide", of_svd(ops.svd, 2, full_matrices=False),
         of_svd(linalg.svd, 2, full_matrices=False), distinct(2, 4)),
    Case("svd full", of_svd(ops.svd, 2), of_svd(linalg.svd, 2, full_matrices=False),
         distinct(4, 2)),
    wrapped("svdvals", ops.svdvals, linalg.svdvals, regular, unit(2, 3, 3)),
    Case("svdvals wide", ops.svdvals, linalg.svdvals, distinct(2, 4)),
    wrapped("eig", of_eig(ops), of_eig(torch), regular, unit(2, 3, 3)),
    wrapped("eig of complex ones", of_eig(ops, turning), of_eig(torch, turning), regular,
            unit(3, 3)),
    wrapped("eigvals", of_eigvals(ops), of_eigvals(torch), regular, unit(2, 3, 3)),
    wrapped("lu", of_lu(ops.lu, joined, -1), of_lu(linalg.lu, torch.cat, -1), regular,
            unit(2, 3, 3)),
    Case("lu tall", of_lu(ops.lu, joined, -2), of_lu(linalg.lu, torch.cat, -2), unit(2, 4, 2)),
    Case("lu wide", of_lu(ops.lu, joined, -1), of_lu(linalg.lu, torch.cat, -1), unit(2, 4)),
]
# fmt: on
