"""Each layer and its twin in PyTorch: arguments and defaults, the text that shows it, its state."""

import inspect
import typing

import pytest

import minidl
from minidl import nn

torch = pytest.importorskip("torch")

# PyTorch tells that it will not take a faster path.
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")

CLASSES = {name: value for name, value in vars(nn).items() if isinstance(value, type)}
OURS_ALONE = {"PartError", "StateError", "KeyValueCache", "RotaryEmbedding"}
OURS_ALONE |= {"LearnedPositionalEmbedding", "SinusoidalPositionalEncoding"}
TWINS = sorted((CLASSES.keys() & vars(torch.nn).keys()) - OURS_ALONE)

# What PyTorch keeps for old programs, and does no more.
DEPRECATED = {"size_average", "reduce", "min_value", "max_value"}
# What only minidl has: where randomness comes from.
OWN = {"generator"}
# Arguments whose names or defaults differ, and why.
DIFFERENT = {
    "Buffer": "data has no default: a buffer of nothing is None",
    "Parameter": "data has no default: a parameter of nothing is None",
    "Identity": "both take anything",
    "Module": "both take anything",
    "ModuleDict": "annotated alike, and any mapping or pairs will do",
    "Sequential": "modules, or one dict of them",
    **dict.fromkeys(
        ("RNN", "LSTM", "GRU"), "PyTorch's are (*args, **kwargs), with overloads: below"
    ),
}
ARGUMENTS = {
    "GLU": (),
    "Threshold": (0.1, 20.0),
    "Linear": (3, 5),
    "Bilinear": (3, 4, 5),
    "Unflatten": (1, (2, 3)),
    "Embedding": (10, 3),
    "EmbeddingBag": (10, 3),
    "AdaptiveLogSoftmaxWithLoss": (4, 6, [2]),
    "GroupNorm": (2, 4),
    "LocalResponseNorm": (2,),
    "LayerNorm": ((4, 5),),
    "RMSNorm": ((4, 5),),
    "Fold": ((4, 5), 2),
    "Unfold": (2,),
    "PixelShuffle": (2,),
    "PixelUnshuffle": (2,),
    "ChannelShuffle": (2,),
    **dict.fromkeys(("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), (3, 5)),
    "MultiheadAttention": (8, 2),
    "Transformer": (8, 2, 1, 2, 16),
    "TransformerEncoderLayer": (8, 2),
    "TransformerDecoderLayer": (8, 2),
    "TransformerEncoder": (("TransformerEncoderLayer", 8, 2), 3),  # with a layer that is made first
    "TransformerDecoder": (("TransformerDecoderLayer", 8, 2), 3),
    "Parameter": None,  # no modules
    "Buffer": None,
}
ARGUMENTS |= {f"{kind}{n}d": (4, 6, 3) for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)}
ARGUMENTS |= {f"{kind}Norm{n}d": (4,) for kind in ("Batch", "Instance") for n in (1, 2, 3)}
LAZY = {"LazyLinear": (2, 4)}  # with the shape of the inputs from which they are made
LAZY |= {f"LazyConv{n}d": (2, 4, *[3] * n) for n in (1, 2, 3)}
LAZY |= {f"LazyConvTranspose{n}d": (2, 4, *[3] * n) for n in (1, 2, 3)}
LAZY |= {
    f"Lazy{kind}Norm{n}d": (2, 4, *[3] * n) for kind in ("Batch", "Instance") for n in (1, 2, 3)
}
ARGUMENTS |= {"LazyLinear": (5,)}
ARGUMENTS |= {f"Lazy{kind}{n}d": (6, 3) for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)}
ARGUMENTS |= {f"ConstantPad{n}d": (1, 0.5) for n in (1, 2, 3)}
PADS = ("Zero", "Reflection", "Replication", "Circular")
ARGUMENTS |= {f"{kind}Pad{n}d": (1,) for kind in PADS for n in (1, 2, 3)}
POOLS = ("Max", "Avg", "AdaptiveAvg", "AdaptiveMax")
ARGUMENTS |= {f"{kind}Pool{n}d": (2,) for kind in POOLS for n in (1, 2, 3)}
ARGUMENTS |= {f"LPPool{n}d": (2, 3) for n in (1, 2, 3)}
ARGUMENTS |= {f"MaxUnpool{n}d": (2,) for n in (1, 2, 3)}
ARGUMENTS |= {f"FractionalMaxPool{n}d": (2, 3) for n in (2, 3)}

# More settings than the defaults; each is shown.
VARIANTS = [
    ("ReLU", (), {"inplace": True}),
    ("LeakyReLU", (0.2, True), {}),
    ("Softmax", (), {"dim": 1}),
    ("LogSoftmax", (-1,), {}),
    ("PReLU", (3,), {}),
    ("RReLU", (0.1, 0.2, True), {}),
    ("Hardtanh", (-2, 2), {"inplace": True}),
    ("Linear", (3, 5), {"bias": False}),
    ("Bilinear", (3, 4, 5), {"bias": False}),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    ("Conv2d", (4, 6, (3, 5)), {"padding": (1, 2), "bias": False, "padding_mode": "reflect"}),
    ("Conv2d", (4, 6, 3), {"padding": "same"}),
    ("Conv3d", (4, 6, (1, 2, 3)), {"stride": (1, 2, 1)}),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "output_padding": 1, "groups": 2}),
    ("BatchNorm2d", (4,), {"affine": False, "track_running_stats": False, "momentum": None}),
    ("InstanceNorm1d", (4,), {"affine": True, "track_running_stats": True}),
    ("LazyConv2d", (6, 3), {"stride": 2, "padding": 1, "groups": 2, "bias": False}),
    ("LazyConvTranspose1d", (6, 3), {"stride": 2, "output_padding": 1, "groups": 2}),
    ("LazyBatchNorm1d", (1e-3, None, False), {}),
    ("LayerNorm", (4,), {"eps": 1e-3, "bias": False}),
    ("LayerNorm", (4,), {"elementwise_affine": False}),
    ("GroupNorm", (2, 4), {"affine": False}),
    ("RMSNorm", (4,), {"elementwise_affine": False, "eps": 1e-3}),
    ("Embedding", (10, 3), {"padding_idx": -1, "max_norm": 2.0, "norm_type": 1.0, "sparse": True}),
    ("Embedding", (10, 3), {"scale_grad_by_freq": True}),
    ("RNN", (3, 5, 2, "relu"), {"bias": False}),
    ("RNN", (3, 5), {"bidirectional": True, "batch_first": True}),
    ("LSTM", (3, 5, 2), {"dropout": 0.5, "bidirectional": True}),
    ("LSTM", (3, 5, 2, False, True), {"proj_size": 2, "bidirectional": True}),
    ("GRU", (3, 5, 3), {"bidirectional": True}),
    ("RNNCell", (3, 5, False, "relu"), {}),
    ("LSTMCell", (3, 5), {"bias": False}),
    ("Dropout2d", (0.1, True), {}),
    ("MaxPool2d", ((2, 3),), {"stride": (1, 2), "padding": 1, "ceil_mode": True}),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}),
    ("AvgPool2d", ((2, 3),), {"stride": (1, 2), "padding": 1}),
    ("LPPool2d", (1.5, (2, 3)), {"stride": 2, "ceil_mode": True}),
    ("MaxUnpool2d", ((2, 3),), {"stride": (1, 2)}),
    ("AdaptiveAvgPool2d", ((None, 3),), {}),
    ("ZeroPad2d", ((1, 2, 3, 4),), {}),
    ("ConstantPad1d", ((1, 2), 0.5), {}),
    ("Upsample", (), {"size": (4, 5), "mode": "bilinear"}),
    ("Upsample", (), {"scale_factor": 2}),
    ("Flatten", (0, 1), {}),
    ("MultiheadAttention", (8, 2), {"bias": False, "add_bias_kv": True}),
    ("MultiheadAttention", (8, 4, 0.1), {"kdim": 6, "vdim": 5}),
    ("TransformerEncoderLayer", (8, 2, 16, 0.2, "gelu", 1e-3), {"norm_first": True}),
    ("TransformerDecoderLayer", (8, 2, 16), {"bias": False, "batch_first": True}),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1, "reduction": "sum"}),
]


def parameters(cls):
    """The names of the arguments, with their defaults."""
    found = inspect.signature(cls).parameters.values()
    known = [p for p in found if p.name not in DEPRECATED | OWN]
    named = [p for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return defaults(named)


def defaults(parameters):
    """The default of each, by its name if it is a function, as relu."""
    return {p.name: getattr(p.default, "__name__", p.default) for p in parameters}


@pytest.mark.parametrize("name", [name for name in TWINS if name not in DIFFERENT])
def test_arguments_and_defaults_are_pytorchs(name):
    ours, theirs = parameters(CLASSES[name]), parameters(getattr(torch.nn, name))
    assert ours == theirs


def positions(cls):
    """The names of the arguments that need no name."""
    found = inspect.signature(cls).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in found if p.kind in by_place]


@pytest.mark.parametrize("name", [name for name in TWINS if name not in DIFFERENT])
def test_positions_of_arguments_are_pytorchs(name):
    ours, theirs = positions(CLASSES[name]), positions(getattr(torch.nn, name))
    old = next((i for i, word in enumerate(theirs) if word in DEPRECATED), len(theirs))
    assert ours == theirs[:old]  # behind a deprecated one, places have no meaning any more


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_arguments_of_recurrent_layers_are_those_of_pytorchs_overloads(name):
    overload = typing.get_overloads(getattr(torch.nn, name).__init__)[0]
    theirs = list(inspect.signature(overload).parameters.values())[1:]  # all but self
    assert parameters(CLASSES[name]) == defaults(theirs)
    assert positions(CLASSES[name]) == [p.name for p in theirs]


CASES = [
    *[(name, ARGUMENTS.get(name, ()), {}) for name in TWINS if ARGUMENTS.get(name, ()) is not None],
    *VARIANTS,
]


def label(case):
    name, args, settings = case
    return f"{name}({', '.join([*map(repr, args), *(f'{k}={v!r}' for k, v in settings.items())])})"


def made(args, classes):
    """The arguments, with a layer for each class and its arguments."""
    return [
        classes[x[0]](*x[1:]) if isinstance(x, tuple) and isinstance(x[0], str) else x for x in args
    ]


@pytest.fixture(params=CASES, ids=label)
def twins(request):
    """A layer of minidl's, and PyTorch's with the same arguments."""
    name, args, settings = request.param
    ours = CLASSES[name](*made(args, CLASSES), **settings)
    theirs = getattr(torch.nn, name)(*made(args, vars(torch.nn)), **settings)
    if name in LAZY:
        assert repr(ours) == repr(theirs)
        ours(minidl.zeros(LAZY[name])), theirs(torch.zeros(LAZY[name]))
    return ours, theirs


def test_the_text_is_pytorchs(twins):
    ours, theirs = twins
    # PyTorch's class for the last layer of an attention differs from Linear in quantisation.
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")


def test_the_state_is_pytorchs(twins):
    ours, theirs = twins
    state = {name: (x.shape, x.dtype.name) for name, x in ours.state_dict().items()}
    assert state == {
        name: (tuple(x.shape), str(x.dtype).removeprefix("torch."))
        for name, x in theirs.state_dict().items()
    }
    learned = [name for name, _ in ours.named_parameters()]
    assert learned == [name for name, _ in theirs.named_parameters()]


def test_the_state_goes_there_and_back(twins):
    ours, theirs = twins
    ours.load_state_dict(theirs.state_dict())
    for name, x in theirs.state_dict().items():
        assert (ours.state_dict()[name].numpy() == x.numpy()).all()


def test_all_public_layers_are_compared():
    compared, public = {name for name, *_ in CASES}, CLASSES.keys() - {"Parameter", "Buffer"}
    missing = public - compared - OURS_ALONE
    assert not missing, (
        f"{sorted(missing)} are not compared with PyTorch's: add how they are made to ARGUMENTS "
        "of tests/nn/test_twins.py; or, if PyTorch has no such layer, their names to OURS_ALONE"
    )
    assert compared <= public, f"minidl.nn has no {sorted(compared - public)}"
    assert minidl.nn.__all__
