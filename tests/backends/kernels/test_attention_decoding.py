"""Attention of few queries without gradients, as in decoding, against the body in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.backends.kernels.attention import decoding
from minidl.backends.kernels.attention.decoding import MOST_QUERIES, ROWS, SPAN
from tests.every_backend.attention import EPS, MASKS, normal

rng = np.random.default_rng(0)


def operands(query, key, value_size=None):
    return normal(*query), normal(*key), normal(*key[:-1], value_size or key[-1])


def computed(kernels, arrays, mask=None, dtype="float32", **options):
    """y, without gradients."""
    arrays = [minidl.asarray(x, dtype=dtype) for x in arrays]
    if mask is not None and mask.dtype != bool:
        mask = minidl.asarray(mask, dtype=dtype)
    with minidl.no_grad(), minidl.kernels(kernels):
        y = minidl.scaled_dot_product_attention(*arrays, mask, enable_gqa=True, **options)
    return y.numpy()


def assert_right(arrays, mask=None, factor=16, **options):
    fast = computed("fast", arrays, mask, **options)
    exact = computed("reference", arrays, mask, "float64", **options)
    assert fast.dtype == np.float32
    largest = max(1, np.abs(exact).max(initial=0))
    np.testing.assert_allclose(fast, exact, rtol=0, atol=factor * EPS["float32"] * largest)


@pytest.fixture(autouse=True)
def uses_the_kernel(monkeypatch):
    """Fail the test if the kernel for few queries did not run."""
    calls, attend = [], decoding.attend
    monkeypatch.setattr(decoding, "attend", lambda *given: calls.append(1) or attend(*given))
    yield
    assert calls


SIZES = [
    # queries, keys, size of a value
    ((2, 3, 1, 64), (2, 3, 3 * SPAN + 7, 64), 64),
    ((1, 2, 1, 1), (1, 2, 1, 1), 1),
    ((2, 2, min(3, MOST_QUERIES), 5), (2, 2, 147, 5), 3),
    ((2, 2, MOST_QUERIES, 16), (2, 2, 5, 16), 112),
    ((1, 8, MOST_QUERIES, 17), (1, 2, SPAN + 1, 17), 40),
    ((1, 3 * ROWS, 1, 32), (1, 1, 70, 32), 80),
]


@pytest.mark.sampled(0.4)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values(sizes, mask, is_causal):
    query, key, value_size = sizes
    mask = MASKS[mask](*query[:3], key[2])
    mask = mask.astype(np.float32) if mask is not None and mask.dtype != bool else mask
    assert_right(operands(query, key, value_size), mask, is_causal=is_causal)


@settings(max_examples=25)
@given(st.data())
def test_any_sizes(data):
    small, heads = st.integers(1, 40), data.draw(st.integers(1, 3))
    group, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, MOST_QUERIES))
    size, keys = data.draw(small), data.draw(st.integers(1, 2 * SPAN))
    batch = data.draw(st.sampled_from([[], [2], [2, 1, 2]]))
    query, key = [*batch, heads * group, length, size], [*batch, heads, keys, size]
    mask = None
    if data.draw(st.booleans()):
        mask = rng.random((length, keys)) < data.draw(st.floats(0, 1))
    options = {"is_causal": data.draw(st.booleans()), "scale": data.draw(st.floats(-1, 1))}
    assert_right(operands(query, key, data.draw(small)), mask, **options)


def test_matrices_without_heads():
    assert_right(operands((1, 4), (9, 4), 3))
    assert_right(operands((2, 1, 4), (2, 9, 4), 3), rng.random((1, 9)) < 0.5)


def test_the_same_bits_with_any_number_of_threads(in_pieces):
    for query, key in (((1, 8, 1, 32), (1, 1, 9000, 32)), ((2, 7, 2, 64), (2, 7, 700, 64))):
        arrays, bias = operands(query, key), normal(query[2], key[2])
        first, *others = in_pieces(lambda a=arrays, m=bias: computed("fast", a, m))
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_inputs_of_any_layout():
    plain = operands((2, 3, 2, 32), (2, 3, 50, 32))
    mask = rng.random((2, 50)) < 0.5
    expected = computed("fast", plain, mask)
    ways = [
        lambda x: x.swapaxes(0, -2).copy().swapaxes(0, -2),
        lambda x: x.swapaxes(-1, -2).copy().swapaxes(-1, -2),
        lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),  # read-only
    ]
    for way in ways:
        found = computed("fast", [way(x) for x in plain], way(mask))
        np.testing.assert_array_equal(found, expected)


def test_keys_that_no_query_sees_have_no_influence():
    for size in (16, 5):
        query, key, value = operands((2, 4, 2, size), (2, 2, 2 * SPAN, size))
        seen = np.ones(2 * SPAN, bool)
        seen[[0, 5, SPAN + 3, *range(2 * SPAN - 9, 2 * SPAN)]] = False
        dense = np.broadcast_to(seen, (2, 2 * SPAN)) & (rng.random((2, 2 * SPAN)) < 0.8)
        dense[0] = seen
        for mask in (seen, dense, np.where(dense, np.float32(0), np.float32(-np.inf))):
            right = computed("fast", (query, key, value), mask)
            spoilt = [np.where(seen[:, None], x, np.float32(np.nan)) for x in (key, value)]
            np.testing.assert_array_equal(computed("fast", (query, *spoilt), mask), right)


def test_keys_after_the_last_query_have_no_influence():
    query, key, value = operands((1, 2, 2, 16), (1, 2, 40, 16))
    right = computed("fast", (query, key, value), is_causal=True)
    key[..., 2:, :] = value[..., 2:, :] = np.nan
    np.testing.assert_array_equal(computed("fast", (query, key, value), is_causal=True), right)


def test_queries_that_see_no_key_give_zeros():
    query, key, value = operands((1, 4, 2, 8), (1, 2, SPAN + 9, 8))
    mask = rng.random((4, 2, SPAN + 9)) < 0.5
    mask[1, 0] = mask[2] = False
    query[0, 1, 0] = query[0, 2] = np.nan
    y = computed("fast", (query, key, value), mask)
    assert not y[0, 1, 0].any()
    assert not y[0, 2].any()
    assert np.isfinite(y).all()
    assert y[0, 0].all()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinite_and_missing_numbers_are_not_hidden():
    query, key, value = operands((1, 1, 2, 16), (1, 1, 5, 16))
    for bad in (np.nan, np.inf, -np.inf):
        for which in range(3):
            arrays = [x.copy() for x in (query, key, value)]
            arrays[which][..., 0, 0] = bad
            y, right = (computed(k, arrays) for k in ("fast", "reference"))
            np.testing.assert_array_equal(np.isfinite(y), np.isfinite(right))
    bias = np.zeros((2, 5), np.float32)
    bias[1, 2] = np.nan
    y = computed("fast", (query, key, value), bias)
    assert np.isnan(y[0, 0, 1]).all()
    assert np.isfinite(y[0, 0, 0]).all()


def test_extreme_logits():
    arrays = operands((1, 2, 2, 8), (1, 2, SPAN + 200, 8))
    for scale in (1e4, 1e-6, -1e4):
        assert_right(arrays, scale=scale, factor=2e5 if abs(scale) > 1 else 16)
    lowest = np.full((2, SPAN + 200), np.finfo(np.float32).min, np.float32)
    y = computed("fast", arrays, lowest)  # each key is as bad as all others
    mean = np.broadcast_to(arrays[2].mean(axis=-2, keepdims=True), y.shape)
    np.testing.assert_allclose(y, mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("keys", [100, 10_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_the_error_does_not_grow_with_the_number_of_keys(keys):
    query, key, value = operands((1, 1, 2, 8), (1, 1, keys, 8))
    value = value + 3  # roundings in the same direction
    y = computed("fast", (query, key, value))
    exact = computed("reference", (query, key, value), dtype="float64")
    assert np.abs(y - exact).max() < 8 * EPS["float32"] * 3


def test_steps_give_what_one_pass_with_gradients_gives():
    query, key, value = operands((1, 2, 9, 16), (1, 2, 9, 16))
    tensors = [minidl.asarray(x).requires_grad_() for x in (query, key, value)]
    whole = minidl.scaled_dot_product_attention(*tensors, is_causal=True).numpy()
    for t in range(9):
        seen = query[..., t : t + 1, :], key[..., : t + 1, :], value[..., : t + 1, :]
        np.testing.assert_allclose(computed("fast", seen)[0, :, 0], whole[0, :, t], atol=1e-6)
