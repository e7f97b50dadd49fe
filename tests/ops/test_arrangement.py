"""Rotated arrays, against PyTorch's."""

import pytest

from minidl import ops
from tests.oracle import torch
from tests.parity import assert_same, distinct

X = distinct(3, 5, 4)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (-1, 0)])
def test_rot90(axes):
    for k in (-1, 0, 1, 2, 3, 5):
        ours = lambda x, k=k: ops.rot90(x, k, axes=axes)
        assert_same(ours, lambda x, k=k: torch.rot90(x, k, axes), X)
