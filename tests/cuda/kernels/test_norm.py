"""Batch, layer, group and RMS norm on the GPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn
from tests.cuda.kernels.comparison import assert_near, compare, in_float64, outcome, random
from tests.cuda.kernels.examples import examples

KERNELS = "(batch|layer|group)_norm_|channel_sums_"
CHANNELS = [(4, 3), (300, 33), (2, 5, 7), (3, 4, 8, 9), (2, 3, 70, 70), (1, 2, 9000), (5, 1, 3)]
dtypes = st.sampled_from(["float32", "float16"])
offsets = st.sampled_from([0.0, 3.0])


def parameters(shape, given, seed=1):
    return [random(*shape, seed=seed + i) + 1 if g else None for i, g in enumerate(given)]


given_parameters = st.sampled_from([(True, True), (True, False), (False, True), (False, False)])


def batch_norm(x, w=None, b=None):
    return minidl.batch_norm(x, w, b)


@examples(30)
@given(shape=st.sampled_from(CHANNELS), chosen=given_parameters, dtype=dtypes, offset=offsets)
def test_batch_norm(shape, chosen, dtype, offset):
    x = random(*shape) + np.float32(offset)
    arrays = [x, *parameters(shape[1:2], chosen)]
    compare(batch_norm, arrays, KERNELS, dtype=dtype, terms=10)


@examples(20)
@given(shape=st.sampled_from(CHANNELS), chosen=given_parameters, dtype=dtypes)
def test_batch_norm_inference(shape, chosen, dtype):
    mean, var = random(shape[1], seed=8), np.abs(random(shape[1], seed=9)) + 0.5
    compare(
        lambda x, mean, var, w=None, b=None: minidl.batch_norm_inference(x, mean, var, w, b),
        [random(*shape), mean, var, *parameters(shape[1:2], chosen)],
        KERNELS, dtype=dtype, terms=10,
    )  # fmt: skip


ROWS = [(1, 1), (5, 7), (3, 33), (40, 32), (2, 1024), (3, 1025), (2, 5000), (2, 3, 4), (4, 6, 6)]


@examples(30)
@given(shape=st.sampled_from(ROWS), axes=st.integers(1, 2), chosen=given_parameters, dtype=dtypes,
       offset=offsets)  # fmt: skip
def test_layer_norm(shape, axes, chosen, dtype, offset):
    last = shape[-axes:]
    compare(
        lambda x, w=None, b=None: minidl.layer_norm(x, w, b, normalized_shape=last),
        [random(*shape) + np.float32(offset), *parameters(last, chosen)],
        KERNELS, dtype=dtype, terms=200 if shape == (1, 1) else 10,
    )  # fmt: skip


@examples(20)
@given(shape=st.sampled_from(ROWS), weighted=st.booleans(), dtype=dtypes)
def test_rms_norm(shape, weighted, dtype):
    compare(
        lambda x, w=None: minidl.rms_norm(x, w, normalized_shape=shape[-1:], eps=1e-5),
        [random(*shape), *parameters(shape[-1:], [weighted])], KERNELS, dtype=dtype, terms=10,
    )  # fmt: skip


@examples(20)
@given(
    shape=st.sampled_from([(3, 4), (2, 6, 5), (2, 4, 8, 9), (1, 4, 40, 40), (3, 12, 1)]),
    groups=st.sampled_from([1, 2, None]),
    chosen=given_parameters,
    dtype=dtypes,
)
def test_group_norm(shape, groups, chosen, dtype):
    groups = shape[1] if groups is None and np.prod(shape[2:]) > 1 else groups or 1
    compare(
        lambda x, w=None, b=None: minidl.group_norm(x, w, b, num_groups=groups),
        [random(*shape), *parameters(shape[1:2], chosen)], KERNELS, dtype=dtype, terms=20,
    )  # fmt: skip


@pytest.mark.parametrize("momentum", [None, 0.1])
@pytest.mark.parametrize("channels", [5, 600])
def test_running_moments_take_one_launch(channels, momentum, launches):
    layers = {}
    for device in ("cpu", "cuda"):
        layer = layers[device] = nn.BatchNorm1d(channels, momentum=momentum, device=device)
        for seed in (1, 2, 3):
            launches.clear()
            x = minidl.asarray(random(7, channels, seed=seed) + 3, device=device)
            layer(x)
    assert launches["batch_norm_track_f32"] == 1
    assert sum(launches.values()) == 3
    assert layers["cuda"].num_batches_tracked.item() == 3
    for name in ("running_mean", "running_var"):
        found, expected = (getattr(layers[device], name).numpy() for device in ("cuda", "cpu"))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_running_moments_of_other_dtypes_are_the_formula_s(launches):
    x = minidl.asarray(random(7, 3).astype("float64"), device="cuda")
    layer = nn.BatchNorm1d(3, device="cuda", dtype="float64")
    layer(x)
    assert not launches["batch_norm_track_f32"]
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.numpy().mean(axis=0))


def test_launches_of_a_step(launches):
    x = minidl.tensor(random(8, 4, 6, 6), device="cuda", requires_grad=True)
    w, b = (minidl.tensor(random(4, seed=i), device="cuda", requires_grad=True) for i in (1, 2))
    y, _, _ = minidl.batch_norm(x, w, b)
    assert sum(launches.values()) == 2
    dy = minidl.tensor(random(8, 4, 6, 6, seed=3), device="cuda")
    launches.clear()
    minidl.gradients(y, [x, w, b], [dy])
    assert sum(launches.values()) == 2
    w, b = (minidl.tensor(random(6, seed=i), device="cuda", requires_grad=True) for i in (1, 2))
    launches.clear()
    y = minidl.layer_norm(x, w, b, normalized_shape=6)
    minidl.gradients(y, [x, w, b], [dy])
    assert sum(launches.values()) == 4


@pytest.mark.parametrize("mean", [1e3, 1e6])
@pytest.mark.parametrize("shape", [(400, 3), (2, 3, 6000)])
def test_a_large_mean_costs_no_digits(shape, mean):
    x = random(*shape) + np.float32(mean)
    found, right = outcome(batch_norm, [x]), in_float64(batch_norm, [x])
    for ours, exact in zip(found[:3], right[:3], strict=True):
        np.testing.assert_allclose(ours, exact, rtol=5e-7, atol=1e-6)
    operation = lambda x: minidl.layer_norm(x, normalized_shape=shape[-1])
    found, right = outcome(operation, [x])[0], in_float64(operation, [x])[0]
    np.testing.assert_allclose(found, right, rtol=1e-6, atol=2e-6)


def test_chunks_of_different_means():
    """Of sorted data each chunk has a mean of its own; the first are far from the mean of all."""
    x = np.sort(random(3_000_000)).reshape(1, 1, -1) * np.float32(1)
    x[..., :1000] = 1000
    found, right = outcome(batch_norm, [x]), in_float64(batch_norm, [x])
    for ours, exact in zip(found[1:3], right[1:3], strict=True):
        np.testing.assert_allclose(ours, exact, rtol=3e-7)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_infinities_and_nan(value):
    x = random(40, 3, 5)
    x[1, 1, 2] = value
    found, right = outcome(batch_norm, [x]), in_float64(batch_norm, [x])
    for ours, exact in zip(found[:3], right[:3], strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(exact))
    assert_near(found[1], found[1], right[1])
    operation = lambda x: minidl.layer_norm(x, normalized_shape=5)
    found, right = outcome(operation, [x])[0], in_float64(operation, [x])[0]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(right))


def test_equal_elements_have_no_variance():
    x = np.full((1000, 2, 9), np.float32(0.1))
    y, mean, var, _ = outcome(batch_norm, [x])
    assert (mean == np.float32(0.1)).all()
    assert not var.any()
    assert not y.any()
