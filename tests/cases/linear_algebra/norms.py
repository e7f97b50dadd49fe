"""Rows of the norms of vectors and matrices."""

import math

from tests.cases.registry import ops
from tests.helpers import Case, away_from, distinct, real
from tests.oracle import torch

linalg = torch.linalg


# fmt: off
CASES = [
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
