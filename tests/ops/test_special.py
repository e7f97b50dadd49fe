"""Special functions, against PyTorch's, their recurrences and their values at poles."""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, both

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@each_dtype
@pytest.mark.parametrize("name", ["erfc", "erfinv", "lgamma", "sinc"])
def test_functions_are_pytorchs(name, dtype):
    x = np.random.default_rng(0).uniform(0.15, 0.95, (3, 4)).astype(dtype)
    assert_same(*both(name), x)


def test_functions_at_their_poles_and_ends():
    x = np.array([0.0, -0.0, -1.0, -2.5, 1.0, 171.0, np.inf, -np.inf, np.nan])
    for name in ("erfc", "erfinv", "lgamma", "digamma"):
        ours, theirs = getattr(ops, name)(x), getattr(torch, name)(torch.tensor(x))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


def test_polygamma_by_its_recurrence():
    """ψ⁽ⁿ⁾(x + 1) = ψ⁽ⁿ⁾(x) + (−1)ⁿ n! / xⁿ⁺¹, and ψʹ(1) = π²/6."""
    x = np.linspace(0.3, 6, 9)
    for n in range(5):
        ahead = ops.polygamma(x, n).numpy() + (-1) ** n * math.factorial(n) / x ** (n + 1)
        np.testing.assert_allclose(ops.polygamma(x + 1, n), ahead, rtol=1e-12, atol=1e-12)
    assert abs(ops.polygamma(np.ones(1), 1).item() - math.pi**2 / 6) < 1e-14


def test_every_derivative_of_sinc_at_0():
    derivative, at = ops.sinc, minidl.tensor(0.0, dtype="float64")
    for order in range(5):
        needed = {0: 1, 2: -(math.pi**2) / 3, 4: math.pi**4 / 5}.get(order, 0)
        assert abs(derivative(at).item() - needed) < 1e-12
        derivative = minidl.grad(derivative)


@pytest.mark.parametrize("settings", [{}, {"nan": 2.0}, {"posinf": 3.0, "neginf": -4.0}], ids=str)
def test_nan_to_num(settings):
    for dtype in ("float32", "float64"):
        x = np.array([np.nan, np.inf, -np.inf, 1.5], dtype)
        y = ops.nan_to_num(x, **settings)
        np.testing.assert_array_equal(y, torch.nan_to_num(torch.tensor(x), **settings))
    assert ops.nan_to_num(np.array([1, 2])).tolist() == [1, 2]


@given(st.floats(0, 1, width=32))
def test_logit_is_exact_everywhere(x):
    found = ops.logit(np.array([x]))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, scipy.special.logit([x]), rtol=1e-14)
    assert_close(ops.logit(np.array([x], "float32")), found.astype("float32"), 1e-6)


def test_logit_beyond_its_ends():
    x = np.array([-0.5, 0.0, 1.0, 1.5])
    np.testing.assert_array_equal(ops.logit(x), [np.nan, -np.inf, np.inf, np.nan])
    eps = ops.logit(x, 0.25)
    np.testing.assert_allclose(eps, [-np.log(3), -np.log(3), np.log(3), np.log(3)], rtol=1e-15)
    assert minidl.grad(lambda x: ops.logit(x, 0.25).sum())(x).tolist() == [0] * 4
    masked = minidl.grad(lambda x: ops.where(x > 0, ops.logit(x), 0).sum())
    assert masked(np.array([0.0, 0.5])).tolist() == [0, 4]


@given(st.floats(-1e3, 1e3) | st.sampled_from([np.inf, -np.inf, np.nan, 0.0, -0.0]),
       st.floats(-1e3, 1e3) | st.sampled_from([np.inf, -np.inf, np.nan, 0.0, 1e-300]))  # fmt: skip
def test_fmod_is_cs(x, y):
    with np.errstate(all="ignore"):
        needed = np.fmod(np.array([x]), y)
    found = np.asarray(ops.fmod(np.array([x]), y))
    np.testing.assert_array_equal(found, needed)
    if not np.isnan(needed):
        np.testing.assert_array_equal(np.signbit(found), np.signbit(needed))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_fmod_of_integers_is_cs(x, y):
    if (x, y) != (-(2**63), -1):
        needed = abs(x) % abs(y)
        assert ops.fmod(np.array([x]), np.array([y])).item() == (-needed if x < 0 else needed)


@given(st.tuples(*[st.floats() | st.just(np.nan)] * 2))
def test_fmax_and_fmin_ignore_nan(pair):
    x, y = (np.array([value]) for value in pair)
    np.testing.assert_array_equal(ops.fmax(x, y), np.fmax(x, y))
    np.testing.assert_array_equal(ops.fmin(x, y), np.fmin(x, y))


def test_fmax_sends_the_gradient_to_the_number():
    x, y = np.array([np.nan, 1.0, 2.0, np.nan]), np.array([3.0, np.nan, 2.0, np.nan])
    dx, dy = minidl.grad(lambda x, y: ops.fmax(x, y).sum(), argnums=(0, 1))(x, y)
    assert dx.tolist()[:3] == [0, 1, 0.5]
    assert dy.tolist()[:3] == [1, 0, 0.5]
