"""The rows of `tests.cases` for linear algebra.

Of decompositions, what does not depend on the choice of signs is compared.
"""

import math

from minidl.ops.namespace import differentiable as ops
from tests.helpers import Case, away_from, distinct, real, unit
from tests.oracle import torch

APART = [[1.5, 0, 0], [0, -3.5, 0], [0, 0, 6]]
TWICE = [[2.0, 0, 0], [0, 2, 0], [0, 0, 2]]


def regular(function):
    """The function of x plus a diagonal matrix: invertible, its eigenvalues far apart."""
    return lambda x, *xs: function(x + _diagonal(x, APART), *xs)


def symmetric(function):
    """The function of x + xᵀ plus a diagonal matrix."""
    return lambda x: function(x + x.mT + _diagonal(x, APART))


def definite(function):
    """The function of x·xᵀ + 2."""
    return lambda x: function(x @ x.mT + _diagonal(x, TWICE))


def _diagonal(x, values):
    library = torch if type(x).__module__.startswith("torch") else ops
    return library.asarray(values, dtype=x.dtype)


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


def _row(name, ours, theirs, wrap, *inputs):
    """One row, with both functions wrapped."""
    return Case(name, wrap(ours), wrap(theirs), *inputs)


linalg = torch.linalg


def joined(xs, axis):
    return ops.concat(xs, axis=axis)


# fmt: off
PARTS = [
    Case("tril", ops.tril, torch.tril, real(2, 3, 4)),
    Case("tril k", lambda x: ops.tril(x, k=-1), lambda x: x.tril(-1), real(3, 3)),
    Case("triu", ops.triu, torch.triu, real(2, 4, 3)),
    Case("triu k", lambda x: ops.triu(x, k=1), lambda x: x.triu(1), real(3, 3)),
    Case("diagonal", ops.diagonal, linalg.diagonal, real(2, 3, 4)),
    Case("diagonal above", lambda x: ops.diagonal(x, offset=2),
         lambda x: linalg.diagonal(x, offset=2), real(3, 4)),
    Case("diagonal below", lambda x: ops.diagonal(x, offset=-1),
         lambda x: linalg.diagonal(x, offset=-1), real(3, 4)),
    Case("trace", ops.trace, torch.trace, real(3, 4)),
    Case("trace of a batch", lambda x: ops.trace(x, offset=1),
         lambda x: x.diagonal(1, -2, -1).sum(-1), real(2, 3, 4)),
    Case("outer", ops.outer, torch.outer, real(3), real(4)),
    Case("vecdot", ops.vecdot, linalg.vecdot, real(2, 3), real(2, 3)),
    Case("vecdot axis", lambda x, y: ops.vecdot(x, y, axis=-2),
         lambda x, y: linalg.vecdot(x, y, dim=-2), real(2, 3, 4), real(3, 1)),
    Case("cross", ops.cross, linalg.cross, real(2, 3), real(2, 3)),
    Case("cross axis", lambda x, y: ops.cross(x, y, axis=0),
         lambda x, y: linalg.cross(x, y, dim=0), real(3, 2), real(3, 2)),
    Case("cross broadcast", lambda x, y: ops.cross(x, y, axis=-2),
         lambda x, y: linalg.cross(x, y, dim=-2), real(2, 3, 2), real(1, 3, 2)),
    Case("tensordot", ops.tensordot, torch.tensordot, real(2, 3, 4), real(3, 4, 2)),
    Case("tensordot of no axes", lambda x, y: ops.tensordot(x, y, axes=0),
         lambda x, y: torch.tensordot(x, y, dims=0), real(2, 3), real(2)),
    Case("tensordot axes", lambda x, y: ops.tensordot(x, y, axes=((0, -1), (1, 0))),
         lambda x, y: torch.tensordot(x, y, dims=((0, -1), (1, 0))), real(2, 3, 4), real(4, 2)),
]

DECOMPOSITIONS = [
    _row("cholesky", ops.cholesky, linalg.cholesky, definite, unit(2, 3, 3)),
    _row("cholesky upper", lambda x: ops.cholesky(x, upper=True),
         lambda x: linalg.cholesky(x, upper=True), definite, unit(3, 3)),
    _row("eigh", of_eigh(ops.eigh), of_eigh(linalg.eigh), symmetric, unit(2, 3, 3)),
    _row("eigvalsh", ops.eigvalsh, linalg.eigvalsh, symmetric, unit(2, 3, 3)),
    _row("qr", of_qr(ops.qr, joined, -1), of_qr(linalg.qr, torch.cat, -1), regular, unit(2, 3, 3)),
    Case("qr tall", of_qr(ops.qr, joined, -2), of_qr(linalg.qr, torch.cat, -2), unit(2, 4, 2)),
    Case("qr wide", of_qr(ops.qr, joined, -1), of_qr(linalg.qr, torch.cat, -1), unit(2, 4)),
    Case("qr complete", of_qr(ops.qr, joined, -1, mode="complete"),
         of_qr(linalg.qr, torch.cat, -1, mode="complete"), unit(2, 4)),
    _row("svd", of_svd(ops.svd), of_svd(linalg.svd), regular, unit(2, 3, 3)),
    Case("svd tall", of_svd(ops.svd, 2, full_matrices=False),
         of_svd(linalg.svd, 2, full_matrices=False), distinct(4, 2)),
    Case("svd wide", of_svd(ops.svd, 2, full_matrices=False),
         of_svd(linalg.svd, 2, full_matrices=False), distinct(2, 4)),
    Case("svd full", of_svd(ops.svd, 2), of_svd(linalg.svd, 2, full_matrices=False),
         distinct(4, 2)),
    _row("svdvals", ops.svdvals, linalg.svdvals, regular, unit(2, 3, 3)),
    Case("svdvals wide", ops.svdvals, linalg.svdvals, distinct(2, 4)),
]

EQUATIONS = [
    _row("inv", ops.inv, linalg.inv, regular, unit(2, 3, 3)),
    _row("solve", ops.solve, linalg.solve, regular, unit(3, 3), real(3, 2)),
    _row("solve a vector", ops.solve, linalg.solve, regular, unit(3, 3), real(3)),
    _row("solve a batch", ops.solve, linalg.solve, regular, unit(2, 3, 3), real(3, 2)),
    _row("solve broadcast", ops.solve, linalg.solve, regular, unit(2, 1, 3, 3), real(2, 3, 1)),
    _row("solve_triangular upper", lambda x, y: ops.solve_triangular(x, y, upper=True),
         lambda x, y: linalg.solve_triangular(x.triu(), y, upper=True),
         regular, unit(2, 3, 3), real(3, 2)),
    _row("solve_triangular lower", lambda x, y: ops.solve_triangular(x, y, upper=False),
         lambda x, y: linalg.solve_triangular(x.tril(), y, upper=False),
         regular, unit(3, 3), real(3, 1)),
    Case("solve_triangular unit",
         lambda x, y: ops.solve_triangular(x, y, upper=True, unitriangular=True),
         lambda x, y: linalg.solve_triangular(x.triu(1) + torch.eye(3, dtype=x.dtype), y,
                                              upper=True), unit(3, 3), real(3, 2)),
    _row("det", ops.det, linalg.det, regular, unit(2, 3, 3)),
    _row("adjugate", ops.adjugate, lambda x: linalg.det(x) * linalg.inv(x), regular, unit(3, 3)),
    _row("slogdet", lambda x: ops.slogdet(x)[1], lambda x: linalg.slogdet(x)[1],
         regular, unit(2, 3, 3)),
    Case("pinv", ops.pinv, linalg.pinv, distinct(4, 2)),
    Case("pinv wide", ops.pinv, linalg.pinv, distinct(2, 2, 3)),
    *[Case(f"matrix_power {n}", lambda x, n=n: ops.matrix_power(x, n),
           lambda x, n=n: linalg.matrix_power(x, n), unit(2, 3, 3)) for n in (1, 2, 3, 5)],
    _row("matrix_power of the inverse", lambda x: ops.matrix_power(x, -2),
         lambda x: linalg.matrix_power(x, -2), regular, unit(3, 3)),
]

MAGNITUDES = [
    *[Case(f"vector_norm {p}", lambda x, p=p: ops.vector_norm(x, ord=p),
           lambda x, p=p: linalg.vector_norm(x, ord=p), distinct(3, 4, shift=0.25))
      for p in (2, 3, 1.5, -1, -2.5)],
    Case("vector_norm 0.5", lambda x: ops.vector_norm(x, ord=0.5),
         lambda x: linalg.vector_norm(x, ord=0.5), distinct(2, 2, shift=0.25)),
    Case("vector_norm 1", lambda x: ops.vector_norm(x, ord=1),
         lambda x: linalg.vector_norm(x, ord=1), away_from([0], 3, 4)),
    *[Case(f"vector_norm {p}", lambda x, p=p: ops.vector_norm(x, ord=p, axis=1),
           lambda x, p=p: linalg.vector_norm(x, ord=p, dim=1), distinct(3, 4, shift=0.1))
      for p in (math.inf, -math.inf)],
    Case("vector_norm axes", lambda x: ops.vector_norm(x, axis=(0, -1), keepdims=True),
         lambda x: linalg.vector_norm(x, dim=(0, -1), keepdim=True), real(2, 3, 4)),
    *[Case(f"matrix_norm {p}", lambda x, p=p: ops.matrix_norm(x, ord=p),
           lambda x, p=p: linalg.matrix_norm(x, ord=p), distinct(2, 3, 4, shift=0.1))
      for p in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)],
    Case("matrix_norm keepdims", lambda x: ops.matrix_norm(x, ord=2, keepdims=True),
         lambda x: linalg.matrix_norm(x, ord=2, keepdim=True), distinct(3, 4)),
]
# fmt: on

LINALG = PARTS + DECOMPOSITIONS + EQUATIONS + MAGNITUDES
