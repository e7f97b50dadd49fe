"""einsum, against PyTorch's and NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.ops.namespace import differentiable
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, random

EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("ji", (2, 3)),
    ("i,j->ji", (2,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (6, 1, 3, 4), (2, 4, 5)),
    ("b...i,bi->b...", (2, 3, 4, 5), (2, 5)),
    ("iij->j", (3, 3, 2)),
    ("ijij->", (2, 3, 2, 3)),
    ("ijk,ij,k->k", (2, 3, 4), (2, 3), (4,)),
    ("i,i,i->", (4,), (4,), (4,)),
    ("...->", (2, 3)),
    ("i...->...", (2, 3)),
    ("ij,kl->", (2, 3), (4, 5)),
    ("ik,kj,jl->il", (2, 3), (3, 4), (4, 5)),
    ("i,->i", (3,), ()),
    ("iji,j->i", (2, 3, 2), (3,)),
    ("ij,jk->ik", (3, 1), (4, 5)),
    (" i j , j -> i ", (3, 4), (4,)),
    ("ij,jk->ik", (3, 0), (0, 5)),
]


@pytest.mark.parametrize("subscripts", EINSUMS, ids=str)
def test_einsum_is_pytorchs(subscripts):
    text, *shapes = subscripts
    assert_same(*both_einsum(text), *(random(*shape, seed=i) for i, shape in enumerate(shapes)))


def both_einsum(text):
    return lambda *xs: ops.einsum(text, *xs), lambda *xs: torch.einsum(text, *xs)


@given(st.data())
def test_einsum_of_random_subscripts_is_numpys(data):
    lengths = dict(zip("abcd", (2, 3, 1, 4), strict=True))
    words = st.text("abcd", max_size=4)
    terms = data.draw(st.lists(words, min_size=1, max_size=3))
    letters = sorted({*"".join(terms)})
    output = "".join(data.draw(st.permutations(letters)))[: data.draw(st.integers(0, 4))]
    xs = [random(*(lengths[letter] for letter in term), seed=i) for i, term in enumerate(terms)]
    text = f"{','.join(terms)}->{output}"
    assert_close(ops.einsum(text, *xs), np.asarray(np.einsum(text, *xs)), 1e-12)


def test_einsum_of_bools_is_numpys():
    x, y = np.random.default_rng(0).random((2, 3, 3)) < 0.4
    for text in ("ij,jk->ik", "ij,ij->", "ij,ij->j", "ij,kj->"):
        found = ops.einsum(text, x, y)
        assert found.dtype == "bool"
        np.testing.assert_array_equal(found, np.einsum(text, x, y))
    assert ops.einsum("ij->i", x).tolist() == x.any(axis=1).tolist()
    counts = np.ones((1, 256), "bool")  # which would be 0 in eight bits
    assert ops.einsum("ij,ij->", counts, counts).item() is True


def test_einsum_takes_small_products_first():
    """A chain of matrices, which from the left would make one of 10⁶ elements."""
    sizes = []
    matmul = differentiable.matmul
    column, row = np.ones((1000, 1)), np.ones((1, 1000))
    differentiable.matmul = lambda a, b: (sizes.append(a.shape[0] * b.shape[-1]), matmul(a, b))[1]
    try:
        y = ops.einsum("ij,jk,kl->il", column, row, column)
        z = ops.einsum("ij,jk,k->i", np.ones((50, 60)), np.ones((60, 70)), np.ones(70))
    finally:
        differentiable.matmul = matmul
    np.testing.assert_array_equal(y, column * 1000)
    np.testing.assert_array_equal(z, np.full(50, 4200.0))
    assert max(sizes) <= 1000


def test_einsum_keeps_dtypes():
    for dtype in ("int32", "float32", "complex64"):
        x = np.ones((2, 3), dtype)
        assert ops.einsum("ij,kj->ik", x, x).dtype == ops.einsum("ij->", x).dtype == dtype
