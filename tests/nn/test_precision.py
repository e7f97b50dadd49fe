"""A layer computes in the dtype of its parameters, and says so once when it casts its input."""

import copy
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import minidl
from minidl import errors, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import MinidlWarning
from minidl.train import Trainer
from tests.helpers import told

# Every layer with parameters, and the shapes of its inputs.
LAYERS = {
    "Linear": (lambda: nn.Linear(3, 2), [(4, 3)]),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3), [(2, 2, 7)]),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, padding="same"), [(2, 2, 6, 5)]),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), [(2, 2, 3, 4, 5)]),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 3), [(2, 2, 7)]),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 3), [(2, 2, 6, 5)]),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 3, 2), [(2, 2, 3, 4, 5)]),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), [(5, 3)]),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, affine=False).eval(), [(5, 3, 2, 2)]),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(3).eval(), [(5, 3, 2, 2, 2)]),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(3, affine=True), [(5, 3, 4)]),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), [(3, 4, 4)]),
    "InstanceNorm3d": (
        lambda: nn.InstanceNorm3d(3, track_running_stats=True).eval(),
        [(5, 3, 2, 2, 2)],
    ),
    "LayerNorm": (lambda: nn.LayerNorm(3), [(5, 3)]),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), [(5, 4)]),
    "RMSNorm": (lambda: nn.RMSNorm(3), [(5, 3)]),
    "PReLU": (lambda: nn.PReLU(), [(5, 3)]),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
        [(5, 3, 4)],
    ),
    "LearnedPositionalEmbedding": (lambda: nn.LearnedPositionalEmbedding(5, 3), [(5, 3)]),
}
each_layer = pytest.mark.parametrize("name", LAYERS)

OTHERS = {"Embedding", "EmbeddingBag"}  # of integers
OTHERS |= {"MultiheadAttention"}  # which gives two tensors


def draws(shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [minidl.tensor(rng.normal(size=shape).astype(dtype)) for shape in shapes]


def own_source(kind):
    """The text of a layer's class, and of its bases below Module."""
    classes = kind.__mro__[: kind.__mro__.index(nn.Module)]
    return "".join(map(inspect.getsource, classes))


def test_every_layer_with_parameters_is_here():
    kinds = [kind for kind in vars(nn).values() if inspect.isclass(kind)]
    layers = [kind for kind in kinds if issubclass(kind, nn.Module) and kind is not nn.Module]
    makers = {kind.__name__ for kind in layers if "Parameter(empty" in own_source(kind)}
    makers = {name for name in makers if not name.startswith("Lazy")}  # they become the others
    assert makers <= set(LAYERS) | OTHERS


@each_layer
def test_a_wider_input_is_cast_and_its_gradient_back(name):
    make, shapes = LAYERS[name]
    layer = make()
    other = copy.deepcopy(layer)
    wide, narrow = draws(shapes, "float64"), draws(shapes, "float32")
    for x in (*wide, *narrow):
        x.requires_grad = True
    with told(rf"^{name}: computes in float32, .* float64; .*astype.minidl.float32.*model.to"):
        y = layer(*wide)
    expected = other(*narrow)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, expected)
    y.sum().backward()
    expected.sum().backward()
    for x, same in zip(wide, narrow, strict=True):
        assert (x.grad.dtype, same.grad.dtype) == ("float64", "float32")
        np.testing.assert_array_equal(x.grad, same.grad)
    for p, same in zip(layer.parameters(), other.parameters(), strict=True):
        assert p.grad.dtype == "float32"
        np.testing.assert_array_equal(p.grad, same.grad)


@each_layer
@pytest.mark.parametrize("narrow", ["float16", "float32", "int64"])
def test_a_narrower_input_is_promoted(name, narrow):
    make, shapes = LAYERS[name]
    layer = make().double()
    inputs = draws(shapes, narrow)
    other = copy.deepcopy(layer)
    y = layer(*inputs)
    assert y.dtype == "float64"
    np.testing.assert_array_equal(y, other(*[x.astype("float64") for x in inputs]))


@each_layer
def test_half_precision_layers_cast_single_precision(name):
    make, shapes = LAYERS[name]
    with told("computes in float16.*from float32"):
        assert make().half()(*draws(shapes, "float32")).dtype == "float16"


@each_layer
def test_arrays_are_cast_as_tensors_are(name):
    make, shapes = LAYERS[name]
    arrays = [x.numpy() for x in draws(shapes, "float64")]
    with told("computes in float32"):
        assert make()(*arrays).dtype == "float32"


def test_embedding_bags_cast_the_weights_of_samples():
    layer = nn.EmbeddingBag(5, 3, mode="sum")
    ids, weights = minidl.tensor([[1, 2], [3, 3]]), np.full((2, 2), 0.1)
    with told("EmbeddingBag: computes in float32"):
        y = layer(ids, per_sample_weights=weights)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, layer(ids, per_sample_weights=weights.astype("float32")))


def test_adaptive_softmax_casts():
    layer, target = nn.AdaptiveLogSoftmaxWithLoss(16, 9, [2, 5]), minidl.tensor([0, 3, 8])
    (x,) = draws([(3, 16)], "float64")
    with told("^AdaptiveLogSoftmaxWithLoss: computes in float32"):
        y = layer(x, target)
    assert (y.output.dtype, y.loss.dtype) == ("float32", "float32")
    with told("^AdaptiveLogSoftmaxWithLoss: computes in float32"):
        assert layer.log_prob(x).dtype == "float32"


def test_operations_keep_the_promotion_table():
    layer = nn.Linear(3, 2)
    (x,) = draws([(4, 3)], "float64")
    assert minidl.linear(x, layer.weight, layer.bias).dtype == "float64"


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)],
        lambda: [nn.ReLU(), nn.Linear(3, 4), nn.ReLU()],
    ],
)
def test_a_sequence_computes_in_its_dtype(layers):
    model = nn.Sequential(*layers())
    wide, narrow = (draws([(5, 3)], dtype)[0] for dtype in ("float64", "float32"))
    with told("^Linear: computes in float32"):
        y = model(wide)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, model(narrow))


def test_a_fused_convolution_casts():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    wide, narrow = (draws([(3, 2, 6, 6)], dtype)[0] for dtype in ("float64", "float32"))
    with told("^Conv2d: computes in float32"):
        y = model(wide)
    np.testing.assert_array_equal(y, model(narrow))


def test_running_statistics_of_another_dtype_do_not_change_the_layers():
    layer = nn.BatchNorm1d(3).eval()
    layer.running_mean = minidl.tensor(np.zeros(3))
    with told("BatchNorm1d: computes in float32"):
        assert layer(minidl.ones((2, 3))).dtype == "float32"


# What is said, and how often.


@pytest.fixture
def nothing_told(monkeypatch):
    monkeypatch.setattr(errors, "_told", set())


def test_it_is_said_once_for_each_class_of_layers(nothing_told):
    class Own(nn.Linear):
        pass

    x = draws([(4, 3)], "float64")[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for layer in (nn.Linear(3, 2), nn.Linear(3, 3), Own(3, 2), nn.LayerNorm(3)):
            layer(x)
            layer(x)
    assert [w.category for w in caught] == [MinidlWarning] * 3
    assert [str(w.message).split(":")[0] for w in caught] == ["Linear", "Own", "LayerNorm"]
    assert {w.filename for w in caught} == {__file__}  # the line outside minidl that called it


def test_as_an_error_it_is_raised_each_time(nothing_told):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    for _ in range(2):
        with pytest.raises(MinidlWarning, match="Linear"):
            model(draws([(4, 3)], "float64")[0])


def test_a_dtype_that_is_another_object_is_the_same(nothing_told):
    """As of unpickled arrays."""
    x = pickle.loads(pickle.dumps(np.ones((2, 3), "float32")))
    x = x.view(np.dtype("float32", copy=True))
    assert x.dtype is not np.dtype("float32")
    assert nn.Linear(3, 2)(minidl.asarray(x)).dtype == "float32"


def test_it_is_shown_by_default():
    code = (
        "import numpy as np; from minidl import nn\n"
        "for _ in range(3): nn.Linear(3, 2)(np.ones((1, 3)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stderr.count("MinidlWarning: Linear: computes in float32") == 1


# Training.


def test_a_loader_of_float64_trains_a_float32_model_in_float32():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 3)), rng.integers(0, 2, 32)
    models = [nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    outputs = []
    for model, data in zip(models, (x, x.astype("float32")), strict=True):
        trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), "cross_entropy")
        loader = DataLoader(TensorDataset(data, y), 8)

        def run(trainer=trainer, loader=loader):
            history = trainer.fit(loader, epochs=2, validation_data=loader)
            return trainer.predict(loader), trainer.evaluate(loader)["loss"], history

        if data is x:
            with told("^Linear: computes in float32"):
                outputs.append(run())
        else:
            outputs.append(run())
    (ours, loss, _), (same, same_loss, _) = outputs
    assert ours.dtype == "float32"
    np.testing.assert_array_equal(ours, same)
    assert loss == same_loss
