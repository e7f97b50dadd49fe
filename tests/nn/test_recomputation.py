"""Every layer writes its state once, and gives the same bits, when a checkpoint repeats it."""

import copy

import numpy as np
import pytest

import minidl
from minidl import keras, nn
from minidl.errors import MinidlError
from minidl.ops.random import default_generator
from tests.helpers import on_host
from tests.nn.test_twins import CASES, CLASSES, label, made

REAL = [
    minidl.asarray(np.random.default_rng(0).normal(size=shape).astype("float32") * 3)
    for shape in [
        (4, 4, 6),
        (2, 4, 6, 6),
        (2, 4, 5, 4, 6),
        (4, 4),
        (3, 3),
        (2, 4, 4, 5),
        (2, 12, 6),
    ]
]
INPUTS = [(x,) for x in REAL] + [(REAL[3][:, :3], REAL[3]), (minidl.asarray([[1, 2], [4, 1]]),)]
SEQUENCES = minidl.asarray(np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32"))
SEQUENCE_LAYERS = ["RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "TimeDistributed", "Permute"]
SEQUENCE_LAYERS += ["GlobalAveragePooling1D", "GlobalMaxPooling1D"]
STATEFUL = [
    ("BatchNorm1d", (4,), {"momentum": None}),
    ("InstanceNorm2d", (4,), {"track_running_stats": True}),
    ("InstanceNorm3d", (4,), {"track_running_stats": True, "affine": True}),
    ("Embedding", (10, 3), {"max_norm": 0.5}),
    ("EmbeddingBag", (10, 3), {"max_norm": 0.5}),
]


def other_layers():
    """Layers of other kinds: parametrised ones, and one of a user's that keeps averages."""
    yield "spectral_norm", nn.utils.spectral_norm(nn.Linear(6, 6), n_power_iterations=2)
    yield "weight_norm", nn.utils.weight_norm(nn.Linear(6, 6))
    yield "averages", Averages()


class Averages(nn.Module):
    """A user's layer, with buffers of its own."""

    def __init__(self):
        self.mean, self.calls = nn.Buffer(minidl.zeros(6)), nn.Buffer(minidl.asarray(0))
        self.plain = minidl.zeros(6)

    def forward(self, x):
        old = self.mean.copy()
        self.calls += 1
        self.mean[...] = 0.5 * self.mean + 0.5 * x.detach().mean(axis=0)
        self.plain += self.mean
        return (x - self.mean) * self.plain.copy() + old


def keras_layers():
    """A layer of each kind that takes one tensor, by name."""
    made = {
        "Dense": (3,),
        "Conv2D": (3, 2),
        "Embedding": (10, 3),
        "Dropout": (0.5,),
        "Reshape": ((-1,),),
        "Activation": ("tanh",),
        "Lambda": (minidl.tanh,),
        "RepeatVector": (2,),
        "Permute": ((2, 1),),
        "TimeDistributed": (keras.layers.Dense(3),),
        "Bidirectional": (keras.layers.LSTM(3, recurrent_dropout=0.5),),
        "RNN": (keras.layers.GRUCell(3, recurrent_dropout=0.5),),
    }
    made |= dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), (3,))
    several = {"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "MultiHeadAttention"}
    several |= {"Multiply", "Subtract"}  # inputs
    same = {"Layer", "Input", "InputLayer", "AvgPool2D", "MaxPool2D", "Convolution2D"}
    same |= {"GlobalAvgPool2D", "GlobalMaxPool2D"}
    for name in keras.layers.__all__:
        kind = getattr(keras.layers, name)
        is_layer = isinstance(kind, type) and not name.endswith(("Cell", "Cells"))
        if is_layer and name not in same | several:
            yield name, kind(*made.get(name, ()))


def state(module):
    tensors = {name: x.copy() for name, x in module.state_dict().items()}
    extra = {
        f"plain {i}": m.plain.copy() for i, m in enumerate(module.modules()) if hasattr(m, "plain")
    }
    extra |= {
        f"computed {i}": m.weight for i, m in enumerate(module.modules()) if hasattr(m, "weight_u")
    }
    return tensors | extra


def results(how, module, inputs):
    """All that two training steps leave behind: outputs, gradients, state, random numbers."""
    module = copy.deepcopy(module)
    minidl.manual_seed(3)
    seen = []
    xs = [x.copy().requires_grad_() if x.dtype.kind == "f" else x for x in inputs]
    outputs = [how(module, *xs) for _ in range(2)]
    for y in reversed(outputs):  # the state is by then that of a later call
        y = y[0] if isinstance(y, tuple) else y
        if y.requires_grad:
            (y * y).sum().backward()
        seen += [y.detach()]
    tensors = [*module.parameters(), *(x for x in xs if x.requires_grad)]
    seen += [None if t.grad is None else on_host(t.grad) for t in tensors if t.requires_grad]
    arrays = [None if x is None else np.array(x) for x in [*seen, *state(module).values()]]
    return [*arrays, default_generator.offset]


def plain(f, *args):
    return f(*args)


def nested(f, *args):
    return minidl.checkpoint(lambda *a: minidl.checkpoint(f, *a), *args)


def sequences(module):
    """Sequences that an attention or a part of a Transformer takes; none for other layers."""
    widths = ()
    if isinstance(module, nn.MultiheadAttention):
        widths = module.embed_dim, module.kdim, module.vdim
    elif type(module).__name__.startswith("Transformer"):
        widths = (8,) if "Encoder" in type(module).__name__ else (8, 8)
    rng = np.random.default_rng(0)
    return tuple(minidl.asarray(rng.normal(size=(3, 2, n)).astype("float32")) for n in widths)


def inputs_of(module):
    """Inputs that the layer takes; None if it is of another kind: a container, a loss."""
    if inputs := sequences(module):
        return inputs
    for inputs in INPUTS:
        try:
            output = copy.deepcopy(module)(*inputs)
        except (MinidlError, TypeError, NotImplementedError):
            continue
        return inputs if isinstance(output, minidl.Tensor | tuple) else None
    return None


def check(module, inputs):
    expected = results(plain, module, inputs)
    for how in (minidl.checkpoint, nested):
        for a, b in zip(results(how, module, inputs), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", [*CASES, *STATEFUL], ids=label)
def test_a_layer_in_a_checkpoint(case):
    name, args, settings = case
    minidl.manual_seed(0)
    module = getattr(nn, name)(*made(args, CLASSES), **settings)
    inputs = inputs_of(module)
    if name.startswith("Lazy"):  # its first call, which makes its parameters, cannot be repeated
        module(*inputs)
    if inputs is None:
        assert not module.state_dict() or name in ("AdaptiveLogSoftmaxWithLoss",)
        return
    check(module, inputs)


def test_no_stateful_layer_is_left_out():
    """Buffers are written in training: all layers that have some are among the cases."""
    with_buffers = {
        name
        for name, args, kw in [*CASES, *STATEFUL]
        if not name.startswith("Lazy")
        if [*getattr(nn, name)(*made(args, CLASSES), **kw).buffers()]
    }
    kinds = {
        c.__name__ for c in vars(nn).values() if isinstance(c, type) and issubclass(c, nn.Module)
    }
    norms = {kind for kind in kinds if "BatchNorm" in kind or "InstanceNorm" in kind}
    assert {kind for kind in norms if not kind.startswith("Lazy")} == with_buffers


@pytest.mark.parametrize("name", dict(other_layers()))
def test_a_layer_with_computed_weights_or_averages(name):
    minidl.manual_seed(0)
    check(dict(other_layers())[name], [REAL[0][0]])


@pytest.mark.parametrize("name", dict(keras_layers()))
def test_a_layer_of_keras_in_a_checkpoint(name):
    minidl.manual_seed(0)
    layer = dict(keras_layers())[name]
    shapes = {"Embedding": INPUTS[-1], "Dense": INPUTS[3], "LayerNormalization": INPUTS[3]}
    shapes |= {"RepeatVector": INPUTS[3], **dict.fromkeys(SEQUENCE_LAYERS, (SEQUENCES,))}
    inputs = shapes.get(name, INPUTS[1])
    model = keras.Sequential([layer])
    model.build((None, *inputs[0].shape[1:]))
    check(model.network.train(), inputs)


def test_parts_of_a_network_of_stateful_layers():
    minidl.manual_seed(0)
    net = nn.Sequential(
        nn.utils.spectral_norm(nn.Conv1d(4, 4, 3, padding=1)),
        nn.BatchNorm1d(4),
        nn.Dropout(0.3),
        nn.InstanceNorm1d(4, track_running_stats=True),
        nn.Linear(6, 6),
    )
    check(net, INPUTS[0])
