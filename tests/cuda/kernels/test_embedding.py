"""Embedding on the GPU: rows gathered, and their gradients added up in the same order each time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import BoundsError
from minidl_cuda.kernels import embedding as kernels
from tests.cuda.kernels.comparison import random
from tests.cuda.kernels.examples import examples

dtypes = st.sampled_from(["float32", "float16"])


def exact(ids, dy, size, padding=None):
    """The gradient of the table as exact sums."""
    ids, dy = ids.reshape(-1), dy.reshape(ids.size, dy.shape[-1]).astype("float64")
    result = np.zeros((size, dy.shape[1]))
    for row in set(ids.tolist()) - {padding}:
        result[row] = [math.fsum(column) for column in dy[ids == row].T]
    return result


def outcome(table, ids, dy, **settings):
    weight = minidl.tensor(table, device="cuda", requires_grad=True)
    y = minidl.embedding(weight, minidl.tensor(ids, device="cuda"), **settings)
    (dtable,) = minidl.gradients(y, [weight], [minidl.tensor(dy, device="cuda")])
    return y.cpu().numpy(), dtable


@examples(40)
@given(
    rows=st.sampled_from([1, 3, 50]),
    width=st.sampled_from([1, 3, 4, 6, 8, 260]),
    shape=st.sampled_from([(), (1,), (7, 5), (300,), (2, 0), (257, 2)]),
    dtype=dtypes,
    padding=st.sampled_from([None, 0, -1]),
    sort=st.booleans(),
)
def test_values_and_gradients(rows, width, shape, dtype, padding, sort):
    table = random(rows, width).astype(dtype)
    ids = np.asarray(np.random.default_rng(3).integers(0, rows, shape))
    dy = random(*shape, width, seed=2).astype(dtype)
    before = kernels._MOST_COMPARED
    kernels._MOST_COMPARED = -1 if sort else before
    try:
        y, found = outcome(table, ids, dy, padding_idx=padding)
    finally:
        kernels._MOST_COMPARED = before
    np.testing.assert_array_equal(y, table[ids])
    right = exact(ids, dy, rows, None if padding is None else padding % rows)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.cpu().numpy(), right.astype(dtype))


def test_launches_and_equal_bits(launches):
    table, ids = random(40, 16), np.random.default_rng(0).integers(0, 40, (8, 25))
    dy = random(8, 25, 16)
    _, first = outcome(table, ids, dy)
    launches.pop("view", None)  # which is none
    assert dict(launches) == {"embedding_gather_16": 1, "zeros": 1, "embedding_add_equal_f32": 1}
    _, second = outcome(table, ids, dy)
    np.testing.assert_array_equal(first.cpu().numpy(), second.cpu().numpy())


def test_a_frequent_id_loses_no_digits():
    ids, dy = np.zeros(5000, "int64"), np.full((5000, 3), np.float32(0.1))
    _, found = outcome(random(2, 3), ids, dy)
    np.testing.assert_array_equal(
        found.cpu().numpy()[0], np.float32(np.float64(np.float32(0.1)) * 5000)
    )


@pytest.mark.parametrize("padding", [None, 2])
def test_sparse_gradients(padding):
    table, ids, dy = random(6, 3), np.array([2, 0, 2, 5]), random(4, 3, seed=1)
    _, found = outcome(table, ids, dy, sparse=True, padding_idx=padding)
    assert isinstance(found, minidl.RowGradient)
    np.testing.assert_allclose(found.numpy(), exact(ids, dy, 6, padding), rtol=1e-6)


@pytest.mark.parametrize("wrong", [6, -1, 2**40])
def test_an_id_that_does_not_exist(wrong):
    weight = minidl.tensor(random(6, 3), device="cuda")
    ids = minidl.tensor(np.array([0, wrong, 99]), device="cuda")
    y = minidl.embedding(weight, ids)
    with pytest.raises(BoundsError, match=r"is outside 0 … 5 .*embedding, called at"):
        y.cpu()


def test_unaligned_tables_and_other_integers(launches):
    table = random(5, 8)
    weight = minidl.tensor(table, device="cuda")[1:, 1:]
    for dtype in ("int32", "uint8"):
        ids = minidl.tensor(np.array([3, 0]), dtype=dtype, device="cuda")
        np.testing.assert_array_equal(
            minidl.embedding(weight, ids).cpu().numpy(), table[1:, 1:][[3, 0]]
        )
