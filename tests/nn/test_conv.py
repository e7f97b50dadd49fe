"""Conv2d as a layer against PyTorch's."""

import inspect
import math

import numpy as np
import pytest
from scipy import stats

import minidl
from minidl import nn
from minidl.errors import ArgumentError, MinidlError, ShapeError
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
    theirs.load_state_dict(
        {key: torch.from_dlpack(x.cpu()) for key, x in ours.state_dict().items()}
    )
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
    again.load_state_dict({k: torch.from_dlpack(a.cpu()) for k, a in ours.state_dict().items()})
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
        theirs.load_state_dict(
            {k: torch.from_dlpack(x.cpu()) for k, x in ours.state_dict().items()}
        )
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
