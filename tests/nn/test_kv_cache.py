"""Decoding with a key/value cache: step by step, in chunks, and after mistakes."""

import copy

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, GradientError, MinidlError, ShapeError
from tests.parity import random

SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
BATCH, LENGTH, SOURCE = 2, 21, 6
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def sequence(length, batch_first=True, dtype="float64", seed=0):
    shape = (BATCH, length, 8) if batch_first else (length, BATCH, 8)
    return minidl.asarray(random(*shape, dtype=dtype, seed=seed))


def part(x, start, stop, batch_first=True):
    return x[:, start:stop] if batch_first and x.ndim == 3 else x[start:stop]


def decoded(step, x, sizes, batch_first=True):
    """The outputs of calls with so many new positions each, side by side."""
    outputs, start = [], 0
    with minidl.no_grad():
        for size in sizes:
            outputs.append(step(part(x, start, start + size, batch_first)))
            start += size
    assert start == LENGTH
    return minidl.concat(outputs, axis=1 if batch_first and x.ndim == 3 else 0)


@each_dtype
@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_step_by_step_is_causal_attention(batch_first, kernels, dtype):
    layer = nn.MultiheadAttention(8, 2, batch_first=batch_first, dtype=dtype)
    x = sequence(LENGTH, batch_first, dtype)
    settings = {"need_weights": False}
    with minidl.kernels(kernels):
        whole, _ = layer(x, x, x, is_causal=True, **settings)
        for sizes in ([1] * LENGTH, [7, 1, 1, 12], [LENGTH], [20, 1]):
            cache = nn.KeyValueCache()
            step = lambda x, c=cache: layer(x, x, x, is_causal=True, cache=c, **settings)[0]
            y = decoded(step, x, sizes, batch_first)
            np.testing.assert_allclose(y, whole.detach(), rtol=0, atol=TOLERANCE[dtype])
            assert cache.length == LENGTH


@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_weights_and_extra_keys_step_by_step(extra):
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64", **extra)
    x, cache = sequence(LENGTH), nn.KeyValueCache()
    y, weights = layer(x, x, x, is_causal=True)
    with minidl.no_grad():
        for t in range(LENGTH):
            new = x[:, t : t + 1]
            one, row = layer(new, new, new, cache=cache)
            np.testing.assert_allclose(one[:, 0], y[:, t].detach(), atol=1e-12)
            expected = np.delete(weights[:, t].detach(), range(t + 1, LENGTH), axis=-1)
            np.testing.assert_allclose(row[:, 0], expected, atol=1e-12)


def test_single_sequences_step_by_step():
    layer = nn.TransformerEncoderLayer(**SIZES, dtype="float64").eval()
    x, cache = minidl.asarray(random(LENGTH, 8)), nn.KeyValueCache()
    y = decoded(lambda x: layer(x, cache=cache), x, [1] * LENGTH)
    np.testing.assert_allclose(y, layer(x, is_causal=True).detach(), atol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_stacks_step_by_step_are_causal_stacks(norm_first, batch_first):
    settings = {"norm_first": norm_first, "batch_first": batch_first, "dtype": "float64"}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**SIZES, **settings), 3).eval()
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**SIZES, **settings), 2).eval()
    x, memory = sequence(LENGTH, batch_first), sequence(SOURCE, batch_first, seed=1)
    padding = minidl.asarray(np.arange(SOURCE) >= np.array([[SOURCE], [3]]))
    given = {"memory_key_padding_mask": padding}
    whole = encoder(x, is_causal=True), decoder(x, memory, tgt_is_causal=True, **given)
    for sizes in ([1] * LENGTH, [9, 11, 1]):
        caches = [nn.KeyValueCache() for _ in range(2)]
        step = lambda x, c=caches[0]: encoder(x, is_causal=True, cache=c)
        y = decoded(step, x, sizes, batch_first)
        np.testing.assert_allclose(y, whole[0].detach(), atol=1e-11)
        step = lambda x, c=caches[1]: decoder(x, memory, tgt_is_causal=True, cache=c, **given)
        y = decoded(step, x, sizes, batch_first)
        np.testing.assert_allclose(y, whole[1].detach(), atol=1e-11)


def test_masks_of_all_keys_or_of_the_new_ones():
    """A prompt of two lengths, padded on the left, is hidden in all steps."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64")
    x, cache = sequence(LENGTH), nn.KeyValueCache()
    hidden = np.zeros((BATCH, LENGTH), bool)
    hidden[0, :4] = True
    whole, _ = layer(x, x, x, key_padding_mask=minidl.asarray(hidden), is_causal=True)
    later = np.triu(np.ones((3, 3), bool), 1)
    with minidl.no_grad():
        for start in range(0, LENGTH, 3):
            new = x[:, start : start + 3]
            settings = {"key_padding_mask": minidl.asarray(hidden[:, : start + 3]), "cache": cache}
            mask = later
            if start % 2:  # of all keys
                mask = np.concatenate([np.zeros((3, start), bool), later], axis=1)
            y, _ = layer(new, new, new, attn_mask=minidl.asarray(mask), **settings)
            np.testing.assert_allclose(y, whole[:, start : start + 3].detach(), atol=1e-12)


def test_keys_of_a_memory_are_computed_once(monkeypatch):
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64")
    query, memory, cache = sequence(3), sequence(SOURCE, seed=1), nn.KeyValueCache()
    expected, _ = layer(query, memory, memory)
    products = []
    linear = minidl.ops.linear
    monkeypatch.setattr(minidl.ops, "linear", lambda x, *a: products.append(1) or linear(x, *a))
    with minidl.no_grad():
        for count in (3, 5, 7):  # of query, memory and output; then of query and output alone
            y, _ = layer(query, memory, memory, cache=cache.memory)
            np.testing.assert_array_equal(y, expected.detach())
            assert len(products) == count
        other = memory + 1.0
        y, _ = layer(query, other, other, cache=cache.memory)
    assert len(products) == 10
    np.testing.assert_array_equal(y, layer(query, other, other)[0].detach())


def test_keys_of_a_memory_that_was_written_are_computed_anew():
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64")
    query, memory, cache = sequence(3), sequence(SOURCE, seed=1), nn.KeyValueCache()
    with minidl.no_grad():
        for factor in (1.0, 2.0, 3.0):
            memory[:, 1:3] *= factor
            y, _ = layer(query, memory, memory, cache=cache.memory)
            np.testing.assert_array_equal(y, layer(query, memory, memory)[0])


def test_memory_grows_by_doubling():
    cache, module = nn.KeyValueCache(), nn.Identity()
    capacities = set()
    for n in range(1, 200):
        x = minidl.full((2, 3, 1, 4), float(n))
        keys, values = cache.of(module).append(x, -x)
        assert keys.shape == (2, 3, n, 4)
        capacities.add(cache.of(module).buffers[0].shape[-2])
        assert keys[0, 0, :, 0].tolist() == [*range(1, n + 1)]
        assert values[1, 2, :, 3].tolist() == [-i for i in range(1, n + 1)]
    assert capacities == {16, 32, 64, 128, 256}


def test_truncate_reorder_and_clear():
    layer = nn.TransformerEncoderLayer(**SIZES, batch_first=True, dtype="float64").eval()
    x, cache = sequence(LENGTH), nn.KeyValueCache()
    whole = layer(x, is_causal=True).detach()
    with minidl.no_grad():
        layer(x, is_causal=True, cache=cache)
        cache.truncate(10)
        assert cache.length == 10
        y = layer(x[:, 10:11], cache=cache)
        np.testing.assert_allclose(y, whole[:, 10:11], atol=1e-12)
        cache.reorder([1, 1])
        y = layer(x[[1, 1]][:, 11:12], cache=cache)
        np.testing.assert_allclose(y, whole[[1, 1]][:, 11:12], atol=1e-12)
        cache.clear()
        assert (cache.length, repr(cache)) == (0, "KeyValueCache(length=0, layers=0)")
        np.testing.assert_allclose(layer(x[:, :1], cache=cache), whole[:, :1], atol=1e-12)


def test_a_step_that_was_interrupted_is_noticed():
    layers = [nn.TransformerEncoderLayer(**SIZES, batch_first=True).eval() for _ in range(2)]
    x, cache = sequence(4, dtype="float32"), nn.KeyValueCache()

    def step(t, interrupt=False):
        y = layers[0](x[:, t : t + 1], cache=cache)
        if interrupt:
            raise KeyboardInterrupt
        return layers[1](y, cache=cache)

    with minidl.no_grad():
        step(0), step(1)
        with pytest.raises(KeyboardInterrupt):
            step(2, interrupt=True)
        with pytest.raises(ArgumentError, match=r"some layers have 2 .* others 3.*truncate\(2\)"):
            step(2)
        cache.truncate(2)
        y = step(2)
        whole = layers[1](layers[0](x[:, :3], is_causal=True), is_causal=True)
    np.testing.assert_allclose(y[:, 0], whole[:, 2], atol=1e-5)


def test_a_first_step_that_was_interrupted_is_noticed():
    layers = [nn.TransformerEncoderLayer(**SIZES, batch_first=True).eval() for _ in range(2)]
    x, cache = sequence(4, dtype="float32"), nn.KeyValueCache()
    with minidl.no_grad():
        layers[0](x, cache=cache)  # and no further
        with pytest.raises(ArgumentError, match="begins with 4 positions where others have 8"):
            layers[1](layers[0](x, cache=cache), cache=cache)
        cache.clear()
        layers[1](layers[0](x, cache=cache), cache=cache)
    assert cache.length == 4


def test_a_copy_continues_the_same_sequence():
    layer = nn.TransformerDecoderLayer(**SIZES, batch_first=True, dtype="float64")
    decoder = nn.TransformerDecoder(layer, 2).eval()
    x, memory = sequence(5), sequence(SOURCE, seed=1)
    others = minidl.concat([x[:, :3], sequence(2, seed=2)], axis=1)
    with minidl.no_grad():
        first = nn.KeyValueCache()
        decoder(x[:, :3], memory, tgt_is_causal=True, cache=first)
        second = copy.deepcopy(first)
        for cache, xs in ((first, x), (second, others)):
            whole = decoder(xs, memory, tgt_is_causal=True)
            for t in (3, 4):
                y = decoder(xs[:, t : t + 1], memory, cache=cache)
                np.testing.assert_allclose(y[:, 0], whole[:, t], atol=1e-12)
        assert (first.length, second.length, len(second._layers)) == (5, 5, 2)


def test_copies_of_a_decoder_need_a_copy_of_its_cache():
    layer, cache = (
        nn.MultiheadAttention(8, 2, batch_first=True, dtype="float64"),
        nn.KeyValueCache(),
    )
    x = sequence(4)
    with minidl.no_grad():
        whole, _ = layer(x, x, x, is_causal=True)
        layer(x[:, :3], x[:, :3], x[:, :3], is_causal=True, cache=cache)
        copied, copied_cache = copy.deepcopy((layer, cache))
        last = x[:, 3:]
        y, _ = copied(last, last, last, cache=copied_cache)
        np.testing.assert_allclose(y, whole[:, 3:], atol=1e-12)
        with pytest.raises(ArgumentError, match="one decoder, not to copies of it"):
            copied(last, last, last, cache=cache)
        layer(last, last, last, cache=cache)
    assert cache.length == 4


def test_a_call_that_is_refused_changes_nothing():
    layer, cache = nn.MultiheadAttention(8, 2), nn.KeyValueCache()
    x = minidl.ones((1, 2, 8))
    with minidl.no_grad():
        layer(x, x, x, cache=cache)
        for settings in (
            {"attn_mask": minidl.zeros((5, 5))},
            {"key_padding_mask": minidl.zeros((2, 1)) > 0},
        ):
            with pytest.raises(ShapeError):
                layer(x, x, x, cache=cache, **settings)
        with pytest.raises(
            ShapeError, match=r"holds keys and values \(2, 2, L, 4\).*another batch"
        ):
            layer(x[:, :1], x[:, :1], x[:, :1], cache=cache)
    with pytest.raises(GradientError, match=r"keeps no gradients; decode under minidl\.no_grad"):
        layer(x, x, x, cache=cache)
    assert cache.length == 1


def test_caches_are_apart():
    """Two caches, and two layers of one cache, share nothing."""
    first, second = (nn.MultiheadAttention(8, 2) for _ in range(2))
    x, caches = minidl.ones((1, 2, 8)), [nn.KeyValueCache() for _ in range(2)]
    with minidl.no_grad():
        for layer in (first, second):
            layer(x, x, x, cache=caches[0])
        first(x, x, x, cache=caches[0])
        assert (caches[0].length, caches[0].of(first).length, caches[1].length) == (1, 2, 0)
        assert caches[0].of(second).length == 1


def test_a_part_outlives_the_cache_that_forgot_it():
    cache, x = nn.KeyValueCache(), minidl.ones((1, 2, 1, 4))
    part = cache.of(nn.Identity())
    part.append(x, x)
    cache.clear()
    assert (part.length, cache.length) == (1, 0)
    with pytest.raises(ArgumentError, match=r"some layers have 0 positions, others 1"):
        part.append(x, x)


@pytest.mark.parametrize(
    ("misuse", "kind", "message"),
    [
        (lambda c: c.of("layer"), DTypeError, "of: needs a module"),
        (lambda c: c.truncate(5), ArgumentError, "there are 0 positions; got 5"),
        (lambda c: c.truncate(-1), ArgumentError, "length is an integer ≥ 0"),
        (lambda c: c.reorder([[0, 1]]), ShapeError, r"reorder.* indices are a vector"),
        (lambda c: c.reorder("ab"), DTypeError, "reorder"),
    ],
)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=f"^KeyValueCache.*{message}") as caught:
        misuse(nn.KeyValueCache())
    assert isinstance(caught.value, MinidlError)


def test_an_attention_that_is_used_twice_in_a_step_is_noticed():
    shared, other = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))
    cache, x = nn.KeyValueCache(), minidl.random.normal((1, 1, 8))
    with minidl.no_grad():
        for layer in (shared, other, shared):
            layer(x, x, x, cache=cache)
        with pytest.raises(ArgumentError, match=r"several times.*a cache of its own"):
            shared(x, x, x, cache=cache)
