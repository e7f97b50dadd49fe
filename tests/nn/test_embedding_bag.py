"""Bags of embeddings: the kernel against the body, the layer against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn
from minidl.backends.kernels import embedding_bag as kernels
from minidl.testing import gradcheck
from tests.exactness import KINDS, excess, hostile
from tests.helpers import assert_all_close, assert_close
from tests.oracle import torch
from tests.parity import TOLERANCE, random, twins

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


IDS = np.array([1, 2, 4, 5, 4, 3, 2, 9])
OFFSETS = np.array([0, 3, 3, 6])  # the second bag is empty


# The kernel.

EACH_WAY = "fast", "reference"


def outcome(how, table, ids, offsets=None, weights=None, **settings):
    """The bags, and the gradients of the table and of the weights."""
    leaves = [minidl.asarray(x, requires_grad=True) for x in (table, weights) if x is not None]
    with minidl.kernels(how):
        more = () if weights is None else leaves[1:]
        where = None if offsets is None else minidl.asarray(offsets)
        y = minidl.embedding_bag(leaves[0], minidl.asarray(ids), where, *more, **settings)
        dy = np.random.default_rng(5).integers(-4, 5, y.shape).astype(y.dtype)
        found = minidl.gradients(y, leaves, [minidl.asarray(dy)])
    return [np.asarray(x) for x in (y.detach(), *found)]


@given(
    rows=st.integers(1, 9),
    width=st.integers(0, 5),
    sizes=st.lists(st.integers(0, 9), max_size=5),
    flat=st.booleans(),
    mode=st.sampled_from(["sum", "mean", "max", "weighted"]),
    padding=st.none() | st.integers(-9, 8),
    dtype=st.sampled_from(["float32", "float64"]),
    integer=st.sampled_from(["int64", "int32", "uint8"]),
    sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_is_the_body(
    rows, width, sizes, flat, mode, padding, dtype, integer, sparse, seed
):
    rng = np.random.default_rng(seed)
    table = rng.integers(-3, 4, (rows, width)).astype(dtype)  # with ties
    offsets = np.cumsum([0, *sizes])[:-1]
    shape = sum(sizes) if flat else (len(sizes), sum(sizes) % 7)
    ids = rng.integers(0, rows, shape).astype(integer)
    weights = rng.normal(size=shape).astype(dtype) if mode == "weighted" else None
    settings = {"mode": "sum" if mode == "weighted" else mode, "sparse": sparse}
    settings["padding_idx"] = padding if padding is None or -rows <= padding < rows else None
    arrays = table, ids, offsets.astype(integer) if flat else None, weights
    fast, slow = (outcome(how, *arrays, **settings) for how in EACH_WAY)
    assert_all_close(fast, slow, TOLERANCE[dtype])
    assert kernels.embedding_bag(*arrays, **settings) is not NotImplemented


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_nan_and_infinity_are_the_bodys(mode):
    table = np.array([[np.nan, 1, 2], [np.inf, -np.inf, 3], [-np.inf, np.inf, 0]], "float32")
    for ids in ([[0, 1]], [[1, 0]], [[1, 2]], [[2, 1]], [[2, 2]], [[0, 0]]):
        fast, slow = (outcome(how, table, np.array(ids), mode=mode) for how in EACH_WAY)
        for one, other in zip(fast, slow, strict=True):
            np.testing.assert_array_equal(one, other)
    padded, _ = outcome("fast", table, np.array([[0, 1]]), mode=mode, padding_idx=0)
    np.testing.assert_array_equal(padded, table[[1]])


@given(st.sampled_from(KINDS), st.sampled_from(["float32", "float64"]), st.integers(1, 3000))
def test_sums_are_within_the_bound(kind, dtype, n):
    table = hostile(kind, (n, 2), dtype)
    total, _ = outcome("fast", table, np.arange(n)[None], mode="sum")
    assert excess(total, table, axis=0) <= 1


@pytest.mark.parametrize("chunks", [2, 3, 7])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_any_number_of_threads_gives_the_same_bits(mode, chunks, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(40, 5)).astype("float32"), rng.integers(0, 40, (9, 7))
    alone = outcome("fast", *arrays, mode=mode, padding_idx=3)
    monkeypatch.setattr(kernels.threads, "chunks", lambda _: chunks)
    for one, other in zip(outcome("fast", *arrays, mode=mode, padding_idx=3), alone, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_can_be_differentiated_twice(mode):
    table, ids = minidl.tensor(random(3, 2)), minidl.tensor([[1, 2, 1], [0, 0, 2]])
    assert gradcheck(lambda t: minidl.embedding_bag(t, ids, mode=mode) ** 2, table, order=2)


# The layer and PyTorch's.


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
        (lambda: layer(ids + 5, minidl.tensor([0])), "rows of the 10|index 10 is outside 0 … 9"),
        (lambda: nn.EmbeddingBag(10, 3, mode="median"), "mode"),
    ):
        with pytest.raises(minidl.errors.MinidlError, match=message):
            misuse()
