"""Rows of cumulative sums, products and extremes, of differences and integrals."""

import numpy as np

from tests.cases.registry import ops
from tests.helpers import Case, distinct, given, real
from tests.oracle import functional, torch

GRID = np.array([0.0, 0.5, 2.0, 2.5])  # exact in every dtype

# fmt: off
CASES = [
    Case("cumulative_sum", ops.cumulative_sum, lambda x: x.cumsum(0), real(5)),
    Case("cumulative_sum axis", lambda x: ops.cumulative_sum(x, axis=-2),
         lambda x: x.cumsum(-2), real(2, 3, 4)),
    Case("cumulative_sum initial", lambda x: ops.cumulative_sum(x, axis=1, include_initial=True),
         lambda x: functional.pad(x.cumsum(1), (1, 0)), real(2, 3)),
    Case("cumulative_prod", ops.cumulative_prod, lambda x: x.cumprod(0), real(5)),
    Case("cumulative_prod axis", lambda x: ops.cumulative_prod(x, axis=-2),
         lambda x: x.cumprod(-2), real(2, 4, 3)),
    Case("cumulative_prod initial", lambda x: ops.cumulative_prod(x, axis=1, include_initial=True),
         lambda x: functional.pad(x.cumprod(1), (1, 0), value=1.0), real(2, 3)),
    Case("cumulative_prod with zeros", lambda x: ops.cumulative_prod(x, axis=0),
         lambda x: torch.stack([x[0], x[0] * x[1], x[0] * x[1] * x[2]]),
         given([[0, 2, 3], [2, 0, 0], [3, 0, 1]])),
    Case("cumulative_max", lambda x: ops.cumulative_max(x, axis=1)[0],
         lambda x: torch.cummax(x, 1)[0], distinct(2, 5)),
    Case("cumulative_min", lambda x: ops.cumulative_min(x, axis=0)[0],
         lambda x: torch.cummin(x, 0)[0], distinct(5, 2)),
    Case("cumulative_logsumexp", lambda x: ops.cumulative_logsumexp(x, axis=-1),
         lambda x: torch.stack([x[:, : i + 1].logsumexp(1) for i in range(5)], 1), real(2, 5)),
    Case("diff", ops.diff, torch.diff, real(3, 4)),
    Case("diff twice", lambda x: ops.diff(x, axis=0, n=2), lambda x: x.diff(2, 0), real(4, 3)),
    Case("diff between", lambda x, a, b: ops.diff(x, prepend=a, append=b),
         lambda x, a, b: torch.diff(x, prepend=a, append=b), real(2, 3), real(2, 1), real(2, 2)),
    Case("gradient", lambda x: ops.concat(ops.gradient(x), axis=None),
         lambda x: torch.cat([g.flatten() for g in torch.gradient(x)]), real(3, 4)),
    Case("gradient of two samples", lambda x: ops.gradient(x, axis=1)[0],
         lambda x: torch.gradient(x, dim=1)[0], real(3, 2)),
    Case("gradient of order 2", lambda x: ops.gradient(x, axis=-2, edge_order=2, spacing=0.5)[0],
         lambda x: torch.gradient(x, dim=-2, edge_order=2, spacing=0.5)[0], real(4, 2)),
    Case("gradient at places", lambda x, h: ops.gradient(x, spacing=h, edge_order=2)[0],
         None, real(4), given([0.0, 0.5, 2.0, 2.4])),
    Case("gradient of rows at places",
         lambda x: ops.gradient(x, spacing=(GRID.astype(x.dtype), 2.0), axis=(0, 1))[0],
         lambda x: torch.gradient(x, spacing=(torch.tensor(GRID, dtype=x.dtype),), dim=(0,))[0],
         real(4, 2)),
    Case("trapezoid", ops.trapezoid, torch.trapezoid, real(3, 4)),
    Case("trapezoid dx, axis", lambda y: ops.trapezoid(y, dx=0.3, axis=0),
         lambda y: torch.trapezoid(y, dx=0.3, dim=0), real(3, 4)),
    Case("trapezoid at places", lambda y, x: ops.trapezoid(y, x, axis=0),
         lambda y, x: torch.trapezoid(y, x[:, None], dim=0), real(3, 4), distinct(3)),
    Case("cumulative_trapezoid", ops.cumulative_trapezoid, torch.cumulative_trapezoid, real(3, 4)),
    Case("cumulative_trapezoid at places", ops.cumulative_trapezoid,
         torch.cumulative_trapezoid, real(3, 4), distinct(3, 4)),
]
# fmt: on
