"""Splitting, against NumPy's and PyTorch's; sliding windows, products and combinations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import ArgumentError, ShapeError
from tests.oracle import torch
from tests.parity import assert_same, distinct

X = distinct(4, 6)


def assert_equal_parts(found, needed):
    assert len(found) == len(needed)
    for one, other in zip(found, needed, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(0, 9), st.lists(st.integers(-3, 11), max_size=4))
def test_split_at_indices_is_numpys(length, indices):
    x = np.arange(2 * length).reshape(2, length)
    assert_equal_parts(ops.split(x, indices=indices, axis=-1), np.split(x, indices, axis=-1))


@given(st.integers(1, 5), st.integers(0, 4))
def test_split_in_sections_is_numpys(sections, each):
    x = np.arange(sections * each)
    assert_equal_parts(ops.split(x, sections=sections), np.split(x, sections))


@given(st.integers(0, 9), st.integers(1, 10))
def test_split_and_chunk_by_length_are_pytorchs(length, n):
    x = np.arange(length)
    assert_equal_parts(ops.split(x, lengths=n), torch.split(torch.tensor(x), n))
    assert_equal_parts(ops.chunk(x, n), torch.chunk(torch.tensor(x), n))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_split_in_lengths_is_pytorchs(lengths):
    x = np.arange(sum(lengths))
    assert_equal_parts(ops.split(x, lengths=lengths), torch.split(torch.tensor(x), lengths))


def test_gradients_of_parts_are_joined():
    ours = lambda x: ops.multiply(*ops.split(x, lengths=[3, 3], axis=1))
    assert_same(ours, lambda x: torch.mul(*torch.split(x, [3, 3], 1)), X)
    assert_same(lambda x: ops.split(x.T, sections=3)[1], lambda x: torch.tensor_split(x.T, 3)[1], X)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: ops.split(X, 2), ArgumentError, "say one of sections=n or indices"),
        (lambda: ops.split(X, [1, 2]), ArgumentError, r"lengths=\[…\], which are PyTorch's"),
        (lambda: ops.split(X), ArgumentError, "say one of sections"),
        (lambda: ops.split(X, sections=2, lengths=2), ArgumentError, "say one of sections"),
        (lambda: ops.split(X, sections=3), ShapeError, r"chunk\(x, 3\) gives a shorter last"),
        (lambda: ops.split(X, sections=0), ArgumentError, "sections is an integer ≥ 1"),
        (lambda: ops.split(X, lengths=[1, 2]), ShapeError, "have the sum 4, of axis 0"),
        (lambda: ops.split(X, lengths=[5, -1]), ShapeError, "lengths are ≥ 0"),
        (lambda: ops.split(X, lengths=1.5), ArgumentError, "lengths is a list of integers"),
        (lambda: ops.chunk(X, 0), ArgumentError, "chunks is an integer ≥ 1"),
        (lambda: ops.sliding_window_view(X, 5), ShapeError, "do not go with axes"),
        (lambda: ops.sliding_window_view(X, 5, axis=0), ShapeError, "longer than axis 0"),
        (lambda: ops.cartesian_prod(X), ShapeError, "needs vectors"),
        (lambda: ops.combinations(X), ShapeError, "needs a vector"),
    ],
)
def test_what_is_not_clear_or_does_not_fit_is_refused(wrong, error, words):
    with pytest.raises(error, match=words):
        wrong()


@pytest.mark.parametrize(
    ("window", "axis"), [(3, 1), ((2, 3), None), ((2, 2), (1, 0)), ((2, 2), (1, 1)), (1, -2)]
)
def test_sliding_windows_are_numpys(window, axis):
    needed = np.lib.stride_tricks.sliding_window_view(X, window, axis=axis)
    np.testing.assert_array_equal(ops.sliding_window_view(X, window, axis=axis), needed)
    ours = lambda x: ops.sliding_window_view(x[:, ::-1], 3, axis=1)
    assert_same(ours, lambda x: x.flip(1).unfold(1, 3, 1), X)


def test_windows_with_a_step_are_pytorchs_unfold():
    found = ops.sliding_window_view(X, 3, axis=1)[:, ::2]
    np.testing.assert_array_equal(found, torch.tensor(X).unfold(1, 3, 2))


@given(st.integers(0, 5), st.integers(0, 3), st.booleans())
def test_combinations_are_pytorchs(n, r, repeated):
    x = np.arange(n)
    found = minidl.combinations(x, r, with_replacement=repeated)
    needed = torch.combinations(torch.tensor(x), r, repeated)
    if r:  # of no elements there is one choice, PyTorch says none
        np.testing.assert_array_equal(found, needed)
    else:
        assert found.shape == (1, 0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_cartesian_products_are_pytorchs(lengths):
    vectors = [np.arange(n) for n in lengths]
    needed = torch.cartesian_prod(*map(torch.tensor, vectors))
    np.testing.assert_array_equal(ops.cartesian_prod(*vectors), needed)
