"""Rows of matrices by their parts: triangles and diagonals."""

from tests.cases.registry import ops
from tests.helpers import Case, real
from tests.oracle import torch

linalg = torch.linalg


# fmt: off
CASES = [
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
    Case("diag_embed", lambda x: ops.diag_embed(x, offset=-1), lambda x: torch.diag_embed(x, -1),
         real(2, 3)),
    Case("vander", lambda x: ops.vander(x, 4),
         lambda x: torch.stack([x**3, x**2, x, torch.ones_like(x)], -1), real(3)),
    Case("block_diag", ops.block_diag, torch.block_diag, real(2, 3), real(2), real(), real(1, 2)),
]
# fmt: on
