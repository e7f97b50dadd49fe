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


@pytest.mark.parametrize("shape", [(3,), (3, 4), (4, 2), (0, 3), (2, 0)])
def test_indices_of_triangles_are_numpys(shape):
    columns = shape[-1]
    for k in (-2, 0, 1, 5):
        for name in ("tril", "triu"):
            ours, theirs = (getattr(library, f"{name}_indices") for library in (ops, np))
            for found, needed in zip(ours(*shape, k=k), theirs(shape[0], k, columns), strict=True):
                assert found.dtype == "int64"
                np.testing.assert_array_equal(found, needed)


def test_blocks_of_every_rank_and_dtype():
    parts = [random(2, 3), random(2), np.array(5.0), random(0, 2)]
    needed = torch.block_diag(*map(torch.tensor, parts))
    np.testing.assert_array_equal(ops.block_diag(*parts), needed)
    assert ops.block_diag(np.ones((1, 1), int), np.ones((1, 1), "float32")).dtype == "float32"
    assert ops.block_diag(np.ones((0, 0))).shape == (0, 0)
    with pytest.raises(minidl.errors.ShapeError, match="block_diag: needs at least one matrix"):
        ops.block_diag()
    with pytest.raises(minidl.errors.ShapeError, match="block_diag: needs matrices, vectors"):
        ops.block_diag(np.ones((1, 1, 1)))
