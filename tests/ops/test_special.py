"""Special functions, against PyTorch's, their recurrences and their values at poles."""

import math

import numpy as np
import pytest

import minidl
from minidl import ops
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
