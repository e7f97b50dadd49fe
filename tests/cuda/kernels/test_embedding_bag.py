"""Embedding bags on the GPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, BoundsError
from tests.cuda.kernels.comparison import compare, random
from tests.cuda.kernels.examples import examples

KERNELS = "embedding_"


@examples(40)
@given(
    mode=st.sampled_from(["sum", "mean", "max"]),
    width=st.sampled_from([1, 3, 32, 300]),
    form=st.sampled_from(["table", "offsets", "last"]),
    weighted=st.booleans(),
    padding=st.sampled_from([None, 2, -1]),
    dtype=st.sampled_from(["float32", "float16"]),
)
def test_values_and_gradients(mode, width, form, weighted, padding, dtype):
    rng = np.random.default_rng(width)
    if form == "table":
        ids, offsets = rng.integers(0, 7, (5, 4)), None
    else:
        ids = rng.integers(0, 7, 23)
        offsets = np.array([0, 0, 4, 4, 11, 20] + [23] * (form == "last"))
    factors = random(*ids.shape, seed=4) if weighted and mode == "sum" else None
    operation = lambda w, i, o=None, f=None: minidl.embedding_bag(
        w, i, o, f, mode=mode, padding_idx=padding, include_last_offset=form == "last"
    )
    compare(operation, [random(7, width), ids, offsets, factors], KERNELS, dtype=dtype, terms=40)


def test_ties_share(launches):
    table = np.float32([[1, 2], [1, 3], [0, 3]])
    compare(lambda w, i: minidl.embedding_bag(w, i, mode="max"), [table, np.array([[0, 1, 2]])],
            KERNELS)  # fmt: skip


def test_sparse_gradients():
    weight = minidl.tensor(random(6, 3), device="cuda", requires_grad=True)
    ids = minidl.tensor(np.array([[0, 2], [2, 5]]), device="cuda")
    minidl.embedding_bag(weight, ids, mode="sum", sparse=True, padding_idx=5).sum().backward()
    assert isinstance(weight.grad, minidl.RowGradient)
    np.testing.assert_array_equal(weight.grad.numpy()[:, 0], [1, 0, 2, 0, 0, 0])


@pytest.mark.parametrize("wrong", [7, -1])
def test_an_id_that_does_not_exist(wrong):
    weight = minidl.tensor(random(6, 3), device="cuda")
    y = minidl.embedding_bag(weight, minidl.tensor(np.array([[0, wrong]]), device="cuda"))
    with pytest.raises(
        BoundsError, match=f"index {wrong} is outside 0 … 5 .*embedding_bag, called"
    ):
        y.cpu()


@pytest.mark.parametrize("offsets", [[1, 2], [0, 3, 2], [0, 5], [0, -1]])
def test_offsets_that_are_no_bags(offsets):
    weight = minidl.tensor(random(6, 3), device="cuda")
    ids, offsets = (minidl.tensor(np.array(a), device="cuda") for a in ([0, 1, 2, 3], offsets))
    y = minidl.embedding_bag(weight, ids, offsets)
    with pytest.raises(
        ArgumentError, match="offsets ascend from 0 to at most 4, the number of ids"
    ):
        y.cpu()
