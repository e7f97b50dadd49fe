"""`nn.summary`: a table of a network's layers."""

import io
import math
import sys

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, ShapeError


@pytest.fixture(autouse=True)
def _uncompiled():
    """Shapes are the same without kernels, and need no compiler."""
    with minidl.kernels("reference"):
        yield


def rows(found):
    """What the rows say of each module that ran."""
    return {
        row.path: (row.kind, row.output, row.parameters, row.multiply_adds)
        for row in found.layers
        if row.calls
    }


class Keras(nn.Module):
    """The convolutional network of Keras's introduction, whose summary is known."""

    def __init__(self, **settings):
        self.conv1 = nn.Conv2d(1, 32, 3, **settings)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, groups=4, bias=False, **settings)
        self.fc = nn.Linear(64 * 12 * 12, 10, **settings)

    def forward(self, x):
        return self.fc(minidl.flatten(self.conv2(minidl.relu(self.conv1(x))), 1))


def test_each_layer_has_its_shape_parameters_and_products(capsys):
    found = nn.summary(Keras(), (5, 1, 28, 28))
    assert rows(found) == {
        "": ("Keras", (5, 10), 0, 0),
        "conv1": ("Conv2d", (5, 32, 26, 26), 32 * 9 + 32, 32 * 26 * 26 * 9),
        "conv2": ("Conv2d", (5, 64, 12, 12), 64 * 8 * 9, 64 * 12 * 12 * 8 * 9),
        "fc": ("Linear", (5, 10), 9216 * 10 + 10, 9216 * 10),
    }
    assert found.parameters == found.trainable == 320 + 4608 + 92170
    assert found.parameter_bytes == 4 * found.parameters
    assert found.multiply_adds == sum(row.multiply_adds for row in found.layers)
    assert [row.depth for row in found.layers] == [0, 1, 1, 1]
    assert repr(found) == "<Summary of Keras: 97,098 parameters>"
    assert capsys.readouterr().out == str(found)


def test_the_table():
    lines = str(nn.summary(nn.Sequential(nn.Linear(30, 50), nn.ReLU()), (2, 30))).splitlines()
    assert [" ".join(line.split()) for line in lines[:1] + lines[2:]] == [
        "layer type output parameters multiply-adds",
        "Sequential (2, 50)",
        "0 Linear (2, 50) 1,550 1,500",
        "1 ReLU (2, 50)",
        "1,550 parameters (0.01 MB), all of them trainable",
        "1,500 multiply-adds for each sample",
    ]


def test_frozen_parameters_and_other_dtypes_are_counted_separately():
    model = Keras(dtype="float64")
    model.conv1.requires_grad_(False)
    found = nn.summary(model, (2, 1, 28, 28))
    assert (found.parameters, found.trainable) == (97098, 97098 - 320)
    assert found.parameter_bytes == 8 * 97098
    assert "320 of them frozen" in str(found)


class Gather(nn.Module):
    """Rows of a table, scaled: its inputs are of different dtypes."""

    def __init__(self):
        self.table = nn.Embedding(3, 4)

    def forward(self, ids, scale):
        self.dtypes = ids.dtype.name, scale.dtype.name
        return self.table(ids) * scale


def test_shapes_become_inputs_of_the_given_dtypes(capsys):
    for dtypes in (["int64", None], ("int64", "float32")):
        assert nn.summary(Gather(), (2, 5), (2, 1, 1), dtypes=dtypes).layers[0].output == (2, 5, 4)
    assert nn.summary(nn.Embedding(3, 4), (7,), dtypes="int32").layers[0].output == (7, 4)
    with pytest.raises(ArgumentError, match="there are 2 inputs, but 1 dtypes"):
        nn.summary(Gather(), (2, 5), (2, 1, 1), dtypes=["int64"])
    with pytest.raises(DTypeError, match="summary"):
        nn.summary(Gather(), (2, 5), (2, 1, 1), dtypes="text")


def test_shapes_become_inputs_of_the_dtype_of_the_parameters():
    model, given = nn.Linear(2, 2, dtype="float64"), []
    original = model.forward
    model.forward = lambda *inputs: given.extend(inputs) or original(*inputs)
    nn.summary(model, [3, 2])
    np.testing.assert_array_equal(given, np.zeros((1, 3, 2)), strict=True)


class Several(nn.Module):
    """A layer that stands in three places, one that never runs, weights of its own and tied."""

    def __init__(self):
        self.shared = nn.Linear(4, 4)
        self.unused = nn.Linear(3, 2)
        self.own = [nn.Parameter(np.zeros(7, "float32"))]
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.shared.weight
        self.blocks = {"a": nn.Sequential(self.shared, nn.Linear(4, 6)), "b": [self.shared]}

    def forward(self, x, y, *, times=1):
        for _ in range(times):
            x = self.shared(self.tied(x))
        return {"out": self.blocks["a"](x), "state": (y, [self.blocks["b"][0](y)])}


@pytest.mark.parametrize(
    ("norm", "shape", "parameters"),
    [
        (nn.BatchNorm1d(6), (4, 6), 12),
        (nn.BatchNorm2d(6), (4, 6, 5, 7), 12),
        (nn.GroupNorm(2, 6), (4, 6, 5, 7), 12),
        (nn.LayerNorm((5, 7)), (4, 6, 5, 7), 70),
        (nn.LayerNorm(7, elementwise_affine=False), (4, 5, 7), 0),
    ],
)
def test_a_norm_counts_each_number_that_it_scales(norm, shape, parameters):
    found = nn.summary(norm, shape)
    scaled = math.prod(shape[1:]) if parameters else 0
    assert rows(found) == {"": (type(norm).__name__, shape, parameters, scaled)}


WORK = {
    "Linear": (nn.Linear(3, 5), [(2, 7, 3)], 7 * 5 * 3),
    "Bilinear": (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 5 * 3 * 4),
    "Conv1d": (nn.Conv1d(4, 6, 3, groups=2), [(2, 4, 9)], 6 * 7 * 2 * 3),
    "Conv2d, padded": (nn.Conv2d(4, 6, 3, padding=1), [(2, 4, 5, 5)], 6 * 5 * 5 * 4 * 9),
    "Conv3d": (nn.Conv3d(1, 2, 2), [(2, 1, 3, 3, 3)], 2 * 2**3 * 8),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 6, 3, groups=2), [(2, 4, 9)], 4 * 9 * 3 * 3),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2), [(2, 4, 5, 5)], 4 * 25 * 6 * 9),
    "ConvTranspose3d": (nn.ConvTranspose3d(2, 1, 2), [(2, 2, 3, 3, 3)], 2 * 27 * 8),
    "RMSNorm": (nn.RMSNorm(5), [(2, 3, 5)], 15),
    "RMSNorm, bare": (nn.RMSNorm(5, elementwise_affine=False), [(2, 3, 5)], 0),
    "InstanceNorm1d": (nn.InstanceNorm1d(3, affine=True), [(2, 3, 4)], 12),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), [(2, 3, 4, 4)], 48),
    "InstanceNorm3d, bare": (nn.InstanceNorm3d(3), [(2, 3, 4, 4, 4)], 0),
    "MultiheadAttention": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True),
        [(2, 3, 8), (2, 7, 6), (2, 7, 5)],
        3 * 8 * 8 + 7 * 6 * 8 + 7 * 5 * 8 + 2 * 3 * 7 * 8 + 3 * 8 * 8,
    ),
    "LocalResponseNorm": (nn.LocalResponseNorm(2), [(2, 3, 4)], 0),
    "MaxPool2d": (nn.MaxPool2d(2), [(2, 3, 4, 4)], 0),
}


@pytest.mark.parametrize(("layer", "shapes", "products"), WORK.values(), ids=WORK)
def test_each_layer_says_its_own_work(layer, shapes, products):
    assert nn.summary(layer, *shapes).multiply_adds == products


@pytest.mark.parametrize(
    ("ours", "shape"),
    [
        (nn.Conv1d(4, 6, 3, groups=2), (1, 4, 9)),
        (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5)),
        (nn.Linear(4, 3), (1, 5, 4)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_the_work_is_what_pytorch_counts(ours, shape):
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode(display=False)
    settings = {"bias": False} if isinstance(ours, nn.Linear) else {}
    names = ("stride", "groups", "kernel_size")
    settings |= {name: getattr(ours, name) for name in names if hasattr(ours, name)}
    sizes = (4, 3) if isinstance(ours, nn.Linear) else (ours.in_channels, ours.out_channels)
    theirs = getattr(torch.nn, type(ours).__name__)(*sizes, **settings)
    with counter:
        theirs(torch.zeros(shape))
    assert 2 * nn.summary(ours, shape).multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_first": True},
        {"batch_first": False},
        {"batch_first": True, "kdim": 5, "vdim": 6},
        {"batch_first": False, "add_bias_kv": True, "add_zero_attn": True},
    ],
    ids=str,
)
def test_the_work_of_attention_is_what_pytorch_counts(settings):
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode(display=False)
    widths = 8, settings.get("kdim", 8), settings.get("vdim", 8)
    shapes = [(3, 4, widths[0]), (3, 7, widths[1]), (3, 7, widths[2])]
    if not settings["batch_first"]:
        shapes = [(shape[1], shape[0], shape[2]) for shape in shapes]
    with counter:
        torch.nn.MultiheadAttention(8, 2, **settings)(*map(torch.zeros, shapes))
    found = nn.summary(nn.MultiheadAttention(8, 2, **settings), *shapes)
    total = found.multiply_adds * 3  # samples
    assert 2 * total == counter.get_total_flops()


def test_an_output_that_is_missing_is_not_shown(capsys):
    layer = nn.MultiheadAttention(8, 2)
    found = nn.summary(layer, *[(3, 4, 8)] * 3, need_weights=False)
    assert found.layers[0].output == [(3, 4, 8)]


class Squares(nn.Module):
    """Multiplies by a weight of its own, without a layer, and says so."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones((3, 2), "float32"))

    def forward(self, x, *, scale=1):
        return scale * (x @ self.weight) ** 2

    def multiply_adds(self, inputs, output):
        assert [type(x) for x in inputs] == [minidl.Tensor, int]
        return inputs[0].size * self.weight.shape[1]


def test_modules_of_ones_own_say_their_work():
    model = nn.Sequential(Squares())
    assert nn.summary(model[0], (4, 3), scale=2).multiply_adds == 6


def test_statistics_and_picked_rows_are_no_work():
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 3), nn.BatchNorm1d(3))
    before = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    found = nn.summary(model, minidl.tensor([1, 2, 3]))
    assert [row.multiply_adds for row in found.layers] == [0, 0, 12, 3]
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def test_what_is_shared_counts_once_and_works_each_time():
    found = nn.summary(Several(), (3, 4), minidl.zeros((3, 5, 4)), times=2)
    assert rows(found) == {
        "": ("Several", {"out": (3, 6), "state": [(3, 5, 4), [(3, 5, 4)]]}, 7, 0),
        "shared": ("Linear", (3, 5, 4), 20, 16 * (2 + 1 + 5)),
        "tied": ("Linear", (3, 4), 0, 32),
        "blocks.a": ("Sequential", (3, 6), 0, 0),
        "blocks.a.1": ("Linear", (3, 6), 30, 24),
    }
    assert {row.path: row.calls for row in found.layers} == {
        **{"": 1, "shared": 4, "unused": 0, "tied": 2, "blocks.a": 1, "blocks.a.1": 1}
    }
    assert [row.depth for row in found.layers] == [0, 1, 1, 1, 1, 2]
    assert found.parameters == sum(row.parameters for row in found.layers) == 20 + 8 + 7 + 30
    assert "calls" in str(found)
    assert "not called" in str(found)
    assert "out: (3, 6), state: (3, 5, 4), (3, 5, 4)" in str(found)


def test_a_model_may_be_one_layer():
    found = nn.summary(nn.Linear(3, 2), (3,))
    assert rows(found) == {"": ("Linear", (2,), 8, 2)}  # 6 products; the axis counts as samples


def test_work_done_once_for_all_samples_is_shared_among_them():
    class OfMean(nn.Module):
        def __init__(self):
            self.part = nn.Linear(2, 1)

        def forward(self, x):
            return self.part(x.mean(axis=0))

    found = nn.summary(OfMean(), (4, 2))
    assert found.multiply_adds == found.layers[1].multiply_adds == 0.5
    assert "0.5 multiply-adds for each sample" in str(found)


def test_nothing_to_run_on_is_no_division_by_zero():
    assert nn.summary(nn.Linear(3, 2), (0, 3)).multiply_adds == 0
    assert nn.summary(nn.ReLU(), minidl.tensor(1.0)).parameters == 0


# The model is as before.


class Restless(nn.Module):
    """Changes whatever it can when it runs."""

    def __init__(self):
        self.part = nn.Linear(2, 2)
        self.drop = nn.Dropout(0.5)
        self.mean = nn.Buffer(np.zeros(2, "float32"))
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, self.part.training, minidl.random.normal(3).shape))
        if self.training:
            self.mean[...] = x.mean(axis=0)
        y = self.drop(self.part(x))
        self.last, self.mean = y, nn.Buffer(y.sum(axis=0).detach())
        return y


def test_the_model_and_the_random_numbers_are_as_they_were():
    minidl.manual_seed(5)
    model = Restless()
    model.drop.train(False)
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    state = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    offset = minidl.random.default_generator.offset
    nn.summary(model, minidl.ones((4, 2)))
    assert model.seen == [(False, False, (3,))]
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    assert list(map(list, before.values())) == [list(vars(m)) for m in model.modules()]
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, state[name])
    assert minidl.random.default_generator.offset == offset
    assert (model.training, model.drop.training) == (True, False)
    assert model(minidl.ones((4, 2))).requires_grad


def test_the_pass_is_not_recorded():
    found = []
    model = nn.Linear(2, 2)
    original = model.forward
    model.forward = lambda x: found.append(original(x)) or found[0]
    replaced = model.forward
    nn.summary(model, (1, 2))
    assert not found[0].requires_grad
    assert model.forward is replaced


def test_an_error_leaves_the_model_as_it_was_and_names_the_layer():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    with pytest.raises(ShapeError, match=r"summary: in 1\.1 \(Linear\): Linear\(2, 2\) needs"):
        nn.summary(model, (1, 2))
    assert model.training
    assert all("forward" not in vars(module) for module in model.modules())
    with pytest.raises(ShapeError, match=r"summary: in the model \(Linear\): Linear\(2, 3\) needs"):
        nn.summary(model[0], (1, 3))


def test_errors_that_are_not_minidls_stay_what_they_are():
    model = Several()
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'y'"):
        nn.summary(model, (3, 4))
    assert "forward" not in vars(model)


@pytest.mark.parametrize("given", [(lambda x: x, (1, 2)), (3, (1, 2)), ("model", (1, 2))])
def test_what_is_no_module_is_refused(given):
    with pytest.raises(DTypeError, match="summary: needs a Module; got"):
        nn.summary(*given)


def test_an_input_is_needed():
    with pytest.raises(ArgumentError, match=r"summary: needs what the model is called with"):
        nn.summary(nn.ReLU())


# The output.


def test_the_printed_table_suits_any_encoding(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    found = nn.summary(nn.Linear(2, 2), (1, 2))
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")
    assert f"{found.parameters} parameters" in text


def test_long_names_are_shown_whole():
    name = "a_layer_with_a_name_that_is_longer_than_eighty_characters_as_generated_models_have"
    model = nn.Sequential()
    setattr(model, name, nn.ReLU())
    assert name in str(nn.summary(model, (1, 2)))
