"""Modes, covariances and correlations, against PyTorch's and NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, random

X = random(3, 6)


@given(st.integers(0, 99), st.integers(-2, 1), st.booleans())
def test_modes_are_pytorchs(seed, axis, keepdims):
    x = np.random.default_rng(seed).integers(0, 4, (5, 7))
    needed = torch.mode(torch.tensor(x), axis, keepdims)
    found = ops.mode(x, axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(found[0], needed[0])
    assert found[1].shape == tuple(needed[1].shape)
    index = found[1] if keepdims else ops.expand_dims(found[1], axis=axis)
    at = ops.squeeze(ops.take_along_axis(x, index, axis=axis), axis)
    np.testing.assert_array_equal(at, found[0].reshape(at.shape))


def test_mode_is_the_last_of_its_kind_and_counts_every_nan_alone():
    assert [part.item() for part in ops.mode(np.array([1.0, 2.0, 2.0, 1.0, 3.0]))] == [1, 3]
    assert [part.item() for part in ops.mode(np.array([np.nan, np.nan, 5.0]))] == [5, 2]
    with pytest.raises(ShapeError, match="mode: there is nothing along axis"):
        ops.mode(np.zeros((2, 0)))


@pytest.mark.parametrize("correction", [0, 1, 2])
def test_covariances_are_numpys(correction):
    f, a = np.array([1, 3, 0, 2, 1, 1]), np.random.default_rng(0).uniform(0.1, 1, 6)
    for fweights, aweights in ((None, None), (f, None), (None, a), (f, a)):
        weights = {"fweights": fweights, "aweights": aweights}
        for x in (X, X[0], X[:1], X + 1j * X[::-1]):
            needed = np.cov(x, ddof=correction, **weights)
            assert_close(ops.cov(x, correction=correction, **weights), needed, 1e-12)


def test_covariances_of_one_observation_or_none_are_not_numbers():
    assert np.isnan(np.asarray(ops.cov(X[:, :1]))).all()
    assert np.isnan(np.asarray(ops.cov(X[:, :0]))).all()
    assert np.isnan(np.asarray(ops.corrcoef(np.ones((2, 3))))).all()


def test_weights_have_gradients():
    a = np.random.default_rng(0).uniform(0.1, 1, 6)
    assert_same(lambda x, a: ops.cov(x, aweights=a), lambda x, a: torch.cov(x, aweights=a), X, a)


@given(st.integers(0, 99), st.integers(1, 4), st.booleans())
def test_correlations_are_numpys(seed, m, imaginary):
    x = random(m, 5, seed=seed) * 10.0 ** np.arange(m)[:, None]
    x = x * (1 + 2j) + 1j * random(m, 5, seed=seed + 1) if imaginary else x
    found, needed = np.asarray(ops.corrcoef(x)), np.corrcoef(x)
    np.testing.assert_allclose(found, needed, rtol=1e-9, atol=1e-12)
    assert np.abs(found.real).max() <= 1


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ({"fweights": np.ones(6)}, ShapeError, "fweights are integers, one for each of 6"),
        ({"fweights": np.ones(5, int)}, ShapeError, "one for each of 6 observations"),
        ({"aweights": -np.ones(6)}, ArgumentError, "aweights are ≥ 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, error, words):
    with pytest.raises(error, match=f"cov: .*{words}"):
        ops.cov(X, **weights)
    with pytest.raises(ShapeError, match="cov: needs variables as rows"):
        ops.cov(np.zeros((2, 2, 2)))
