"""Bags of embeddings as an operation, against PyTorch's."""

import numpy as np
import pytest

from minidl import ops
from tests.oracle import functional, torch
from tests.parity import assert_same, distinct, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@each_dtype
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_embedding_bag_is_pytorchs(mode, dtype):
    ids, starts = np.array([1, 2, 0, 2, 3]), np.array([0, 3, 3])
    for settings in ({}, {"padding_idx": 2}, {"padding_idx": -1}):
        ours = lambda w, s=settings: ops.embedding_bag(w, ids, starts, mode=mode, **s)
        theirs = lambda w, s=settings: functional.embedding_bag(
            torch.tensor(ids), w, torch.tensor(starts), mode=mode, **s
        )
        assert_same(ours, theirs, distinct(4, 3, dtype=dtype), second=False)


def test_gradients_of_bags_by_frequency():
    """PyTorch's embedding_bag takes the frequency of another row; its embedding does not."""
    ids, weight = np.array([1, 2, 0, 2, 3]), random(4, 3)
    ours = lambda w: ops.embedding_bag(w, ids[None], mode="sum", scale_grad_by_freq=True)
    theirs = lambda w: functional.embedding(torch.tensor(ids), w, scale_grad_by_freq=True)
    assert_same(ours, lambda w: theirs(w).sum(0)[None], weight, second=False)
