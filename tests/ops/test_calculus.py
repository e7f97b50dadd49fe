"""Slopes and integrals of samples, against NumPy's, SciPy's and PyTorch's."""

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import assert_all_close, assert_close
from tests.oracle import torch
from tests.parity import assert_same, random

X = random(4, 5)
PLACES = np.array([0.0, 0.5, 2.0, 2.2, 7.0])


@given(st.integers(2, 6), st.sampled_from([1, 2]), st.booleans(), st.integers(0, 99))
def test_slopes_are_numpys(n, edge_order, at_places, seed):
    x = random(max(n, edge_order + 1), 3, seed=seed)
    places = np.cumsum(np.random.default_rng(seed).uniform(0.1, 2, len(x)))
    spacing = places if at_places else 0.3
    needed = np.gradient(x, spacing, axis=0, edge_order=edge_order)
    (found,) = ops.gradient(x, spacing=spacing, axis=0, edge_order=edge_order)
    assert_close(found, needed, 1e-9)


def test_slopes_along_several_axes_are_numpys():
    for axis in (None, (1, 0), (0, 1)):
        needed = np.gradient(X, 0.5, 2.0, axis=axis)
        assert_all_close(ops.gradient(X, spacing=(0.5, 2.0), axis=axis), needed, 1e-12)
    needed = np.gradient(X, 0.5, PLACES)
    assert_all_close(ops.gradient(X, spacing=(0.5, PLACES)), needed, 1e-12)
    assert len(ops.gradient(random(3, 2, 4))) == 3


def test_slopes_of_integers_do_not_wrap_around():
    x = np.array([3, 1, 200], "uint8")
    assert ops.gradient(x)[0].tolist() == [-2, 98.5, 199]
    assert ops.gradient(X[0], spacing=np.array([9, 5, 4, 2, 1], "uint8"))[0].dtype == "float64"
    assert ops.trapezoid(X[0, :3], x).item() == pytest.approx(np.trapezoid(X[0, :3], x.astype(int)))


def test_the_gradient_by_the_places_is_pytorchs():
    def ours(y, x):
        return ops.trapezoid(y, x)

    assert_same(ours, torch.trapezoid, X, random(5))
    assert_same(lambda y, x: ops.cumulative_trapezoid(y, x, axis=0),
                lambda y, x: torch.cumulative_trapezoid(y, x, dim=0), X, random(4, 5))  # fmt: skip


@given(st.integers(0, 5), st.integers(-2, 1))
def test_integrals_are_numpys_and_scipys(n, axis):
    y = random(n, n + 1)
    assert_close(ops.trapezoid(y, axis=axis, dx=0.5), np.trapezoid(y, axis=axis, dx=0.5), 1e-12)
    if y.size:
        needed = scipy.integrate.cumulative_trapezoid(y, axis=axis, dx=0.5)
        assert_close(ops.cumulative_trapezoid(y, axis=axis, dx=0.5), needed, 1e-12)


def test_integral_of_a_slope_is_the_function():
    x = minidl.linspace(0, 1, 101, dtype="float64")
    (slope,) = ops.gradient(x**3, spacing=x, edge_order=2)
    whole = ops.cumulative_trapezoid(slope, x)
    np.testing.assert_allclose(whole, np.asarray(x[1:]) ** 3, atol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: ops.gradient(X, edge_order=3), ArgumentError, "edge_order is 1 or 2"),
        (lambda: ops.gradient(X, spacing=0), ArgumentError, "spacing is a distance, not 0"),
        (lambda: ops.gradient(X, spacing=(1, 2, 3)), ArgumentError, "is of 3 axes; needs 2"),
        (lambda: ops.gradient(X, spacing=np.zeros(4), axis=0), ArgumentError, "not 0; two samples"),
        (lambda: ops.gradient(X, spacing=np.ones(3), axis=0), ShapeError, "for each of 4 samples"),
        (lambda: ops.gradient(X[:1], axis=0), ShapeError, "at least 2 samples along axis 0"),
        (lambda: ops.gradient(X[:2], axis=0, edge_order=2), ShapeError, "at least 3 samples"),
        (lambda: ops.trapezoid(X, 3.0), ArgumentError, "trapezoid: x is a vector of real numbers"),
        (lambda: ops.trapezoid(X, np.ones(4)), ShapeError, "for each of 5 samples"),
        (lambda: ops.trapezoid(X, np.ones((5, 4))), ShapeError, "or of the shape of y"),
    ],
)
def test_samples_that_say_nothing_are_refused(wrong, error, words):
    with pytest.raises(error, match=words):
        wrong()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("start", [2**24, 2**30])
def test_slopes_of_large_integers_are_of_their_differences(dtype, start):
    x = np.array([0, 1, 3], dtype) + np.array(start, dtype)
    assert ops.gradient(x)[0].tolist() == [1, 1.5, 2]
    assert ops.gradient(x)[0].dtype == "float32"


def test_differences_of_integers_neither_round_nor_wrap_around():
    stamps = np.array([0, 10, 30]) + 1_790_000_000_000_000_000
    assert ops.gradient(stamps)[0].tolist() == [10, 15, 20]
    assert ops.trapezoid(np.ones(3), stamps).item() == 30
    ends = np.array([-(2**63), 2**63 - 1])
    assert ops.gradient(ends)[0].tolist() == [2.0**64] * 2
    assert ops.trapezoid(np.ones(2), np.array([-100, 100], "int8")).item() == 200
    (found,) = ops.gradient(np.arange(2.0), spacing=np.array([-100, 100], "int8"))
    assert found.tolist() == [1 / 200] * 2


def test_float16_slopes_and_integrals_are_made_in_float32():
    full = np.full(4, 60000, "float16")
    assert ops.trapezoid(full, dx=0.01).item() == 1800
    assert ops.cumulative_trapezoid(full, dx=0.01).tolist() == [600, 1200, 1800]
    (found,) = ops.gradient(np.array([-60000, 60000, -60000], "float16"), spacing=4)
    assert found.tolist() == [30000, 0, -30000]
    places = np.array([-60000, 60000], "float16")
    assert ops.trapezoid(np.full(2, 0.1, "float16"), places).item() == 12000
    assert ops.trapezoid(full[:2], places.astype("float32")).dtype == "float32"
    for y in (ops.trapezoid(full), ops.cumulative_trapezoid(full), *ops.gradient(full)):
        assert y.dtype == "float16"
