"""Rows of sorting, selection, quantiles and covariances."""

from tests.cases.registry import ops
from tests.helpers import Case, distinct, positive, real
from tests.oracle import torch

COUNTS = [2, 1, 3, 1]

# fmt: off
CASES = [
    Case("sort", ops.sort, lambda x: x.sort().values, distinct(3, 4)),
    Case("sort axis", lambda x: ops.sort(x, axis=0), lambda x: x.sort(0).values, distinct(3, 4)),
    Case("sort descending", lambda x: ops.sort(x, descending=True),
         lambda x: x.sort(descending=True).values, distinct(3, 4)),
    Case("topk", lambda x: ops.topk(x, 2)[0], lambda x: torch.topk(x, 2)[0], distinct(3, 4)),
    Case("topk smallest, axis", lambda x: ops.topk(x, 2, axis=0, largest=False)[0],
         lambda x: torch.topk(x, 2, 0, False)[0], distinct(3, 4)),
    Case("kthvalue", lambda x: ops.kthvalue(x, 2, axis=0)[0],
         lambda x: torch.kthvalue(x, 2, 0)[0], distinct(3, 4)),
    Case("quantile", lambda x: ops.quantile(x, 0.3), lambda x: torch.quantile(x, 0.3),
         distinct(3, 3)),
    Case("quantile several, axis", lambda x: ops.quantile(x, [0.1, 0.8], axis=1, keepdims=True),
         lambda x: torch.quantile(x, torch.tensor([0.1, 0.8], dtype=x.dtype), 1, True),
         distinct(2, 4)),
    Case("nanquantile", lambda x: ops.nanquantile(x, 0.6, axis=0, interpolation="midpoint"),
         lambda x: torch.nanquantile(x, 0.6, 0, interpolation="midpoint"), distinct(4, 2)),
    Case("median", lambda x: ops.median(x, axis=-1), lambda x: torch.quantile(x, 0.5, -1),
         distinct(2, 4)),
    Case("nanmedian", lambda x: ops.nanmedian(x, axis=-1), lambda x: torch.quantile(x, 0.5, -1),
         distinct(2, 4)),
    Case("mode", lambda x: ops.mode(ops.concat([x, x[:, 1:3]], axis=1))[0],
         lambda x: torch.minimum(x[:, 1], x[:, 2]), distinct(3, 4)),
    Case("mode axis", lambda x: ops.mode(x, axis=0, keepdims=True)[0], lambda x: x.amin(0, True),
         distinct(3, 4)),
    Case("cov", ops.cov, torch.cov, real(3, 5)),
    Case("cov of a vector", lambda x: ops.cov(x, correction=0),
         lambda x: torch.cov(x, correction=0), real(5)),
    Case("cov weighted", lambda x, w: ops.cov(x, fweights=ops.asarray(COUNTS), aweights=w),
         lambda x, w: torch.cov(x, fweights=torch.tensor(COUNTS), aweights=w),
         real(2, 4), positive(4)),
    Case("corrcoef", ops.corrcoef, torch.corrcoef, real(3, 5)),
]
# fmt: on
