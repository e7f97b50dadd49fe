"""Membership and runs, against NumPy's and PyTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import DTypeError
from tests.oracle import torch

FEW = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0, np.inf, -np.inf, np.nan]), max_size=7)


@given(FEW, FEW, st.booleans())
def test_isin_is_numpys(x, y, invert):
    x, y = np.array(x, "float64"), np.array(y, "float64")
    np.testing.assert_array_equal(ops.isin(x, y, invert=invert), np.isin(x, y, invert=invert))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", "complex64"])
def test_isin_of_every_kind(dtype):
    x, y = np.arange(6).reshape(2, 3).astype(dtype), np.array([[1], [5]]).astype(dtype)
    np.testing.assert_array_equal(ops.isin(x, y), np.isin(x, y))


def test_isin_promotes_as_comparisons_do():
    assert ops.isin(np.array([0.1], "float32"), 0.1).tolist() == [True]
    assert ops.isin(2, [1, 2]).item() is True
    assert ops.isin(np.array([2**62 + 1]), np.array([2**62])).tolist() == [False]
    assert ops.isin(np.array([1, 2]), np.array([2.0, 2.5], "float32")).tolist() == [False, True]
    with pytest.raises(DTypeError, match="isin"):
        ops.isin(np.array([1], "uint64"), np.array([1], "int64"))


@given(FEW)
def test_runs_are_pytorchs(values):
    x = np.array(values, "float64")
    needed = torch.unique_consecutive(torch.tensor(x), True, True)
    for found, other in zip(ops.unique_consecutive(x), needed, strict=True):
        np.testing.assert_array_equal(found, other)


@given(st.integers(0, 99), st.integers(-2, 1))
def test_runs_of_slices_are_pytorchs(seed, axis):
    x = np.random.default_rng(seed).integers(0, 2, (4, 2))
    needed = torch.unique_consecutive(torch.tensor(x), True, True, axis)
    for found, other in zip(ops.unique_consecutive(x, axis=axis), needed, strict=True):
        np.testing.assert_array_equal(found, other)


def test_runs_of_a_table_are_of_its_elements():
    x = minidl.tensor([[1, 1], [2, 2]])
    found = ops.unique_consecutive(x)
    assert found.values.tolist() == [1, 2]
    assert found.inverse_indices.shape == x.shape
    assert found.counts.tolist() == [2, 2]
