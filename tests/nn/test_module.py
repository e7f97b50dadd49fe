"""What holds for every Module: what it consists of, how it runs, is saved, restored and copied."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import MinidlError, ShapeError
from minidl.nn import init
from tests.helpers import assert_all_close
from tests.nn.test_layers import leaves, outcome, uniform
from tests.oracle import torch

# Networks have the names and the state of PyTorch's.


def network(library):
    """The same network in either library."""
    return library.Sequential(
        library.Flatten(),
        library.Linear(6, 5),
        library.Sequential(library.Tanh(), library.Linear(5, 4, bias=False), library.Dropout(0.2)),
        library.ReLU(),
        library.Linear(4, 3),
    )


class Parts:
    """The parts of a network in a list and a dict, which PyTorch needs classes for."""

    def __init__(self, library, as_list, as_dict):
        super().__init__()
        self.first = library.Linear(4, 4)
        self.blocks = as_list([library.Linear(4, 4, bias=False), library.Linear(4, 4)])
        self.heads = as_dict({"mean": library.Linear(4, 1), "scale": library.Linear(4, 1)})

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x) * block(x)
        return self.heads["mean"](x) * self.heads["scale"](x)


class OurParts(Parts, nn.Module):
    def __init__(self):
        super().__init__(nn, list, dict)


class TheirParts(Parts, torch.nn.Module):
    def __init__(self):
        super().__init__(torch.nn, torch.nn.ModuleList, torch.nn.ModuleDict)


NETWORKS = {
    "Sequential": (lambda: network(nn), lambda: network(torch.nn), (5, 2, 3)),
    "parts": (OurParts, TheirParts, (5, 4)),
}
each_network = pytest.mark.parametrize(("ours", "theirs", "shape"), NETWORKS.values(), ids=NETWORKS)


@each_network
def test_a_network_has_pytorchs_names(ours, theirs, shape):
    ours, theirs = ours(), theirs()
    for names in ("state_dict", "named_parameters", "named_buffers"):
        assert list(dict(getattr(ours, names)())) == list(dict(getattr(theirs, names)())), names


@each_network
def test_pytorchs_state_makes_the_same_network(ours, theirs, shape):
    ours, theirs = ours().eval(), theirs().eval()
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    x = uniform(shape, "float32")
    assert_all_close(
        outcome(ours, [minidl.tensor(x, requires_grad=True)]),
        outcome(theirs, [torch.tensor(x, requires_grad=True)]),
        1e-5,
    )


def test_pytorchs_parameters_load_too():
    theirs = torch.nn.Linear(3, 2)
    ours = nn.Linear(3, 2)
    ours.load_state_dict(dict(theirs.named_parameters()))
    np.testing.assert_array_equal(ours.weight, theirs.weight.detach())


# What a module consists of.


def linear():
    return nn.Linear(2, 2)


class Everything(nn.Module):
    """Parts in every place where they are looked for, and things that are none."""

    def __init__(self):
        self.scale = nn.Parameter([1.0, 2.0])
        self.steps = nn.Buffer([0.0])
        self.layer = linear()
        self.pair = linear(), linear()
        self.deep = [{"a": [linear()], "b": nn.Parameter([3.0])}, "text", None]
        self.free = [nn.Parameter([4.0]), nn.Parameter([5.0])]
        self.constant = minidl.tensor([6.0])
        self.missing = None
        self.settings = {"p": 0.5}


EVERY_PARAMETER = [
    *("scale", "deep.0.b", "free.0", "free.1"),
    *("layer.weight", "layer.bias", "pair.0.weight", "pair.0.bias"),
    *("pair.1.weight", "pair.1.bias", "deep.0.a.0.weight", "deep.0.a.0.bias"),
]


def test_parameters_are_found_in_attributes_lists_tuples_and_dicts():
    module = Everything()
    assert [name for name, _ in module.named_parameters()] == EVERY_PARAMETER
    assert [name for name, _ in module.named_buffers()] == ["steps"]
    assert list(module.buffers()) == [module.steps]
    assert set(module.state_dict()) == {*EVERY_PARAMETER, "steps"}
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in module.parameters())


def test_modules_and_children():
    module = Everything()
    children = ["layer", "pair.0", "pair.1", "deep.0.a.0"]
    assert [name for name, _ in module.named_children()] == children
    assert [name for name, _ in module.named_modules()] == ["", *children]
    assert list(module.modules()) == [module, *module.children()]


def test_names_follow_the_order_of_assignment():
    module = nn.Module()
    module.b, module.a = linear(), linear()
    assert [name for name, _ in module.named_children()] == ["b", "a"]
    del module.b
    assert list(module.state_dict()) == ["a.weight", "a.bias"]


class Tied(nn.Module):
    """The weight of the second layer is the first one's."""

    def __init__(self):
        self.one, self.two = linear(), linear()
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x))


class Repeated(nn.Module):
    """One layer under two names."""

    def __init__(self):
        self.one = self.two = linear()

    def forward(self, x):
        return self.two(self.one(x))


class TheirRepeated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = self.two = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.two(self.one(x))


def test_a_shared_parameter_is_one_parameter_with_two_names():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["one.weight", "one.bias", "two.bias"]
    assert list(model.state_dict()) == ["one.weight", "one.bias", "two.weight", "two.bias"]


def test_a_shared_layer_is_one_layer_with_two_names():
    ours, theirs = Repeated(), TheirRepeated()
    assert [name for name, _ in ours.named_modules()] == ["", "one"]
    assert [name for name, _ in ours.named_parameters()] == ["one.weight", "one.bias"]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())


def test_a_layer_shared_by_two_parts_is_one_layer():
    names = []
    for library in (nn, torch.nn):
        layer = library.Linear(2, 2)
        model = library.Sequential(library.Sequential(layer), library.Sequential(layer, layer))
        names.append([list(dict(model.named_parameters())), list(model.state_dict())])
        names[-1].append([name for name, _ in model.named_modules()])
    assert names[0] == names[1]


def test_gradients_of_a_shared_layer_add_up():
    ours, theirs = Repeated(), TheirRepeated()
    theirs.load_state_dict(
        {f"{name}.{key}": torch.from_dlpack(x.cpu()) for name in ("one", "two")
         for key, x in ours.one.state_dict().items()}
    )  # fmt: skip
    assert_all_close(*map(outcome, (ours, theirs), leaves([uniform((3, 2), "float32")])), 1e-5)


@pytest.mark.parametrize("model", [Repeated, lambda: nn.Sequential(*[nn.ReLU()] * 2)])
def test_apply_calls_once_with_each_module_and_last_with_the_whole(model):
    model, seen = model(), []
    assert model.apply(seen.append) is model
    assert seen == [*dict.fromkeys(model.children()), model]


def test_apply_goes_all_the_way_down():
    model = network(nn)
    model.apply(lambda m: isinstance(m, nn.Linear) and init.fill(m.weight, 0.5))
    weights = [x for name, x in model.named_parameters() if name.endswith("weight")]
    assert len(weights) == 3
    assert all((x == 0.5).all() for x in weights)


def test_the_representation_shows_the_parts():
    inner = nn.Sequential(nn.ReLU())
    assert repr(nn.Sequential(inner, nn.GELU("tanh"))) == (
        "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n  (1): GELU(approximate='tanh')\n)"
    )


# How a module runs.


def test_train_and_eval_reach_every_module():
    model = network(nn)
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())
    model[2].train(False)
    assert [module.training for module in model.children()] == [True, True, False, True, True]
    assert nn.Module.training  # the class is as it was


def trained_on_a_batch(model, shape=(5, 2, 3)):
    model(minidl.tensor(uniform(shape, "float32"))).sum().backward()
    return model


def test_frozen_parameters_get_no_gradient_and_let_gradients_through():
    model = network(nn)
    assert model[4].requires_grad_(False) is model[4]
    trained_on_a_batch(model)
    assert [p.grad is not None for p in model.parameters()] == [True] * 3 + [False] * 2
    model.requires_grad_()
    trained_on_a_batch(model)
    assert all(p.grad is not None for p in model.parameters())


def test_zero_grad_forgets_gradients_and_spares_frozen_parameters():
    model = trained_on_a_batch(network(nn))
    model[4].requires_grad_(False)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Everything has no forward"):
        Everything()(1)


@pytest.mark.parametrize("data", [2.5, [1.0, 2.0], np.ones((2, 3)), minidl.ones(3) * 2])
def test_parameters_are_leaves_with_the_values_given(data):
    parameter = nn.Parameter(data)
    assert parameter.is_leaf
    assert parameter.requires_grad
    np.testing.assert_array_equal(parameter, data)
    assert not nn.Parameter(data, requires_grad=False).requires_grad


def test_a_parameter_made_of_a_result_has_no_history():
    x = minidl.tensor([1.0], requires_grad=True)
    parameter = nn.Parameter(x * 2)
    (parameter * 3).sum().backward()
    assert x.grad is None
    assert parameter.grad.tolist() == [3]


# Saving and restoring.


def state_of(model):
    """A copy of the values of a model."""
    return {name: np.array(x) for name, x in model.state_dict().items()}


def assert_same_state(model, state):
    own = state_of(model)
    assert list(own) == list(state)
    for name, x in own.items():
        np.testing.assert_array_equal(x, state[name], err_msg=name)


@pytest.mark.parametrize("form", [dict, lambda s: {k: x.tolist() for k, x in s.items()}])
def test_state_goes_from_one_model_to_another(form):
    source, model = Everything(), Everything()
    init.fill(source.steps, 7)
    state = state_of(source)
    assert model.load_state_dict(form(state)) == ([], [])
    assert_same_state(model, state)
    init.fill(model.scale, -1)
    assert_same_state(source, state)  # they share nothing


def test_loading_keeps_dtypes_leaves_and_gradients():
    model = trained_on_a_batch(network(nn))
    before = [(p, p.grad.numpy()) for p in model.parameters()]
    model.load_state_dict({name: x.astype("float64") for name, x in model.state_dict().items()})
    assert [p.dtype for p in model.parameters()] == [minidl.float32] * 5
    for parameter, (same, gradient) in zip(model.parameters(), before, strict=True):
        assert parameter is same
        np.testing.assert_array_equal(parameter.grad, gradient)


def test_loading_between_forward_and_backward_is_noticed():
    model = nn.Linear(2, 2)
    y = model(minidl.ones((1, 2), requires_grad=True)).sum()
    model.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(minidl.errors.GradientError, match="linear saved an array"):
        y.backward()


def test_what_fits_is_loaded_when_not_strict():
    model, other = network(nn), network(nn)
    state = state_of(other)
    extra = {"7.weight": state.pop("1.weight")}
    kept = np.array(model[1].weight)
    result = model.load_state_dict({**state, **extra}, strict=False)
    assert result == (["1.weight"], ["7.weight"])
    assert_same_state(model, {"1.weight": kept, **state})


NUMBERS = np.ones((3, 4))
BAD_STATES = {
    "missing": ({"4.weight": None}, r"missing \['4.weight'\]"),
    "unexpected": ({"5.weight": NUMBERS}, r"unexpected \['5.weight'\]"),
    "transposed": ({"4.weight": NUMBERS.T}, r"4.weight has shape \(4, 3\), needs \(3, 4\)"),
    "would broadcast": ({"4.bias": np.ones(1)}, r"4.bias has shape \(1,\), needs \(3,\)"),
    "two wrong": ({"1.bias": NUMBERS, "4.bias": NUMBERS}, r"1.bias .*; 4.bias has shape \(3, 4\)"),
    "no numbers": ({"4.weight": "abc"}, r"4.weight"),
    "complex": ({"4.weight": 1j * NUMBERS}, r"4.weight|complex"),
}


@pytest.mark.parametrize(("change", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_is_named_and_changes_nothing(change, message):
    model = network(nn)
    before = state_of(model)
    state = {**state_of(network(nn)), **change}
    state = {name: x for name, x in state.items() if x is not None}
    with pytest.raises(MinidlError, match=message):
        model.load_state_dict(state)
    assert_same_state(model, before)


def test_wrong_shapes_are_errors_even_when_not_strict():
    with pytest.raises(ShapeError, match="weight has shape"):
        nn.Linear(2, 3).load_state_dict({"weight": np.ones((2, 3))}, strict=False)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


each_way_to_copy = pytest.mark.parametrize("copied", [copy.deepcopy, pickled])


@each_way_to_copy
def test_a_copy_is_equal_and_independent(copied):
    model = network(nn).eval()
    model[4].requires_grad_(False)
    twin, state = copied(model), state_of(model)
    assert repr(twin) == repr(model)
    assert [p.requires_grad for p in twin.parameters()] == [True] * 3 + [False] * 2
    assert not any(module.training for module in twin.modules())
    assert_same_state(twin, state)
    trained_on_a_batch(twin)
    twin.apply(lambda m: [init.fill(p, 0) for p in m.parameters()])
    assert_same_state(model, state)
    assert all(p.grad is None for p in model.parameters() if p.requires_grad)


@each_way_to_copy
def test_a_copy_keeps_what_is_shared_shared(copied):
    for model in (copied(Tied()), copied(Repeated())):
        assert model.one.weight is model.two.weight


@each_way_to_copy
def test_a_copied_dropout_still_follows_manual_seed(copied):
    model = network(nn)
    twin, x = copied(model), minidl.tensor(uniform((5, 2, 3), "float32"))
    results = []
    for each in (model, twin):
        minidl.manual_seed(3)
        results.append(each(x).numpy())
    np.testing.assert_array_equal(*results)


@each_way_to_copy
def test_a_copied_dropout_has_a_copy_of_its_generator(copied):
    x, layer = ops.ones(100), nn.Dropout(generator=minidl.random.Generator(1))
    layer(x)
    twin = copied(layer)
    first, second = layer(x).tolist(), layer(x).tolist()
    assert [twin(x).tolist(), twin(x).tolist()] == [first, second]


# Sequential.


def test_sequential_is_a_sequence():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert model[0] is layers[0]
    assert model[-1] is layers[2]
    assert list(model[1:]) == layers[1:]
    assert isinstance(model[:2], nn.Sequential)
    with pytest.raises(IndexError):
        model[3]


def test_sequential_computes_one_after_another():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = minidl.tensor(uniform((4, 2), "float32"))
    np.testing.assert_array_equal(model(x), ops.relu(model[0](x)))
    np.testing.assert_array_equal(model[:1](x), model[0](x))
    assert nn.Sequential()(x) is x


def repetitive(library):
    """Three modules, some of them in several places."""
    one, two, shared = library.Linear(3, 3), library.Linear(3, 3), library.ReLU()
    return library.Sequential(one, shared, two, shared, one).append(shared), [one, two, shared]


def test_a_module_may_come_more_than_once():
    model, (one, two, shared) = repetitive(nn)
    assert list(model) == [one, shared, two, shared, one, shared]
    assert list(model[2:5]) == [two, shared, one]
    x = minidl.tensor(uniform((2, 3), "float32"))
    np.testing.assert_array_equal(model(x), shared(one(shared(two(shared(one(x)))))))


def test_names_of_repeated_modules_are_pytorchs():
    ours, theirs = repetitive(nn)[0], repetitive(torch.nn)[0]
    assert repr(ours) == repr(theirs)
    for names in ("state_dict", "named_parameters", "named_children", "named_modules"):
        assert list(dict(getattr(ours, names)())) == list(dict(getattr(theirs, names)())), names


def test_append_adds_a_module_at_the_end():
    model = nn.Sequential(nn.Linear(2, 3))
    assert model.append(nn.Linear(3, 1)) is model
    assert len(model) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert model(minidl.ones((4, 2))).shape == (4, 1)


@pytest.mark.parametrize("thing", [ops.relu, [nn.ReLU()], "ReLU", None, nn.ReLU])
def test_sequential_takes_only_modules(thing):
    with pytest.raises((MinidlError, TypeError), match="Sequential"):
        nn.Sequential(nn.Linear(2, 2), thing)
    with pytest.raises((MinidlError, TypeError), match="Sequential"):
        nn.Sequential().append(thing)
