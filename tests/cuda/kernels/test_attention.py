"""Attention on the GPU against the body on the CPU, which stores all weights, in float64."""

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl_cuda.kernels.attention import scaled_dot_product_attention as kernel
from tests.cuda.kernels.examples import examples
from tests.every_backend.attention import *  # noqa: F403
from tests.every_backend.attention import (
    MASKS,
    assert_right,
    attention,
    by_the_body,
    computed,
    normal,
    operands,
    rng,
)


@pytest.fixture(params=["float32", "float16"])
def dtype(request):
    return request.param


@pytest.fixture
def tile():
    return 64, 64


def on_gpu(x, dtype=None):
    return minidl.asarray(x, dtype=dtype, device="cuda")


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
EVERY = [("float32", sizes) for sizes in SIZES] + [("float16", sizes) for sizes in SIZES[3:5]]


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("dtype", "sizes"), EVERY)
def test_values_and_gradients(dtype, sizes, mask, is_causal, launches):
    query, key, value_size = sizes
    mask = MASKS[mask](*query[:3], key[2])
    assert_right(
        "cuda",
        operands(query, key, value_size),
        mask,
        dtype=dtype,
        is_causal=is_causal,
        enable_gqa=query[1] != key[1],
    )
    assert any(name.startswith("attention_") and "_keys_" in name for name in launches)
    assert not any(name in launches for name in ("matmul", "softmax_forward_f32"))


@pytest.mark.parametrize("mask", ["none", "padding", "few bools", "of a key", "floats"])
def test_few_queries(dtype, mask, launches):
    """As in generating text: the keys are split among blocks, some of which see none."""
    arrays = operands((2, 4, 3, 40), (2, 2, 700, 40), 50)
    options = {"enable_gqa": True, "dtype": dtype}
    assert_right("cuda", arrays, MASKS[mask](2, 4, 3, 700), **options)
    assert_right("cuda", arrays, is_causal=True, dropout_p=0.3, dropout_key=(5, 9), **options)
    suffix = {"float32": "f32", "float16": "f16"}[dtype]
    assert launches[f"attention_decode_{suffix}"] == launches[f"attention_combine_{suffix}"] == 2


@pytest.mark.sampled(0.4)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", ["none", "bools", "floats"])
@pytest.mark.parametrize("sizes", [(64, 64), (8, 40), (128, 96)])
def test_float16_on_tensor_cores(sizes, mask, is_causal, launches):
    size, value_size = sizes
    mask = MASKS[mask](2, 2, 70, 135)
    arrays = operands((2, 2, 70, size), (2, 1, 135, size), value_size)
    assert_right("cuda", arrays, mask, dtype="float16", is_causal=is_causal)
    width = 64 if max(sizes) <= 64 else 128
    for name in ("forward", "queries", "keys"):
        assert launches[f"attention_{name}_half_{width}"] == 1


def test_float16_that_tensor_cores_cannot_read(launches):
    """Rows that are not aligned, and heads of other sizes."""
    for size in (12, 76, 136):
        assert_right("cuda", operands((1, 1, 20, size), (1, 1, 30, size)), dtype="float16")
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
    assert_right("cuda", arrays, enable_gqa=True, **options)


@pytest.mark.parametrize("size", [3, 70, 140])
def test_sums_of_long_sequences(size):
    """More than 16 tiles of keys, and of queries, whose sums go through two floats."""
    assert_right("cuda", operands((1, 1, 70, 4), (1, 1, 1200, 4), size))
    assert_right("cuda", operands((1, 2, 600, size), (1, 1, 70, size), 4), enable_gqa=True)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("value_size", [2, 66])
def test_logits_that_grow_or_fall(direction, value_size):
    """The maximum is raised, and what was summed so far is rescaled, many times."""
    query, key, value, dy = operands((1, 1, 60, 1), (1, 1, 1500, 1), value_size)
    query = np.abs(query) + 1
    key[..., 0] = np.linspace(-100, 100, 1500, dtype=np.float32)[::direction]
    arrays = query, key, value, dy
    right = by_the_body(arrays, scale=1.0)
    pairs = zip(computed("cuda", arrays, scale=1.0), right, strict=True)
    cpu = computed("cpu", arrays, scale=1.0)
    for (own, exact), theirs in zip(pairs, cpu, strict=True):
        assert np.linalg.norm(own - exact) <= 2 * np.linalg.norm(theirs - exact)


def test_results_lie_in_memory_as_the_operands():
    heads = [cupy.asarray(normal(2, 20, 3, 32)).transpose(0, 2, 1, 3) for _ in range(3)]
    y, pullback = kernel(*heads)
    for x in (y, *pullback((True, True, True, False))(y)[:3]):
        assert x.transpose(0, 2, 1, 3).flags.c_contiguous


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


@pytest.mark.full
def test_large_sizes(dtype):
    arrays = operands((2, 4, 700, 64), (2, 2, 900, 64))
    assert_right("cuda", arrays, rng.random((700, 900)) < 0.8, dtype=dtype, enable_gqa=True)
    arrays = operands((1, 2, 300, 200), (1, 2, 2300, 200))
    assert_right("cuda", arrays, normal(2, 300, 2300), dtype=dtype, is_causal=True)
