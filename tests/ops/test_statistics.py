"""Modes, covariances and correlations, against PyTorch's and NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
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


def _small(dtype):
    return np.random.default_rng(0).uniform(size=(2, 32)).astype(dtype)


def test_correlations_do_not_depend_on_the_size_of_the_numbers():
    wide = np.array([[300, 500, 600, 400], [155, 157, 250, 950]], "float16")
    whole = np.array([[0, 1, 2, 4], [3, 1, 1, 0]]) + 2**24
    for x in (_small("f2") * np.float16(1e-3), _small("f2") * np.float16(1e-4), wide, whole):
        found = ops.corrcoef(minidl.tensor(x))
        assert found.dtype == ("float16" if x.dtype == "float16" else "float32")
        needed = np.corrcoef(x.astype("float64"))
        np.testing.assert_allclose(np.asarray(found, "f8"), needed, rtol=1e-3)
    for scale in (1e20, 1e37, 1e-20, 1e-38):
        x = _small("float32") * np.float32(scale)
        needed = np.corrcoef(x.astype("float64"))
        np.testing.assert_allclose(np.asarray(ops.corrcoef(x)), needed, rtol=1e-6)
    for scale in (1e200, 1e-200):
        x = _small("float64")
        np.testing.assert_allclose(np.asarray(ops.corrcoef(x * scale)), np.corrcoef(x), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_a_variable_correlates_with_itself_exactly(dtype):
    x = random(7, 9).astype(dtype) * (1 + (dtype == "complex64") * 1j)
    np.testing.assert_array_equal(np.diagonal(np.asarray(ops.corrcoef(x))), np.ones(7))
    assert ops.corrcoef(x[:1]).item() == 1


def test_correlations_have_gradients_where_covariances_vanish():
    x = minidl.tensor(_small("f2") * np.float16(1e-2), requires_grad=True)
    ops.corrcoef(x)[0, 1].backward()
    leaf = torch.tensor(np.asarray(x.detach()).astype("f8"), requires_grad=True)
    torch.corrcoef(leaf)[0, 1].backward()
    np.testing.assert_allclose(np.asarray(x.grad, "f8"), leaf.grad, rtol=1e-2, atol=0.05)
    assert_same(ops.corrcoef, torch.corrcoef, X)


def test_correlations_of_nothing_are_not_numbers():
    for x in (X[:, :0], X[:1, :0], X[:, :1], X[:1, :1]):
        assert np.isnan(np.asarray(ops.corrcoef(x))).all()


def test_covariances_of_large_integers_are_of_their_differences():
    x = np.array([[0, 1, 2], [0, 1, 2]]) + 2**24
    assert ops.cov(x).tolist() == [[1, 1], [1, 1]]
    assert ops.cov(x).dtype == ops.cov(x, fweights=np.array([1, 1, 1])).dtype == "float32"
    assert ops.cov(x, aweights=np.ones(3)).dtype == "float64"


def test_covariances_of_float16_are_made_in_float32():
    x = np.array([[200, 202, 204, 205.0], [1, 3, 2, 5]], "float16")
    found = ops.cov(x)
    assert found.dtype == "float16"
    np.testing.assert_array_equal(np.asarray(found), np.cov(x.astype("f8")).astype("f2"))


@pytest.mark.parametrize(
    ("dtype", "big"), [("float16", 2.0**15), ("float32", 2.0**127), ("float64", 2.0**1023)]
)
def test_quantiles_between_far_numbers_are_finite(dtype, big):
    x = np.array([-big, big], dtype)
    assert ops.median(x).item() == ops.nanmedian(x).item() == 0
    assert ops.median(x).dtype == ops.quantile(x, 0.25).dtype == dtype
    for name in ("quantile", "nanquantile"):
        found = getattr(ops, name)(x, [0, 0.25, 0.5, 0.75, 1])
        assert found.tolist() == [-big, -big / 2, 0, big / 2, big]
    x = minidl.tensor(x, requires_grad=True)
    minidl.quantile(x, 0.25).backward()
    assert x.grad.tolist() == [0.75, 0.25]


def test_quantiles_between_an_infinity_and_a_number_are_the_infinity():
    low, inf = np.array([-np.inf, -np.inf, 3, 4]), np.inf
    for name in ("quantile", "nanquantile"):
        quantile = getattr(ops, name)
        assert quantile(low, [0, 0.2, 1 / 3, 0.5, 2 / 3, 1]).tolist() == [-inf] * 4 + [3, 4]
        assert quantile(-low, [0, 1 / 3, 0.5, 2 / 3, 1]).tolist() == [-4, -3, inf, inf, inf]
        with np.errstate(invalid="ignore"):
            assert np.isnan(quantile(np.array([-inf, inf]), 0.5).item())
    q = minidl.tensor([0.0, 0.2, 1.0], requires_grad=True)
    x = minidl.tensor(low[1:], requires_grad=True)
    minidl.quantile(x, q)[::2].sum().backward()
    assert q.grad.tolist() == [0, 0, 2]
    assert x.grad.tolist() == [1, 0, 1]
