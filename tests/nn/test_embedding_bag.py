"""The layer of bags of embeddings, against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import TOLERANCE, random, twins

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


IDS = np.array([1, 2, 4, 5, 4, 3, 2, 9])
OFFSETS = np.array([0, 3, 3, 6])  # the second bag is empty


def gradients_of_bags(mode, dtype, ids, offsets=None, weights=None, **settings):
    """The bags, and the gradient of the table, of both libraries."""
    ours, theirs = twins(
        "EmbeddingBag", dtype, num_embeddings=10, embedding_dim=3, mode=mode, **settings
    )
    found = []
    for layer, library in ((ours, minidl), (theirs, torch)):
        arrays = [None if x is None else library.asarray(x) for x in (ids, offsets, weights)]
        y = layer(*arrays)
        (y * y * library.asarray(random(*y.shape, dtype=dtype))).sum().backward()
        found.append((y, layer.weight.grad))
    return found


def assert_same_bags(*args, **settings):
    (y, dw), (their_y, their_dw) = gradients_of_bags(*args, **settings)
    tolerance = TOLERANCE[y.dtype.name]
    assert_close(y.detach(), their_y.detach().numpy(), tolerance)
    assert_close(dw, their_dw.numpy(), tolerance)


@each_dtype
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_are_pytorchs(mode, dtype):
    assert_same_bags(mode, dtype, IDS.reshape(2, 4))
    assert_same_bags(mode, dtype, IDS, OFFSETS)
    assert_same_bags(mode, dtype, IDS, np.append(OFFSETS, 8), include_last_offset=True)
    assert_same_bags(mode, dtype, IDS, OFFSETS, padding_idx=4)
    assert_same_bags(mode, dtype, IDS, OFFSETS, max_norm=0.7)
    assert_same_bags(mode, dtype, IDS[:0], OFFSETS[:0])
    assert_same_bags(mode, dtype, IDS[:0], OFFSETS[:1] * 0, include_last_offset=True)


@each_dtype
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
@pytest.mark.parametrize(
    "settings", [{}, {"padding_idx": 4}, {"max_norm": 0.7, "scale_grad_by_freq": True}], ids=str
)
def test_sparse_gradients_of_bags_are_the_dense_ones(mode, dtype, settings):
    found = []
    for sparse in (True, False):
        minidl.manual_seed(0)
        layer = nn.EmbeddingBag(10, 3, mode=mode, sparse=sparse, dtype=dtype, **settings)
        (layer(minidl.asarray(IDS), minidl.asarray(OFFSETS)) ** 2).sum().backward()
        assert isinstance(layer.weight.grad, minidl.RowGradient) == sparse
        found.append(np.asarray(layer.weight.grad))
    assert_close(*found, TOLERANCE[dtype])


def test_a_row_is_divided_by_the_count_of_its_own_id():
    """PyTorch 2.13 divides by the count of another one (its issue 190063)."""
    table = minidl.ones((4, 1), requires_grad=True)
    ids, settings = minidl.tensor([1, 1, 3]), {"mode": "sum", "scale_grad_by_freq": True}
    minidl.embedding_bag(table, ids, minidl.tensor([0]), **settings).sum().backward()
    assert table.grad.tolist() == [[0], [1], [0], [1]]


def test_bags_of_weighted_rows_are_pytorchs():
    weights = random(8)
    assert_same_bags("sum", "float64", IDS, OFFSETS, weights)
    assert_same_bags("sum", "float64", IDS.reshape(4, 2), None, weights.reshape(4, 2))


def test_bags_have_sparse_gradients():
    layer = nn.EmbeddingBag(10, 3, sparse=True)
    layer(minidl.asarray(IDS), minidl.asarray(OFFSETS)).sum().backward()
    assert isinstance(layer.weight.grad, minidl.RowGradient)


def test_bags_explain_misuse():
    layer = nn.EmbeddingBag(10, 3)
    ids = minidl.asarray(IDS)
    for misuse, message in (
        (lambda: layer(ids), "offsets"),
        (lambda: layer(ids.reshape((2, 4)), ids), "alone"),
        (lambda: layer(ids, minidl.tensor([1, 2])), "ascend from 0"),
        (lambda: layer(ids, minidl.tensor([0, 3, 2])), "ascend from 0"),
        (lambda: layer(ids, minidl.tensor([0, 9])), "at most 8"),
        (lambda: layer(ids, ids[:0]), "ascend from 0"),
        (lambda: layer(ids, minidl.tensor([0]), random(8, dtype="float32")), 'mode="sum"'),
        (lambda: layer(ids * 1.5, minidl.tensor([0])), "integers"),
        (lambda: layer(ids + 5, minidl.tensor([0])), "rows of the 10"),
        (lambda: nn.EmbeddingBag(10, 3, mode="median"), "mode"),
    ):
        with pytest.raises(minidl.errors.MinidlError, match=message):
            misuse()
