"""Modules, containers, hooks and their helpers used wrongly: each mistake is named."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DeviceError, DTypeError, MinidlError, ShapeError


def linear():
    return nn.Linear(2, 3)


def state(**changes):
    """What `linear()` takes, with changes."""
    return {"weight": minidl.ones((3, 2)), "bias": minidl.ones(3), **changes}


def load(**changes):
    return lambda: linear().load_state_dict(state(**changes))


def load_batch_count(value):
    norm = nn.BatchNorm1d(2)
    return norm.load_state_dict({**norm.state_dict(), "num_batches_tracked": value})


class Bare(nn.Module):
    """Has no forward."""


def relus(kind=nn.Sequential):
    return kind(nn.ReLU()) if kind is nn.Sequential else kind([nn.ReLU()])


# What is done, and what the error must name.
STATE = {
    "None": (lambda: linear().load_state_dict(None), "load_state_dict"),
    "a list": (lambda: linear().load_state_dict([1, 2]), "load_state_dict"),
    "a number": (lambda: linear().load_state_dict(3), "load_state_dict"),
    "a path": (lambda: linear().load_state_dict("best.safetensors"), "load_state_dict"),
    "None inside": (load(weight=None), "load_state_dict: weight"),
    "text inside": (load(weight="a"), "load_state_dict: weight"),
    "an object inside": (load(weight=object()), "load_state_dict: weight"),
    "a ragged list": (load(weight=[[1.0], [2.0, 3.0]]), "load_state_dict: weight"),
    "another shape": (load(weight=minidl.ones((2, 3))), "weight has shape"),
    "complex numbers": (load(weight=minidl.ones((3, 2), dtype="complex64")), "weight"),
    "a fraction of a count": (lambda: load_batch_count(minidl.tensor(2.7)), "num_batches_tracked"),
    "NaN as a count": (lambda: load_batch_count(minidl.tensor(np.nan)), "num_batches_tracked"),
    "names that are numbers": (lambda: linear().load_state_dict({1: 2}), "unexpected [1]"),
    "strict": (lambda: linear().load_state_dict(state(), strict="no"), "load_state_dict: strict"),
}
PARTS = {
    "parameter: a number": (lambda: linear().register_parameter("w", 3), "Linear: w"),
    "parameter: a tensor": (lambda: linear().register_parameter("w", minidl.ones(2)), "Linear: w"),
    "parameter: dotted": (lambda: linear().register_parameter("a.b", None), "Linear: a name"),
    "parameter: number": (lambda: linear().register_parameter(3, None), "Linear: a name"),
    "parameter: nameless": (lambda: linear().register_parameter("", None), "Linear: a name"),
    "parameter: a method": (
        lambda: linear().register_parameter("forward", nn.Parameter([1.0])),
        "another attribute 'forward'",
    ),
    "buffer: text": (lambda: linear().register_buffer("b", "text"), "Linear: b: Buffer"),
    "buffer: a parameter": (lambda: linear().register_buffer("weight", [1.0]), "'weight'"),
    "buffer: persistent": (lambda: linear().register_buffer("b", [1.0], "no"), "persistent"),
    "module: a number": (lambda: linear().add_module("a", 3), "Linear: a"),
    "module: a class": (lambda: linear().add_module("a", nn.ReLU), "Linear: a"),
    "module: a flag": (lambda: linear().add_module("training", nn.ReLU()), "'training'"),
    "Parameter of text": (lambda: nn.Parameter("text"), "Parameter"),
    "Parameter of nothing": (lambda: nn.Parameter(None), "Parameter"),
    "Parameter of integers": (lambda: nn.Parameter([1, 2]), "Parameter"),
    "Parameter, requires_grad": (lambda: nn.Parameter([1.0], requires_grad="no"), "Parameter"),
    "Buffer of nothing": (lambda: nn.Buffer(None), "Buffer"),
    "Buffer, persistent": (lambda: nn.Buffer([1.0], persistent="no"), "Buffer: persistent"),
}
CONTAINERS = {
    "of a function": (lambda: nn.Sequential(abs), "Sequential: is made of modules"),
    "of a class": (lambda: nn.Sequential(nn.ReLU), "Sequential: is made of modules"),
    "of None": (lambda: nn.Sequential(None), "Sequential: is made of modules"),
    "of a list": (lambda: nn.Sequential([nn.ReLU()]), "Sequential: is made of modules; got list"),
    "of numbers by name": (lambda: nn.Sequential({"a": 3}), "Sequential: is made of modules"),
    "dotted name": (lambda: nn.Sequential({"a.b": nn.ReLU()}), "Sequential: a name"),
    "number's name": (lambda: nn.Sequential({1: nn.ReLU()}), "Sequential: a name"),
    "method's name": (lambda: nn.Sequential({"append": nn.ReLU()}), "'append'"),
    "append": (lambda: relus().append(3), "Sequential: is made of modules"),
    "extend by a number": (lambda: relus().extend(3), "Sequential"),
    "extend by numbers": (lambda: relus().extend([3]), "Sequential: is made of modules"),
    "insert at text": (lambda: relus().insert("a", nn.ReLU()), "Sequential: index"),
    "insert a number": (lambda: relus().insert(0, 3), "Sequential: is made of modules"),
    "pop": (lambda: relus().pop(1), "Sequential: has 1 modules; got index 1"),
    "pop text": (lambda: relus().pop("a"), "Sequential: has 1 modules; got index 'a'"),
    "index": (lambda: relus()[-2], "Sequential: has 1 modules; got index -2"),
    "text index": (lambda: relus()["0"], "Sequential: has 1 modules; got index '0'"),
    "fraction index": (lambda: relus()[0.5], "Sequential: has 1 modules; got index 0.5"),
    "set slice": (lambda: relus().__setitem__(slice(0, 1), nn.ReLU()), "got index slice"),
    "delete": (lambda: relus().__delitem__(3), "Sequential: has 1 modules; got index 3"),
    "add a number": (lambda: relus() + 3, "Sequential"),
    "add a module": (lambda: relus() + nn.ReLU(), "Sequential: needs modules; got ReLU"),
    "list of one module": (lambda: nn.ModuleList(nn.ReLU()), "ModuleList: needs a list; got ReLU"),
    "list of text": (lambda: nn.ModuleList("ab"), "ModuleList: needs a list"),
    "list of a class": (lambda: nn.ModuleList([nn.ReLU]), "ModuleList: is made of modules"),
    "list of None": (lambda: nn.ModuleList([None]), "ModuleList: is made of modules"),
    "list, insert": (lambda: relus(nn.ModuleList).insert("a", nn.ReLU()), "ModuleList: index"),
    "list, text index": (lambda: relus(nn.ModuleList)["0"], "ModuleList: has 1 items"),
    "list, pop": (lambda: nn.ModuleList().pop(), "ModuleList: has 0 items"),
    "list, add": (lambda: nn.ModuleList() + 3, "ModuleList: needs a list; got 3"),
    "dict of a list": (lambda: nn.ModuleDict([nn.ReLU()]), "ModuleDict: needs a dict or pairs"),
    "dict of text": (lambda: nn.ModuleDict("ab"), "ModuleDict: needs a dict or pairs"),
    "dict of a class": (lambda: nn.ModuleDict({"a": nn.ReLU}), "ModuleDict: is made of modules"),
    "dict of None": (lambda: nn.ModuleDict({"a": None}), "ModuleDict: is made of modules"),
    "dict, method's name": (lambda: nn.ModuleDict({"keys": nn.ReLU()}), "'keys'"),
    "dict, pop": (lambda: nn.ModuleDict().pop("a"), "ModuleDict: has no 'a'"),
    "dict, key": (lambda: nn.ModuleDict()[[1]], "ModuleDict: has no [1]"),
    "parameters of text": (lambda: nn.ParameterList(["a"]), "ParameterList: Parameter"),
    "parameters of None": (lambda: nn.ParameterList([None]), "ParameterList: Parameter"),
    "parameters of integers": (lambda: nn.ParameterList([[1, 2]]), "ParameterList: Parameter"),
    "parameters of a tensor": (lambda: nn.ParameterList(minidl.ones(2)), "needs a list"),
    "named parameters of text": (lambda: nn.ParameterDict({"a": "b"}), "ParameterDict: Parameter"),
    "mixed names": (lambda: nn.ParameterDict({"a": [1.0], 1: [1.0]}), "ParameterDict: a name"),
}
USE = {
    "hook": (lambda: linear().register_forward_hook(None), "register_forward_hook"),
    "pre hook": (lambda: linear().register_forward_pre_hook(3), "register_forward_pre_hook"),
    "backward hook": (lambda: linear().register_full_backward_hook("a"), "full_backward_hook"),
    "hook, prepend": (lambda: linear().register_forward_hook(print, prepend=3), "prepend"),
    "hook, with_kwargs": (lambda: linear().register_forward_hook(print, with_kwargs=3), "kwargs"),
    "to nothing": (lambda: linear().to(None), "to: needs"),
    "to a number": (lambda: linear().to(3), "to: needs"),
    "to no device": (lambda: linear().to("abacus"), "to: no device 'abacus'"),
    "nothing to no device": (lambda: nn.ReLU().to(device="abacus"), "to: no device 'abacus'"),
    "to a device's number": (lambda: linear().to(device=3), "to: a device is named like"),
    "to integers": (lambda: linear().to("int64"), "to: parameters are floats; got int64"),
    "to complex numbers": (lambda: linear().to("complex64"), "to: parameters are floats"),
    "to no dtype": (lambda: linear().to(dtype="float31"), "to: dtype: 'float31'"),
    "to two dtypes": (lambda: linear().to("float32", "float64"), "to: needs one device and one"),
    "requires_grad_": (lambda: linear().requires_grad_("no"), "requires_grad_: wanted"),
    "train": (lambda: linear().train("no"), "train: training"),
    "apply": (lambda: linear().apply(3), "apply: needs a function; got 3"),
    "get_submodule": (lambda: linear().get_submodule(None), "get_submodule: target"),
    "get_parameter": (lambda: linear().get_parameter("x"), "Linear has no parameter 'x'"),
    "get_buffer": (lambda: linear().get_buffer("weight"), "Linear has no buffer 'weight'"),
    "no forward": (lambda: Bare()(1), "Bare has no forward method"),
}
HELPERS = {
    "summary: another shape": (lambda: nn.summary(linear(), (1, 5)), "summary: in the model"),
    "summary: negative": (lambda: nn.summary(linear(), (-1, 2)), "summary"),
    "summary: fraction": (lambda: nn.summary(linear(), (1.5, 2)), "summary: in the model"),
    "summary: text": (lambda: nn.summary(linear(), "text"), "summary: in the model"),
    "summary: None": (lambda: nn.summary(linear(), None), "summary: in the model"),
    "summary: a class": (lambda: nn.summary(nn.Linear, (1, 2)), "summary: needs a Module"),
    "summary: no forward": (lambda: nn.summary(Bare(), (1, 2)), "summary: in the model (Bare)"),
    "weight_norm: a number": (lambda: nn.utils.weight_norm(3), "weight_norm"),
    "weight_norm: name": (lambda: nn.utils.weight_norm(linear(), "w"), "weight_norm"),
    "weight_norm: no name": (lambda: nn.utils.weight_norm(linear(), [1]), "weight_norm: name"),
    "weight_norm: dim": (lambda: nn.utils.weight_norm(linear(), dim=9), "weight_norm"),
    "weight_norm: text": (lambda: nn.utils.weight_norm(linear(), dim="a"), "weight_norm: dim"),
    "weight_norm: half": (lambda: nn.utils.weight_norm(linear(), dim=0.5), "weight_norm: dim"),
    "weight_norm twice": (
        lambda: nn.utils.weight_norm(nn.utils.weight_norm(linear())),
        "weight_norm",
    ),
    "remove_weight_norm": (lambda: nn.utils.remove_weight_norm(linear()), "remove_weight_norm"),
    "remove_weight_norm: 3": (lambda: nn.utils.remove_weight_norm(3), "remove_weight_norm"),
    "remove_spectral_norm": (lambda: nn.utils.remove_spectral_norm(3), "remove_spectral_norm"),
    "spectral_norm: None": (lambda: nn.utils.spectral_norm(None), "spectral_norm"),
    "spectral_norm: bias": (lambda: nn.utils.spectral_norm(linear(), "bias"), "spectral_norm"),
    **{
        f"spectral_norm: {name}={value!r}": (
            lambda name=name, value=value: nn.utils.spectral_norm(linear(), **{name: value}),
            f"spectral_norm: {name}",
        )
        for name, values in {
            "n_power_iterations": (0, "a", 1.5),
            "eps": ("a", -1.0, float("nan")),
            "dim": ("a", 0.5),
        }.items()
        for value in values
    },
}
MISUSE = {**STATE, **PARTS, **CONTAINERS, **USE, **HELPERS}


def test_no_two_mistakes_share_a_name():
    assert len(MISUSE) == sum(map(len, (STATE, PARTS, CONTAINERS, USE, HELPERS)))


@pytest.mark.parametrize(("misuse", "named"), MISUSE.values(), ids=MISUSE)
def test_the_mistake_is_named(misuse, named):
    with pytest.raises(MinidlError) as caught:
        misuse()
    assert named in str(caught.value)


def test_what_is_refused_changes_nothing():
    layer, before = linear(), nn.Linear(2, 3).state_dict()
    layer.load_state_dict(before)
    for wrong in (state(weight=None), state(bias=minidl.ones(4)), {"weight": minidl.ones((3, 2))}):
        with pytest.raises(MinidlError):
            layer.load_state_dict(wrong)
    for name, x in before.items():
        np.testing.assert_array_equal(layer.state_dict()[name], x)
    with pytest.raises(DeviceError):
        layer.to("float64", device="abacus")
    assert layer.weight.dtype == minidl.float32


# What other libraries ask for, and minidl does not.


class WithoutSuper(nn.Module):
    """Calls no super().__init__()."""

    def __init__(self):
        self.part = nn.Linear(2, 2)
        self.scale = nn.Parameter([2.0])

    def forward(self, x):
        return self.scale * self.part(x)


def test_a_module_needs_no_call_of_super():
    model = WithoutSuper()
    assert [name for name, _ in model.named_parameters()] == ["scale", "part.weight", "part.bias"]
    model.register_forward_hook(lambda module, inputs, output: output + 1)
    assert model.eval()(minidl.ones((1, 2))).shape == (1, 2)
    assert not model.part.training


class Child(nn.Module):
    def __init__(self, parent):
        self.parent = parent


class Parent(nn.Module):
    """Its part has it as a part, which it cannot be."""

    def __init__(self):
        self.child = Child(self)
        self.weight = nn.Parameter([1.0])


@pytest.mark.parametrize(
    "use", [repr, nn.Module.state_dict, lambda m: m.apply(abs)], ids=["repr", "state_dict", "apply"]
)
def test_a_module_inside_itself_is_found(use):
    assert len(list(Parent().parameters())) == 1
    with pytest.raises(ArgumentError, match=r"(Parent|Child) lies in itself"):
        use(Parent())


# The errors of layers whose checks are their own.


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **s: nn.Linear(2, 3, **s),
        lambda **s: nn.Conv2d(2, 3, 1, **s),
        lambda **s: nn.BatchNorm1d(2, **s),
        lambda **s: nn.LayerNorm(2, **s),
        lambda **s: nn.Embedding(2, 3, **s),
    ],
    ids=["Linear", "Conv2d", "BatchNorm1d", "LayerNorm", "Embedding"],
)
def test_parameters_are_floats(make, dtype):
    with pytest.raises(DTypeError, match=f"parameters are floats; got dtype={dtype}"):
        make(dtype=dtype)


def test_a_subclass_is_called_by_its_own_name():
    class Narrow(nn.Linear):
        pass

    with pytest.raises(ArgumentError, match="Narrow: in_features is an integer ≥ 0"):
        Narrow(-1, 2)


@pytest.mark.parametrize("fill", [nn.init.orthogonal_, nn.init.normal_, nn.init.kaiming_normal_])
def test_random_numbers_are_not_written_into_integers(fill):
    x = minidl.ones((2, 2), dtype="int64")
    with pytest.raises(DTypeError, match="needs a tensor of floats"):
        fill(x)
    np.testing.assert_array_equal(x, np.ones((2, 2)))


def test_a_transposed_convolution_given_no_image_says_what_it_needs():
    with pytest.raises(ShapeError, match="ConvTranspose2d"):
        nn.ConvTranspose2d(2, 3, 2)(minidl.ones(4), output_size=(8, 8))
