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

rng = np.random.default_rng(0)
attention = minidl.scaled_dot_product_attention
EPS = np.finfo(np.float32).eps


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def operands(query, key, value_size=None):
    """Query, key, value and the gradient of y, for queries (…, L, E) and keys (…, S, E)."""
    value = (*key[:-1], value_size or key[-1])
    return normal(*query), normal(*key), normal(*value), normal(*query[:-1], value[-1])


def computed(kernels, arrays, mask=None, dtype="float32", **options):
    """y and the gradients of query, key, value, and of the mask, if it is one of floats."""
    *given, dy = [minidl.asarray(x, dtype=dtype) for x in arrays]
    given = [x.requires_grad_() for x in given]
    if mask is not None:
        mask = minidl.asarray(mask)
        if mask.dtype.kind == "f":
            mask = minidl.asarray(mask, dtype=dtype).requires_grad_()
            given.append(mask)
    with minidl.kernels(kernels):
        y = attention(*given[:3], mask, **options)
        found = minidl.gradients(y, given, [dy])
    return [x.numpy() for x in (y, *found)]


def assert_right(arrays, mask=None, factor=16, **options):
    """The kernels' results are those of the body in float64, but for rounding."""
    fast = computed("fast", arrays, mask, **options)
    exact = computed("reference", arrays, mask, "float64", **options)
    logits = arrays[0][..., 0].size * arrays[1].shape[-2]
    for i, (x, right) in enumerate(zip(fast, exact, strict=True)):
        assert x.dtype == np.float32
        assert x.shape == right.shape
        largest = max(1, np.abs(right).max(initial=0))
        if i == 4:  # the gradient of a mask is a sum of those of several logits, which cancel
            largest *= (logits / x.size) ** 0.5
        np.testing.assert_allclose(x, right, rtol=0, atol=factor * EPS * largest)


MASKS = {
    "none": lambda b, h, n, s: None,
    "padding": lambda b, h, n, s: np.arange(s) < rng.integers(0, s + 1, (b, 1, 1, 1)),
    "bools": lambda b, h, n, s: rng.random((n, s)) < 0.6,
    "few bools": lambda b, h, n, s: rng.random((b, h, n, s)) < 0.05,
    "queries": lambda b, h, n, s: rng.random((b, 1, n, 1)) < 0.6,
    "of a key": lambda b, h, n, s: normal(s),
    "floats": lambda b, h, n, s: np.where(rng.random((n, s)) < 0.6, normal(h, n, s), -np.inf),
    "number": lambda b, h, n, s: np.float32(0.5),
}
SIZES = [
    # queries, keys, size of a value
    ((2, 3, 64, 32), (2, 3, 64, 32), 32),
    ((1, 2, 1, 1), (1, 2, 1, 1), 1),
    ((2, 2, 3, 5), (2, 2, 2 * KEYS + 7, 5), 3),
    ((1, 1, 2 * QUERIES + 5, 17), (1, 1, KEYS + 1, 17), 40),
    ((1, 4, QUERIES - 1, 32), (1, 2, KEYS - 1, 32), 48),
    ((1, 3, 20, 8), (1, 1, 30, 8), 8),
]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes, mask, is_causal):
    query, key, value_size = sizes
    shape = *query[:3], key[2]
    mask = MASKS[mask](*shape)
    mask = mask.astype(np.float32) if mask is not None and mask.dtype != bool else mask
    assert_right(
        operands(query, key, value_size), mask, is_causal=is_causal, enable_gqa=query[1] != key[1]
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
    assert_right(arrays, enable_gqa=True, **options)


def test_matrices_without_heads():
    assert_right(operands((7, 4), (9, 4), 3))
    assert_right(operands((2, 7, 4), (2, 9, 4), 3), rng.random((7, 9)) < 0.5)


def test_sums_in_float64_of_long_sequences():
    assert_right(operands((1, 2, 1800, 4), (1, 2, 2500, 4), 3))
    assert_right(operands((1, 2, 1800, 4), (1, 1, 2500, 4), 3), is_causal=True, enable_gqa=True)


def test_the_same_bits_with_any_number_of_threads(in_pieces):
    for heads, options in ((6, {}), (1, {}), (1, {"is_causal": True})):
        arrays = operands((1, heads, 1700, 16), (1, heads, 1100, 16))
        bias = normal(1700, 1100)
        first, *others = in_pieces(lambda a=arrays, o=options, m=bias: computed("fast", a, m, **o))
        for other in others:
            for x, y in zip(first, other, strict=True):
                np.testing.assert_array_equal(x, y)


def test_inputs_of_any_layout():
    plain = operands((2, 3, 40, 32), (2, 3, 50, 32))
    mask = rng.random((40, 50)) < 0.5
    expected = computed("fast", plain, mask)
    ways = [
        lambda x: x.swapaxes(0, -2).copy().swapaxes(0, -2),
        lambda x: x.swapaxes(-1, -2).copy().swapaxes(-1, -2),
        lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),  # read-only
    ]
    for way in ways:
        arrays = [way(x) for x in plain]
        for x, y in zip(computed("fast", arrays, way(mask)), expected, strict=True):
            np.testing.assert_array_equal(x, y)


def test_results_lie_in_memory_as_the_operands():
    heads = [normal(2, 20, 3, 32).transpose(0, 2, 1, 3) for _ in range(3)]
    y, pullback = kernel(*heads)
    gradients = pullback((True, True, True, False))(y)
    for x in (y, *gradients[:3]):
        assert x.transpose(0, 2, 1, 3).flags.c_contiguous


def test_broadcast_gradients_and_operands():
    query, key, value, _ = operands((2, 2, 20, 16), (2, 2, 30, 16))
    same = np.broadcast_to(key[:1, :1], key.shape)
    dy = np.broadcast_to(np.float32(1), query.shape)
    assert_right((query, same, value, dy))


@pytest.mark.parametrize("threads", [1, 2])
def test_dropout_has_the_zeros_of_the_body(threads, in_pieces):
    arrays = operands((2, 2, 2 * QUERIES + 3, 8), (2, 2, KEYS + 11, 8))
    for options in ({}, {"is_causal": True}):
        assert_right(arrays, dropout_p=0.3, dropout_key=(2**40 + 3, 5), **options)
    mask = rng.random((2 * QUERIES + 3, KEYS + 11)) < 0.7
    mask[:, :5] = False  # keys that are left out
    assert_right(arrays, mask, dropout_p=0.5, dropout_key=(7, 0))
    assert_right(operands((1, 1, 3, 2), (1, 1, 5, 2)), dropout_p=0.5, dropout_key=(1, 2))
    assert not np.any(computed("fast", arrays, dropout_p=1.0, dropout_key=(7, 0))[0])


def test_keys_that_no_query_sees_have_no_influence():
    query, key, value, dy = operands((2, 2, 30, 16), (2, 2, 3 * KEYS, 16))
    seen = np.ones(3 * KEYS, bool)
    seen[[0, 5, KEYS + 3, *range(2 * KEYS, 3 * KEYS)]] = False
    dense = np.broadcast_to(seen, (30, 3 * KEYS)) & (rng.random((30, 3 * KEYS)) < 0.8)
    dense[0] = seen
    for mask in (seen, dense, np.where(dense, np.float32(0), np.float32(-np.inf))):
        right = computed("fast", (query, key, value, dy), mask)
        spoilt = [np.where(seen[:, None], x, np.float32(np.nan)) for x in (key, value)]
        found = computed("fast", (query, *spoilt, dy), mask)
        for x, y in zip(found, right, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_keys_that_no_query_sees_get_no_gradient():
    query, key, value, dy = operands((1, 2, 30, 16), (1, 2, 3 * KEYS, 16))
    query[..., 3, :] = np.nan
    seen = rng.random(3 * KEYS) < 0.7
    seen[KEYS - 3 : KEYS + 2] = False
    _, _, dk, dv = computed("fast", (query, key, value, dy), seen)
    assert not dk[..., ~seen, :].any()
    assert not dv[..., ~seen, :].any()


def test_queries_that_see_no_key_give_zeros_and_no_gradients():
    query, key, value, dy = operands((1, 2, QUERIES + 9, 8), (1, 2, KEYS + 9, 8))
    mask = rng.random((QUERIES + 9, KEYS + 9)) < 0.5
    mask[[0, 7, QUERIES]] = False
    mask[:, 3] = True
    mask[[0, 7, QUERIES], 3] = False
    right = computed("fast", (query, key, value, dy), mask)
    assert not right[0][..., [0, 7, QUERIES], :].any()
    assert not right[1][..., [0, 7, QUERIES], :].any()
    query[..., [0, 7, QUERIES], :] = np.nan
    dy[..., [0, 7, QUERIES], :] = np.inf
    for x, y in zip(computed("fast", (query, key, value, dy), mask), right, strict=True):
        np.testing.assert_array_equal(x, y)


def test_queries_without_a_gradient_have_no_influence():
    query, key, value, dy = operands((1, 2, 40, 8), (1, 2, 30, 8))
    dy[..., 10:20, :] = 0
    right = computed("fast", (query, key, value, dy))
    query[..., 10:20, :] = np.nan
    for x, y in zip(computed("fast", (query, key, value, dy))[1:], right[1:], strict=True):
        np.testing.assert_array_equal(x, y)


def test_extreme_logits():
    query, key, value, dy = operands((1, 2, 40, 8), (1, 2, 200, 8))
    for scale in (1e4, 1e-6, -1e4):
        with np.errstate(all="ignore"):
            assert_right((query, key, value, dy), scale=scale, factor=2e5 if abs(scale) > 1 else 16)
    lowest = np.full((40, 200), np.finfo(np.float32).min, np.float32)
    y = computed("fast", (query, key, value, dy), lowest)[0]  # each key is as bad as all others
    mean = np.broadcast_to(value.mean(axis=-2, keepdims=True), y.shape)
    np.testing.assert_allclose(y, mean, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinite_and_missing_numbers_are_not_hidden():
    query, key, value, dy = operands((1, 1, 4, 8), (1, 1, 5, 8))
    for bad in (np.nan, np.inf, -np.inf):
        for which in range(3):
            arrays = [x.copy() for x in (query, key, value, dy)]
            arrays[which][..., 0, 0] = bad
            y, right = (computed(k, arrays)[0] for k in ("fast", "reference"))
            np.testing.assert_array_equal(np.isfinite(y), np.isfinite(right))
    bias = np.zeros((4, 5), np.float32)
    bias[1, 2] = np.nan
    y = computed("fast", (query, key, value, dy), bias)[0]
    assert np.isnan(y[0, 0, 1]).all()
    assert np.isfinite(y[0, 0, [0, 2, 3]]).all()


def test_gradients_of_masks_of_any_shape():
    arrays = operands((2, 3, 20, 8), (2, 3, 30, 8))
    for shape in ((), (30,), (1, 30), (20, 1), (20, 30), (3, 1, 30), (2, 1, 1, 30), (2, 3, 20, 30)):
        assert_right(arrays, np.asarray(normal(*shape), np.float32))
    whole = np.broadcast_to(normal(20, 1), (20, 30))
    assert_right(arrays, whole, is_causal=True)


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
    computed("fast", arrays, mask, **options)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_grows_linearly_with_the_length():
    for options in ({}, {"is_causal": True}, {"dropout_p": 0.1, "dropout_key": (0, 0)}):
        computed("fast", operands((1, 2, 8, 16), (1, 2, 8, 16)), **options)  # compiled
        assert peak(4096, **options) < 2.1 * peak(2048, **options)
    padding = np.arange(4096) < 3000
    dense = np.ones((4096, 4096), bool)
    assert peak(4096, padding) < 1.1 * peak(4096)
    assert peak(4096, dense) < 1.1 * peak(4096)


@pytest.mark.parametrize("keys", [100, 10_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_the_error_does_not_grow_with_the_number_of_keys(keys):
    query, key, value, dy = operands((1, 1, 24, 8), (1, 1, keys, 8))
    value = value + 3  # roundings in the same direction
    y, dq, _, _ = computed("fast", (query, key, value, dy))
    exact, right, _, _ = computed("reference", (query, key, value, dy), dtype="float64")
    assert np.abs(y - exact).max() < 8 * EPS * 3
    assert np.abs(dq - right).max() < 16 * EPS * 3 * 8


@pytest.mark.parametrize("queries", [100, 10_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_the_error_does_not_grow_with_the_number_of_queries(queries):
    query, key, value, dy = operands((1, 1, queries, 8), (1, 1, 24, 8))
    dy = np.abs(dy)
    *_, dv = computed("fast", (query, key, value, dy))
    *_, right = computed("reference", (query, key, value, dy), dtype="float64")
    assert np.abs(dv / right - 1).max() < 16 * EPS
