"""Attention on the GPU against the body on the CPU, which stores all weights, in float64."""

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl_cuda.kernels.attention import scaled_dot_product_attention as kernel
from tests.cuda.kernels.examples import examples

rng = np.random.default_rng(0)
attention = minidl.scaled_dot_product_attention
EPS = {"float32": np.finfo(np.float32).eps, "float16": np.finfo(np.float16).eps}


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def operands(query, key, value_size=None):
    """Query, key, value and the gradient of y, for queries (…, L, E) and keys (…, S, E)."""
    value = (*key[:-1], value_size or key[-1])
    return normal(*query), normal(*key), normal(*value), normal(*query[:-1], value[-1])


def on_gpu(x, dtype=None):
    return minidl.asarray(x, dtype=dtype, device="cuda")


def computed(device, arrays, mask=None, dtype="float32", mode=None, **options):
    """y and the gradients of query, key, value, and of the mask, if it is one of floats."""
    *given, dy = [minidl.asarray(x, dtype=dtype, device=device) for x in arrays]
    given = [x.requires_grad_() for x in given]
    if mask is not None:
        floats = np.asarray(mask).dtype.kind == "f"
        mask = minidl.asarray(mask, dtype=dtype if floats else None, device=device)
        if floats:
            given.append(mask.requires_grad_())
    with minidl.kernels(mode or ("fast" if device == "cuda" else "reference")):
        y = attention(*given[:3], mask, **options)
        found = minidl.gradients(y, given, [dy])
    return [x.cpu().numpy() for x in (y, *found)]


def assert_right(arrays, mask=None, factor=16, dtype="float32", **options):
    """The kernels' results are those of the body in float64, but for rounding."""
    arrays = [x.astype(dtype) for x in arrays]
    if mask is not None and np.asarray(mask).dtype.kind == "f":
        mask = np.asarray(mask).astype(dtype)
    found = computed("cuda", arrays, mask, dtype, **options)
    exact = computed("cpu", arrays, mask, "float64", **options)
    logits = arrays[0][..., 0].size * arrays[1].shape[-2]
    for i, (x, right) in enumerate(zip(found, exact, strict=True)):
        assert x.dtype == dtype
        assert x.shape == right.shape
        largest = max(1, np.abs(right).max(initial=0))
        if i in (1, 2):  # dy·v and the mean of these cancel
            products = np.abs(arrays[3]).max() * np.abs(arrays[2]).sum(axis=-1).max()
            largest += products * np.abs(arrays[2 - i]).max() / factor
        if i == 4:  # the gradient of a mask is a sum of those of several logits, which cancel
            largest *= (logits / x.size) ** 0.5
        np.testing.assert_allclose(x, right, rtol=0, atol=factor * EPS[dtype] * largest)


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
    ((2, 2, 3, 5), (2, 2, 135, 5), 3),
    ((1, 1, 133, 17), (1, 1, 65, 17), 70),
    ((1, 4, 63, 32), (1, 2, 127, 32), 48),
    ((1, 3, 20, 8), (1, 1, 30, 8), 8),
    ((1, 1, 65, 130), (1, 1, 66, 130), 257),
]
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float16"])


EVERY = [("float32", sizes) for sizes in SIZES] + [("float16", sizes) for sizes in SIZES[3:5]]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("dtype", "sizes"), EVERY)
def test_values_and_gradients(dtype, sizes, mask, is_causal, launches):
    query, key, value_size = sizes
    mask = MASKS[mask](*query[:3], key[2])
    assert_right(
        operands(query, key, value_size),
        mask,
        dtype=dtype,
        is_causal=is_causal,
        enable_gqa=query[1] != key[1],
    )
    assert any(name.startswith("attention_") and "_keys_" in name for name in launches)
    assert not any(name in launches for name in ("matmul", "softmax_forward_f32"))


@pytest.mark.parametrize("mask", ["none", "padding", "few bools", "of a key", "floats"])
@each_dtype
def test_few_queries(dtype, mask, launches):
    """As in generating text: the keys are split among blocks, some of which see none."""
    arrays = operands((2, 4, 3, 40), (2, 2, 700, 40), 50)
    options = {"enable_gqa": True, "dtype": dtype}
    assert_right(arrays, MASKS[mask](2, 4, 3, 700), **options)
    assert_right(arrays, is_causal=True, dropout_p=0.3, dropout_key=(5, 9), **options)
    suffix = {"float32": "f32", "float16": "f16"}[dtype]
    assert launches[f"attention_decode_{suffix}"] == launches[f"attention_combine_{suffix}"] == 2


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", ["none", "bools", "floats"])
@pytest.mark.parametrize("sizes", [(64, 64), (8, 40), (128, 96)])
def test_float16_on_tensor_cores(sizes, mask, is_causal, launches):
    size, value_size = sizes
    mask = MASKS[mask](2, 2, 70, 135)
    arrays = operands((2, 2, 70, size), (2, 1, 135, size), value_size)
    assert_right(arrays, mask, dtype="float16", is_causal=is_causal)
    width = 64 if max(sizes) <= 64 else 128
    for name in ("forward", "queries", "keys"):
        assert launches[f"attention_{name}_half_{width}"] == 1


def test_float16_that_tensor_cores_cannot_read(launches):
    """Rows that are not aligned, and heads of other sizes."""
    for size in (12, 76, 136):
        assert_right(operands((1, 1, 20, size), (1, 1, 30, size)), dtype="float16")
    for width in (64, 128, 256):
        assert launches[f"attention_queries_{width}_f16"] == 1
    *given, dy = [on_gpu(x, "float16")[..., 1:] for x in operands((1, 2, 9, 9), (1, 2, 9, 9))]
    y = attention(*[x.requires_grad_() for x in given])
    minidl.gradients(y, given, [dy])
    assert not any("half" in name for name in launches)


@examples(20)
@given(st.data())
def test_any_sizes(data):
    small, heads = st.integers(1, 70), data.draw(st.integers(1, 3))
    group, length, size = data.draw(st.integers(1, 3)), data.draw(small), data.draw(small)
    query = [heads * group, length, size]
    key = [heads, data.draw(st.integers(1, 200)), size]
    batch = data.draw(st.sampled_from([[], [2], [2, 1, 2]]))
    arrays = operands([*batch, *query], [*batch, *key], data.draw(small))
    options = {"is_causal": data.draw(st.booleans()), "scale": data.draw(st.floats(-0.3, 0.3))}
    assert_right(arrays, enable_gqa=True, **options)


def test_matrices_without_heads():
    assert_right(operands((7, 4), (9, 4), 3))
    assert_right(operands((2, 7, 4), (2, 9, 4), 3), rng.random((7, 9)) < 0.5)


@pytest.mark.parametrize("size", [3, 70, 140])
def test_sums_of_long_sequences(size):
    """More than 16 tiles of keys, and of queries, whose sums go through two floats."""
    assert_right(operands((1, 1, 70, 4), (1, 1, 1200, 4), size))
    assert_right(operands((1, 2, 600, size), (1, 1, 70, size), 4), enable_gqa=True)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("value_size", [2, 66])
def test_logits_that_grow_or_fall(direction, value_size):
    """The maximum is raised, and what was summed so far is rescaled, many times."""
    query, key, value, dy = operands((1, 1, 60, 1), (1, 1, 1500, 1), value_size)
    query = np.abs(query) + 1
    key[..., 0] = np.linspace(-100, 100, 1500, dtype=np.float32)[::direction]
    arrays = query, key, value, dy
    right = computed("cpu", arrays, dtype="float64", scale=1.0)
    pairs = zip(computed("cuda", arrays, scale=1.0), right, strict=True)
    cpu = computed("cpu", arrays, scale=1.0, mode="fast")
    for (own, exact), theirs in zip(pairs, cpu, strict=True):
        assert np.linalg.norm(own - exact) <= 2 * np.linalg.norm(theirs - exact)


def test_inputs_of_any_layout():
    plain = operands((2, 3, 40, 32), (2, 3, 50, 32))
    mask = rng.random((40, 50)) < 0.5
    expected = computed("cuda", plain, mask)
    ways = [
        lambda x: x.swapaxes(0, -2).copy().swapaxes(0, -2),
        lambda x: x.swapaxes(-1, -2).copy().swapaxes(-1, -2),
        lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
        lambda x: cupy.stack([x, x], axis=-1)[..., 0],
        lambda x: cupy.concatenate([x[..., :1], x], axis=-1)[..., 1:],  # not aligned to 16 bytes
    ]
    for way in ways:
        arrays = [minidl.Tensor(way(on_gpu(x).data)) for x in (*plain, mask)]
        *given, dy, visible = arrays
        y = attention(*[x.requires_grad_() for x in given], visible)
        for x, right in zip((y, *minidl.gradients(y, given, [dy])), expected, strict=True):
            np.testing.assert_array_equal(x.cpu().numpy(), right)


def test_results_lie_in_memory_as_the_operands():
    heads = [cupy.asarray(normal(2, 20, 3, 32)).transpose(0, 2, 1, 3) for _ in range(3)]
    y, pullback = kernel(*heads)
    for x in (y, *pullback((True, True, True, False))(y)[:3]):
        assert x.transpose(0, 2, 1, 3).flags.c_contiguous


def test_broadcast_gradients_and_operands():
    query, key, value, _ = operands((2, 2, 20, 16), (2, 2, 30, 16))
    same = np.broadcast_to(key[:1, :1], key.shape)
    dy = np.broadcast_to(np.float32(1), query.shape)
    assert_right((query, same, value, dy))


@each_dtype
def test_dropout_has_the_zeros_of_the_body(dtype):
    arrays = operands((2, 2, 67, 8), (2, 2, 75, 8))
    for options in ({}, {"is_causal": True}):
        assert_right(arrays, dtype=dtype, dropout_p=0.3, dropout_key=(2**40 + 3, 5), **options)
    mask = rng.random((67, 75)) < 0.7
    mask[:, :5] = False
    assert_right(arrays, mask, dtype=dtype, dropout_p=0.5, dropout_key=(7, 2**33))
    assert_right(operands((1, 1, 3, 2), (1, 1, 5, 2)), dropout_p=0.5, dropout_key=(1, 2))
    assert not np.any(computed("cuda", arrays, dropout_p=1.0, dropout_key=(7, 0))[0])


@each_dtype
def test_keys_that_no_query_sees_have_no_influence(dtype):
    query, key, value, dy = [x.astype(dtype) for x in operands((2, 2, 30, 16), (2, 2, 200, 16))]
    seen = np.ones(200, bool)
    seen[[0, 5, 67, *range(128, 200)]] = False
    dense = np.broadcast_to(seen, (30, 200)) & (rng.random((30, 200)) < 0.8)
    dense[0] = seen
    for mask in (seen, dense, np.where(dense, np.float32(0), np.float32(-np.inf))):
        right = computed("cuda", (query, key, value, dy), mask, dtype)
        spoilt = [np.where(seen[:, None], x, np.asarray(np.nan, dtype)) for x in (key, value)]
        found = computed("cuda", (query, *spoilt, dy), mask, dtype)
        for x, y in zip(found, right, strict=True):
            np.testing.assert_array_equal(x, y)


@each_dtype
def test_keys_that_no_query_sees_get_no_gradient(dtype):
    query, key, value, dy = operands((1, 2, 30, 16), (1, 2, 150, 16))
    query[..., 3, :] = np.nan
    seen = rng.random(150) < 0.7
    seen[60:70] = False
    _, _, dk, dv = computed("cuda", (query, key, value, dy), seen, dtype)
    assert not dk[..., ~seen, :].any()
    assert not dv[..., ~seen, :].any()


@each_dtype
def test_queries_that_see_no_key_give_zeros_and_no_gradients(dtype):
    """Whatever they are."""
    query, key, value, dy = operands((1, 2, 73, 8), (1, 2, 72, 8))
    mask = rng.random((73, 72)) < 0.5
    mask[:, 3] = True
    mask[[0, 7, 64]] = False
    right = computed("cuda", (query, key, value, dy), mask, dtype)
    query[..., [0, 7], :], dy[..., [0, 7], :] = np.nan, np.nan
    found = computed("cuda", (query, key, value, dy), mask, dtype)
    for x, y in zip(found, right, strict=True):
        np.testing.assert_array_equal(x, y)
    for x in found[:2]:
        assert not x[..., [0, 7, 64], :].any()
    assert not any(np.isnan(x).any() for x in found)


@each_dtype
def test_queries_whose_gradient_is_0_contribute_nothing(dtype):
    query, key, value, dy = operands((1, 1, 70, 8), (1, 1, 30, 8))
    dy[..., [2, 66], :] = 0
    right = computed("cuda", (query, key, value, dy), dtype=dtype)
    query[..., [2, 66], :] = np.nan
    found = computed("cuda", (query, key, value, dy), dtype=dtype)
    for x, y in zip(found[1:], right[1:], strict=True):
        np.testing.assert_array_equal(x, y)


def test_nan_and_infinity_that_are_seen_go_on():
    query, key, value, dy = operands((1, 1, 5, 4), (1, 1, 7, 4))
    key[..., 2, 1] = np.nan
    assert np.isnan(computed("cuda", (query, key, value, dy))[0]).all()
    key[..., 2, 1], value[..., 3, 0] = 0, np.inf
    y = computed("cuda", (query, key, value, dy))[0]
    assert np.isinf(y[..., 0]).all()
    assert np.isfinite(y[..., 1:]).all()


def test_a_pullback_may_be_called_twice_and_gives_what_is_needed():
    arrays = operands((2, 2, 70, 16), (2, 2, 80, 16))
    mask = normal(70, 80)
    expected = computed("cuda", arrays, mask)[1:]
    for i, right in enumerate(expected):
        *given, dy = map(on_gpu, arrays)
        given.append(on_gpu(mask))
        given[i].requires_grad_()
        y = attention(*given)
        for retain in (True, False):
            (found,) = minidl.gradients(y, [given[i]], [dy], retain_graph=retain)
            np.testing.assert_array_equal(found.cpu().numpy(), right)


def test_no_waiting_and_no_upload(counters):
    *given, dy = map(on_gpu, operands((2, 2, 70, 16), (2, 2, 1100, 16)))
    given.append(on_gpu(normal(70, 1100)))
    counters.reset()
    y = attention(*[x.requires_grad_() for x in given], dropout_p=0.1, dropout_key=(1, 2))
    minidl.gradients(y, given, [dy])
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)


@pytest.mark.parametrize("size", [8, 256])
def test_memory_grows_with_the_length_not_with_its_square(size, monkeypatch):
    taken, empty = [], cupy.empty
    watched = lambda shape, *a, **k: taken.append(int(np.prod(shape))) or empty(shape, *a, **k)
    monkeypatch.setattr(cupy, "empty", watched)
    length = 1100
    *given, dy = map(on_gpu, operands((1, 1, length, size), (1, 1, length, size)))
    taken.clear()
    y = attention(*[x.requires_grad_() for x in given], is_causal=True)
    minidl.gradients(y, given, [dy])
    assert taken
    assert max(taken) < 5 * length * max(size, 64)


@each_dtype
@pytest.mark.full
def test_large_sizes(dtype):
    arrays = operands((2, 4, 700, 64), (2, 2, 900, 64))
    assert_right(arrays, rng.random((700, 900)) < 0.8, dtype=dtype, enable_gqa=True)
    arrays = operands((1, 2, 300, 200), (1, 2, 2300, 200))
    assert_right(arrays, normal(2, 300, 2300), dtype=dtype, is_causal=True)
