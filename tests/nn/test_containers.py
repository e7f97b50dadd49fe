"""ModuleList, ModuleDict, ParameterList, ParameterDict, and Sequential as a list."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError
from tests.helpers import assert_close
from tests.oracle import torch


def linears(library, n=3):
    return [library.Linear(2, 2, bias=i % 2 == 0) for i in range(n)]


def edited(library):
    """A ModuleList that went through every change, in either library."""
    a, b, c = linears(library)
    found = library.ModuleList([a, b])
    found.append(c)
    found.insert(1, library.ReLU())
    found.extend([library.Tanh(), a])
    found += [library.Sigmoid()]
    del found[0]
    found[1] = library.Flatten()
    found.pop(-2)
    del found[3:]
    return found


def test_a_module_list_changes_as_pytorchs():
    ours, theirs = edited(nn), edited(torch.nn)
    assert repr(ours) == repr(theirs)
    assert [type(m).__name__ for m in ours] == [type(m).__name__ for m in theirs]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert isinstance(ours[:2], nn.ModuleList)
    assert list(ours[1:]) == [ours[1], ours[2]]
    assert ours[-1] is ours[2]
    assert ours[0] in ours
    assert list((ours + ours[:1])[2:]) == [ours[2], ours[0]]
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_equal_neighbours_share_a_line():
    texts = []
    for library in (nn, torch.nn):
        layers = [library.Linear(2, 2) for _ in range(3)]
        texts.append(repr(library.ModuleList([*layers, library.ReLU()])))
    assert texts[0] == texts[1]


class Nested:
    def __init__(self, library):
        super().__init__()
        self.blocks = library.ModuleList(linears(library, 2))
        self.heads = library.ModuleDict({"b": library.Linear(2, 1), "a": library.ReLU()})
        tensors = [np.ones(2), np.zeros((1, 3))]
        if library is torch.nn:
            tensors = [torch.tensor(x) for x in tensors]
        self.free = library.ParameterList(tensors)
        self.named = library.ParameterDict({"y": tensors[0], "x": tensors[1]})


class OurNested(Nested, nn.Module):
    pass


class TheirNested(Nested, torch.nn.Module):
    pass


def test_names_are_pytorchs():
    ours, theirs = OurNested(nn), TheirNested(torch.nn)
    for names in ("named_parameters", "named_modules", "named_children"):
        assert list(dict(getattr(ours, names)())) == list(dict(getattr(theirs, names)())), names
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.double().load_state_dict(theirs.double().state_dict())
    np.testing.assert_array_equal(ours.blocks[1].weight, theirs.blocks[1].weight.detach())
    twin = copy.deepcopy(ours)
    assert repr(twin) == repr(ours)
    assert twin.free[0] is not ours.free[0]


def test_a_module_dict_is_a_dict():
    a, b, c = linears(nn)
    found = nn.ModuleDict({"one": a})
    found["two"] = b
    found.update([("three", c), ("one", b)])
    assert list(found) == list(found.keys()) == ["one", "two", "three"]
    assert list(found.values()) == [b, b, c]
    assert dict(found.items())["three"] is found.three is c
    assert "two" in found
    assert "four" not in found
    assert found.pop("two") is b
    del found["one"]
    assert len(found) == 1
    found.clear()
    assert not found


def test_parameter_containers_make_parameters():
    found = nn.ParameterList([minidl.ones(2), nn.Parameter([1.0])])
    found.append([2.0, 3.0])
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in found)
    assert list(found.state_dict()) == ["0", "1", "2"]
    assert repr(found) == "ParameterList((0): float32 (2,), (1): float32 (1,), (2): float32 (2,))"
    named = nn.ParameterDict({"a": [1.0]})
    named["b"] = named["a"]
    assert named.b is named.a
    assert [name for name, _ in named.named_parameters()] == ["a"]


# Sequential.


def test_sequential_takes_a_dict_of_names():
    parts = {"first": nn.Linear(2, 3, bias=False), "then": nn.ReLU()}
    model = nn.Sequential(parts)
    assert list(model.state_dict()) == ["first.weight"]
    assert model.then is model[1]
    assert list(model[:1].state_dict()) == ["first.weight"]
    assert list(model.append(nn.Linear(3, 1)).state_dict()) == [
        "first.weight",
        "2.weight",
        "2.bias",
    ]


def changed(library):
    one, two, three = linears(library)
    model = library.Sequential(one, library.ReLU())
    model.insert(1, two)
    model.extend([three, library.Tanh()])
    model[0] = library.Linear(2, 2)
    model.pop(2)
    del model[-1]
    return model + library.Sequential(library.Flatten())


def test_sequential_changes_as_pytorchs():
    ours, theirs = changed(nn), changed(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours[1:].state_dict()) == list(theirs[1:].state_dict())


def test_what_is_appended_to_a_slice_replaces_nothing():
    model = nn.Sequential(*linears(nn))[1:]
    assert len(model.append(nn.ReLU())) == 3


# Bad input.

WRONG = {
    "list of functions": (lambda: nn.ModuleList([abs]), DTypeError, "ModuleList.*modules"),
    "a number": (lambda: nn.ModuleList(3), DTypeError, "ModuleList.*list.*3"),
    "list index": (lambda: nn.ModuleList()[0], BoundsError, "0 items.*0"),
    "set index": (lambda: nn.ModuleList().__setitem__(1, nn.ReLU()), BoundsError, "got index 1"),
    "no key": (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], KeyError, r"no 'b', but \['a'\]"),
    "dotted key": (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ArgumentError, "without dots.*a.b"),
    "method's key": (lambda: nn.ModuleDict({"forward": nn.ReLU()}), ArgumentError, "'forward'"),
    "number key": (lambda: nn.ModuleDict({1: nn.ReLU()}), ArgumentError, "got 1"),
    "dict of numbers": (lambda: nn.ModuleDict({"a": 1}), DTypeError, "modules; got 1"),
    "no dict": (lambda: nn.ModuleDict(5), DTypeError, "dict or pairs; got 5"),
    "words": (lambda: nn.ParameterList(["text"]), MinidlError, "text"),
    "Sequential index": (lambda: nn.Sequential().pop(0), IndexError, "got index 0"),
    "Sequential set": (lambda: nn.Sequential().__setitem__(0, nn.ReLU()), BoundsError, "0 modules"),
    "call": (lambda: nn.ModuleList()(1), TypeError, "ModuleList has no forward"),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


# What runs as one operation.

LAYERS = {
    "convolution": lambda: nn.Conv2d(2, 2, 3, padding=1),
    "points": lambda: nn.Conv2d(2, 2, 1),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "squares": lambda: nn.MaxPool2d(2),
    "squares as pairs": lambda: nn.MaxPool2d((2, 2), stride=[2, 2]),
    "squares at the edge": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "overlapping": lambda: nn.MaxPool2d(3, 1, 1),
    "means": lambda: nn.AvgPool2d(2, ceil_mode=True),
}


def blocks():
    """Names of layers, in orders that networks have."""
    layer, pool = st.sampled_from(list(LAYERS)[:2]), st.sampled_from(list(LAYERS)[3:])
    return st.tuples(layer, pool).flatmap(
        lambda names: st.permutations(["relu", names[1]]).map(lambda rest: [names[0], *rest])
    )


@given(blocks=st.lists(blocks(), min_size=1, max_size=2), data=st.data())
def test_modules_that_run_together_give_what_they_give_alone(blocks, data):
    names = [name for block in blocks for name in block]
    minidl.manual_seed(0)
    model = nn.Sequential(*(LAYERS[name]() for name in names))
    hooked = data.draw(st.sampled_from([None, *range(len(names))]))
    if hooked is not None:
        model[hooked].register_forward_hook(lambda *_: None)
    x = np.random.default_rng(0).normal(size=(2, 2, 11, 13)).astype("float32")
    x = minidl.asarray(x, requires_grad=True)

    def outcome(forward):
        try:
            y = forward(x)
        except ShapeError:
            return None
        leaves = [x, *model.parameters()]
        return [y, *minidl.gradients((y * y).sum(), leaves)]

    def one_by_one(x):
        for module in model:
            x = module(x)
        return x

    together, alone = outcome(model), outcome(one_by_one)
    assert (together is None) == (alone is None)
    for one, other in zip(together or [], alone or [], strict=True):
        assert_close(one.detach(), other.detach(), 1e-6)
