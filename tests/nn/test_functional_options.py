"""What a layer can do, its operation can: options, values, gradients; beside PyTorch."""

import ast
import inspect
import itertools

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, MinidlError
from minidl.testing import gradcheck
from tests.helpers import on_host
from tests.oracle import torch

# Every option of every layer, found in the text of the layers.

# Arguments of constructors that are no options of the operation, and why.
OF_PARAMETERS = {"bias", "device", "dtype", "_weight", "_freeze", "affine", "elementwise_affine"}
SIZES = {
    *("in_features", "out_features", "in1_features", "in2_features", "num_embeddings"),
    *("embedding_dim", "in_channels", "out_channels", "num_features", "num_channels"),
    *("num_parameters", "n_classes", "input_size", "hidden_size"),
}
OF_STATE = {"momentum", "track_running_stats", "init"}  # how a layer's buffers and weights change
OF_RANDOMNESS = {"generator", "_random_samples"}  # operations take the key, or the samples
WITHOUT_EFFECT = {"inplace"}
ELSEWHERE = OF_PARAMETERS | SIZES | OF_STATE | OF_RANDOMNESS | WITHOUT_EFFECT
# Names of the array API standard, of arrays, and of shapes in positions.
RENAMED = {"dim": "axis", "keepdim": "keepdims", "padding": "widths", "unflattened_size": "shape"}
RENAMED |= {"kernel_size": "weight"}
# Made of several operations, or of none.
OF_NO_OPERATION = {
    *("AdaptiveLogSoftmaxWithLoss", "Flatten", "Identity", "Module", "ModuleDict", "ModuleList"),
    *("ParameterDict", "ParameterList", "Sequential", "Softmax2d"),
    *("RNN", "LSTM", "GRU"),  # of one for each layer and direction
    *("MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerEncoderLayer"),
    *("TransformerDecoder", "TransformerDecoderLayer", "SinusoidalPositionalEncoding"),
    *("LearnedPositionalEmbedding", "RotaryEmbedding"),
}
LAYERS = {
    name: kind
    for name, kind in vars(nn).items()
    if inspect.isclass(kind) and issubclass(kind, nn.Module) and name not in OF_NO_OPERATION
}


def operations_of(kind):
    """The public operations that the text of a layer calls."""
    if hasattr(kind, "operation"):
        return [kind.operation]
    bases = kind.__mro__[: kind.__mro__.index(nn.Module)]
    nodes = [n for base in bases for n in ast.walk(ast.parse(inspect.getsource(base)))]
    called = [n for n in nodes if isinstance(n, ast.Attribute)]
    return [getattr(minidl, n.attr) for n in called if getattr(n.value, "id", "") == "ops"]


@pytest.mark.parametrize("name", LAYERS)
def test_an_operation_has_the_options_of_its_layer(name):
    kind = LAYERS[name]
    options = {option for option in inspect.signature(kind).parameters if option not in ELSEWHERE}
    if name.removeprefix("Lazy").startswith("ConvTranspose"):
        options.remove("padding_mode")  # which is always zeros
    lacking = []
    for operation in operations_of(kind):
        known = inspect.signature(operation).parameters
        lacking.append({o for o in options if o not in known and RENAMED.get(o) not in known})
    assert not lacking or set() in lacking, lacking


# Convolution.

WINDOWS = {
    1: [(7,), (3,), (4,)],
    2: [(6, 7), (3, 4), (1, 2)],
    3: [(3, 4, 5), (2, 3, 1), (1, 2, 2)],
}
PADDINGS = ["same", "valid", 0, 1]
MODES = ["zeros", "reflect", "replicate", "circular"]


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("axes", WINDOWS)
def test_convolutions_pad_as_their_layers_do(axes, padding, mode):
    image, *windows = WINDOWS[axes]
    name = f"conv{axes}d"
    for window, dilation, batch in itertools.product(windows, (1, 2), ((2,), ())):
        spans = [dilation * (k - 1) + 1 for k in window]
        if padding in ("valid", 0) and any(s > n for s, n in zip(spans, image, strict=True)):
            continue
        settings = {"padding": padding, "dilation": dilation, "padding_mode": mode}
        layer = getattr(torch.nn, f"Conv{axes}d")(4, 6, window, groups=2, **settings).double()
        x = torch.from_numpy(draw(*batch, 4, *image)).requires_grad_()
        expected = layer(x)
        weights = torch.from_numpy(draw(*expected.shape, seed=1))
        (expected * weights).sum().backward()
        ours = [
            minidl.tensor(p.detach().numpy(), requires_grad=True)
            for p in (x, layer.weight, layer.bias)
        ]
        y = getattr(minidl, name)(*ours, groups=2, **settings)
        np.testing.assert_allclose(y, expected.detach(), rtol=0, atol=1e-12)
        (y * minidl.asarray(weights.numpy())).sum().backward()
        for mine, theirs in zip(ours, (x, layer.weight, layer.bias), strict=True):
            np.testing.assert_allclose(mine.grad, theirs.grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("settings", [("same", "zeros"), ("same", "circular"), (1, "reflect")])
def test_padded_convolutions_have_higher_derivatives(settings):
    padding, mode = settings
    x, weight = (minidl.tensor(draw(*s)) for s in ((1, 1, 4, 4), (2, 1, 2, 3)))
    f = lambda x, weight: minidl.conv2d(x, weight, None, 1, padding, padding_mode=mode)
    assert gradcheck(f, x, weight, order=2)


def test_positions_and_single_precision():
    x, weight = (minidl.asarray(draw(*s, dtype="float32")) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    same = minidl.conv2d(x, weight, padding=1)
    np.testing.assert_array_equal(minidl.conv2d(x, weight, None, 1, "same"), same)
    np.testing.assert_array_equal(minidl.conv2d(x, weight, None, 1, "same", 1, 1), same)
    with minidl.kernels("reference"):
        np.testing.assert_allclose(minidl.conv2d(x, weight, padding="same"), same, atol=1e-5)


MISUSES = {
    "a word": (lambda c, *a: c(*a, padding="full"), 'padding is a number.*"same" or "valid"'),
    "a mode": (lambda c, *a: c(*a, padding=1, padding_mode="wrap"), "padding_mode is one of"),
    "same with a stride": (lambda c, *a: c(*a, stride=2, padding="same"), '"same" needs stride 1'),
    "too far": (lambda c, *a: c(*a, padding=9, padding_mode="reflect"), "reflect takes at most"),
    "a fraction": (lambda c, *a: c(*a, padding=0.5, padding_mode="reflect"), "padding is a number"),
    "axes": (lambda c, x, w: c(x[0, 0], w, padding="same"), "conv"),
}


@pytest.mark.parametrize(("misuse", "message"), MISUSES.values(), ids=MISUSES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_misuse_of_padding_is_explained(axes, misuse, message):
    x, weight = (minidl.zeros((2, 2, *(n,) * axes)) for n in (5, 3))
    with pytest.raises(MinidlError, match=message) as caught:
        misuse(getattr(minidl, f"conv{axes}d"), x, weight)
    assert str(caught.value).startswith((f"conv{axes}d", "pad"))


# Embedding.

IDS = np.array([[1, 3, 0], [3, 3, 4]])
OPTIONS = [
    {},
    {"padding_idx": 3},
    {"padding_idx": -1},
    {"scale_grad_by_freq": True},
    {"max_norm": 1.0},
    {"max_norm": 0.5, "norm_type": 1.0},
    {"max_norm": 0.5, "norm_type": float("inf")},
    {"max_norm": 0.7, "norm_type": 3.0, "padding_idx": 0, "scale_grad_by_freq": True},
]


# PyTorch's embedding_bag divides by the counts of other ids: tests/ops/nn/test_embedding_bag.py.
PAIRS = [("embedding", options) for options in OPTIONS]
PAIRS += [("embedding_bag", options) for options in OPTIONS if "scale_grad_by_freq" not in options]


@pytest.mark.parametrize(("name", "options"), PAIRS, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
def test_embeddings_take_pytorchs_options(name, sparse, options):
    table = draw(5, 4)
    mine = minidl.tensor(table, requires_grad=True)
    theirs = torch.tensor(table, requires_grad=True)
    function = getattr(torch.nn.functional, name)
    expected = function(torch.from_numpy(IDS), theirs, **options)
    y = getattr(minidl, name)(mine, minidl.asarray(IDS), sparse=sparse, **options)
    np.testing.assert_allclose(y, expected.detach(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(mine.detach(), theirs.detach(), rtol=0, atol=1e-12)
    weights = draw(*y.shape, seed=1)
    (y * minidl.asarray(weights)).sum().backward()
    (expected * torch.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(on_host(mine.grad), theirs.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_options_of_embeddings_hold_for_higher_orders(options):
    """The gradient of a function of the rows, as that of the same rows picked by hand."""
    table = minidl.tensor(draw(5, 2))

    def penalty(w):
        with minidl.higher_order():
            return (minidl.embedding(w, minidl.asarray(IDS), **options) ** 3).sum()

    counts = np.bincount(IDS.ravel(), minlength=5).astype(float)
    factor = np.where(options.get("scale_grad_by_freq", False), 1.0, counts) * (counts > 0)
    if "padding_idx" in options:
        factor[options["padding_idx"]] = 0
    np.testing.assert_allclose(
        minidl.grad(penalty)(table), 3 * table.numpy() ** 2 * factor[:, None], atol=1e-12
    )


def test_misuse_of_embedding_is_explained():
    table, ids = minidl.ones((5, 2)), minidl.tensor([0, 1])
    for options, message in (
        ({"padding_idx": 5}, "embedding: padding_idx is a row of the 5; got 5"),
        ({"padding_idx": 1.5}, "embedding: padding_idx"),
        ({"max_norm": 0}, "embedding: max_norm"),
        ({"max_norm": 1.0, "norm_type": -1}, "embedding: norm_type"),
        ({"scale_grad_by_freq": 1}, "embedding: scale_grad_by_freq is True or False"),
    ):
        with pytest.raises(ArgumentError, match=message):
            minidl.embedding(table, ids, **options)


# Fractional max pooling.


@pytest.mark.parametrize("ratio", [0.5, (0.6, 0.4)])
def test_fractional_pooling_takes_a_ratio(ratio):
    x, samples = draw(2, 3, 9, 11), np.random.default_rng(1).uniform(size=(2, 3, 2))
    both = ratio if isinstance(ratio, tuple) else (ratio, ratio)
    expected = torch.nn.functional.fractional_max_pool2d(
        torch.from_numpy(x), 2, output_ratio=both, _random_samples=torch.from_numpy(samples)
    )
    y = minidl.fractional_max_pool2d(
        minidl.asarray(x), minidl.asarray(samples), 2, output_ratio=ratio
    )
    np.testing.assert_array_equal(y, expected)
    for wrong in ({}, {"output_size": 3, "output_ratio": 0.5}, {"output_ratio": 2.0}):
        with pytest.raises(ArgumentError, match=r"fractional_max_pool2d.*output_ratio"):
            minidl.fractional_max_pool2d(minidl.asarray(x), minidl.asarray(samples), 2, **wrong)
