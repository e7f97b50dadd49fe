"""Matrices made of diagonals, powers and products, against PyTorch's and NumPy's."""

import numpy as np
import pytest

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, both, distinct, random

X = distinct(3, 5, 4)


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_diagonal_and_diag_embed_are_inverse(offset):
    ours, theirs = lambda x: ops.diag_embed(x, offset=offset), lambda x: torch.diag_embed(x, offset)
    assert_same(ours, theirs, X)
    assert_close(minidl.linalg.diagonal(ours(X), offset=offset), X, 0)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (4, 5)), ((2,), (3, 4)), ((2, 3, 2), (2,)), ((), (2,))]
)
def test_kron(shapes):
    assert_same(*both("kron"), *(random(*shape) for shape in shapes))


@pytest.mark.parametrize("n", [None, 0, 1, 4])
def test_vander_is_numpys(n):
    x = random(5)
    for increasing in (False, True):
        assert_close(ops.vander(x, n, increasing=increasing), np.vander(x, n, increasing), 1e-14)
