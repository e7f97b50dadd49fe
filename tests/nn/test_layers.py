"""Layers and losses against PyTorch's, their initial parameters, and what errors say."""

import inspect
import math
import re

import numpy as np
import pytest
from scipy import stats

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.models import MLP
from minidl.nn import init
from tests.helpers import assert_all_close, assert_close
from tests.oracle import torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # relative to the largest magnitude
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


# Each layer by itself.

SHAPES = [(), (4,), (3, 4), (2, 3, 4), (2, 0)]
LAYERS = [
    *(
        ("Linear", {"in_features": n, "out_features": 4, "bias": bias}, shape)
        for bias in (True, False)
        for n, shape in [(3, (3,)), (3, (2, 3)), (3, (2, 5, 3)), (3, (0, 3)), (1, (2, 3, 4, 1))]
    ),
    *((name, {}, shape) for name in ("Identity", "ReLU", "Sigmoid", "SiLU") for shape in SHAPES),
    *(("Tanh", {}, shape) for shape in SHAPES),
    *(
        ("Softplus", {"beta": beta, "threshold": threshold}, shape)
        for beta, threshold in [(1.0, 20.0), (3.0, 2.0), (0.5, 0.1)]
        for shape in SHAPES
    ),
    *(("LeakyReLU", {"negative_slope": a}, shape) for a in (0.01, 0.3, 0.0) for shape in SHAPES),
    *(("ELU", {"alpha": a}, shape) for a in (1.0, 0.3, 2.5) for shape in SHAPES),
    *(("GELU", {"approximate": how}, shape) for how in ("none", "tanh") for shape in SHAPES),
    *(
        (name, {"dim": dim}, shape)
        for name in ("Softmax", "LogSoftmax")
        for dim, shape in [(0, (4,)), (-1, (3, 4)), (0, (3, 4)), (1, (2, 3, 4)), (-3, (2, 3, 4))]
    ),
    *(
        ("Flatten", {"start_dim": start, "end_dim": end}, (2, 3, 4, 5))
        for start, end in [(1, -1), (0, -1), (1, 2), (-3, -2), (2, 2), (0, 0)]
    ),
    ("Flatten", {}, (2, 3)),
    ("Flatten", {"start_dim": 0}, ()),
    ("Flatten", {}, (0, 3, 4)),
    *(("Dropout", {"p": p}, (3, 4)) for p in (0.0, 1.0)),
    ("Conv2d", {"in_channels": 2, "out_channels": 4, "kernel_size": 3, "groups": 2}, (2, 2, 5, 4)),
    ("MaxPool2d", {"kernel_size": 2}, (2, 3, 5, 4)),
    ("AvgPool2d", {"kernel_size": (2, 3), "stride": 1, "padding": 1}, (2, 3, 5, 4)),
    ("AdaptiveAvgPool2d", {"output_size": (2, 3)}, (2, 3, 5, 4)),
    ("BatchNorm1d", {"num_features": 3}, (4, 3)),
    ("BatchNorm2d", {"num_features": 3}, (2, 3, 5, 4)),
    ("LayerNorm", {"normalized_shape": (3, 4)}, (2, 3, 4)),
    ("GroupNorm", {"num_groups": 2, "num_channels": 4}, (2, 4, 3)),
]
IN_PLACE = ["ReLU", "LeakyReLU", "ELU", "SiLU", "Dropout"]  # may be asked to overwrite the input
LOSSES = [
    *(
        ("CrossEntropyLoss", {"reduction": how}, shape)
        for how in ("mean", "sum", "none")
        for shape in [(5,), (4, 3), (2, 3, 4), (2, 3, 4, 2)]
    ),
    *(
        ("MSELoss", {"reduction": how}, shape)
        for how in ("mean", "sum", "none")
        for shape in [(), (4,), (2, 3)]
    ),
]
# What is tested elsewhere: below, or in a file of its own.
NO_ROW = {
    *("Module", "Sequential", "Embedding", "EmbeddingBag", "AdaptiveLogSoftmaxWithLoss"),
    *("BatchNorm3d", "UpsamplingNearest2d", "UpsamplingBilinear2d"),
    *("ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "RReLU"),
    *("CELU", "SELU", "Mish", "LogSigmoid", "Softsign", "Tanhshrink", "GLU", "Softmin"),
    *("Softmax2d", "Hardtanh", "ReLU6", "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink"),
    *("Threshold", "PReLU", "Unflatten", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle"),
    *("RMSNorm", "LocalResponseNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
    *("Bilinear", "CosineSimilarity", "PairwiseDistance"),
    *("Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"),
    *("FractionalMaxPool2d", "FractionalMaxPool3d", "TripletMarginWithDistanceLoss"),
    *("BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss"),
    *("HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MarginRankingLoss"),
    *("MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss"),
    *("PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss"),
    *(f"{kind}{n}d" for kind in ("Conv", "ConvTranspose", "MaxPool", "AvgPool") for n in (1, 2, 3)),
    *(f"Adaptive{kind}Pool{n}d" for kind in ("Avg", "Max") for n in (1, 2, 3)),
    *(f"{kind}{n}d" for kind in ("LPPool", "MaxUnpool") for n in (1, 2, 3)),
    *(f"{kind}Pad{n}d" for kind in ("Zero", "Constant", "Circular") for n in (1, 2, 3)),
    *(f"{kind}Pad{n}d" for kind in ("Reflection", "Replication") for n in (1, 2, 3)),
    *("Fold", "Unfold", "Upsample", "LazyLinear"),
    *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
    *("MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerEncoderLayer"),
    *("TransformerDecoder", "TransformerDecoderLayer", "SinusoidalPositionalEncoding"),
    *("LearnedPositionalEmbedding", "RotaryEmbedding"),
    *(f"LazyConv{kind}{n}d" for kind in ("", "Transpose") for n in (1, 2, 3)),
    *(f"Lazy{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3)),
}
each_layer = pytest.mark.parametrize(("name", "settings", "shape"), LAYERS)
each_loss = pytest.mark.parametrize(("name", "settings", "shape"), LOSSES)
X = ops.ones((4, 3))
each_class = pytest.mark.parametrize("name", sorted({row[0] for row in LAYERS + LOSSES}))


def uniform(shape, dtype="float64", seed=0):
    """An array of numbers between −2 and 2."""
    return np.asarray(np.random.default_rng(seed).uniform(-2, 2, shape), dtype)


def twins(name, settings, dtype="float64"):
    """The layer of minidl, and PyTorch's with the same parameters."""
    layer = getattr(nn, name)
    takes_dtype = "dtype" in inspect.signature(layer).parameters
    ours = layer(**settings, **({"dtype": dtype} if takes_dtype else {}))
    theirs = getattr(torch.nn, name)(**settings).to(getattr(torch, dtype))
    theirs.load_state_dict(
        {key: torch.from_dlpack(x.cpu()) for key, x in ours.state_dict().items()}
    )
    return ours, theirs


def leaves(arrays):
    """The arrays as leaves of minidl and of PyTorch; integers as constants."""
    floats = [x.dtype.kind == "f" for x in arrays]
    ours = [minidl.tensor(x, requires_grad=f) for x, f in zip(arrays, floats, strict=True)]
    theirs = [torch.tensor(x, requires_grad=f) for x, f in zip(arrays, floats, strict=True)]
    return ours, theirs


def outcome(layer, inputs):
    """The output, and the gradients of inputs and parameters, in either library."""
    y = layer(*inputs)
    weights = torch.arange(1, math.prod(y.shape) + 1, dtype=torch.float64).reshape(y.shape)
    weights = (weights / weights.numel()).numpy().astype(np.asarray(y.detach()).dtype)
    constant = torch.from_numpy if isinstance(y, torch.Tensor) else minidl.asarray
    (y * constant(weights)).sum().backward()
    sources = [*inputs, *layer.parameters()]
    found = [y.detach(), *(x.grad for x in sources if x.requires_grad)]
    return [np.asarray(x) for x in found]


def assert_twins_agree(name, settings, arrays, dtype):
    layers = twins(name, settings, dtype)
    ours, theirs = map(outcome, layers, leaves(arrays))
    assert_all_close(ours, theirs, TOLERANCE[dtype])


def loss_inputs(name, shape, dtype, kind):
    """A prediction, and a target of that kind: class numbers or reals."""
    prediction = uniform(shape, dtype)
    if kind == "reals":
        return prediction, np.asarray(np.abs(uniform(shape, dtype, seed=1)))
    axis = min(1, len(shape) - 1)
    rest = shape[:axis] + shape[axis + 1 :]
    return prediction, np.random.default_rng(1).integers(0, shape[axis], rest)


def test_every_layer_has_a_row():
    classes = {x.__name__ for x in vars(nn).values() if inspect.isclass(x)}
    layers = {name for name in classes if issubclass(getattr(nn, name), nn.Module)}
    known = {row[0] for row in LAYERS + LOSSES} | NO_ROW
    assert not layers - known, (
        f"no row tests {sorted(layers - known)}: add one to LAYERS or LOSSES of "
        "tests/nn/test_layers.py; or, if a file of its own tests the layer, its name to NO_ROW"
    )
    assert not known - layers, f"minidl.nn has no {sorted(known - layers)}"
    assert not classes - set(nn.__all__), (
        f"add {sorted(classes - set(nn.__all__))} to __all__ of minidl/nn/__init__.py"
    )


@each_dtype
@each_layer
def test_layers_compute_what_pytorch_computes(name, settings, shape, dtype):
    assert_twins_agree(name, settings, [uniform(shape, dtype)], dtype)


@each_dtype
@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_loss
def test_losses_compute_what_pytorch_computes(name, settings, shape, kernels, dtype):
    kinds = ["reals", "classes"] if name == "CrossEntropyLoss" else ["reals"]
    for kind in kinds:
        with minidl.kernels(kernels):
            assert_twins_agree(name, settings, loss_inputs(name, shape, dtype, kind), dtype)


@pytest.mark.parametrize("integer", ["uint8", "int16", "int32", "int64"])
def test_class_indices_may_be_of_any_integer_dtype(integer):
    logits, target = loss_inputs("CrossEntropyLoss", (4, 3), "float64", "classes")
    assert nn.CrossEntropyLoss()(logits, target).item() == pytest.approx(
        nn.CrossEntropyLoss()(logits, target.astype(integer)).item(), rel=1e-15
    )


@each_dtype
@pytest.mark.parametrize(
    "name", ["ReLU", "LeakyReLU", "ELU", "GELU", "Sigmoid", "SiLU", "Softplus", "Tanh"]
)
def test_activations_saturate_as_pytorchs_do(name, dtype):
    x = np.array([-1e4, -100, -30, -0.0, 0, 30, 100, 1e4], dtype)
    for ours, theirs in zip(*map(outcome, twins(name, {}), leaves([x])), strict=True):
        np.testing.assert_allclose(ours, theirs, TOLERANCE[dtype], TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_of_large_numbers_does_not_overflow(name):
    x = np.array([[1e4, -1e4, 9999], [-1e4, -1e4, -1e4], [-np.inf, 0, 1]])
    for ours, theirs in zip(*map(outcome, twins(name, {"dim": 1}), leaves([x])), strict=True):
        assert_close(ours, theirs, 1e-10)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 4, 2)])
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_chooses_the_axis_that_pytorch_chooses(name, shape):
    ours, theirs = leaves([uniform(shape)])
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        expected = outcome(getattr(torch.nn, name)(), theirs)
    assert_all_close(outcome(getattr(nn, name)(), ours), expected, 1e-10)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_accepted_and_leaves_the_input_alone(name):
    x = uniform((3, 4))
    leaf = minidl.tensor(x, requires_grad=True)
    assert getattr(nn, name)(inplace=True)(leaf).shape == (3, 4)
    np.testing.assert_array_equal(leaf, x)


# A user of PyTorch knows the layers already.


@each_layer
def test_state_has_pytorchs_names_and_shapes(name, settings, shape):
    ours, theirs = twins(name, settings)
    shapes = {key: tuple(x.shape) for key, x in theirs.state_dict().items()}
    assert {key: x.shape for key, x in ours.state_dict().items()} == shapes
    assert list(ours.state_dict()) == list(shapes)


@each_class
def test_repr_is_pytorchs(name):
    rows = [settings for row, settings, _ in LAYERS + LOSSES if row == name]
    for settings in [*rows, {**rows[0], "inplace": True}] if name in IN_PLACE else rows:
        assert repr(getattr(nn, name)(**settings)) == repr(getattr(torch.nn, name)(**settings))


@each_class
def test_arguments_have_the_positions_and_defaults_of_pytorchs(name):
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(theirs)[: len(positional)]
    defaults = {p.name: p.default for p in ours.values() if p.default is not p.empty}
    shared = [key for key in defaults if key in theirs]
    assert {key: defaults[key] for key in shared} == {key: theirs[key].default for key in shared}


# How parameters begin.


def assert_uniform(x, bound):
    """Numbers uniform in ±bound, in float32."""
    x = np.asarray(x, "float64").ravel()
    assert np.abs(x).max() <= bound * (1 + 1e-6)
    assert np.abs(x).max() > bound * 0.99
    assert abs(x.mean()) < 4 * bound / math.sqrt(3 * x.size)
    assert x.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert stats.kstest(x, "uniform", (-bound, 2 * bound)).pvalue > 1e-3


@pytest.mark.parametrize("in_features", [1, 16, 100])
def test_linear_is_initialised_uniformly(in_features):
    minidl.manual_seed(0)
    layer = nn.Linear(in_features, 20_000)
    assert_uniform(layer.weight, 1 / math.sqrt(in_features))
    assert_uniform(layer.bias, 1 / math.sqrt(in_features))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_linear_has_the_requested_dtype(dtype):
    layer = nn.Linear(4, 3, dtype=dtype)
    assert layer.weight.dtype == layer.bias.dtype == dtype
    assert layer(ops.ones((2, 4), dtype=dtype)).dtype == dtype


def test_one_seed_one_network():
    layers = []
    for seed in (1, 1, 2):
        minidl.manual_seed(seed)
        layers.append((nn.Linear(3, 4), nn.Linear(3, 4)))
    for (first, second), (same, _), (other, _) in [layers]:
        np.testing.assert_array_equal(first.weight, same.weight)
        np.testing.assert_array_equal(first.bias, same.bias)
        for different in (second, other):
            assert not (first.weight == different.weight).any()
            assert not (first.bias == different.bias).any()


@pytest.mark.parametrize("shape", [(200, 300), (30, 40, 5, 5)])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("uniform_", (-0.3, 0.3)),
        ("xavier_uniform_", ()),
        ("xavier_uniform_", (0.5,)),
        ("kaiming_uniform_", ()),
        ("kaiming_uniform_", (0.4,)),
    ],
)
def test_initialisers_have_pytorchs_bounds(name, settings, shape):
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), *settings)
    bound = theirs.abs().max().item()
    x = getattr(init, name)(minidl.empty(shape), *settings, generator=minidl.random.Generator(5))
    assert np.abs(x.numpy()).max() == pytest.approx(bound, rel=1e-3)
    assert_uniform(x, np.abs(x.numpy()).max())


def test_normal_has_the_requested_mean_and_deviation():
    x = init.normal_(minidl.empty((100, 300)), 2.0, 0.5, minidl.random.Generator(5))
    assert stats.kstest(x.numpy().ravel(), "norm", (2, 0.5)).pvalue > 1e-3


def test_an_initialiser_may_be_given_no_gain():
    assert not init.xavier_uniform_(minidl.ones((2, 3)), gain=0).numpy().any()


def test_initialisers_write_into_the_parameter_and_return_it():
    parameter = nn.Parameter(np.zeros((2, 3)))
    for initialise in (init.uniform_, init.normal_, init.xavier_uniform_, init.kaiming_uniform_):
        before = parameter.numpy().copy()
        assert initialise(parameter) is parameter
        assert (parameter.numpy() != before).all()
        assert parameter.dtype == "float64"
        assert parameter.is_leaf


def test_fans_need_a_matrix():
    with pytest.raises(ShapeError, match=r"at least two axes; got shape \(3,\)"):
        init.kaiming_uniform_(minidl.empty(3))


# Errors name the layer, what it got and what it needs.

LINEAR = nn.Linear(784, 128)
MISUSES = {
    "Linear: columns": (
        lambda: LINEAR(ops.ones((32, 100))),
        "Linear(784, 128) needs an input of shape (…, 784); got (32, 100)",
    ),
    "Linear: one number": (
        lambda: LINEAR(ops.ones(())),
        "Linear(784, 128) needs an input of shape (…, 784); got ()",
    ),
    "Linear: without bias": (
        lambda: nn.Linear(3, 2, bias=False)(ops.ones(4)),
        "Linear(3, 2, bias=False) needs an input of shape (…, 3); got (4,)",
    ),
    "Linear: a list": (
        lambda: LINEAR([[1.0]]),
        "Linear(784, 128) needs an input of shape (…, 784); got list [[1.0]]",
    ),
    "Linear: a float": (
        lambda: LINEAR(2.0),
        "Linear(784, 128) needs an input of shape (…, 784); got 2.0",
    ),
    "Linear: None": (
        lambda: LINEAR(None),
        "Linear(784, 128) needs an input of shape (…, 784); got None",
    ),
}


@pytest.mark.parametrize(("misuse", "message"), MISUSES.values(), ids=MISUSES)
def test_linear_says_what_it_needs(misuse, message):
    with pytest.raises(MinidlError, match=f"^{re.escape(message)}$"):
        misuse()


WRONG = {
    "Linear: negative": (lambda: nn.Linear(-1, 2), ArgumentError, r"-1"),
    "Linear: half": (lambda: nn.Linear(2.5, 2), ArgumentError, r"2\.5"),
    "Linear: dtype": (lambda: nn.Linear(2, 2, dtype="text"), MinidlError, "text"),
    "Linear: integers": (lambda: nn.Linear(2, 2, dtype="int64"), MinidlError, "int64"),
    "Flatten: axes": (lambda: nn.Flatten()(ops.ones(3)), ShapeError, r"(?i)flatten.*1.*\(3,\)"),
    "Flatten: backwards": (lambda: nn.Flatten(2, 1)(ops.ones((2, 3, 4))), ShapeError, "(?i)flat"),
    "Softmax: no axis": (lambda: nn.Softmax()(ops.ones(())), ShapeError, r"softmax.*axis 0.*\(\)"),
    "Softmax: axis": (lambda: nn.Softmax(2)(X), ShapeError, r"softmax.*axis 2.*\(4, 3\)"),
    "GELU: name": (lambda: nn.GELU("tan")(X), ArgumentError, "GELU.*tanh.*'tan'"),
    "MSELoss: shapes": (
        lambda: nn.MSELoss()(X, X[:, 0]),
        ShapeError,
        r"mse_loss.*\(4, 3\).*\(4,\).*same shape",
    ),
    "MSELoss: reduction": (
        lambda: nn.MSELoss(reduction="avg")(X, X),
        ArgumentError,
        "mean.*sum.*'avg'",
    ),
    "CrossEntropyLoss: shapes": (
        lambda: nn.CrossEntropyLoss()(X, ops.zeros(3, dtype="int64")),
        ShapeError,
        r"cross_entropy.*\(4, 3\).*\(4,\).*\(3,\)",
    ),
    "CrossEntropyLoss: one number": (
        lambda: nn.CrossEntropyLoss()(ops.ones(()), ops.zeros((), dtype="int64")),
        ShapeError,
        r"cross_entropy.*\(N, C\).*\(\)",
    ),
    "CrossEntropyLoss: float classes": (
        lambda: nn.CrossEntropyLoss()(X, ops.zeros(4)),
        minidl.errors.DTypeError,
        "cross_entropy.*integers.*float32",
    ),
    "CrossEntropyLoss: range": (
        lambda: nn.CrossEntropyLoss()(X, minidl.tensor([0, 1, 2, 3])),
        minidl.errors.BoundsError,
        "cross_entropy.*3.*0 … 2",
    ),
    "CrossEntropyLoss: negative": (
        lambda: nn.CrossEntropyLoss(reduction="none")(X, minidl.tensor([0, 1, 2, -1])),
        minidl.errors.BoundsError,
        "cross_entropy.*-1.*0 … 2",
    ),
    "CrossEntropyLoss: reduction": (
        lambda: nn.CrossEntropyLoss(reduction="avg")(X, minidl.tensor([0, 1, 2, 2])),
        ArgumentError,
        "mean.*sum.*'avg'",
    ),
    "MLP: size": (lambda: MLP(784)(ops.ones((2, 392))), ShapeError, r"784.*\(2, 392\)"),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.GELU(), nn.Sigmoid(), nn.SiLU(), nn.Softplus()),
        *(nn.Tanh(), nn.Softmax(), nn.Softmax(0), nn.LogSoftmax(), nn.LogSoftmax(0)),
        *(nn.Flatten(), nn.Linear(1, 1)),
    ],
    ids=repr,
)
def test_a_layer_says_that_it_needs_a_tensor(layer):
    name = type(layer).__name__[:3]
    with pytest.raises(MinidlError, match=rf"(?i){name}.*list \[1\.0\]"):
        layer([1.0])


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss()], ids=repr)
def test_a_loss_says_that_it_needs_tensors(loss):
    with pytest.raises(MinidlError, match=r"(cross_entropy|mse_loss).*list"):
        loss([[1.0]], [0])
