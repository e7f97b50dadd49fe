"""The layer Conv2d against PyTorch's, and layers that are fused with the ReLU after them."""

import inspect
import math

import numpy as np
import pytest
from scipy import stats

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from tests.helpers import assert_all_close, assert_close
from tests.oracle import torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

SETTINGS = [
    {},
    {"bias": False},
    {"kernel_size": (2, 3), "stride": (2, 1)},
    {"kernel_size": 5, "padding": 2, "padding_mode": "zeros"},
    {"padding": (0, 1), "dilation": 2},
    {"stride": 2, "padding": 1, "groups": 2},
    {"groups": 4, "out_channels": 12, "dilation": (1, 2), "bias": False},
    {"kernel_size": (1, 1)},
]
each_setting = pytest.mark.parametrize("settings", SETTINGS, ids=str)
SHAPES = [(2, 4, 6, 7), (4, 6, 7)]


def layer(library, settings, **others):
    return library.nn.Conv2d(
        **{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **settings, **others}
    )


def twins(settings, dtype):
    """The layer of minidl, and PyTorch's with the same parameters."""
    ours = layer(minidl, settings, dtype=dtype)
    theirs = layer(torch, settings, dtype=getattr(torch, dtype))
    theirs.load_state_dict({key: torch.from_dlpack(x) for key, x in ours.state_dict().items()})
    return ours, theirs


def random(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def outcome(library, model, x, weights, parameters=None):
    """y, and the gradients of x and the parameters of Σ weights·y."""
    parameters = list(model.parameters()) if parameters is None else parameters
    for parameter in parameters:
        parameter.grad = None
    x = library.tensor(x, requires_grad=True)
    y = model(x)
    (y * library.asarray(weights)).sum().backward()
    found = [y.detach(), x.grad, *(p.grad for p in parameters if p.grad is not None)]
    return [np.asarray(a) for a in found]


# As PyTorch's.


@each_dtype
@pytest.mark.parametrize("shape", SHAPES)
@each_setting
def test_the_layer_computes_what_pytorchs_does(settings, shape, dtype):
    ours, theirs = twins(settings, dtype)
    x = random(*shape, dtype=dtype)
    weights = random(*ours(minidl.asarray(x)).shape, dtype=dtype, seed=1)
    found = outcome(minidl, ours, x, weights)
    assert_all_close(found, outcome(torch, theirs, x, weights), TOLERANCE[dtype])


@each_setting
def test_representation_and_attributes_are_pytorchs(settings):
    ours, theirs = twins(settings, "float32")
    assert repr(ours) == repr(theirs)
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    for name in (*names, "groups", "padding_mode"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_arguments_have_the_positions_and_defaults_of_pytorchs():
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(module.Conv2d).parameters.values()]
        for module in (nn, torch.nn)
    )
    assert ours == theirs


@each_setting
def test_state_goes_both_ways(settings):
    ours, theirs = layer(minidl, settings), layer(torch, settings)
    assert {k: x.shape for k, x in ours.state_dict().items()} == {
        k: tuple(x.shape) for k, x in theirs.state_dict().items()
    }
    x = random(2, 4, 6, 7, dtype="float32")
    ours.load_state_dict(theirs.state_dict())
    needed = theirs(torch.tensor(x)).detach()
    assert_close(ours(minidl.asarray(x)), needed.numpy(), 1e-5)
    again = layer(torch, settings)
    again.load_state_dict({k: torch.from_dlpack(a) for k, a in ours.state_dict().items()})
    assert torch.equal(again(torch.tensor(x)), needed)


@pytest.mark.parametrize("settings", [{}, {"groups": 4}, {"kernel_size": (2, 7)}], ids=str)
def test_parameters_are_initialised_uniformly(settings):
    minidl.manual_seed(0)
    made = layer(minidl, {"in_channels": 16, "out_channels": 1024, **settings})
    bound = 1 / math.sqrt(math.prod(made.weight.shape[1:]))
    for parameter in (made.weight, made.bias):
        x = parameter.numpy().ravel()
        assert np.abs(x).max() <= bound * (1 + 1e-6)
        assert np.abs(x).max() > bound * 0.99
        assert stats.kstest(x, "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    theirs = layer(torch, {"in_channels": 16, "out_channels": 1024, **settings})
    assert theirs.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert theirs.bias.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_parameters_are_drawn_anew_and_from_the_seed():
    minidl.manual_seed(3)
    made = layer(minidl, {})
    first = made.weight.numpy().copy()
    made.reset_parameters()
    assert not (made.weight.numpy() == first).any()
    minidl.manual_seed(3)
    np.testing.assert_array_equal(layer(minidl, {}).weight, first)


@each_dtype
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_ten_steps_are_pytorchs(name, dtype):
    settings = {"SGD": {"lr": 0.05, "momentum": 0.9}, "Adam": {"lr": 0.01}}[name]
    pairs = [
        (layer(minidl, {"padding": 1}, dtype=dtype), layer(torch, {"padding": 1})),
        (layer(minidl, {"in_channels": 6, "stride": 2, "groups": 2}, dtype=dtype),
         layer(torch, {"in_channels": 6, "stride": 2, "groups": 2})),
    ]  # fmt: skip
    for ours, theirs in pairs:
        theirs.to(getattr(torch, dtype))
        theirs.load_state_dict({k: torch.from_dlpack(x) for k, x in ours.state_dict().items()})
    x, target = random(3, 4, 6, 7, dtype=dtype), random(3, 6, 2, 3, dtype=dtype, seed=1)
    found = []
    for library, (one, two) in zip((minidl, torch), zip(*pairs, strict=True), strict=True):
        model = library.nn.Sequential(one, library.nn.ReLU(), two)
        optimizer = getattr(library.optim, name)(model.parameters(), **settings)
        for _ in range(10):
            optimizer.zero_grad()
            error = model(library.asarray(x)) - library.asarray(target)
            (error * error).mean().backward()
            optimizer.step()
        found.append([np.asarray(p.detach()) for p in model.parameters()])
    assert_all_close(*found, {"float64": 1e-9, "float32": 1e-4}[dtype])


# Misuse.

FAULTS = {
    "channels": (lambda: nn.Conv2d(3, 8, 5)(minidl.ones((2, 1, 9, 9))), ShapeError,
                 r"^Conv2d\(3, 8, \(5, 5\)\) needs an input of shape \(N, 3, H, W\); "
                 r"got \(2, 1, 9, 9\)$"),
    "rank": (lambda: nn.Conv2d(3, 8, 5)(minidl.ones((9, 9))), ShapeError, r"Conv2d.*\(9, 9\)"),
    "a list": (lambda: nn.Conv2d(3, 8, 5)([1.0]), ShapeError, r"Conv2d\(3.*list \[1.0\]"),
    "too small": (lambda: nn.Conv2d(3, 8, 5)(minidl.ones((2, 3, 4, 9))), ShapeError,
                  "conv2d.*window of 5 does not fit into a length of 4"),
    "kernel_size 0": (lambda: nn.Conv2d(3, 8, 0), ArgumentError, "Conv2d.*kernel_size.*got 0"),
    "kernel_size of three": (lambda: nn.Conv2d(3, 8, (1, 2, 3)), ArgumentError, "kernel_size"),
    "stride": (lambda: nn.Conv2d(3, 8, 3, stride=0), ArgumentError, "Conv2d.*stride.*got 0"),
    "padding": (lambda: nn.Conv2d(3, 8, 3, padding=-1), ArgumentError, "Conv2d.*padding.*-1"),
    "padding by name": (lambda: nn.Conv2d(3, 8, 3, padding="full"), ArgumentError, "'full'"),
    "padding_mode": (lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"), ArgumentError,
                     "Conv2d.*padding_mode.*zeros.*'mirror'"),
    "dilation": (lambda: nn.Conv2d(3, 8, 3, dilation=0), ArgumentError, "Conv2d.*dilation"),
    "groups, in": (lambda: nn.Conv2d(3, 8, 3, groups=2), ArgumentError, "in_channels=3.*got 2"),
    "groups, out": (lambda: nn.Conv2d(4, 6, 3, groups=4), ArgumentError, "out_channels=6.*got 4"),
    "no groups": (lambda: nn.Conv2d(3, 8, 3, groups=0), ArgumentError, "groups.*got 0"),
    "bool groups": (lambda: nn.Conv2d(3, 8, 3, groups=True), ArgumentError, "groups.*got True"),
    "negative channels": (lambda: nn.Conv2d(-1, 8, 3), MinidlError, "-1"),
    "integers": (lambda: nn.Conv2d(3, 8, 3, dtype="int64"), MinidlError, "int64"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_misuse_is_explained(fault):
    misuse, kind, message = FAULTS[fault]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()


# A layer and the ReLU after it as one operation.


class Doubled(nn.Linear):
    """A layer of somebody else's."""

    def forward(self, x):
        return super().forward(x) * 2


class Inherited(nn.Linear):
    """Changes nothing."""


class Leaky(nn.ReLU):
    """No ReLU any more."""

    def forward(self, x):
        return minidl.leaky_relu(x, 0.5)


def linear():
    return nn.Linear(5, 4)


def conv():
    return nn.Conv2d(2, 4, 3, padding=1)


def with_forward(module, forward):
    module.forward = forward
    return module


SEQUENCES = {
    "linear": lambda: [linear(), nn.ReLU()],
    "conv": lambda: [conv(), nn.ReLU()],
    "in place": lambda: [linear(), nn.ReLU(inplace=True)],
    "two ReLUs": lambda: [linear(), nn.ReLU(), nn.ReLU()],
    "ReLU first": lambda: [nn.ReLU(), linear()],
    "ReLU first and last": lambda: [nn.ReLU(), conv(), nn.ReLU()],
    "only a ReLU": lambda: [nn.ReLU()],
    "a ReLU elsewhere": lambda: [linear(), nn.Identity(), nn.ReLU()],
    "another activation": lambda: [linear(), nn.LeakyReLU(), nn.ReLU()],
    "conv to linear": lambda: [conv(), nn.ReLU(), conv_to_two(), nn.ReLU(), nn.Flatten()],
    "a subclass with another forward": lambda: [Doubled(5, 4), nn.ReLU()],
    "a subclass": lambda: [Inherited(5, 4), nn.ReLU()],
    "a subclass of ReLU": lambda: [linear(), Leaky()],
    "forward replaced": lambda: [with_forward(linear(), lambda x: x - 0.5), nn.ReLU()],
    "forward of the ReLU replaced": lambda: [linear(), with_forward(nn.ReLU(), lambda x: x * 3)],
    "nested": lambda: [nn.Sequential(linear()), nn.ReLU()],
    "nested, whole": lambda: [nn.Sequential(linear(), nn.ReLU()), nn.ReLU()],
    "without a bias": lambda: [nn.Linear(5, 4, bias=False), nn.ReLU()],
}  # fmt: skip


def conv_to_two():
    return nn.Conv2d(4, 2, 2, stride=2, groups=2, bias=False)


def picture_or_rows(modules):
    pictures = any(isinstance(m, nn.Conv2d) for m in modules)
    return random(3, 2, 6, 5, dtype="float32") if pictures else random(7, 5, dtype="float32")


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_computes_what_its_modules_do_one_by_one(name, kernels):
    minidl.manual_seed(1)
    modules = SEQUENCES[name]()
    x = picture_or_rows(modules)

    model = nn.Sequential(*modules)

    def one_by_one(x):
        for module in modules:
            x = module(x)
        return x

    with minidl.kernels(kernels):
        weights = random(*model(minidl.asarray(x)).shape, dtype="float32", seed=1)
        joined = outcome(minidl, model, x, weights)
        apart = outcome(minidl, one_by_one, x, weights, list(model.parameters()))
    for one, other in zip(joined, apart, strict=True):
        if one.ndim > 1:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:  # db is summed in another order
            assert_close(one, other, 1e-6)


FUSED = {"linear", "conv", "in place", "without a bias", "conv to linear", "two ReLUs",
         "ReLU first and last"}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_what_runs_as_one_operation(name, monkeypatch):
    modules, seen = SEQUENCES[name](), []
    for kind in (nn.Linear, nn.Conv2d):

        def watched(self, operation, x, run=kind._run):
            seen.append(operation)
            return run(self, operation, x)

        monkeypatch.setattr(kind, "_run", watched)
    model = nn.Sequential(*modules)
    y = model(minidl.asarray(picture_or_rows(modules)))
    joined = any(operation.__name__.endswith("_relu") for operation in seen)
    assert joined == (name in FUSED or name == "nested, whole")
    if name not in ("ReLU first", "a subclass of ReLU", "forward of the ReLU replaced"):
        assert (y.numpy() >= 0).all()


def test_a_shared_layer_runs_with_and_without_its_relu():
    minidl.manual_seed(0)
    one = nn.Linear(4, 4)
    model = nn.Sequential(one, nn.ReLU(), one)
    x = minidl.asarray(random(3, 4, dtype="float32"))
    np.testing.assert_array_equal(model(x), one(minidl.relu(one(x))))


def test_higher_orders_go_through_a_joined_pair():
    model = nn.Sequential(nn.Conv2d(1, 2, 2, dtype="float64"), nn.ReLU())
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2, dtype=torch.float64), torch.nn.ReLU())
    theirs.load_state_dict({k: torch.from_dlpack(x) for k, x in model.state_dict().items()})
    x = random(1, 1, 4, 4)
    ours_x, theirs_x = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with minidl.higher_order():
        (dx,) = minidl.gradients((model(ours_x) ** 3).sum(), [ours_x], create_graph=True)
        found = minidl.gradients((dx * dx).sum(), [ours_x, *model.parameters()])
    (dx,) = torch.autograd.grad((theirs(theirs_x) ** 3).sum(), theirs_x, create_graph=True)
    needed = torch.autograd.grad((dx * dx).sum(), [theirs_x, *theirs.parameters()])
    assert_all_close(found, needed, 1e-10)


@pytest.mark.parametrize("first", [nn.Linear(4, 3), nn.Conv2d(3, 8, 5)], ids=repr)
def test_errors_name_the_layer_in_a_joined_pair_too(first):
    with pytest.raises(ShapeError, match=type(first).__name__ + r"\("):
        nn.Sequential(first, nn.ReLU())(minidl.ones((2, 2, 9, 9)))
    with pytest.raises((DTypeError, ShapeError), match="list"):
        nn.Sequential(first, nn.ReLU())([1.0])
