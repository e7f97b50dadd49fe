"""Attention by the kernels of `device`, against the body on the CPU, which stores all weights.

A backend's file has two fixtures more: `dtype`, of each that its kernels compute in, and `tile`, of
how many queries and keys its kernels take at once.
"""

import numpy as np
import pytest

import minidl

rng = np.random.default_rng(0)
attention = minidl.scaled_dot_product_attention
EPS = {"float32": np.finfo(np.float32).eps, "float16": np.finfo(np.float16).eps}
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


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def operands(query, key, value_size=None):
    """Query, key, value and the gradient of y, for queries (…, L, E) and keys (…, S, E)."""
    value = (*key[:-1], value_size or key[-1])
    return normal(*query), normal(*key), normal(*value), normal(*query[:-1], value[-1])


def computed(device, arrays, mask=None, dtype="float32", mode="fast", **options):
    """y and the gradients of query, key, value, and of the mask, if it is one of floats."""
    *given, dy = [minidl.asarray(x, dtype=dtype, device=device) for x in arrays]
    given = [x.requires_grad_() for x in given]
    if mask is not None:
        floats = np.asarray(mask).dtype.kind == "f"
        mask = minidl.asarray(mask, dtype=dtype if floats else None, device=device)
        if floats:
            given.append(mask.requires_grad_())
    with minidl.kernels(mode):
        y = attention(*given[:3], mask, **options)
        found = minidl.gradients(y, given, [dy])
    return [x.cpu().numpy() for x in (y, *found)]


def by_the_body(arrays, mask=None, dtype="float64", **options):
    return computed("cpu", arrays, mask, dtype, "reference", **options)


def assert_right(device, arrays, mask=None, factor=16, dtype="float32", **options):
    """The kernels' results are those of the body in float64, but for rounding."""
    arrays = [x.astype(dtype) for x in arrays]
    if mask is not None and np.asarray(mask).dtype.kind == "f":
        mask = np.asarray(mask).astype(dtype)
    found = computed(device, arrays, mask, dtype, **options)
    logits = arrays[0][..., 0].size * arrays[1].shape[-2]
    for i, (x, right) in enumerate(zip(found, by_the_body(arrays, mask, **options), strict=True)):
        assert x.dtype == dtype
        assert x.shape == right.shape
        largest = max(1, np.abs(right).max(initial=0))
        if i in (1, 2) and device != "cpu":  # dy·v and the mean of these cancel
            products = np.abs(arrays[3]).max() * np.abs(arrays[2]).sum(axis=-1).max()
            largest += products * np.abs(arrays[2 - i]).max() / factor
        if i == 4:  # the gradient of a mask is a sum of those of several logits, which cancel
            largest *= (logits / x.size) ** 0.5
        np.testing.assert_allclose(x, right, rtol=0, atol=factor * EPS[dtype] * largest)


def assert_same(found, expected):
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)


def test_matrices_without_heads(device):
    assert_right(device, operands((7, 4), (9, 4), 3))
    assert_right(device, operands((2, 7, 4), (2, 9, 4), 3), rng.random((7, 9)) < 0.5)


def test_broadcast_gradients_and_operands(device):
    query, key, value, _ = operands((2, 2, 20, 16), (2, 2, 30, 16))
    same = np.broadcast_to(key[:1, :1], key.shape)
    dy = np.broadcast_to(np.float32(1), query.shape)
    assert_right(device, (query, same, value, dy))


LAYOUTS = {
    "heads last": lambda x: x.swapaxes(0, -2).copy().swapaxes(0, -2),
    "transposed": lambda x: x.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    "backwards": lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
    "every other number": lambda x: x.repeat(2, axis=-1)[..., ::2],
    "not aligned": lambda x: x[..., [0, *range(x.shape[-1])]][..., 1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_of_any_layout(layout, device):
    *arrays, mask = *operands((2, 3, 40, 32), (2, 3, 50, 32)), rng.random((40, 50)) < 0.5
    expected = computed(device, arrays, mask)
    tensors = [minidl.asarray(x, device=device) for x in (*arrays, mask)]
    *given, dy, visible = [minidl.Tensor(LAYOUTS[layout](x.data)) for x in tensors]
    y = attention(*[x.requires_grad_() for x in given], visible)
    found = y, *minidl.gradients(y, given, [dy])
    assert_same([x.cpu().numpy() for x in found], expected)


def test_dropout_has_the_zeros_of_the_body(dtype, device, tile):
    queries, keys = tile[0] + 3, tile[1] + 11
    arrays = operands((2, 2, queries, 8), (2, 2, keys, 8))
    for options in ({}, {"is_causal": True}):
        options |= {"dropout_p": 0.3, "dropout_key": (2**40 + 3, 5)}
        assert_right(device, arrays, dtype=dtype, **options)
    mask = rng.random((queries, keys)) < 0.7
    mask[:, :5] = False  # keys that are left out
    assert_right(device, arrays, mask, dtype=dtype, dropout_p=0.5, dropout_key=(7, 2**33))
    small = operands((1, 1, 3, 2), (1, 1, 5, 2))
    assert_right(device, small, dropout_p=0.5, dropout_key=(1, 2))
    assert not np.any(computed(device, arrays, dropout_p=1.0, dropout_key=(7, 0))[0])


# What masks hide.


def test_keys_that_no_query_sees_have_no_influence(dtype, device, tile):
    count = 3 * tile[1]
    arrays = operands((2, 2, 30, 16), (2, 2, count, 16))
    query, key, value, dy = [x.astype(dtype) for x in arrays]
    seen = np.ones(count, bool)
    seen[[0, 5, tile[1] + 3, *range(2 * tile[1], count)]] = False
    dense = np.broadcast_to(seen, (30, count)) & (rng.random((30, count)) < 0.8)
    dense[0] = seen
    for mask in (seen, dense, np.where(dense, np.float32(0), np.float32(-np.inf))):
        right = computed(device, (query, key, value, dy), mask, dtype)
        spoilt = [np.where(seen[:, None], x, np.asarray(np.nan, dtype)) for x in (key, value)]
        assert_same(computed(device, (query, *spoilt, dy), mask, dtype), right)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_keys_that_no_query_sees_get_no_gradient(dtype, device, tile):
    count = 3 * tile[1]
    query, key, value, dy = operands((1, 2, 30, 16), (1, 2, count, 16))
    query[..., 3, :] = np.nan
    seen = rng.random(count) < 0.7
    seen[tile[1] - 3 : tile[1] + 2] = False
    _, _, dk, dv = computed(device, (query, key, value, dy), seen, dtype)
    assert not dk[..., ~seen, :].any()
    assert not dv[..., ~seen, :].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_queries_that_see_no_key_give_zeros_and_no_gradients(bad, dtype, device, tile):
    """Whatever they are."""
    queries, keys, blind = tile[0] + 9, tile[1] + 9, [0, 7, tile[0]]
    query, key, value, dy = operands((1, 2, queries, 8), (1, 2, keys, 8))
    mask = rng.random((queries, keys)) < 0.5
    mask[:, 3] = True
    mask[blind] = False
    right = computed(device, (query, key, value, dy), mask, dtype)
    query[..., blind, :], dy[..., blind, :] = np.nan, bad
    found = computed(device, (query, key, value, dy), mask, dtype)
    assert_same(found, right)
    for x in found[:2]:
        assert not x[..., blind, :].any()
    assert not any(np.isnan(x).any() for x in found)


def test_queries_whose_gradient_is_0_contribute_nothing(dtype, device):
    query, key, value, dy = operands((1, 1, 70, 8), (1, 1, 30, 8))
    hidden = [2, *range(10, 20), 66]
    dy[..., hidden, :] = 0
    right = computed(device, (query, key, value, dy), dtype=dtype)
    query[..., hidden, :] = np.nan
    assert_same(computed(device, (query, key, value, dy), dtype=dtype)[1:], right[1:])


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("queries", [4, 70])
def test_infinite_and_missing_numbers_are_not_hidden(queries, device):
    query, key, value, dy = operands((1, 1, queries, 8), (1, 1, 5, 8))
    for bad in (np.nan, np.inf, -np.inf):
        for which in range(3):
            arrays = [x.copy() for x in (query, key, value, dy)]
            arrays[which][..., 0, 0] = bad
            y, right = computed(device, arrays)[0], by_the_body(arrays, dtype="float32")[0]
            np.testing.assert_array_equal(np.isfinite(y), np.isfinite(right))
    bias = np.zeros((queries, 5), np.float32)
    bias[1, 2] = np.nan
    y = computed(device, (query, key, value, dy), bias)[0]
    assert np.isnan(y[0, 0, 1]).all()
    assert np.isfinite(y[0, 0, [0, 2, 3]]).all()
