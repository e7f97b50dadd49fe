"""Rows of the products of vectors, matrices and tensors."""

from tests.cases.registry import ops
from tests.helpers import Case, real
from tests.oracle import torch

linalg = torch.linalg


# fmt: off
CASES = [
    Case("matmul", ops.matmul, torch.matmul, real(2, 3), real(3, 4)),
    Case("matmul two vectors", ops.matmul, torch.matmul, real(3), real(3)),
    Case("matmul vector and matrix", ops.matmul, torch.matmul, real(3), real(3, 4)),
    Case("matmul matrix and vector", ops.matmul, torch.matmul, real(2, 3), real(3)),
    Case("matmul vector and batch", ops.matmul, torch.matmul, real(3), real(2, 3, 4)),
    Case("matmul batch and vector", ops.matmul, torch.matmul, real(2, 4, 3), real(3)),
    Case("matmul batches", ops.matmul, torch.matmul, real(2, 4, 3), real(2, 3, 2)),
    Case("matmul batch and matrix", ops.matmul, torch.matmul, real(2, 4, 3), real(3, 2)),
    Case("matmul matrix and batch", ops.matmul, torch.matmul, real(4, 3), real(2, 3, 2)),
    Case("matmul batches broadcast", ops.matmul, torch.matmul, real(3, 1, 2, 4), real(2, 4, 3)),
    Case("matmul batches of 1", ops.matmul, torch.matmul, real(1, 2, 3), real(4, 3, 2)),
    Case("matmul with itself", lambda x: x @ x.T, lambda x: x @ x.T, real(2, 3)),
    Case("precise_matmul", ops.precise_matmul, torch.matmul, real(2, 3), real(3, 4)),
    Case("precise_matmul batch and matrix", ops.precise_matmul, torch.matmul, real(2, 4, 3),
         real(3, 2)),
    Case("outer", ops.outer, torch.outer, real(3), real(4)),
    Case("kron", ops.kron, torch.kron, real(2, 3), real(2, 1)),
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
    Case("einsum", lambda *xs: ops.einsum("bij,bjk->bik", *xs),
         lambda *xs: torch.einsum("bij,bjk->bik", *xs), real(2, 2, 3), real(2, 3, 2)),
    Case("einsum diagonal, ellipsis", lambda *xs: ops.einsum("...ii,ij,...j->...i", *xs),
         lambda *xs: torch.einsum("...ii,ij,...j->...i", *xs), real(2, 3, 3), real(3, 2),
         real(1, 2)),
]
# fmt: on
