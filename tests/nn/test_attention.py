"""Multi-head attention beside PyTorch's: values, gradients, masks, initial parameters, misuse."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from tests.helpers import assert_all_close, told
from tests.oracle import torch
from tests.parity import TOLERANCE, assert_same, random, twins

each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
EMBED, HEADS, BATCH, QUERIES, KEYS = 8, 2, 3, 5, 6

KINDS = {
    "plain": {},
    "batch_first": {"batch_first": True},
    "bias=False": {"bias": False},
    "add_bias_kv": {"add_bias_kv": True},
    "add_zero_attn": {"add_zero_attn": True, "batch_first": True},
    "kdim and vdim": {"kdim": 4, "vdim": 7},
    "all": {
        **{"kdim": 4, "vdim": 7, "batch_first": True},
        **{"add_bias_kv": True, "add_zero_attn": True},
    },
}


def layers(dtype="float64", **settings):
    """minidl's attention and PyTorch's with the same parameters, none of which is zero."""
    ours, theirs = twins("MultiheadAttention", dtype, embed_dim=EMBED, num_heads=HEADS, **settings)
    rng = np.random.default_rng(0)
    for name, parameter in ours.named_parameters():
        values = rng.normal(size=parameter.shape).astype(dtype)
        nn.init.fill(parameter, minidl.asarray(values))
        dict(theirs.named_parameters())[name].data.copy_(torch.from_numpy(values))
    return ours, theirs


def sequences(settings, dtype="float64", batched=True):
    """Query, key and value for a layer with these settings."""
    sizes = (
        (QUERIES, EMBED),
        (KEYS, settings.get("kdim", EMBED)),
        (KEYS, settings.get("vdim", EMBED)),
    )
    shapes = [
        (n, width)
        if not batched
        else (BATCH, n, width)
        if settings.get("batch_first")
        else (n, BATCH, width)
        for n, width in sizes
    ]
    return [random(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


def masks(kind, keys=KEYS, queries=QUERIES):
    """Masks of a kind, as PyTorch's layers take them; no query is left without keys."""
    rng = np.random.default_rng(1)
    padding = np.arange(keys) >= np.array([[keys], [keys - 2], [2]])
    hidden = rng.random((queries, keys)) < 0.3
    hidden[:, 0] = False
    each = rng.random((BATCH * HEADS, queries, keys)) < 0.3
    each[:, :, 0] = False
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "hidden": {"attn_mask": hidden},
        "hidden of each head": {"attn_mask": each},
        "both": {"attn_mask": each, "key_padding_mask": padding},
        "added": {"attn_mask": rng.normal(size=hidden.shape)},
        "infinite": {"attn_mask": np.where(hidden, -np.inf, 0.0)},
        "added padding": {"key_padding_mask": np.where(padding, -np.inf, 0.0)},
        "added both": {
            "attn_mask": rng.normal(size=each.shape),
            "key_padding_mask": np.where(padding, -np.inf, 0.5),
        },
    }[kind]


MASKS = (
    *("none", "padding", "hidden", "hidden of each head", "both"),
    *("added", "infinite", "added padding", "added both"),
)


def as_function(layer, library, mask, dtype="float64", **settings):
    """A layer of the three inputs, with masks in its library."""
    given = {
        name: library.asarray(x if x.dtype == bool else x.astype(dtype)) for name, x in mask.items()
    }
    return lambda *xs: [y for y in layer(*xs, **given, **settings) if y is not None]


def assert_layers_agree(ours, theirs, arrays, mask, self_attention=False, **settings):
    """Outputs, weights, and gradients of inputs and parameters are PyTorch's."""
    dtype = arrays[0].dtype.name
    mine, other = (
        as_function(layer, library, mask, dtype, **settings)
        for layer, library in ((ours, minidl), (theirs, torch))
    )
    if self_attention:
        mine, other = (lambda x, f=f: f(x, x, x) for f in (mine, other))
        arrays = arrays[:1]
    assert_same(mine, other, *arrays, second=False)
    for layer, f, library in ((ours, mine, minidl), (theirs, other, torch)):
        for parameter in layer.parameters():
            parameter.grad = None
        y = f(*map(library.asarray, arrays))[0]
        (y * library.asarray(random(*y.shape, dtype=dtype, seed=9))).sum().backward()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    grads = [(a.grad.numpy(), b.grad.numpy()) for a, b in pairs]
    assert_all_close(*zip(*grads, strict=True), TOLERANCE[dtype])


@each_dtype
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_layers_are_pytorchs(kind, dtype):
    ours, theirs = layers(dtype, **KINDS[kind])
    for name in ("none", "both", "added both"):
        assert_layers_agree(ours, theirs, sequences(KINDS[kind], dtype), masks(name))


@each_dtype
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "kdim" not in KINDS[kind]])
def test_self_attention_is_pytorchs(kind, dtype):
    ours, theirs = layers(dtype, **KINDS[kind])
    arrays = sequences(KINDS[kind], dtype)
    for name in ("none", "both"):
        mask = masks(name, keys=QUERIES)
        assert_layers_agree(ours, theirs, arrays, mask, self_attention=True)


@each_dtype
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_all_masks_are_pytorchs(name, batch_first, dtype):
    settings = {"batch_first": batch_first}
    ours, theirs = layers(dtype, **settings)
    for options in ({}, {"need_weights": False}, {"average_attn_weights": False}):
        assert_layers_agree(ours, theirs, sequences(settings, dtype), masks(name), **options)


@pytest.mark.parametrize("kind", ["plain", "all"])
def test_single_sequences_are_pytorchs(kind):
    ours, theirs = layers(**KINDS[kind])
    arrays = sequences(KINDS[kind], batched=False)
    padding, hidden = masks("padding")["key_padding_mask"][1], masks("hidden")["attn_mask"]
    for mask in (
        {},
        {"key_padding_mask": padding},
        {"attn_mask": hidden, "key_padding_mask": padding},
        {"attn_mask": masks("hidden of each head")["attn_mask"][:HEADS]},
    ):
        for options in ({}, {"average_attn_weights": False}):
            assert_layers_agree(ours, theirs, arrays, mask, **options)


@pytest.mark.parametrize("kind", ["plain", "add_bias_kv", "kdim and vdim"])
def test_second_derivatives_are_pytorchs(kind):
    ours, theirs = layers(**KINDS[kind])
    mask = masks("both")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for options in ({}, {"need_weights": False}):
            mine = as_function(ours, minidl, mask, **options)
            other = as_function(theirs, torch, mask, **options)
            assert_same(mine, other, *sequences(KINDS[kind]))


@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
@pytest.mark.parametrize("need_weights", [False, True])
def test_is_causal_is_the_mask_of_later_keys(extra, need_weights):
    """PyTorch takes is_causal as a hint about attn_mask, and needs both; here either will do."""
    ours, theirs = layers(**extra)
    x = sequences({})[0]
    later = np.triu(np.ones((QUERIES, QUERIES), bool), 1)
    settings = {"need_weights": need_weights}
    expected = theirs(*[torch.from_numpy(x)] * 3, attn_mask=torch.from_numpy(later), **settings)
    for mask in (
        {"is_causal": True},
        {"attn_mask": later},
        {"attn_mask": later, "is_causal": True},
    ):
        found = ours(*[minidl.asarray(x)] * 3, **mask, **settings)
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-12)


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("floats", [False, True])
def test_a_query_without_keys_gets_zeros_from_its_heads(floats, kernels):
    """PyTorch's weights and gradients are NaN."""
    ours, _ = layers("float32")
    query, key, value = (minidl.asarray(x) for x in sequences({}, "float32"))
    padding = np.zeros((BATCH, KEYS), bool)
    padding[1] = True
    given = np.where(padding, np.float32(-np.inf), 0) if floats else padding
    with minidl.kernels(kernels):
        y, weights = ours(query, key, value, key_padding_mask=minidl.asarray(given))
        (y * y).sum().backward()
    np.testing.assert_array_equal(y[:, 1], np.tile(ours.out_proj.bias.detach(), (QUERIES, 1)))
    assert bool((weights[1] == 0).all())
    assert all(bool(minidl.isfinite(p.grad).all()) for p in ours.parameters())


def test_dropout_is_of_the_weights_and_only_in_training():
    minidl.manual_seed(0)
    layer = nn.MultiheadAttention(EMBED, HEADS, dropout=0.5, generator=minidl.random.Generator(3))
    x = minidl.asarray(random(40, 2, EMBED, dtype="float32"))
    _, weights = layer(x, x, x, average_attn_weights=False)
    _, whole = layer.eval()(x, x, x, average_attn_weights=False)
    dropped = np.asarray(weights == 0)
    assert 0.45 < dropped.mean() < 0.55
    kept = np.where(dropped, 0, 2 * np.asarray(whole.detach()))
    np.testing.assert_allclose(weights.detach(), kept, rtol=1e-5)
    layer.train().generator = minidl.random.Generator(3)
    fused, _ = layer(x, x, x, need_weights=False)
    layer.generator = minidl.random.Generator(3)
    np.testing.assert_array_equal(fused, layer(x, x, x)[0])


def test_parameters_start_as_pytorchs():
    minidl.manual_seed(0)
    layer = nn.MultiheadAttention(256, 4, add_bias_kv=True)
    theirs = torch.nn.MultiheadAttention(256, 4, add_bias_kv=True)
    for name, mine in layer.named_parameters():
        other = dict(theirs.named_parameters())[name].detach().numpy()
        assert float(mine.std()) == pytest.approx(float(other.std()), rel=0.2)
        if "bias" not in name:  # uniform
            assert float(abs(mine).max()) == pytest.approx(float(abs(other).max()), rel=0.01)
    small = nn.MultiheadAttention(8, 2, kdim=4, vdim=64)
    bounds = [(6 / (8 + n)) ** 0.5 for n in (8, 4, 64)]  # Xavier's
    for bound, name in zip(bounds, ("q", "k", "v"), strict=True):
        weight = getattr(small, f"{name}_proj_weight")
        assert 0.7 * bound < float(abs(weight).max()) <= bound


def test_it_computes_in_the_dtype_of_its_parameters():
    layer = nn.MultiheadAttention(EMBED, HEADS)
    wide = minidl.asarray(random(3, 2, EMBED))
    with told("^MultiheadAttention: computes in float32"):
        y, weights = layer(wide, wide, wide, attn_mask=minidl.zeros((3, 3), dtype="float64"))
    assert (y.dtype, weights.dtype) == ("float32", "float32")
    half = layer.half()(*[wide.astype("float16")] * 3)
    assert all(x.dtype == "float16" for x in half)


def test_nothing_is_something():
    layer = nn.MultiheadAttention(EMBED, HEADS)
    for queries, batch, keys in ((0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0)):
        query, key = minidl.ones((queries, batch, EMBED)), minidl.ones((keys, batch, EMBED))
        y, weights = layer(query, key, key)
        assert (y.shape, weights.shape) == ((queries, batch, EMBED), (batch, queries, keys))


X = minidl.ones((5, 3, 8))
MISUSES = {
    "width": ((X[..., :7], X, X), {}, ShapeError, r"query \(L, N, 8\), key .*got \(5, 3, 7\)"),
    "batch": ((X, X[:, :2], X[:, :2]), {}, ShapeError, r"needs query \(L, N, 8\)"),
    "lengths": ((X, X, X[:4]), {}, ShapeError, r"and value \(S, N, 8\)"),
    "ranks": ((X, X[:, 0], X[:, 0]), {}, ShapeError, "or all without N"),
    "vector": ((X[0, 0],) * 3, {}, ShapeError, "or all without N"),
    "mask": ((X, X, X), {"attn_mask": X[0] > 0}, ShapeError, r"attn_mask has shape \(L, S\)"),
    "masks of heads": (
        (X, X, X),
        {"attn_mask": minidl.zeros((3, 5, 5))},
        ShapeError,
        r"\(N·num_heads, L, S\), \(6, 5, 5\); got \(3, 5, 5\)",
    ),
    "padding": (
        (X, X, X),
        {"key_padding_mask": minidl.zeros((5, 3)) > 0},
        ShapeError,
        r"key_padding_mask has shape \(N, S\), \(3, 5\); got \(5, 3\)",
    ),
    "integers": (
        (X, X, X),
        {"attn_mask": minidl.zeros((5, 5), dtype="int64")},
        DTypeError,
        "attn_mask has bools, True where a key is ignored",
    ),
    "flag": ((X, X, X), {"is_causal": 1.5}, ArgumentError, "is_causal is True or False"),
    "cache": ((X, X, X), {"cache": {}}, DTypeError, "cache is a KeyValueCache"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_explained(name):
    arrays, settings, kind, message = MISUSES[name]
    with pytest.raises(kind, match=message) as caught:
        nn.MultiheadAttention(8, 2)(*arrays, **settings)
    assert isinstance(caught.value, MinidlError)
    assert str(caught.value).startswith("MultiheadAttention")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dim": 7}, "embed_dim is a multiple of num_heads.*got 7 and 2"),
        ({"num_heads": 0}, "num_heads is an integer ≥ 1"),
        ({"dropout": 2.0}, "dropout is a probability"),
        ({"kdim": 0}, "kdim is an integer ≥ 1"),
        ({"bias": "no"}, "bias is True or False"),
    ],
)
def test_layers_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        nn.MultiheadAttention(**{"embed_dim": 8, "num_heads": 2, **settings})


def test_weights_without_gradients_are_those_with_them():
    """Where nothing is recorded, the logits are computed once; keys that nobody sees may be NaN."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x, ignored = minidl.random.normal((2, 5, 8)), minidl.asarray([[False] * 4 + [True]] * 2)
    memory = minidl.asarray(np.where(ignored.numpy()[:, :, None], np.nan, x.numpy()))
    recorded = layer(x, memory, memory, key_padding_mask=ignored)
    with minidl.no_grad():
        found = layer(x, memory, memory, key_padding_mask=ignored)
    for one, other in zip(recorded, found, strict=True):
        assert minidl.allclose(one, other, atol=1e-6)
        assert np.isfinite(other.numpy()).all()
