"""The sums inside kernels and bodies: statistics, denominators, means, gradients of parameters.

Each is within the bound of sums, `max(1, log₂ n)·ε·Σ|terms|`, in both float dtypes.
"""

import numpy as np
import pytest

import minidl
from tests.exactness import KINDS, excess, hostile

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_mode = pytest.mark.parametrize("mode", ["fast", "reference"])


def gradient(function, shape, dy, dtype):
    """The gradient at zeros for dy."""
    x = minidl.zeros(shape, dtype=dtype, requires_grad=True)
    function(x).backward(minidl.asarray(dy))
    return x.grad.numpy()


@each_mode
@each_dtype
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_of_the_biases_of_norms(kind, dtype, mode):
    rows = hostile(kind, (20_000, 4), dtype)
    maps = hostile(kind, (500, 4, 5, 8), dtype)
    x_rows = np.random.default_rng(0).normal(size=rows.shape).astype(dtype)
    x_maps = np.random.default_rng(1).normal(size=maps.shape).astype(dtype)
    with minidl.kernels(mode):
        for dy, axis, of in (
            (rows, 0, lambda b: minidl.batch_norm(x_rows, None, b)[0]),
            (rows, 0, lambda b: minidl.layer_norm(x_rows, None, b, normalized_shape=4)),
            (maps, (0, 2, 3), lambda b: minidl.batch_norm(x_maps, None, b)[0]),
            (maps, (0, 2, 3), lambda b: minidl.group_norm(x_maps, None, b, num_groups=2)),
        ):
            assert excess(gradient(of, 4, dy, dtype), dy, axis) <= 1


@each_mode
@each_dtype
def test_the_gradients_of_the_weights_of_norms(dtype, mode):
    dy = hostile("tenths", (20_000, 4), dtype)
    x = np.random.default_rng(0).normal(size=dy.shape).astype(dtype)
    wide = x.astype("float64")
    terms = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5) * dy
    with minidl.kernels(mode):
        found = gradient(lambda w: minidl.batch_norm(x, w)[0], 4, dy, dtype)
        mean, var = minidl.batch_norm(x)[1:]
    slack = 4  # terms are rounded, too
    assert excess(found, terms, 0) <= slack
    assert excess(mean.numpy() * len(x), wide, 0) <= 1
    assert excess(var.numpy() * len(x), (wide - wide.mean(0)) ** 2, 0) <= slack


@each_mode
@each_dtype
@pytest.mark.parametrize("axis", [0, 1])
def test_denominators_of_softmax(dtype, axis, mode):
    x = hostile("tenths", (30_000, 3), dtype)
    x = x if axis == 0 else np.ascontiguousarray(x.T)
    with minidl.kernels(mode):
        y = minidl.softmax(x, axis=axis).numpy()
        z = minidl.log_softmax(x, axis=axis).numpy()
        dx = gradient(lambda x: minidl.log_softmax(x, axis=axis), x.shape, x, dtype)
    epsilon = np.finfo(dtype).eps
    np.testing.assert_allclose(y, 1 / 30_000, rtol=4 * epsilon)
    np.testing.assert_allclose(z, -np.log(30_000), rtol=4 * epsilon)
    np.testing.assert_allclose(dx, 0, atol=8 * epsilon)  # dy − Σ dy / n


@each_mode
@each_dtype
@pytest.mark.parametrize("kind", KINDS)
def test_average_pooling_over_large_windows(kind, dtype, mode):
    x = hostile(kind, (2, 1, 120, 170), dtype)
    with minidl.kernels(mode):
        for y in (minidl.avg_pool2d(x, (120, 170)), minidl.adaptive_avg_pool2d(x, 1)):
            assert excess(y.numpy() * (120 * 170), x, (2, 3)) <= 1
        if mode == "reference":  # a view for each tap
            x = x[:, :, :20, :20]
        height, width = x.shape[2] - 3, x.shape[3] - 3
        y = minidl.avg_pool2d(x, (height, width), stride=3)
        assert excess(y.numpy()[:, :, 0, 0] * (height * width), x[:, :, :-3, :-3], (2, 3)) <= 1


@each_dtype
def test_the_gradient_of_overlapping_windows(dtype):
    dy = hostile("large first", (1, 1, 41, 41), dtype)
    dx = gradient(lambda x: minidl.avg_pool2d(x, 40, stride=1), (1, 1, 80, 80), dy, dtype)
    assert excess(dx[0, 0, 39, 39] * 1600, dy[0, 0, :40, :40]) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_losses_over_many_elements(kind):
    x = hostile(kind, (100_000, 2), "float32")
    zeros, n = np.zeros_like(x), x.size
    for found, terms in (
        (minidl.l1_loss(x, zeros), np.abs(x)),
        (minidl.mse_loss(x, zeros), x * x),
    ):
        assert excess(found.numpy() * np.float32(n), terms) <= 1
