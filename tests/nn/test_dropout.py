"""The dropouts: which elements and channels they drop, their scale, their randomness."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, MinidlError
from tests.nn.test_layers import uniform
from tests.parity import random

X = ops.ones((4, 3))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dropout_drops_with_probability_p_and_scales_the_rest(p, dtype):
    layer = nn.Dropout(p, generator=minidl.random.Generator(2))
    y = layer(ops.full(100_000, 3, dtype=dtype)).numpy()
    assert y.dtype == dtype
    assert (y == 0).mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / y.size))
    np.testing.assert_allclose(y[y != 0].astype("float64"), 3 / (1 - p), rtol=np.finfo(dtype).eps)


def test_the_gradient_of_dropout_goes_through_the_mask():
    x = minidl.tensor(uniform((50, 60)), requires_grad=True)
    y = nn.Dropout(0.3)(x)
    (y * 2).sum().backward()
    kept = y.numpy() != 0
    np.testing.assert_allclose(x.grad, np.where(kept, 2 / 0.7, 0), rtol=1e-15)


def test_dropout_of_a_probability_of_1_leaves_nothing():
    x = minidl.tensor([1.0, np.inf], requires_grad=True)
    y = nn.Dropout(1.0)(x)
    y.sum().backward()
    assert y.tolist() == x.grad.tolist() == [0, 0]


def test_dropout_does_nothing_in_use():
    x = minidl.tensor(uniform((3, 4)))
    np.testing.assert_array_equal(nn.Dropout(0.9).eval()(x), x)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x), x)


def test_dropout_is_a_function_of_its_key():
    x, keys = ops.ones(1000), [(1, 0), (1, 0), (2, 0), (1, 500)]
    first, same, *others = [ops.dropout(x, 0.5, key=key).tolist() for key in keys]
    assert first == same
    assert first not in others


def test_dropout_draws_anew_each_time_and_again_from_the_same_seed():
    x, layer = ops.ones(1000), nn.Dropout()
    runs = []
    for _ in range(2):
        minidl.manual_seed(4)
        runs.append([layer(x).tolist() for _ in range(3)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1] != runs[0][2]


@pytest.mark.parametrize("dropout", [nn.Dropout, lambda p: ops.dropout(X, p, key=(0, 0))])
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5", None])
def test_dropout_refuses_what_is_no_probability(p, dropout):
    with pytest.raises(MinidlError, match=f"(?i)dropout.*got.*{p}"):
        dropout(p)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *(("Dropout1d", (200, 50, 3)), ("Dropout2d", (200, 50, 2, 2)), ("Dropout2d", (200, 50, 3))),
        *(
            ("Dropout3d", (200, 50, 2, 1, 2)),
            ("Dropout1d", (5000, 3)),
            ("Dropout3d", (5000, 2, 1, 2)),
        ),
    ],
)
def test_whole_channels_are_dropped(name, shape):
    layer = getattr(nn, name)(0.3, generator=minidl.random.Generator(4))
    alone = len(shape) == int(name[-2]) + 1 and name != "Dropout2d"
    channels = shape[0] if alone else shape[0] * shape[1]
    y = layer(ops.ones(shape)).numpy().reshape(channels, -1)
    assert (y == y[:, :1]).all()
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / channels))
    np.testing.assert_array_equal(layer.eval()(ops.ones(shape)), 1)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p):
    x = minidl.random.normal(100_000, dtype="float64", generator=minidl.random.Generator(1))
    layer = nn.AlphaDropout(p, generator=minidl.random.Generator(2))
    y = layer(x).numpy()
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.std() == pytest.approx(1, abs=0.02)
    values, counts = np.unique(y, return_counts=True)
    assert counts.max() / y.size == pytest.approx(p, abs=0.01)
    assert values[counts.argmax()] < 0
    assert layer.eval()(x) is x


@pytest.mark.parametrize("name", ["Dropout1d", "AlphaDropout"])
def test_a_probability_of_1_leaves_nothing(name):
    assert not getattr(nn, name)(1.0)(ops.ones((2, 3, 4))).numpy().any()
    with pytest.raises(ArgumentError, match=r"p is a probability.*1\.5"):
        getattr(nn, name)(1.5)


def test_feature_alpha_dropout_takes_whole_channels():
    layer = nn.FeatureAlphaDropout(0.3)
    y = layer(minidl.asarray(random(50, 40, 3)) * 0).numpy()
    assert (y == y[..., :1]).all()
    assert np.mean(y[..., 0] < 0) == pytest.approx(0.3, abs=0.05)
    with pytest.raises(MinidlError, match="FeatureAlphaDropout"):
        layer(minidl.ones(3))
