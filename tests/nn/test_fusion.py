"""Layers that run as one operation: the same bits, the same errors, and only where it is right."""

import copy
import gc
import pickle
import re
import traceback
import weakref

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import AnomalyError, ArgumentError, DTypeError, ShapeError
from minidl.nn import fusion
from minidl.nn.hooks import Hooked
from tests.helpers import assert_all_close, assert_close
from tests.nn.test_conv import outcome, random
from tests.oracle import torch


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


def conv_to_two():
    return nn.Conv2d(4, 2, 2, stride=2, groups=2, bias=False)


def with_forward(module, forward):
    module.forward = forward
    return module


def with_hook(module):
    module.register_forward_hook(lambda module, inputs, output: None)
    return module


CONV_RELU, LINEAR_RELU = ("conv2d", "relu"), ("linear", "relu")
POOL_RELU, ALL_THREE = ("max_pool2d", "relu"), ("conv2d", "max_pool2d", "relu")

# Layers, and the operations that are fused when they run.
SEQUENCES = {
    "linear": (lambda: [linear(), nn.ReLU()], [LINEAR_RELU]),
    "conv": (lambda: [conv(), nn.ReLU()], [CONV_RELU]),
    "in place": (lambda: [linear(), nn.ReLU(inplace=True)], [LINEAR_RELU]),
    "two ReLUs": (lambda: [linear(), nn.ReLU(), nn.ReLU()], [LINEAR_RELU]),
    "ReLU first": (lambda: [nn.ReLU(), linear()], []),
    "ReLU first and last": (lambda: [nn.ReLU(), conv(), nn.ReLU()], [CONV_RELU]),
    "only a ReLU": (lambda: [nn.ReLU()], []),
    "nothing": (lambda: [], []),
    "a ReLU elsewhere": (lambda: [linear(), nn.Identity(), nn.ReLU()], []),
    "another activation": (lambda: [linear(), nn.LeakyReLU(), nn.ReLU()], []),
    "conv to linear": (lambda: [conv(), nn.ReLU(), conv_to_two(), nn.ReLU(), nn.Flatten()],
                       [CONV_RELU, CONV_RELU]),
    "a subclass with another forward": (lambda: [Doubled(5, 4), nn.ReLU()], []),
    "a subclass": (lambda: [Inherited(5, 4), nn.ReLU()], []),
    "a subclass of ReLU": (lambda: [linear(), Leaky()], []),
    "forward replaced": (lambda: [with_forward(linear(), lambda x: x - 0.5), nn.ReLU()], []),
    "forward of the ReLU replaced": (
        lambda: [linear(), with_forward(nn.ReLU(), lambda x: x * 3)], []),
    "a hook": (lambda: [with_hook(linear()), nn.ReLU()], []),
    "a hook on the ReLU": (lambda: [linear(), with_hook(nn.ReLU())], []),
    "a hook on the pool": (lambda: [conv(), nn.ReLU(), with_hook(nn.MaxPool2d(2))], [CONV_RELU]),
    "nested": (lambda: [nn.Sequential(linear()), nn.ReLU()], []),
    "nested, whole": (lambda: [nn.Sequential(linear(), nn.ReLU()), nn.ReLU()], [LINEAR_RELU]),
    "without a bias": (lambda: [nn.Linear(5, 4, bias=False), nn.ReLU()], [LINEAR_RELU]),
    "conv, ReLU, pool": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2)], [ALL_THREE]),
    "conv, pool, ReLU": (lambda: [conv(), nn.MaxPool2d(2), nn.ReLU()], [ALL_THREE]),
    "conv, ReLU, pool, ReLU": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()],
                               [ALL_THREE]),
    "conv, pool": (lambda: [conv(), nn.MaxPool2d(2)], []),
    "pool, ReLU": (lambda: [nn.MaxPool2d(2), nn.ReLU(), conv()], [POOL_RELU]),
    "ReLU, pool": (lambda: [nn.Identity(), nn.ReLU(), nn.MaxPool2d(2)], [POOL_RELU]),
    "ReLU between pools": (lambda: [nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2)], [POOL_RELU]),
    "two convolutions": (
        lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2), conv_to_two(), nn.MaxPool2d(1), nn.ReLU()],
        [ALL_THREE, ALL_THREE]),
    "another window": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], [ALL_THREE]),
    "a window as a list": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d([2, 2])], [ALL_THREE]),
    "overlapping windows": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2, 1)], [ALL_THREE]),
    "dilation": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2, dilation=2)], [ALL_THREE]),
    "padding": (lambda: [nn.ReLU(), nn.MaxPool2d(2, padding=1)], [POOL_RELU]),
    "ceil_mode": (lambda: [conv(), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], [ALL_THREE]),
    "padding same": (lambda: [nn.Conv2d(2, 3, (2, 3), padding="same"), nn.ReLU()], [CONV_RELU]),
    "padding valid": (lambda: [nn.Conv2d(2, 3, 2, padding="valid"), nn.ReLU()], [CONV_RELU]),
    "reflected": (
        lambda: [nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.ReLU(), nn.MaxPool2d(2)],
        [ALL_THREE]),
    "another pooling": (lambda: [conv(), nn.ReLU(), nn.AvgPool2d(2)], [CONV_RELU]),
}  # fmt: skip
each_sequence = pytest.mark.parametrize("name", SEQUENCES)


def input_of(modules, seed=0):
    images = any(isinstance(m, nn.Conv2d | nn.MaxPool2d) for m in modules)
    shape = (3, 2, 6, 5) if images else (7, 5)
    return random(*shape, dtype="float32", seed=seed)


def one_by_one(modules, x):
    for module in modules:
        x = module(x)
    return x


@pytest.fixture
def fused(monkeypatch):
    """The operations that were fused, call by call."""
    calls = []

    def watched(*arrays, operations, settings):
        calls.append(operations)
        return original(*arrays, operations=operations, settings=settings)

    original = fusion.fused
    monkeypatch.setattr(fusion, "fused", watched)
    return calls


# The same values.


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_sequence
def test_a_sequence_computes_what_its_modules_do_one_by_one(name, kernels):
    minidl.manual_seed(1)
    modules = SEQUENCES[name][0]()
    x, model = input_of(modules), nn.Sequential(*modules)
    with minidl.kernels(kernels):
        weights = random(*model(minidl.asarray(x)).shape, dtype="float32", seed=1)
        joined = outcome(minidl, model, x, weights)
        alone = lambda x: one_by_one(modules, x)
        apart = outcome(minidl, alone, x, weights, list(model.parameters()))
    for one, other in zip(joined, apart, strict=True):
        if one.ndim > 1:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:  # db is summed in another order
            assert_close(one, other, 1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.0])
@each_sequence
def test_special_values_are_the_same_too(name, bad):
    modules = SEQUENCES[name][0]()
    x = input_of(modules)
    x[..., 2:4] = bad
    with np.errstate(invalid="ignore"):
        found = nn.Sequential(*modules)(minidl.asarray(x))
        np.testing.assert_array_equal(found, one_by_one(modules, minidl.asarray(x)))


@each_sequence
def test_what_runs_as_one_operation(name, fused):
    make, expected = SEQUENCES[name]
    modules = make()
    nn.Sequential(*modules)(minidl.asarray(input_of(modules)))
    assert fused == expected


def test_indices_of_a_pool_need_it_alone(fused):
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
    x = minidl.asarray(input_of(model))
    for found, expected in zip(model(x), one_by_one(list(model), x), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert fused == [CONV_RELU]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@each_sequence
def test_other_dtypes_run_as_well(name, dtype):
    modules = SEQUENCES[name][0]()
    model = nn.Sequential(*modules).to(dtype)
    x = minidl.asarray(input_of(modules).astype(dtype))
    found = model(x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, one_by_one(modules, x))


def test_a_single_picture_and_a_single_row(fused):
    for model, shape in (
        (nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2)), (2, 6, 5)),
        (nn.Sequential(linear(), nn.ReLU()), (5,)),
        (nn.Sequential(linear(), nn.ReLU()), (2, 3, 5)),
    ):
        x = minidl.asarray(random(*shape, dtype="float32"))
        np.testing.assert_array_equal(model(x), one_by_one(list(model), x))
    assert fused == [ALL_THREE, LINEAR_RELU, LINEAR_RELU]


def test_a_shared_layer_runs_with_and_without_its_relu():
    minidl.manual_seed(0)
    one = nn.Linear(4, 4)
    model = nn.Sequential(one, nn.ReLU(), one)
    x = minidl.asarray(random(3, 4, dtype="float32"))
    np.testing.assert_array_equal(model(x), one(minidl.relu(one(x))))


def test_higher_orders_go_through_a_joined_pair():
    model = nn.Sequential(nn.Conv2d(1, 2, 2, dtype="float64"), nn.ReLU())
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2, dtype=torch.float64), torch.nn.ReLU())
    theirs.load_state_dict({k: torch.from_dlpack(x.cpu()) for k, x in model.state_dict().items()})
    x = random(1, 1, 4, 4)
    ours_x, theirs_x = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with minidl.higher_order():
        (dx,) = minidl.gradients((model(ours_x) ** 3).sum(), [ours_x], create_graph=True)
        found = minidl.gradients((dx * dx).sum(), [ours_x, *model.parameters()])
    (dx,) = torch.autograd.grad((theirs(theirs_x) ** 3).sum(), theirs_x, create_graph=True)
    needed = torch.autograd.grad((dx * dx).sum(), [theirs_x, *theirs.parameters()])
    assert_all_close(found, needed, 1e-10)


# The same errors: those of the layers, one by one.


def image(*shape):
    return minidl.ones(shape)


def changed(module, **settings):
    """A layer whose settings were changed, past all checks."""
    vars(module).update(settings)
    return module


INPUTS = {
    "more channels": image(2, 3, 9, 9),
    "no channels": image(9, 9),
    "five axes": image(1, 2, 3, 9, 9),
    "a number": minidl.tensor(1.0),
    "a Python number": 1.0,
    "a list": [1.0],
    "a ragged list": [[1.0], [2.0, 3.0]],
    "None": None,
    "text": "text",
    "an object": object,
    "too small": image(2, 2, 1, 1),
    "too small to pool": image(2, 2, 3, 9),
    "no image": image(0, 2, 0, 0),
    "complex": minidl.ones((2, 2, 9, 9), dtype="complex64"),
    "integers": minidl.ones((2, 2, 9, 9), dtype="int64"),
    "truth": minidl.ones((2, 2, 9, 9), dtype="bool"),
    "a row": image(5),
    "a row of another length": image(2, 4),
    "complex rows": minidl.ones((2, 5), dtype="complex64"),
}
MODELS = {
    "linear": lambda: [nn.Linear(5, 4), nn.ReLU()],
    "linear without a bias": lambda: [nn.Linear(5, 4, bias=False), nn.ReLU()],
    "conv, ReLU": lambda: [nn.Conv2d(2, 3, 3), nn.ReLU()],
    "conv, ReLU, pool": lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2)],
    "conv, pool, ReLU": lambda: [nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.ReLU()],
    "reflected": lambda: [nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), nn.ReLU()],
    "large windows": lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(6, padding=3)],
    "pool, ReLU": lambda: [nn.MaxPool2d(2), nn.ReLU()],
    "ReLU, pool": lambda: [nn.ReLU(), nn.MaxPool2d(2)],
    "in a row": lambda: [nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3), nn.ReLU()],
    "stride 0": lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), changed(nn.MaxPool2d(2), stride=0)],
    "a window of text": lambda: [nn.Conv2d(2, 3, 3), changed(nn.MaxPool2d(2), kernel_size="2"),
                                 nn.ReLU()],
    "a window that is no integer": lambda: [
        nn.Conv2d(2, 3, 3), nn.ReLU(), changed(nn.MaxPool2d(7), kernel_size=2.0)],
    "three windows": lambda: [nn.ReLU(), changed(nn.MaxPool2d(2), kernel_size=(2, 2, 2))],
    "an array of windows": lambda: [
        nn.Conv2d(2, 3, 3), nn.ReLU(), changed(nn.MaxPool2d(2), kernel_size=np.array([2, 2]))],
    "ceil_mode 2": lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), changed(nn.MaxPool2d(2), ceil_mode=2)],
    "indices of 2": lambda: [nn.ReLU(), changed(nn.MaxPool2d(2), return_indices=2)],
    "no weight": lambda: [changed(nn.Linear(5, 4), weight=None), nn.ReLU()],
    "a weight of text": lambda: [changed(nn.Conv2d(2, 3, 3), weight="w"), nn.ReLU()],
    "a weight of one axis": lambda: [changed(nn.Linear(5, 4), weight=minidl.ones(5)), nn.ReLU()],
    "a bias of another size": lambda: [changed(nn.Linear(5, 4), bias=minidl.ones(3)), nn.ReLU()],
    "groups that do not divide": lambda: [changed(nn.Conv2d(2, 3, 3), groups=2), nn.ReLU(),
                                          nn.MaxPool2d(2)],
    "a setting that is gone": lambda: [without(nn.Conv2d(2, 3, 3), "stride"), nn.ReLU()],
    "a pool without padding": lambda: [nn.ReLU(), without(nn.MaxPool2d(2), "padding")],
}  # fmt: skip


def without(module, name):
    delattr(module, name)
    return module


def what_happens(run):
    """The value of a call, or its error."""
    try:
        return run(), None
    except Exception as error:
        return None, error


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("name", MODELS)
def test_errors_are_those_of_the_layers_one_by_one(name, kernels):
    minidl.manual_seed(0)
    model, failed = nn.Sequential(*MODELS[name]()), 0
    inputs = {**INPUTS, "right": image(2, 2, 9, 9), "rows": image(2, 5)}
    for x in inputs.values():
        with minidl.kernels(kernels), np.errstate(all="ignore"):
            expected, wrong = what_happens(lambda x=x: one_by_one(list(model), x))
            found, error = what_happens(lambda x=x: model(x))
        assert (type(error), str(error)) == (type(wrong), str(wrong))
        if wrong is None:
            np.testing.assert_array_equal(found, expected)
        else:
            failed += 1
            told = "".join(traceback.format_exception(error))
            assert not re.search(r"[/\\](ops|kernels)[/\\]fused\.py", told)
    assert failed > 8


def test_errors_speak_of_what_the_user_has_written():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    with pytest.raises(ShapeError, match=r"^Conv2d\(1, 2, \(3, 3\)\) needs .* got \(2, 9, 9\)$"):
        model(image(2, 9, 9))
    with pytest.raises(ShapeError, match=r"^max_pool2d: a window of 2 does not fit"):
        model(image(1, 1, 3, 9))
    with pytest.raises(ShapeError, match=r"^Linear\(784, 128\) needs an input of shape \(…, 784\)"):
        nn.Sequential(nn.Linear(784, 128), nn.ReLU())(image(32, 100))
    with pytest.raises((DTypeError, ShapeError), match="list"):
        model([1.0])
    model[2].stride = 0
    with pytest.raises(ArgumentError, match=r"^max_pool2d: stride"):
        model(image(1, 1, 9, 9))


def test_an_anomaly_is_one_of_the_layers():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    x = minidl.tensor([[1.0, float("inf")]])
    model[0].weight.data[:] = 0
    wrong = pytest.raises(AnomalyError, match=r"^linear\(")
    with np.errstate(all="ignore"), minidl.detect_anomaly(), wrong:
        model(x)


def test_what_interrupts_the_program_is_not_caught(monkeypatch):
    def interrupted(*arrays, operations, settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(fusion, "fused", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU())(image(1, 2))


def test_a_fused_run_that_fails_runs_unfused(monkeypatch):
    def broken(*arrays, operations, settings):
        raise RuntimeError("broken")

    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    expected = model(image(1, 2))
    monkeypatch.setattr(fusion, "fused", broken)
    np.testing.assert_array_equal(model(image(1, 2)), expected)


# A plan is made once, and is never out of date.


def small():
    return nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2))


def test_a_plan_is_made_once():
    fusion._plan.cache_clear()
    one, other, third = small(), small(), nn.Sequential(linear(), nn.ReLU())
    x = minidl.asarray(input_of(one))
    for model in (one, one, other, one):
        model(x)
    third(minidl.ones((1, 5)))
    facts = fusion._plan.cache_info()
    assert (facts.misses, facts.hits) == (2, 3)


CHANGES = {
    "append": (lambda m: m.append(nn.ReLU()), [ALL_THREE]),
    "insert": (lambda m: m.insert(1, nn.Identity()), [POOL_RELU]),
    "delete the ReLU": (lambda m: m.__delitem__(1), []),
    "pop the pool": (lambda m: m.pop(2), [CONV_RELU]),
    "replace": (lambda m: m.__setitem__(1, nn.Tanh()), []),
    "replace by name": (lambda m: setattr(m, "1", nn.Sigmoid()), []),
    "exchange": (lambda m: m.__setitem__(2, nn.AvgPool2d(2)), [CONV_RELU]),
    "another window": (lambda m: setattr(m[2], "kernel_size", 3), [ALL_THREE]),
    "another stride": (lambda m: setattr(m[2], "stride", 1), [ALL_THREE]),
    "ceil_mode": (lambda m: setattr(m[2], "ceil_mode", True), [ALL_THREE]),
    "dilation": (lambda m: setattr(m[2], "dilation", 2), [ALL_THREE]),
    "padding of the pool": (lambda m: setattr(m[2], "padding", 1), [ALL_THREE]),
    "padding": (lambda m: setattr(m[0], "padding", (0, 2)), [ALL_THREE]),
    "stride": (lambda m: setattr(m[0], "stride", (2, 1)), [ALL_THREE]),
    "circular": (lambda m: setattr(m[0], "padding_mode", "circular"), [ALL_THREE]),
    "weight": (lambda m: setattr(m[0], "weight", nn.Parameter(m[0].weight * 2)), [ALL_THREE]),
    "no bias": (lambda m: setattr(m[0], "bias", None), [ALL_THREE]),
    "forward of the conv": (lambda m: with_forward(m[0], lambda x: x * 2), [POOL_RELU]),
    "forward of the ReLU": (lambda m: with_forward(m[1], minidl.exp), []),
    "forward of the pool": (lambda m: with_forward(m[2], minidl.exp), [CONV_RELU]),
    "forward in vars": (lambda m: vars(m[1]).update(forward=minidl.exp), []),
    "a hook before": (
        lambda m: m[0].register_forward_pre_hook(lambda m, x: (x[0] * 2,)), [POOL_RELU]),
    "a hook after": (lambda m: m[1].register_forward_hook(lambda m, x, y: y * 2), []),
    "a hook on gradients": (
        lambda m: m[2].register_full_backward_hook(lambda m, dx, dy: None), [CONV_RELU]),
    "evaluation": (lambda m: m.eval(), [ALL_THREE]),
    "another class": (lambda m: setattr(m[1], "__class__", nn.Tanh), []),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_seen_at_once(name, fused):
    minidl.manual_seed(0)
    model = small()
    x = minidl.asarray(input_of(model))
    model(x), model(x)
    assert fused == [ALL_THREE] * 2
    change, expected = CHANGES[name]
    change(model)
    fused.clear()
    np.testing.assert_array_equal(model(x), one_by_one(list(model), x))
    assert fused == expected


def test_indices_wanted_later_are_given(fused):
    model = small()
    x = minidl.asarray(input_of(model))
    model(x)
    model[2].return_indices = True
    assert len(model(x)) == 2
    model[2].return_indices = False
    fused.clear()
    model(x)
    assert fused == [ALL_THREE]


def test_a_lists_elements_may_change():
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d([2, 2]))
    x = minidl.asarray(input_of(model))
    model(x)
    model[2].kernel_size[0] = model[2].stride[0] = 3
    assert model(x).shape == (3, 4, 2, 2)
    np.testing.assert_array_equal(model(x), one_by_one(list(model), x))


def test_what_is_taken_back_is_fused_again(fused):
    model = small()
    x = minidl.asarray(input_of(model))
    handle = model[1].register_forward_hook(lambda m, x, y: None)
    model(x)
    assert fused == []
    handle.remove()
    model(x)
    model[0].forward = lambda x: x
    model(x)
    del model[0].forward
    model(x)
    assert fused == [ALL_THREE, POOL_RELU, ALL_THREE]


PATCHES = [
    *((kind, "forward") for kind in (nn.Linear, nn.Conv2d, nn.MaxPool2d, nn.ReLU)),
    *((kind, "__call__") for kind in (nn.Linear, nn.Conv2d, nn.MaxPool2d, nn.ReLU)),
    *((nn.Module, "__call__"), (Hooked, "__call__")),
    *((nn.Conv2d.__mro__[1], "forward"), (nn.MaxPool2d.__mro__[1], "forward")),
]


@pytest.mark.parametrize(("kind", "method"), PATCHES)
def test_a_patched_class_is_called(kind, method, monkeypatch, fused):
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 2))
    model.append(nn.ReLU())
    x = minidl.asarray(input_of(model))
    expected, calls = model(x), []
    original = getattr(kind, method)

    def patched(self, *args, **kwargs):
        calls.append(type(self))
        return original(self, *args, **kwargs)

    fused.clear()
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, patched)
        np.testing.assert_array_equal(model(x), expected)
    assert fused == []
    own = [type(layer) for layer in model if method in dir(kind) and isinstance(layer, kind)]
    assert [c for c in calls if c is not nn.Sequential] == own
    model(x)
    assert fused == [ALL_THREE, LINEAR_RELU]


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.MaxPool2d])
def test_a_patched_operation_is_called(kind, monkeypatch):
    model, calls = small(), []
    original = kind.operation

    def patched(*args, **kwargs):
        calls.append(kind)
        return original(*args, **kwargs)

    x = minidl.asarray(input_of(model))
    expected = model(x)
    monkeypatch.setattr(kind, "operation", staticmethod(patched))
    np.testing.assert_array_equal(model(x), expected)
    assert calls == [kind]


# A plan is nowhere in the model.


def test_a_model_that_has_run_is_as_before():
    model = small()
    before = repr(model), list(vars(model)), list(model.state_dict()), pickle.dumps(model)
    model(minidl.asarray(input_of(model)))
    after = repr(model), list(vars(model)), list(model.state_dict()), pickle.dumps(model)
    assert after == before
    for layer, new in zip(model, small(), strict=True):
        assert list(vars(layer)) == list(vars(new))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_have_plans_of_their_own(copied, fused):
    model = small()
    x = minidl.asarray(input_of(model))
    expected = model(x)
    other = copied(model)
    np.testing.assert_array_equal(other(x), expected)
    setattr(other, "1", nn.Tanh())
    fused.clear()
    np.testing.assert_array_equal(other(x), one_by_one(list(other), x))
    assert fused == []
    np.testing.assert_array_equal(model(x), expected)
    assert fused == [ALL_THREE]


def test_a_removed_layer_is_not_kept():
    class Own(nn.Module):
        def forward(self, x):
            return x

    model = nn.Sequential(Own(), nn.Linear(5, 4), nn.ReLU())
    model(minidl.ones((1, 5)))
    layers = [weakref.ref(layer) for layer in model]
    kind = weakref.ref(Own)
    del model[:]
    gc.collect()
    assert [layer() for layer in layers] == [None] * 3
    del Own
    gc.collect()
    assert kind() is None
