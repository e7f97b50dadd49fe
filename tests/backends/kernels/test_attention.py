"""The kernels of attention against the body, which stores all weights, in float64."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.backends.kernels.attention.attention import scaled_dot_product_attention as kernel
from minidl.backends.kernels.attention.blocks import KEYS, QUERIES
from minidl.backends.kernels.runtime import workspace
from tests.every_backend.attention import *  # noqa: F403
from tests.every_backend.attention import (
    MASKS,
    assert_right,
    attention,
    by_the_body,
    computed,
    normal,
    operands,
)

EPS = np.finfo(np.float32).eps


@pytest.fixture
def dtype():
    return "float32"


@pytest.fixture
def tile():
    return QUERIES, KEYS


SIZES = [
    # queries, keys, size of a value
    ((2, 3, 64, 32), (2, 3, 64, 32), 32),
    ((1, 2, 1, 1), (1, 2, 1, 1), 1),
    ((2, 2, 3, 5), (2, 2, 2 * KEYS + 7, 5), 3),
    ((1, 1, 2 * QUERIES + 5, 17), (1, 1, KEYS + 1, 17), 40),
    ((1, 4, QUERIES - 1, 32), (1, 2, KEYS - 1, 32), 48),
    ((1, 3, 20, 8), (1, 1, 30, 8), 8),
]


@pytest.mark.sampled(0.4)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes, mask, is_causal):
    query, key, value_size = sizes
    shape = *query[:3], key[2]
    mask = MASKS[mask](*shape)
    assert_right(
        "cpu",
        operands(query, key, value_size),
        mask,
        is_causal=is_causal,
        enable_gqa=query[1] != key[1],
    )


@settings(max_examples=15)
@given(st.data())
def test_any_sizes(data):
    small, heads = st.integers(1, 40), data.draw(st.integers(1, 3))
    group, length, size = data.draw(st.integers(1, 3)), data.draw(small), data.draw(small)
    query = [heads * group, length, size]
    key = [heads, data.draw(st.integers(1, 3 * KEYS)), size]
    batch = data.draw(st.sampled_from([[], [2], [2, 1, 2]]))
    arrays = operands([*batch, *query], [*batch, *key], data.draw(small))
    options = {"is_causal": data.draw(st.booleans()), "scale": data.draw(st.floats(-1, 1))}
    assert_right("cpu", arrays, enable_gqa=True, **options)


def test_sums_in_float64_of_long_sequences():
    assert_right("cpu", operands((1, 2, 1800, 4), (1, 2, 2500, 4), 3))
    assert_right(
        "cpu", operands((1, 2, 1800, 4), (1, 1, 2500, 4), 3), is_causal=True, enable_gqa=True
    )


def test_the_same_bits_with_any_number_of_threads(in_pieces):
    for heads, options in ((6, {}), (1, {}), (1, {"is_causal": True})):
        arrays = operands((1, heads, 1700, 16), (1, heads, 1100, 16))
        bias = normal(1700, 1100)
        first, *others = in_pieces(lambda a=arrays, o=options, m=bias: computed("cpu", a, m, **o))
        for other in others:
            for x, y in zip(first, other, strict=True):
                np.testing.assert_array_equal(x, y)


def test_results_lie_in_memory_as_the_operands():
    heads = [normal(2, 20, 3, 32).transpose(0, 2, 1, 3) for _ in range(3)]
    y, pullback = kernel(*heads)
    gradients = pullback((True, True, True, False))(y)
    for x in (y, *gradients[:3]):
        assert x.transpose(0, 2, 1, 3).flags.c_contiguous


def test_extreme_logits():
    query, key, value, dy = operands((1, 2, 40, 8), (1, 2, 200, 8))
    for scale in (1e4, 1e-6, -1e4):
        with np.errstate(all="ignore"):
            assert_right(
                "cpu", (query, key, value, dy), scale=scale, factor=2e5 if abs(scale) > 1 else 16
            )
    lowest = np.full((40, 200), np.finfo(np.float32).min, np.float32)
    y = computed("cpu", (query, key, value, dy), lowest)[0]  # each key is as bad as all others
    mean = np.broadcast_to(value.mean(axis=-2, keepdims=True), y.shape)
    np.testing.assert_allclose(y, mean, rtol=0, atol=1e-6)


def test_gradients_of_masks_of_any_shape():
    arrays = operands((2, 3, 20, 8), (2, 3, 30, 8))
    for shape in ((), (30,), (1, 30), (20, 1), (20, 30), (3, 1, 30), (2, 1, 1, 30), (2, 3, 20, 30)):
        assert_right("cpu", arrays, np.asarray(normal(*shape), np.float32))
    whole = np.broadcast_to(normal(20, 1), (20, 30))
    assert_right("cpu", arrays, whole, is_causal=True)


def test_a_pullback_may_be_called_twice_and_for_some_inputs():
    query, key, value, dy = operands((1, 2, 100, 8), (1, 2, 120, 8))
    bias = normal(100, 120)
    _, pullback = kernel(query, key, value, bias)
    whole = pullback((True, True, True, True))
    first, second = whole(dy), whole(dy)
    for needed in np.ndindex(2, 2, 2, 2):
        some = pullback(tuple(map(bool, needed)))(dy)
        for i in range(4):
            np.testing.assert_array_equal(first[i], second[i])
            if needed[i]:
                np.testing.assert_array_equal(first[i], some[i])


def test_what_the_kernels_leave_to_the_body():
    query, key, value, _ = operands((2, 2, 6, 4), (2, 2, 7, 4))
    assert kernel(query.astype(float), key.astype(float), value.astype(float)) is NotImplemented
    assert kernel(query, key[:1], value[:1]) is NotImplemented  # broadcast over the batch
    assert kernel(query, key, value, np.zeros((6, 7))) is NotImplemented
    assert kernel(query, key, value, np.zeros(8, bool)) is NotImplemented
    assert kernel(query[:, :, :0], key, value) is NotImplemented
    assert kernel(query, key, value, None, "0") is NotImplemented
    assert kernel(query, key, value, None, 0.5) is NotImplemented
    assert attention(*map(minidl.asarray, (query[:, :, :0], key, value))).shape == (2, 2, 0, 4)
    empty = attention(*map(minidl.asarray, (query, key[:, :, :0], value[:, :, :0]))).numpy()
    assert empty.shape == (2, 2, 6, 4)
    assert not empty.any()
    half = attention(*[minidl.asarray(x, dtype="float16") for x in (query, key, value)])
    assert half.dtype == minidl.float16


def peak(length, mask=None, **options):
    """The bytes allocated at once by a forward and a backward pass."""
    arrays = operands((1, 2, length, 16), (1, 2, length, 16))
    workspace._cached.__dict__.clear()
    tracemalloc.start()
    computed("cpu", arrays, mask, **options)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_grows_linearly_with_the_length():
    for options in ({}, {"is_causal": True}, {"dropout_p": 0.1, "dropout_key": (0, 0)}):
        computed("cpu", operands((1, 2, 8, 16), (1, 2, 8, 16)), **options)  # compiled
        assert peak(4096, **options) < 2.1 * peak(2048, **options)
    padding = np.arange(4096) < 3000
    dense = np.ones((4096, 4096), bool)
    assert peak(4096, padding) < 1.1 * peak(4096)
    assert peak(4096, dense) < 1.1 * peak(4096)


@pytest.mark.parametrize("keys", [100, 10_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_the_error_does_not_grow_with_the_number_of_keys(keys):
    query, key, value, dy = operands((1, 1, 24, 8), (1, 1, keys, 8))
    value = value + 3  # roundings in the same direction
    y, dq, _, _ = computed("cpu", (query, key, value, dy))
    exact, right, _, _ = by_the_body((query, key, value, dy))
    assert np.abs(y - exact).max() < 8 * EPS * 3
    assert np.abs(dq - right).max() < 16 * EPS * 3 * 8


@pytest.mark.parametrize("queries", [100, 10_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_the_error_does_not_grow_with_the_number_of_queries(queries):
    query, key, value, dy = operands((1, 1, queries, 8), (1, 1, 24, 8))
    dy = np.abs(dy)
    *_, dv = computed("cpu", (query, key, value, dy))
    *_, right = by_the_body((query, key, value, dy))
    assert np.abs(dv / right - 1).max() < 16 * EPS
