"""The normalisation layers beside PyTorch's: training, use, state, and what they refuse."""

import inspect
import re
import tracemalloc

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, GradientError, ShapeError
from minidl.testing import gradcheck
from tests import parity
from tests.helpers import assert_all_close, assert_close, told
from tests.oracle import torch

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

# A layer, its arguments, and the shape of an input.
LAYERS = [
    ("BatchNorm1d", {"num_features": 4}, (6, 4)),
    ("BatchNorm1d", {"num_features": 4, "momentum": None, "eps": 0.01}, (6, 4, 3)),
    ("BatchNorm1d", {"num_features": 4, "affine": False, "momentum": 0.5}, (6, 4)),
    ("BatchNorm2d", {"num_features": 4}, (3, 4, 5, 6)),
    ("BatchNorm2d", {"num_features": 4, "bias": False}, (3, 4, 5, 6)),
    ("BatchNorm2d", {"num_features": 4, "track_running_stats": False}, (3, 4, 5, 6)),
    ("BatchNorm2d", {"num_features": 4, "momentum": 1.0}, (3, 4, 5, 6)),
    ("LayerNorm", {"normalized_shape": 6}, (3, 5, 6)),
    ("LayerNorm", {"normalized_shape": (5, 6), "bias": False}, (3, 5, 6)),
    ("LayerNorm", {"normalized_shape": [6], "elementwise_affine": False, "eps": 0.1}, (6,)),
    ("GroupNorm", {"num_groups": 2, "num_channels": 4}, (3, 4, 5, 6)),
    ("GroupNorm", {"num_groups": 4, "num_channels": 4, "bias": False}, (3, 4, 5)),
    ("GroupNorm", {"num_groups": 1, "num_channels": 4, "affine": False, "eps": 0.1}, (3, 4)),
]
each_layer = pytest.mark.parametrize(("name", "settings", "shape"), LAYERS)


def twins(name, settings, dtype="float32", seed=0):
    """The layer of minidl and PyTorch's, with the same random parameters."""
    ours = getattr(nn, name)(**settings, dtype=dtype)
    theirs = getattr(torch.nn, name)(**settings, dtype=getattr(torch, dtype))
    rng = np.random.default_rng(seed)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        values = np.asarray(rng.normal(1, 0.5, parameter.shape), dtype)
        with minidl.no_grad(), torch.no_grad():
            parameter[...] = values
            other.copy_(torch.from_numpy(values))
    return ours, theirs


def batches(shape, dtype="float32", count=10):
    """Inputs of a shape, each with a mean and a scale of its own."""
    rng = np.random.default_rng(3)
    return [np.asarray(rng.normal(i, 1 + i, shape), dtype) for i in range(count)]


def state(layer):
    """Parameters and buffers as arrays, in either library."""
    return {key: np.asarray(x) for key, x in layer.state_dict().items()}


def assert_same_state(ours, theirs, tolerance):
    ours, theirs = state(ours), state(theirs)
    assert list(ours) == list(theirs)
    for key in ours:
        assert_close(ours[key], theirs[key], tolerance)


def results(layer, x, library):
    """The output, and the gradients of the input and the parameters."""
    x = library.tensor(x, requires_grad=True)
    y = layer(x)
    sources = [x, *layer.parameters()]
    (y * library.asarray(WEIGHTS[: y.detach().numpy().size]).reshape(y.shape)).sum().backward()
    found = [y.detach(), *(source.grad for source in sources)]
    for source in sources:
        source.grad = None
    return [np.asarray(a) for a in found]


WEIGHTS = np.random.default_rng(1).normal(size=1000).astype("float32")


# What they compute.


@each_dtype
@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_layer
def test_training_and_then_use_are_pytorchs(name, settings, shape, kernels, dtype):
    ours, theirs = twins(name, settings, dtype)
    with minidl.kernels(kernels):
        for training in (True, True, True, False):
            ours.train(training), theirs.train(training)
            for x in batches(shape, dtype, 2):
                pair = results(ours, x, minidl), results(theirs, x, torch)
                assert_all_close(*pair, TOLERANCE[dtype])
                assert_same_state(ours, theirs, TOLERANCE[dtype])


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@each_layer
def test_ten_steps_are_pytorchs(name, settings, shape, optimizer):
    ours, theirs = twins(name, settings, "float64")
    if not list(ours.parameters()):
        ours, theirs = nn.Sequential(ours), torch.nn.Sequential(theirs)
        ours.append(nn.Linear(shape[-1], 2, dtype="float64"))
        theirs.append(torch.nn.Linear(shape[-1], 2, dtype=torch.float64))
        theirs.load_state_dict(
            {k: torch.tensor(np.asarray(x)) for k, x in ours.state_dict().items()}
        )
    steps = [
        (ours, getattr(minidl.optim, optimizer)(ours.parameters(), lr=0.05), minidl),
        (theirs, getattr(torch.optim, optimizer)(theirs.parameters(), lr=0.05), torch),
    ]
    for x in batches(shape, "float64"):
        for layer, rule, library in steps:
            rule.zero_grad()
            y = layer(library.tensor(x))
            (y * y * y).mean().backward()
            rule.step()
        assert_same_state(ours, theirs, 1e-10)


@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (2, 4, 0)])
def test_nothing_leaves_the_running_statistics_as_they_are(shape):
    ours, theirs = twins("BatchNorm1d", {"num_features": 4})
    assert_all_close(
        results(ours, np.zeros(shape, "float32"), minidl),
        results(theirs, np.zeros(shape, "float32"), torch),
        0,
    )
    assert_same_state(ours, theirs, 0)
    assert ours.num_batches_tracked.item() == 1


def test_use_is_of_the_running_statistics_alone():
    layer = nn.BatchNorm1d(2).eval()
    layer.load_state_dict(
        {**layer.state_dict(), "running_mean": [1.0, 2.0], "running_var": [4.0, 9.0]}
    )
    y = layer(minidl.tensor([[3.0, 8.0]]))
    np.testing.assert_allclose(y, [[1, 2]], rtol=1e-5)
    assert layer.running_mean.tolist() == [1, 2]
    assert layer.num_batches_tracked.item() == 0


@each_layer
def test_they_take_integers_and_double_precision_as_the_dtype_table_says(name, settings, shape):
    layer = getattr(nn, name)(**settings)
    assert layer(ops.arange(np.prod(shape)).reshape(shape)).dtype == "float32"
    x = minidl.tensor(batches(shape, "float64")[0])
    if layer.state_dict():
        with told("computes in float32.*from float64"):
            assert layer(x).dtype == "float32"
    else:
        assert layer(x).dtype == "float64"
    assert all(x.dtype in ("float32", "int64") for x in layer.state_dict().values())


def test_a_network_with_batch_norm_learns_in_half_precision_too():
    layer = nn.BatchNorm1d(3, dtype="float16")
    x = minidl.tensor(batches((5, 3), "float16")[1], requires_grad=True)
    y = layer(x)
    y.sum().backward()
    kinds = {y.dtype, x.grad.dtype, layer.weight.grad.dtype, layer.running_var.dtype}
    assert kinds == {np.dtype("float16")}


# The graph and the memory.


def test_the_running_statistics_do_not_spoil_gradients():
    """One layer twice in a graph: the second use writes the statistics before the backward pass."""
    ours, theirs = twins("BatchNorm1d", {"num_features": 4})
    first, second = batches((6, 4), count=2)
    found = []
    for layer, library in ((ours, minidl), (theirs, torch)):
        x = library.tensor(first, requires_grad=True)
        y = (layer(x) * layer(library.tensor(second)) * layer(x)).sum()
        y.backward()
        found.append([np.asarray(a) for a in (x.grad, layer.weight.grad, layer.bias.grad)])
    assert_all_close(*found, 1e-5)
    assert_same_state(ours, theirs, 1e-5)


def test_training_between_use_and_its_gradient():
    layer = nn.BatchNorm1d(4)
    x = minidl.tensor(batches((6, 4))[2], requires_grad=True)
    layer.eval()
    (expected,) = minidl.gradients((layer(x) ** 2).sum(), [x])
    y = (layer(x) ** 2).sum()
    layer.train()(x)
    (found,) = minidl.gradients(y, [x])
    assert_close(found, expected, 1e-6)


def test_a_gradient_of_statistics_that_were_written_since_is_refused():
    layer = nn.BatchNorm1d(4).eval()
    x = minidl.tensor(batches((6, 4))[2], requires_grad=True)
    with minidl.higher_order():
        y = (layer(x) ** 2).sum()
        layer.train()(x)
    with pytest.raises(GradientError, match="written in place before backward"):
        minidl.gradients(y, [x], create_graph=True)


def test_running_statistics_take_no_gradient():
    layer = nn.BatchNorm1d(4)
    layer(minidl.tensor(batches((6, 4))[2], requires_grad=True))
    layer.eval()(minidl.tensor(batches((6, 4))[2], requires_grad=True))
    assert all(buffer.is_leaf and not buffer.requires_grad for buffer in layer.buffers())


def test_second_derivatives_go_through_the_layer():
    layer = nn.BatchNorm1d(4, dtype="float64")
    x = batches((6, 4), "float64")[1]
    f = lambda x: (layer(x) ** 3).sum()
    assert gradcheck(f, minidl.tensor(x), order=2)


@pytest.mark.parametrize("training", [True, False])
def test_memory_is_flat(training):
    layer = nn.BatchNorm1d(100).train(training)
    x = minidl.tensor(batches((2, 100))[1])

    def steps(count):
        for _ in range(count):
            layer(x).sum().backward()
            layer.zero_grad()

    steps(10)
    tracemalloc.start()
    steps(10)
    before = tracemalloc.get_traced_memory()[0]
    steps(1000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert (
        grown < 120_000
    )  # Python keeps 2000 tuples for later; one array a step is four times that


def test_the_buffers_stay_the_same_arrays():
    layer = nn.BatchNorm2d(2)
    shown = layer.state_dict()
    layer(minidl.tensor(batches((3, 2, 2, 2))[1]))
    assert shown["num_batches_tracked"].item() == 1
    np.testing.assert_array_equal(shown["running_mean"], layer.running_mean)
    assert layer.running_mean.numpy().any()


# State, arguments, representation.


@each_layer
def test_states_are_exchanged_both_ways(name, settings, shape):
    (ours, theirs), (more, others) = twins(name, settings), twins(name, settings, seed=7)
    x = batches(shape)[4]
    ours(minidl.tensor(x)), theirs(torch.tensor(x))
    more.load_state_dict(theirs.state_dict())
    others.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in ours.state_dict().items()})
    assert_same_state(more, theirs, 0)
    assert_same_state(ours, others, 0)


@each_layer
def test_they_are_initialised_as_pytorchs_and_can_be_reset(name, settings, shape):
    ours, theirs = getattr(nn, name)(**settings), getattr(torch.nn, name)(**settings)
    assert_same_state(ours, theirs, 0)
    with minidl.no_grad():
        for x in (*ours.parameters(), *ours.buffers()):
            x[...] = 7
    if "Batch" in name:
        ours.reset_running_stats()
        assert all((p == 7).all() for p in ours.parameters())
    ours.reset_parameters()
    assert_same_state(ours, theirs, 0)


@each_layer
def test_representations_are_pytorchs(name, settings, shape):
    assert repr(getattr(nn, name)(**settings)) == repr(getattr(torch.nn, name)(**settings))


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm"])
def test_arguments_are_pytorchs(name):
    ours = inspect.signature(getattr(nn, name)).parameters.values()
    theirs = inspect.signature(getattr(torch.nn, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


# Errors.

ONE_VALUE = "needs more than one value per channel to train; got"
MISUSES = {
    "rank": (
        lambda: nn.BatchNorm2d(3)(ops.ones((2, 3, 4))),
        "BatchNorm2d(3) needs an input of shape (N, 3, H, W); got (2, 3, 4)",
    ),
    "channels": (
        lambda: nn.BatchNorm2d(32)(ops.ones((4, 16, 8, 8))),
        "BatchNorm2d(32) needs an input of shape (N, 32, H, W); got (4, 16, 8, 8)",
    ),
    "rank in use": (
        lambda: nn.BatchNorm1d(3).eval()(ops.ones(3)),
        "BatchNorm1d(3) needs an input of shape (N, 3) or (N, 3, L); got (3,)",
    ),
    "a list": (
        lambda: nn.BatchNorm1d(1)([[1.0]]),
        "BatchNorm1d(1) needs an input of shape (N, 1) or (N, 1, L); got list [[1.0]]",
    ),
    "one value": (
        lambda: nn.BatchNorm1d(3)(ops.ones((1, 3))),
        f"BatchNorm1d(3) {ONE_VALUE} (1, 3); use a larger batch, or eval()",
    ),
    "one pixel": (
        lambda: nn.BatchNorm2d(3)(ops.ones((1, 3, 1, 1))),
        f"BatchNorm2d(3) {ONE_VALUE} (1, 3, 1, 1); use a larger batch, or eval()",
    ),
    "one value, nothing tracked": (
        lambda: nn.BatchNorm1d(3, track_running_stats=False).eval()(ops.ones((1, 3))),
        f"BatchNorm1d(3) {ONE_VALUE} (1, 3); use a larger batch, or eval()",
    ),
    "layer": (
        lambda: nn.LayerNorm((3, 4))(ops.ones((3, 5))),
        "LayerNorm((3, 4)) needs an input of shape (…, 3, 4); got (3, 5)",
    ),
    "layer of a number": (
        lambda: nn.LayerNorm(4)(2.0),
        "LayerNorm((4,)) needs an input of shape (…, 4); got 2.0",
    ),
    "group": (
        lambda: nn.GroupNorm(2, 4)(ops.ones((4, 2))),
        "GroupNorm(2, 4) needs an input of shape (N, 4, …); got (4, 2)",
    ),
}


@pytest.mark.parametrize(("misuse", "message"), MISUSES.values(), ids=MISUSES)
def test_errors_name_the_layer_and_what_it_needs(misuse, message):
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        misuse()


def test_a_refused_batch_changes_nothing():
    layer = nn.BatchNorm1d(3)
    before = {key: np.array(x) for key, x in state(layer).items()}
    for shape in [(1, 3), (2, 4)]:
        with pytest.raises(ShapeError):
            layer(ops.ones(shape))
    for key, x in state(layer).items():
        np.testing.assert_array_equal(x, before[key])


@pytest.mark.parametrize("groups", [0, 3, -2])
def test_groups_divide_the_channels(groups):
    with pytest.raises(ArgumentError, match=f"GroupNorm: .*{groups}"):
        nn.GroupNorm(groups, 4)


def test_batch_norm_without_eps_is_refused():
    with pytest.raises(ArgumentError, match="eps must be above 0"):
        nn.BatchNorm1d(3, eps=0)(ops.ones((2, 3)))


def test_batch_norm_of_three_axes_is_pytorchs():
    ours, theirs = parity.twins("BatchNorm3d", num_features=3)
    parity.assert_same_layer(ours, theirs, parity.random(2, 3, 2, 3, 4))
    with pytest.raises(minidl.errors.ShapeError, match="BatchNorm3d"):
        ours(minidl.ones((2, 3, 4, 4)))
