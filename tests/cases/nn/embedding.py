"""Rows of embeddings and bags of them."""

import numpy as np

from tests.cases.registry import ops
from tests.cases.support import IDS
from tests.helpers import Case, distinct, fixed, real
from tests.oracle import functional, torch

STARTS = np.array([0, 2, 2])  # the second bag is empty


def bags(weight, mode):
    """PyTorch's bags of IDS, which begin at STARTS."""
    reductions = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}
    rows = weight[torch.tensor(IDS)]
    first, last = (reductions[mode](part, 0) for part in (rows[:2], rows[2:]))
    return torch.stack([first, torch.zeros_like(first), last])


# fmt: off
CASES = [
    Case("embedding", ops.embedding, lambda w, i: functional.embedding(i, w),
         real(5, 3), fixed([[4, 0, 4], [1, 1, 2]])),
    Case("embedding of one id", ops.embedding, lambda w, i: functional.embedding(i, w),
         real(5, 3), fixed(3)),
    *(Case(f"embedding_bag {mode}", lambda w, m=mode: ops.embedding_bag(w, IDS, STARTS, mode=m),
           lambda w, m=mode: bags(w, m), distinct(3, 2)) for mode in ("sum", "mean", "max")),
    Case("embedding_bag weights",
         lambda w, p: ops.embedding_bag(w, IDS.reshape(1, 5), None, p, mode="sum", padding_idx=1),
         lambda w, p: (w[torch.tensor(IDS)] * (p * torch.tensor(IDS != 1)).T).sum(0)[None],
         real(3, 2), real(1, 5)),
]
# fmt: on
