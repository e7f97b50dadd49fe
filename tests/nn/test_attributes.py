"""Assignment: a parameter, a buffer or a submodule stays one, or becomes None; beside PyTorch."""

import copy
import functools
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import DeviceError, DTypeError, ShapeError
from tests.helpers import HERE, told
from tests.oracle import torch

# An attribute of each kind, in both libraries, and the values that are assigned to it.


def module_of(library):
    """A module that has one attribute of each kind."""
    net, zeros = library.nn.Module(), library.zeros
    net.register_parameter("weight", library.nn.Parameter(zeros(2)))
    net.register_parameter("no_weight", None)
    net.register_buffer("mean", zeros(2))
    net.register_buffer("scratch", zeros(2), persistent=False)
    net.register_buffer("no_mean", None)
    net.layer = library.nn.Linear(2, 2)
    net.plain = 3
    net.nothing = None
    return net


ATTRIBUTES = (
    "weight",
    "no_weight",
    "mean",
    "scratch",
    "no_mean",
    "layer",
    "plain",
    "nothing",
    "new",
)
VALUES = {
    "None": lambda library: None,
    "number": lambda library: 3.5,
    "array": lambda library: np.zeros(2),
    "tensor": lambda library: library.ones(2),
    "parameter": lambda library: library.nn.Parameter(library.ones(2)),
    "buffer": lambda library: library.nn.Buffer(library.ones(2)),
    "unsaved buffer": lambda library: library.nn.Buffer(library.ones(2), persistent=False),
    "module": lambda library: library.nn.Linear(2, 2, bias=False),
    "function": lambda library: len,
}


def state_after(library, name, values):
    """Whether each assignment was refused, and the state: names of parameters and the like."""
    net = module_of(library)
    outcomes = []
    for value in values:
        try:
            if value == "del":
                delattr(net, name)
            else:
                setattr(net, name, VALUES[value](library))
        except (TypeError, AttributeError):
            outcomes.append("refused")
        else:
            outcomes.append("taken")
        outcomes.append(sorted(n for n, _ in net.named_parameters()))
        outcomes.append(sorted(n for n, _ in net.named_buffers()))
        outcomes.append(sorted(n for n, _ in net.named_children()))
        outcomes.append(sorted(net.state_dict()))
    return outcomes


@pytest.mark.parametrize("first", [*VALUES, "del"])
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_assignments_leave_the_state_that_pytorch_has(name, first):
    for second in VALUES:
        try:
            theirs = state_after(torch, name, [first, second])
        except KeyError:  # PyTorch has no buffer where a plain attribute was
            assert "buffer" in first + second
            continue
        assert state_after(minidl, name, [first, second]) == theirs, second


def test_a_tensor_in_the_place_of_a_parameter_is_refused():
    for layer, name in (
        (nn.Linear(3, 2), "weight"),
        (nn.Linear(3, 2), "bias"),
        (nn.Linear(3, 2, bias=False), "bias"),
        (nn.Conv2d(3, 2, 3, bias=False), "bias"),
        (nn.ConvTranspose1d(3, 2, 3, bias=False), "bias"),
        (nn.Bilinear(3, 2, 3, bias=False), "bias"),
        (nn.BatchNorm2d(3, affine=False), "weight"),
        (nn.LayerNorm(3, bias=False), "bias"),
        (nn.RMSNorm(3, elementwise_affine=False), "weight"),
    ):
        kind = type(layer).__name__
        before = list(layer.state_dict())
        with pytest.raises(DTypeError, match=f"{kind}: {name} is a parameter.*nn.Parameter") as e:
            setattr(layer, name, minidl.ones((2, 3)))
        assert isinstance(e.value, TypeError)
        assert list(layer.state_dict()) == before


def test_a_tensor_in_the_place_of_a_buffer_becomes_the_buffer():
    layer = nn.BatchNorm1d(3)
    keys, values = list(layer.state_dict()), minidl.tensor([1.0, 2.0, 3.0])
    layer.running_mean = values
    assert type(layer.running_mean) is nn.Buffer
    assert layer.running_mean.data is values.data
    assert list(layer.state_dict()) == keys  # in the same order
    layer(minidl.ones((4, 3)))
    assert layer.running_mean.tolist() == pytest.approx([1.0, 1.9, 2.8])
    with pytest.raises(DTypeError, match=r"running_mean is a buffer; got 3.0; .*\[\.\.\.\] ="):
        layer.running_mean = 3.0


def test_buffers_that_a_layer_does_without_are_taken_up():
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    layer.running_mean, layer.running_var = minidl.zeros(2), minidl.ones(2)
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    loss = nn.CrossEntropyLoss()
    loss.weight = minidl.ones(3)
    assert list(loss.state_dict()) == ["weight"]


class Averaged(nn.Module):
    def __init__(self, persistent=True):
        self.register_buffer("ema", minidl.zeros(()), persistent)
        self.scale = nn.Parameter(minidl.tensor(2.0))

    def forward(self, x):
        self.ema = 0.9 * self.ema + 0.1 * x.mean()
        return self.scale * (x - self.ema)


def test_a_computed_buffer_stays_a_buffer():
    for persistent in (True, False):
        net = Averaged(persistent)
        for _ in range(3):
            net(minidl.ones(4))
        assert type(net.ema) is nn.Buffer
        assert net.ema.persistent is persistent
        assert net.ema.item() == pytest.approx(1 - 0.9**3)
        assert ("ema" in net.state_dict()) is persistent
        assert net.double().ema.dtype == "float64"


def test_gradients_flow_through_a_computed_buffer():
    net, x = Averaged(), minidl.tensor([1.0, 5.0], requires_grad=True)
    (net(x) * minidl.tensor([1.0, 2.0])).sum().backward()
    np.testing.assert_allclose(x.grad, [2 - 0.3, 4 - 0.3], rtol=1e-6)
    assert not net.state_dict()["ema"].requires_grad
    moved = net.double()
    assert moved.ema.dtype == "float64"
    assert moved.ema.requires_grad  # as it was: the history is kept


def test_what_is_none_keeps_its_place_in_copies():
    layer = nn.Linear(3, 2, bias=False)
    for other in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with pytest.raises(DTypeError, match="bias"):
            other.bias = minidl.ones(2)
        other.bias = nn.Parameter(minidl.ones(2))
        assert list(other.state_dict()) == ["weight", "bias"]
    assert layer.bias is None


def test_deleting_frees_the_name():
    layer = nn.Linear(3, 2)
    del layer.bias
    layer.bias = minidl.ones(2)
    assert list(layer.state_dict()) == ["weight"]
    layer.weight = None
    del layer.weight
    layer.weight = "text"
    with pytest.raises(AttributeError):
        del layer.missing


def test_attributes_of_the_class_are_no_state():
    class Own(nn.Module):
        mean = minidl.ones(2)

    net = Own()
    net.mean = minidl.zeros(2)
    assert not net.state_dict()
    del net.mean
    assert net.mean.tolist() == [1, 1]


# The array of a parameter.

WRONG_ARRAYS = {
    "another shape": (np.ones((3, 2), "float32"), ShapeError),
    "another rank": (np.ones(6, "float32"), ShapeError),
    "broadcast": (np.ones((1, 3), "float32"), ShapeError),
    "float64": (np.ones((2, 3)), DTypeError),
    "float16": (np.ones((2, 3), "float16"), DTypeError),
    "a tensor of another dtype": (minidl.ones((2, 3), dtype="float64"), DTypeError),
    "a list": ([[1.0] * 3] * 2, DTypeError),
    "a number": (1.0, DTypeError),
    "nothing": (None, DTypeError),
}


@pytest.mark.parametrize(("value", "kind"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
@pytest.mark.parametrize("make", [nn.Parameter, nn.Buffer])
def test_an_array_that_does_not_fit_is_refused_at_once(make, value, kind):
    x = make(minidl.zeros((2, 3)))
    with pytest.raises(kind, match=rf"{make.__name__}\.data: needs float32 \(2, 3\) on '{HERE}'"):
        x.data = value
    assert (x.shape, x.dtype, x.tolist()) == ((2, 3), "float32", [[0] * 3] * 2)


def test_an_array_of_another_device_is_refused():
    import tests.toy_backend  # noqa: F401

    layer = nn.Linear(3, 2)
    said = rf"needs float32 \(2, 3\) on '{HERE}'; got float32 \(2, 3\) on 'toy';"
    with pytest.raises(DeviceError, match=said):
        layer.weight.data = minidl.ones((2, 3), device="toy")


def test_an_array_that_fits_is_used_and_trained():
    layer, x = nn.Linear(3, 2, bias=False), minidl.ones((4, 3))
    values = minidl.full((2, 3), 0.5).data
    for given in (values, minidl.Tensor(values), nn.Parameter(values)):
        layer.weight.data = given
        assert layer.weight.data is values
        assert layer(x).tolist() == [[1.5] * 2] * 4
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(x).sum().backward()
    optimizer.step()
    assert layer.weight.tolist() == pytest.approx(np.full((2, 3), 0.1))


# A module in a plain list, which programs for PyTorch use to hide a teacher.


class Student(nn.Module):
    def __init__(self, teacher):
        self.net = nn.Linear(3, 2)
        self.teacher = [teacher]


def test_a_frozen_teacher_in_a_list_is_told_of():
    words = (
        "Student: teacher is a list with Sequential, which is not trained; .*ModuleList.*partial"
    )
    frozen = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).requires_grad_(False)
    used = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).eval()
    for teacher in (frozen, used):
        with told(words):
            Student(teacher).state_dict()
        if teacher is frozen:
            with told(words):
                Student(teacher).train()
    with told(words):
        Student(nn.Sequential(nn.Dropout()).eval()).train()
    with told("Outer: pair is a dict with Linear"):
        outer = nn.Module()
        outer.__class__ = type("Outer", (nn.Module,), {})
        outer.inside = Student(nn.Linear(3, 2))
        outer.pair = {"a": (nn.Linear(3, 2).requires_grad_(False),)}
        outer.train()


def test_a_teacher_held_in_a_function_is_no_part():
    net = Student(nn.Linear(3, 2))
    net.teacher = functools.partial(nn.Sequential(nn.Linear(3, 2), nn.Dropout()).eval())
    net.train()
    assert list(net.state_dict()) == ["net.weight", "net.bias"]
    assert not net.teacher.func.training
    assert copy.deepcopy(net).teacher(minidl.ones((1, 3))).shape == (1, 2)


def test_trained_modules_in_a_list_are_parts_without_a_word():
    net = nn.Module()
    net.blocks = [nn.Linear(3, 3), nn.Dropout()]
    net.frozen = nn.Linear(3, 3).requires_grad_(False)
    net.eval().train()
    assert list(net.state_dict())[:2] == ["blocks.0.weight", "blocks.0.bias"]
    net.eval()
    net.train()
