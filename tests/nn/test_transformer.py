"""The Transformer's layers and stacks beside PyTorch's; padded batches beside single sequences."""

import copy
import itertools

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from tests.helpers import assert_all_close
from tests.oracle import functional, torch
from tests.parity import TOLERANCE, assert_same, random

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0}
# The argument of both sides; the class of a module, as PyTorch may be missing.
ACTIVATIONS = {
    "relu": ("relu", "relu"),
    "gelu": ("gelu", "gelu"),
    "function": (minidl.silu, functional.silu),
    "module": (nn.Tanh, torch.nn.Tanh),
}
SETTINGS = {
    "plain": {},
    "batch_first": {"batch_first": True},
    "norm_first": {"norm_first": True},
    "no bias": {"bias": False, "layer_norm_eps": 1e-3},
    "norm_first, batch_first": {"norm_first": True, "batch_first": True},
}
BATCH, SOURCE, TARGET = 3, 6, 5


def twins(name, dtype="float64", activation="relu", **settings):
    """minidl's module and PyTorch's with the same random parameters."""
    functions = [f() if activation == "module" else f for f in ACTIVATIONS[activation]]
    ours, theirs = (
        getattr(library.nn, name)(**SIZES, **settings, activation=function, dtype=kind)
        for library, function, kind in zip(
            (minidl, torch), functions, (dtype, getattr(torch, dtype)), strict=True
        )
    )
    return with_same_parameters(ours, theirs)


def with_same_parameters(ours, theirs):
    rng = np.random.default_rng(0)
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, mine), (other, parameter) in pairs:
        assert name == other
        values = (0.5 * rng.normal(size=mine.shape) + ("norm" in name)).astype(mine.dtype)
        nn.init.fill(mine, minidl.asarray(values))
        parameter.data.copy_(torch.from_numpy(values))
    return ours, theirs


def sequences(*lengths, batch_first=False, dtype="float64"):
    shapes = [(BATCH, n, 8) if batch_first else (n, BATCH, 8) for n in lengths]
    return [random(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


def later(n):
    return np.triu(np.ones((n, n), bool), 1)


def padding(n):
    return np.arange(n) >= np.array([[n], [n - 2], [1]])


def assert_agree(ours, theirs, arrays, **masks):
    """Outputs, gradients of inputs, and of parameters."""
    dtype = arrays[0].dtype.name
    mine, other = (
        lambda *xs, layer=layer, library=library: layer(
            *xs,
            **{k: library.asarray(m) if isinstance(m, np.ndarray) else m for k, m in masks.items()},
        )
        for layer, library in ((ours, minidl), (theirs, torch))
    )
    assert_same(mine, other, *arrays, second=False)
    for layer, f, library in ((ours, mine, minidl), (theirs, other, torch)):
        for parameter in layer.parameters():
            parameter.grad = None
        y = f(*map(library.asarray, arrays))
        (y * library.asarray(random(*y.shape, dtype=dtype, seed=9))).sum().backward()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    grads = [(a.grad.numpy(), b.grad.numpy()) for a, b in pairs]
    assert_all_close(*zip(*grads, strict=True), TOLERANCE[dtype])


# Layers.


@each_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_encoder_layers_are_pytorchs(name, activation, dtype):
    settings = SETTINGS[name]
    ours, theirs = twins("TransformerEncoderLayer", dtype, activation, **settings)
    arrays = sequences(SOURCE, batch_first=settings.get("batch_first", False), dtype=dtype)
    assert_agree(ours, theirs, arrays)
    masks = {"src_mask": later(SOURCE), "src_key_padding_mask": padding(SOURCE)}
    assert_agree(ours, theirs, arrays, **masks)


@each_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_decoder_layers_are_pytorchs(name, activation, dtype):
    settings = SETTINGS[name]
    ours, theirs = twins("TransformerDecoderLayer", dtype, activation, **settings)
    arrays = sequences(TARGET, SOURCE, batch_first=settings.get("batch_first", False), dtype=dtype)
    assert_agree(ours, theirs, arrays)
    assert_agree(
        ours,
        theirs,
        arrays,
        tgt_mask=later(TARGET),
        tgt_key_padding_mask=padding(TARGET),
        memory_key_padding_mask=padding(SOURCE),
        memory_mask=np.eye(TARGET, SOURCE, 3, dtype=bool),
    )


def test_single_sequences_are_pytorchs():
    for batch_first in (False, True):
        ours, theirs = twins("TransformerDecoderLayer", batch_first=batch_first)
        assert_agree(ours, theirs, [random(TARGET, 8), random(SOURCE, 8, seed=1)])
        ours, theirs = twins("TransformerEncoderLayer", batch_first=batch_first)
        assert_agree(ours, theirs, [random(SOURCE, 8)], src_key_padding_mask=padding(SOURCE)[1])


@pytest.mark.parametrize("name", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_second_derivatives_are_pytorchs(name, norm_first):
    ours, theirs = twins(name, activation="gelu", norm_first=norm_first)
    arrays = sequences(3, 2)[: 1 if "Encoder" in name else 2]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert_same(ours, theirs, *arrays)


@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_relu_in_one_operation_gives_what_two_give(kernels):
    layer, _ = twins("TransformerEncoderLayer", "float32")
    other = copy.deepcopy(layer)
    other.linear1.register_forward_hook(lambda *_: None)  # a layer with a hook is not fused
    x = sequences(SOURCE, dtype="float32")[0]
    results = []
    with minidl.kernels(kernels):
        for module in (layer, other):
            leaf = minidl.tensor(x, requires_grad=True)
            y = module(leaf)
            (y * y).sum().backward()
            gradients = [p.grad for p in (leaf, *module.parameters())]
            results.append([np.asarray(x.detach()) for x in (y, *gradients)])
    assert_all_close(*results, 1e-5)


# Stacks.


@pytest.mark.parametrize("with_norm", [False, True])
def test_encoders_are_pytorchs(with_norm):
    made = [
        library.nn.TransformerEncoder(
            library.nn.TransformerEncoderLayer(**SIZES, norm_first=True, dtype=dtype),
            3,
            library.nn.LayerNorm(8, dtype=dtype) if with_norm else None,
            enable_nested_tensor=False,
        )
        for library, dtype in ((minidl, "float64"), (torch, torch.float64))
    ]
    ours, theirs = with_same_parameters(*made)
    mask = {"src_key_padding_mask": padding(SOURCE)}
    assert_agree(ours, theirs, sequences(SOURCE), mask=later(SOURCE), **mask)
    x = minidl.asarray(sequences(SOURCE)[0])
    expected = ours(x, mask=minidl.asarray(later(SOURCE)))
    np.testing.assert_allclose(ours(x, is_causal=True), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["plain", "norm_first, batch_first", "no bias"])
def test_transformers_are_pytorchs(name):
    settings = {"num_encoder_layers": 1, "num_decoder_layers": 2, **SETTINGS[name]}
    ours, theirs = twins("Transformer", **settings)
    arrays = sequences(SOURCE, TARGET, batch_first=settings.get("batch_first", False))
    masks = {
        "tgt_mask": later(TARGET),
        "src_key_padding_mask": padding(SOURCE),
        "tgt_key_padding_mask": padding(TARGET),
        "memory_key_padding_mask": padding(SOURCE),
    }
    assert_agree(ours, theirs, arrays)
    assert_agree(ours, theirs, arrays, **masks)


def test_causal_masks_are_pytorchs():
    ours = nn.Transformer.generate_square_subsequent_mask(4, dtype="float64")
    theirs = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    np.testing.assert_array_equal(ours, theirs)
    assert nn.Transformer.generate_square_subsequent_mask(0).shape == (0, 0)


def test_copies_start_alike_and_are_trained_apart():
    layer = nn.TransformerEncoderLayer(**SIZES)
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = encoder.layers
    for a, b, c in zip(*(x.parameters() for x in (layer, first, second)), strict=True):
        assert len({id(x.data) for x in (a, b, c)}) == 3
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_weights_of_a_transformer_start_xavier_uniform():
    minidl.manual_seed(0)
    net = nn.Transformer(64, 4, 1, 1, 256)
    for name, p in net.named_parameters():
        if p.ndim > 1:
            bound = (6 / sum(p.shape)) ** 0.5
            assert 0.9 * bound < float(abs(p).max()) <= bound, name
    assert bool((net.encoder.layers[0].norm1.weight == 1).all())


def test_dropout_is_in_all_its_places():
    """With p = 1 all parts are zero, and the residual connections remain."""
    x = minidl.asarray(random(SOURCE, BATCH, 8, dtype="float32"))
    for name, inputs in (("TransformerEncoderLayer", [x]), ("TransformerDecoderLayer", [x, x])):
        layer = getattr(nn, name)(**{**SIZES, "dropout": 1.0}, norm_first=True)
        np.testing.assert_array_equal(layer(*inputs), x)
        assert not np.array_equal(layer.eval()(*inputs), x)
        places = [m.p for m in layer.modules() if isinstance(m, nn.Dropout)]
        assert places == [1.0] * (4 if "Decoder" in name else 3)
        assert layer.self_attn.dropout == 1.0


# Padding.


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_padded_batch_gives_what_its_members_give(norm_first, kernels):
    """Values and gradients, of inputs and of parameters."""
    settings = {"norm_first": norm_first, "batch_first": True}
    net, _ = twins("Transformer", "float32", num_encoder_layers=2, num_decoder_layers=2, **settings)
    lengths = [(6, 5), (4, 2), (1, 1)]
    src, tgt = sequences(SOURCE, TARGET, batch_first=True, dtype="float32")
    masks = {
        name: np.arange(n) >= np.array([[pair[i]] for pair in lengths])
        for name, n, i in (("src", SOURCE, 0), ("tgt", TARGET, 1))
    }
    weights = random(BATCH, TARGET, 8, dtype="float32", seed=5) * ~masks["tgt"][..., None]
    given = {
        "src_key_padding_mask": minidl.asarray(masks["src"]),
        "memory_key_padding_mask": minidl.asarray(masks["src"]),
        "tgt_key_padding_mask": minidl.asarray(masks["tgt"]),
    }
    with minidl.kernels(kernels):
        whole = [minidl.tensor(x, requires_grad=True) for x in (src, tgt)]
        y = net(*whole, **given, tgt_is_causal=True)
        (y * minidl.asarray(weights)).sum().backward()
        batched = {name: p.grad.copy() for name, p in net.named_parameters()}
        net.zero_grad()
        for i, (s, t) in enumerate(lengths):
            single = [minidl.tensor(x, requires_grad=True) for x in (src[i, :s], tgt[i, :t])]
            alone = net(*single, tgt_is_causal=True)
            np.testing.assert_allclose(y[i, :t].detach(), alone.detach(), rtol=1e-4, atol=1e-5)
            (alone * minidl.asarray(weights[i, :t])).sum().backward()
            for both, part, n in zip(whole, single, (s, t), strict=True):
                np.testing.assert_allclose(both.grad[i, :n], part.grad, rtol=1e-3, atol=1e-5)
                assert bool((both.grad[i, n:] == 0).all())
    summed = {name: np.asarray(p.grad) for name, p in net.named_parameters()}
    assert_all_close([np.asarray(g) for g in batched.values()], list(summed.values()), 1e-5)


@pytest.mark.parametrize("floats", [False, True])
def test_a_sequence_of_padding_alone_gives_no_nan(floats):
    layer = nn.TransformerEncoderLayer(**SIZES)
    mask = np.array([[False] * 4, [True] * 4])
    given = np.where(mask, np.float32(-np.inf), 0) if floats else mask
    x = minidl.tensor(random(4, 2, 8, dtype="float32"), requires_grad=True)
    y = layer(x, src_key_padding_mask=minidl.asarray(given))
    (y * y).sum().backward()
    assert bool(minidl.isfinite(y).all())
    assert all(bool(minidl.isfinite(p.grad).all()) for p in (x, *layer.parameters()))


# Misuse.

X = minidl.ones((5, 3, 8))


@pytest.mark.parametrize(
    ("misuse", "kind", "message"),
    [
        (lambda: nn.TransformerEncoderLayer(8, 3), ArgumentError, "multiple of num_heads"),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, activation="tanh"),
            ArgumentError,
            'activation is one of "relu", "gelu"; got',
        ),
        (
            lambda: nn.TransformerDecoderLayer(8, 2, activation=3),
            DTypeError,
            'activation is "relu", "gelu" or a function',
        ),
        (
            lambda: nn.TransformerEncoderLayer(8, 2)(X, src_mask=minidl.zeros((4, 4))),
            ShapeError,
            r"attn_mask has shape \(L, S\), \(5, 5\)",
        ),
        (lambda: nn.TransformerEncoderLayer(8, 2)(X[..., :5]), ShapeError, "query"),
        (lambda: nn.TransformerEncoder("layer", 2), DTypeError, "encoder_layer is a Module"),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), -1),
            ArgumentError,
            "num_layers is an integer ≥ 0",
        ),
        (
            lambda: nn.Transformer(8, 2, 1, 1, 16)(X, X[:, :2]),
            ShapeError,
            r"src \(S, N, 8\) and tgt \(L, N, 8\)",
        ),
        (
            lambda: nn.Transformer(8, 2, 1, 1, 16)(X, X[..., :4]),
            ShapeError,
            r"got \(5, 3, 8\) and \(5, 3, 4\)",
        ),
        (
            lambda: nn.Transformer.generate_square_subsequent_mask(-1),
            ArgumentError,
            "sz is an integer ≥ 0",
        ),
    ],
)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message) as caught:
        misuse()
    assert isinstance(caught.value, MinidlError)


@pytest.mark.full
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_transformers_of_all_settings_are_pytorchs(dtype):
    """But for modules as activations: PyTorch's copies of a decoder layer forget them."""
    activations = [name for name in ACTIVATIONS if name != "module"]
    choices = itertools.product((False, True), (False, True), (False, True), activations)
    for norm_first, batch_first, bias, activation in choices:
        settings = {"norm_first": norm_first, "batch_first": batch_first, "bias": bias}
        layers = {"num_encoder_layers": 2, "num_decoder_layers": 1}
        ours, theirs = twins("Transformer", dtype, activation, **layers, **settings)
        arrays = sequences(SOURCE, TARGET, batch_first=batch_first, dtype=dtype)
        assert_agree(ours, theirs, arrays, tgt_mask=later(TARGET))
