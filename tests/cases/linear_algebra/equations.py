"""Rows of linear equations, inverses, determinants, powers and exponentials."""

from math import inf

from tests.cases.linear_algebra.support import regular, wrapped
from tests.cases.registry import ops
from tests.helpers import Case, distinct, positive, real, unit
from tests.oracle import torch

linalg = torch.linalg


# fmt: off
CASES = [
    wrapped("inv", ops.inv, linalg.inv, regular, unit(2, 3, 3)),
    wrapped("solve", ops.solve, linalg.solve, regular, unit(3, 3), real(3, 2)),
    wrapped("solve a vector", ops.solve, linalg.solve, regular, unit(3, 3), real(3)),
    wrapped("solve a batch", ops.solve, linalg.solve, regular, unit(2, 3, 3), real(3, 2)),
    wrapped("solve broadcast", ops.solve, linalg.solve, regular, unit(2, 1, 3, 3), real(2, 3, 1)),
    wrapped("solve_triangular upper", lambda x, y: ops.solve_triangular(x, y, upper=True),
         lambda x, y: linalg.solve_triangular(x.triu(), y, upper=True),
         regular, unit(2, 3, 3), real(3, 2)),
    wrapped("solve_triangular lower", lambda x, y: ops.solve_triangular(x, y, upper=False),
         lambda x, y: linalg.solve_triangular(x.tril(), y, upper=False),
         regular, unit(3, 3), real(3, 1)),
    Case("solve_triangular unit",
         lambda x, y: ops.solve_triangular(x, y, upper=True, unitriangular=True),
         lambda x, y: linalg.solve_triangular(x.triu(1) + torch.eye(3, dtype=x.dtype), y,
                                              upper=True), unit(3, 3), real(3, 2)),
    wrapped("det", ops.det, linalg.det, regular, unit(2, 3, 3)),
    wrapped("adjugate", ops.adjugate, lambda x: linalg.det(x) * linalg.inv(x), regular, unit(3, 3)),
    wrapped("slogdet", lambda x: ops.slogdet(x)[1], lambda x: linalg.slogdet(x)[1],
         regular, unit(2, 3, 3)),
    Case("pinv", ops.pinv, linalg.pinv, distinct(4, 2)),
    Case("pinv wide", ops.pinv, linalg.pinv, distinct(2, 2, 3)),
    *[Case(f"matrix_power {n}", lambda x, n=n: ops.matrix_power(x, n),
           lambda x, n=n: linalg.matrix_power(x, n), unit(2, 3, 3)) for n in (1, 2, 3, 5)],
    wrapped("matrix_power of the inverse", lambda x: ops.matrix_power(x, -2),
         lambda x: linalg.matrix_power(x, -2), regular, unit(3, 3)),
    Case("cholesky_solve", lambda x, y: ops.cholesky_solve(y, x), lambda x, y:
         torch.cholesky_solve(y, x.tril()), positive(2, 3, 3), real(2, 3, 2)),
    Case("cholesky_solve upper", lambda x, y: ops.cholesky_solve(y, x, upper=True), lambda x, y:
         torch.cholesky_solve(y, x.triu(), True), positive(3, 3), real(3, 2)),
    *[wrapped(f"cond {p}", lambda x, p=p: ops.cond(x, p), lambda x, p=p: linalg.cond(x, p),
              regular, unit(2, 3, 3)) for p in (None, 2, -2, "nuc")],
    *[wrapped(f"cond {p}", lambda x, p=p: ops.cond(x, p),  # PyTorch's has no gradient
              lambda x, p=p: linalg.matrix_norm(x, p) * linalg.matrix_norm(linalg.inv(x), p),
              regular, unit(2, 3, 3)) for p in (1, -1, inf, -inf, "fro")],
    Case("cond tall", ops.cond, linalg.cond, distinct(4, 2)),
    Case("matrix_exp", ops.matrix_exp, linalg.matrix_exp, real(2, 3, 3)),
    # PyTorch's own loses digits in the third derivative of a large matrix.
    Case("matrix_exp large", lambda x: ops.matrix_exp(8 * x) / 1e4, None, unit(2, 2)),
]
# fmt: on
