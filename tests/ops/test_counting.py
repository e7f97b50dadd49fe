"""One-hot vectors, counts and histograms, against PyTorch's and NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import random


@given(st.lists(st.integers(0, 6), max_size=12))
def test_one_hot_and_bincount_agree(ids):
    x = np.array(ids, dtype="int64")
    np.testing.assert_array_equal(ops.bincount(x, minlength=8), np.bincount(x, minlength=8))
    hot = ops.one_hot(x, 7)
    np.testing.assert_array_equal(hot, functional.one_hot(torch.tensor(x), 7))
    np.testing.assert_array_equal(hot.sum(axis=0), np.bincount(x, minlength=7))


def test_counts_are_wider_than_what_is_counted():
    y = ops.bincount(np.ones(300, "uint8"))
    assert (y.dtype, y.tolist()) == ("int64", [0, 300])


def test_bincount_sends_gradients_to_its_weights():
    weights = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ops.bincount(minidl.tensor([3, 0, 3]), weights)
    assert y.tolist() == [2, 0, 0, 4]
    (dw,) = minidl.gradients((y * y).sum(), [weights])
    assert dw.tolist() == [8, 4, 8]


@pytest.mark.parametrize("settings", [
    {}, {"bins": 4}, {"range": (0.0, 1.0)}, {"bins": [-1.0, 0.0, 0.5, 3.0]}, {"density": True},
    {"weights": random(3, 5, 4, seed=3)},
], ids=["plain", "bins", "range", "edges", "density", "weights"])  # fmt: skip
def test_histograms_are_numpys(settings):
    x = random(3, 5, 4)
    ours, theirs = (library.histogram(x, **settings) for library in (ops, np))
    for found, needed in zip(ours, theirs, strict=True):
        assert_close(found, needed, 1e-12)
