"""Hooks, submodules by path, buffers, dtypes, and reparametrised weights."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, MinidlError
from minidl.nn import utils
from tests.helpers import assert_all_close, assert_close
from tests.nn.test_layers import leaves, outcome, uniform
from tests.oracle import torch

# Hooks around a call.


class Doubled(nn.Module):
    def forward(self, x, factor=2):
        return x * factor


def test_hooks_run_in_order_and_until_they_are_removed():
    module, seen = Doubled(), []
    handles = [
        module.register_forward_pre_hook(lambda m, xs: seen.append(("pre 1", m, xs))),
        module.register_forward_pre_hook(lambda m, xs: seen.append(("pre 0", m, xs)), prepend=True),
        module.register_forward_hook(lambda m, xs, y: seen.append(("post 1", m, xs, y))),
        module.register_forward_hook(lambda *_: seen.append(("post 0",)), prepend=True),
    ]
    assert module(3) == 6
    assert [entry[0] for entry in seen] == ["pre 0", "pre 1", "post 0", "post 1"]
    assert seen[0][1:] == (module, (3,))
    assert seen[3][1:] == (module, (3,), 6)
    for handle in handles:
        handle.remove()
        handle.remove()
    seen.clear()
    assert module(3) == 6
    assert not seen
    assert not module._hooks


def test_hooks_replace_inputs_and_outputs():
    module = Doubled()
    with module.register_forward_pre_hook(lambda m, xs: xs[0] + 1):
        assert module(3) == 8
        with module.register_forward_hook(lambda m, xs, y: y * 10):
            assert module(3) == 80
    assert module(3) == 6
    module.register_forward_pre_hook(lambda m, xs, kw: (xs, {"factor": 5}), with_kwargs=True)
    assert module(1, factor=3) == 5
    module.register_forward_hook(lambda m, xs, kw, y: (y, kw), with_kwargs=True)
    assert module(1) == (5, {"factor": 5})


def test_a_hook_may_remove_itself():
    module, seen = Doubled(), []

    def once(module, inputs):
        seen.append(inputs)
        handle.remove()

    handle = module.register_forward_pre_hook(once)
    module(1), module(2)
    assert seen == [(1,)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_sequential_calls_modules_with_hooks_one_by_one(place):
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2))
    x = minidl.tensor(uniform((1, 1, 5, 5), "float32"))
    expected, seen = model(x), []
    model[place].register_forward_hook(lambda m, xs, y: seen.append(y))
    np.testing.assert_array_equal(model(x), expected)
    parts = x
    for module in list(model)[: place + 1]:
        parts = type(module).forward(module, parts)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], parts)


# Hooks on gradients.


def watched(library, change):
    """What a backward hook sees in a network, and the gradient of the input."""
    model, seen = library.Sequential(library.Linear(3, 3), library.Tanh()), []

    def hook(module, inputs, outputs):
        seen.append([np.asarray(g.detach()) for g in (*inputs, *outputs)])
        return change and (inputs[0] * change,)

    model[1].register_full_backward_hook(hook)
    return model, seen


@pytest.mark.parametrize("change", [None, 3.0])
def test_backward_hooks_see_what_pytorchs_see(change):
    x, found = uniform((2, 3), "float32"), []
    ours, theirs = (watched(library, change) for library in (nn, torch.nn))
    theirs[0].load_state_dict(
        {k: torch.from_dlpack(v.cpu()) for k, v in ours[0].state_dict().items()}
    )
    for (model, seen), (leaf,) in zip((ours, theirs), leaves([x]), strict=True):
        found.append([*outcome(model, [leaf]), *seen[0]])
        assert len(seen) == 1
    assert_all_close(found[0], found[1], 1e-5)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks_of_several_inputs_and_none():
    seen = []
    for library, library_nn in ((minidl, nn), (torch, torch.nn)):
        layer = library_nn.Bilinear(2, 3, 1)
        layer.register_full_backward_hook(lambda m, xs, ys: seen.append([x is None for x in xs]))
        a, b = library.ones((4, 2)), library.ones((4, 3))
        for needs in [(True, True), (False, True), (False, False)]:
            given = [x.detach().requires_grad_(n) for x, n in zip((a, b), needs, strict=True)]
            layer(*given).sum().backward()
    assert seen[:3] == [[False, False], [True, False], [True, True]]
    assert seen[3::2] == seen[:3:2]  # PyTorch computes the one that nobody needs


def test_outputs_that_are_named_keep_their_names():
    class Doubled(nn.Module):
        def forward(self, packed):
            return packed.with_data(2 * packed.data)

    layer, seen = Doubled(), []
    layer.register_full_backward_hook(lambda m, xs, ys: seen.append(ys[0].tolist()))
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    packed = layer(utils.rnn.pack_sequence([x, minidl.tensor([3.0])]))
    assert isinstance(packed, utils.rnn.PackedSequence)
    (packed.data**2).sum().backward()
    assert (seen, x.grad.tolist()) == ([[4.0, 12.0, 8.0]], [8.0, 16.0])


def test_backward_hooks_leave_higher_derivatives_alone():
    layer = Doubled()
    layer.register_full_backward_hook(lambda m, xs, ys: (xs[0] * 1,))
    second = minidl.grad(lambda x: minidl.grad(lambda z: (layer(z) ** 3).sum())(x).sum())
    assert second(minidl.tensor([2.0])).tolist() == [96]
    with minidl.no_grad():
        assert layer(minidl.tensor([2.0])).tolist() == [4]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_hooks_of_its_own(copied):
    model = utils.spectral_norm(nn.Linear(3, 2))
    twin = copied(model)
    x = minidl.tensor(uniform((4, 3), "float32"))
    np.testing.assert_array_equal(twin(x), model(x))
    before = twin.weight_u.tolist()
    model(x)
    assert twin.weight_u.tolist() == before
    utils.remove_spectral_norm(twin)
    assert list(twin.state_dict()) == ["bias", "weight"]
    assert "weight_orig" in model.state_dict()


# Parts by path, buffers, dtypes.


class Net(nn.Module):
    def __init__(self):
        self.blocks = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))]
        self.register_buffer("steps", [1.0, 2.0], persistent=False)
        self.register_buffer("kept", minidl.ones(2))
        self.register_parameter("scale", nn.Parameter([1.0]))
        self.register_parameter("nothing", None)
        self.add_module("head", nn.Linear(3, 1))

    def forward(self, x):
        return self.head(self.blocks[0](x)) * self.scale


def test_parts_are_found_by_path():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("blocks.0.1") is net.blocks[0][1]
    assert net.get_parameter("blocks.0.0.weight") is net.blocks[0][0].weight
    assert net.get_buffer("blocks.0.1.running_var") is net.blocks[0][1].running_var
    for find in (net.get_submodule, net.get_parameter, net.get_buffer):
        with pytest.raises(AttributeError, match=r"Net has no \w+ 'blocks.1'"):
            find("blocks.1")


def test_own_tensors_are_distinguished_from_those_of_children():
    net = Net()
    assert list(dict(net.named_parameters(recurse=False))) == ["scale"]
    assert list(net.buffers(recurse=False)) == [net.steps, net.kept]
    assert dict(net.named_parameters("net"))["net.head.bias"] is net.head.bias


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_buffers_that_do_not_persist_are_not_in_the_state(copied):
    net = copied(Net())
    assert "steps" in dict(net.named_buffers())
    assert "steps" not in net.state_dict()
    assert "kept" in net.state_dict()


def test_what_was_missing_has_pytorchs_names():
    keys = nn.Linear(2, 2).load_state_dict({"weight": np.ones((2, 2)), "x": 1}, strict=False)
    assert keys.missing_keys == ["bias"]
    assert keys.unexpected_keys == ["x"]


def test_a_module_moves_to_another_dtype():
    net = Net()
    weight, x = net.head.weight, uniform((4, 2))
    net(minidl.tensor(x, dtype="float32")).sum().backward()
    gradient = weight.grad.numpy()
    assert net.double() is net
    assert net.head.weight is weight
    assert {t.dtype for t in (*net.parameters(), net.steps)} == {minidl.float64}
    assert net.blocks[0][1].num_batches_tracked.dtype == "int64"
    np.testing.assert_array_equal(weight.grad, gradient.astype("float64"))
    y = net(minidl.tensor(x))
    y.sum().backward()
    assert y.dtype == weight.grad.dtype == "float64"
    assert net.to("cpu", dtype="float16").scale.dtype == "float16"
    assert net.to(minidl.ones(1)).scale.dtype == "float32"
    assert net.half().float().scale.dtype == "float32"
    net.requires_grad_(False).double()
    assert not any(p.requires_grad for p in net.parameters())


# Weights computed of others.


def normed(function, library, layer, **settings):
    """A layer whose weight is computed, in either library."""
    return function(getattr(library, layer[0])(*layer[1:]), **settings)


NORMS = [
    ("weight_norm", ("Linear", 3, 4), {}),
    ("weight_norm", ("Linear", 3, 4), {"dim": None}),
    ("weight_norm", ("Linear", 3, 4), {"dim": 1}),
    ("weight_norm", ("Conv2d", 3, 4, 2), {}),
    ("spectral_norm", ("Linear", 3, 4), {}),
    ("spectral_norm", ("Linear", 3, 4), {"n_power_iterations": 3, "dim": 1}),
    ("spectral_norm", ("Conv2d", 3, 4, 2), {}),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("name", "layer", "settings"), NORMS, ids=str)
def test_computed_weights_are_pytorchs(name, layer, settings):
    ours = normed(getattr(utils, name), nn, layer, **settings).double()
    theirs = normed(getattr(torch.nn.utils, name), torch.nn, layer, **settings).double()
    states = [ours.state_dict(), theirs.state_dict()]
    assert list(states[0]) == list(states[1])
    assert [x.shape for x in states[0].values()] == [tuple(x.shape) for x in states[1].values()]
    ours.load_state_dict(theirs.state_dict())
    shape = (5, 3) if layer[0] == "Linear" else (2, 3, 3, 3)
    for seed in range(3):
        ours.zero_grad(), theirs.zero_grad()
        found = map(outcome, (ours, theirs), leaves([uniform(shape, seed=seed)]))
        assert_all_close(*found, 1e-10)
    for model in (ours.eval(), theirs.eval()):
        model.zero_grad()
    assert_all_close(*map(outcome, (ours, theirs), leaves([uniform(shape)])), 1e-10)
    for key, x in ours.state_dict().items():
        assert_close(x, theirs.state_dict()[key], 1e-10)
    assert_close(ours.weight, theirs.weight.detach(), 1e-10)
    weight = ours.weight.numpy()
    getattr(utils, f"remove_{name}")(ours)
    assert set(ours.state_dict()) == {"weight", "bias"}
    np.testing.assert_array_equal(ours.weight, weight)
    assert not ours._hooks


def test_spectral_norm_twice_before_backward():
    layer = utils.spectral_norm(nn.Linear(3, 2))
    x = minidl.ones((1, 3))
    (layer(x) + layer(2 * x)).sum().backward()
    assert layer.weight_orig.grad is not None


# Bad input.

WRONG = {
    "hook": (lambda: nn.ReLU().register_forward_hook(3), DTypeError, "hook is a function; got 3"),
    "name": (lambda: nn.ReLU().register_buffer("a.b", None), ArgumentError, "without dots.*a.b"),
    "taken": (lambda: nn.ReLU().register_buffer("forward", [1.0]), ArgumentError, "'forward'"),
    "kind": (lambda: nn.ReLU().add_module("a", 3), DTypeError, "Module or None; got 3"),
    "parameter": (
        lambda: nn.ReLU().register_parameter("a", minidl.ones(1)),
        DTypeError,
        "a is to be a Parameter",
    ),
    "dtype": (lambda: nn.ReLU().to("int64"), DTypeError, "floats; got int64"),
    "place": (lambda: nn.ReLU().to(3), ArgumentError, "dtype, a device or a tensor; got 3"),
    "device": (lambda: nn.Linear(1, 1).to("moon"), MinidlError, "moon"),
    "no module": (lambda: utils.weight_norm(3), DTypeError, "weight_norm: needs a Module; got 3"),
    "no weight": (lambda: utils.weight_norm(nn.ReLU()), ArgumentError, "no parameter 'weight'"),
    "twice": (
        lambda: utils.weight_norm(utils.weight_norm(nn.Linear(2, 2))),
        ArgumentError,
        "no parameter 'weight'",
    ),
    "axis": (lambda: utils.weight_norm(nn.Linear(2, 2), dim=2), MinidlError, "no axis 2"),
    "iterations": (
        lambda: utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
        ArgumentError,
        "≥ 1; got 0",
    ),
    "vector": (lambda: utils.spectral_norm(nn.Linear(2, 2), "bias"), MinidlError, "no matrix"),
    "not normed": (lambda: utils.remove_weight_norm(nn.Linear(2, 2)), ArgumentError, "has no"),
    "not divided": (lambda: utils.remove_spectral_norm(nn.Linear(2, 2)), ArgumentError, "has no"),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


def test_hooks_that_give_the_wrong_thing_are_refused():
    module = Doubled()
    with (
        module.register_forward_pre_hook(lambda m, xs, kw: 3, with_kwargs=True),
        pytest.raises(ArgumentError, match="a tuple of inputs and a dict; got 3"),
    ):
        module(1)
    module.register_full_backward_hook(lambda m, xs, ys: (xs[0], xs[0]))
    y = module(minidl.ones(2, requires_grad=True))
    with pytest.raises(ArgumentError, match="each of the 1 inputs, or None; got 2"):
        y.sum().backward()
