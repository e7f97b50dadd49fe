"""Rows of decompositions: what does not depend on the choice of signs is compared."""

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
]
# fmt: on
