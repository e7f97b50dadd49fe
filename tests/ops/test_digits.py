"""Gradients that would lose their digits if they were differences of rounded results."""

import numpy as np
import pytest

import minidl
from tests.helpers import assert_close

# The gradient of each in float32 has the digits of that in float64.
POINTS = {
    "logaddexp": [(1e6, 1e6), (1e6, 1e6 - 1), (-3e7, -3e7 - 2), (5.0, -3.0), (100.0, 40.0)],
    "expm1": [(-20.0,), (-80.0,), (0.5,)],
    "asin": [(1 - 2.0**-12,), (2.0**-13 - 1,), (0.5,)],
    "acos": [(1 - 2.0**-12,), (2.0**-13 - 1,), (0.5,)],
    "atanh": [(1 - 2.0**-12,), (2.0**-13 - 1,), (0.5,)],
    "asinh": [(1e25,), (-1e30,), (3.0,), (0.0,)],
    "atan2": [(1e30, 2e30), (1e-25, -2e-25), (3.0, 4.0)],
    "hypot": [(1e30, 2e30), (1e-25, -2e-25), (3.0, 4.0)],
    "logsigmoid": [(-100.0,), (0.5,), (80.0,)],
    "softplus": [(-80.0,), (0.5,), (30.0,)],
}


def gradients_at(name, points, dtype):
    xs = [
        minidl.asarray(np.array(column, np.float32).astype(dtype), requires_grad=True)
        for column in zip(*points, strict=True)
    ]
    y = getattr(minidl, name)(*xs)
    return minidl.gradients(y, xs, [minidl.ones_like(y)])


@pytest.mark.parametrize("name", POINTS)
def test_gradients_in_float32_have_their_digits(name):
    points = POINTS[name]
    for single, double in zip(*(gradients_at(name, points, d) for d in ("f", "d")), strict=True):
        assert_close(single.numpy() / double.numpy(), np.ones(len(points)), 2e-6)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6, -3e7])
def test_logsumexp_far_from_zero(offset):
    x = np.array([[0.0, 2.0, 4.0], [8.0, 8.0, 0.0]], np.float32) + np.float32(offset)
    dx = minidl.grad(lambda x: minidl.logsumexp(x, axis=1).sum())(minidl.asarray(x))
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    assert_close(dx, (e / e.sum(axis=1, keepdims=True)).astype(np.float32), 1e-6)


def test_logsumexp_of_infinities():
    def slope(*values):
        return minidl.grad(minidl.logsumexp)(minidl.tensor(values)).tolist()

    inf = np.inf
    assert slope(inf, 1.0) == [1, 0]
    assert slope(inf, inf, 1.0, -inf) == [0.5, 0.5, 0, 0]
    assert slope(-inf, -inf) == [0, 0]
    assert slope(-inf, 1.0) == [0, 1]
    for values in ([inf, 1.0], [inf, inf, 1.0], [-inf, -inf]):
        assert not minidl.hessian(minidl.logsumexp)(minidl.tensor(values)).any()
    logaddexp = minidl.grad(lambda x: minidl.logaddexp(x[0], x[1]))
    assert logaddexp(minidl.tensor([inf, inf])).tolist() == [0.5, 0.5]
    assert logaddexp(minidl.tensor([-inf, -inf])).tolist() == [0, 0]
