"""Rows of sorting, selection and quantiles."""

from tests.cases.registry import ops
from tests.helpers import Case, distinct
from tests.oracle import torch

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
]
# fmt: on
