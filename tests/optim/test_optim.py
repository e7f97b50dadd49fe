"""Optimisers against PyTorch's, saving and restoring them, and what they leave alone.

Most tests run in either library: `library` is the module `minidl` or `torch`.
"""

import copy
import itertools
import pickle
from weakref import WeakSet

import numpy as np
import pytest

import minidl
from minidl import nn, ops, optim
from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, GradientError, MinidlError, ShapeError
from tests.helpers import assert_all_close, on_host, share_memory
from tests.oracle import torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # relative to the largest magnitude
LIBRARIES = minidl, torch
STEPS = 10
SHAPES = [(), (3,), (2, 3), (4, 1, 2), (1,), (0,), (5, 4)]


def grid(name, **choices):
    """An optimiser with each combination of its settings that it allows."""
    for values in itertools.product(*choices.values()):
        settings = dict(zip(choices, values, strict=True))
        if not settings.get("nesterov") or (settings["momentum"] and not settings["dampening"]):
            yield name, settings


SGD = list(
    grid(
        "SGD",
        lr=[0.1],
        momentum=[0, 0.9],
        dampening=[0, 0.3],
        weight_decay=[0, 0.1],
        nesterov=[False, True],
        maximize=[False, True],
    )
)
ADAM = list(
    grid(
        "Adam",
        lr=[0.1],
        betas=[(0.9, 0.999), (0.5, 0.7)],
        eps=[1e-8, 1e-2],
        weight_decay=[0, 0.1],
        amsgrad=[False, True],
        maximize=[False, True],
    )
)
A_FEW = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True, "maximize": True}),
]
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_optimizer = pytest.mark.parametrize(("name", "settings"), A_FEW)


def arrays(dtypes="float64", shapes=SHAPES):
    """The values that parameters begin with; dtypes are taken in turn."""
    rng = np.random.default_rng(0)
    dtypes = itertools.cycle([dtypes] if isinstance(dtypes, str) else dtypes)
    return [
        np.asarray(rng.normal(size=shape), dtype)
        for shape, dtype in zip(shapes, dtypes, strict=False)
    ]


def gradients(values, steps=STEPS, every=False):
    """For each step a gradient for each parameter, or None: each is at times, unless `every`."""
    rng = np.random.default_rng(1)
    drawn = [[np.asarray(rng.normal(size=x.shape), x.dtype) for x in values] for _ in range(steps)]
    for step, position in itertools.product(range(steps), range(len(values))):
        if not every and (step + 2 * position) % 5 == 4:
            drawn[step][position] = None
    return drawn


def parameters_of(library, values):
    return [library.nn.Parameter(library.tensor(x)) for x in values]


def take_steps(library, optimizer, parameters, steps, before_step=lambda *_: None):
    """Step with these gradients, after a change of the settings of the groups."""
    for step, given in enumerate(steps):
        before_step(step, optimizer.param_groups)
        for p, gradient in zip(parameters, given, strict=True):
            p.grad = None if gradient is None else library.tensor(gradient)
        optimizer.step()


def values_of(parameters):
    return [np.asarray(p.detach()).copy() for p in parameters]


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def after_ten_steps(library, name, settings, values, before_step=lambda *_: None, every=False):
    """What becomes of parameters in ten steps of an optimiser."""
    parameters = parameters_of(library, values)
    optimizer = getattr(library.optim, name)(parameters, **settings)
    take_steps(library, optimizer, parameters, gradients(values, every=every), before_step)
    return values_of(parameters)


# The same steps as PyTorch.


@each_dtype
@pytest.mark.parametrize(("name", "settings"), SGD + ADAM)
def test_ten_steps_are_pytorchs(name, settings, dtype):
    ours, theirs = (after_ten_steps(lib, name, settings, arrays(dtype)) for lib in LIBRARIES)
    assert_all_close(ours, theirs, TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_default_settings_are_pytorchs(name):
    settings = [
        getattr(library.optim, name)(parameters_of(library, arrays())).defaults
        for library in LIBRARIES
    ]
    own = {"lazy": False} if name == "Adam" else {}
    assert settings[0] == own | {key: settings[1][key] for key in settings[0] if key not in own}


@each_optimizer
def test_one_optimizer_may_have_several_dtypes(name, settings):
    values = arrays(["float32", "float64"])
    ours, theirs = (after_ten_steps(lib, name, settings, values) for lib in LIBRARIES)
    for one, other in zip(ours, theirs, strict=True):
        assert_all_close([one], [other], TOLERANCE[str(one.dtype)])


@each_optimizer
def test_parameters_step_as_if_each_dtype_had_an_optimizer_of_its_own(name, settings):
    values = arrays(["float32", "float64"])
    steps = gradients(values)
    together, apart = parameters_of(minidl, values), parameters_of(minidl, values)
    take_steps(minidl, getattr(optim, name)(together, **settings), together, steps)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        optimizer = getattr(optim, name)(apart[part], **settings)
        take_steps(minidl, optimizer, apart[part], [given[part] for given in steps])
    assert_equal(values_of(together), values_of(apart))


def changed(step, groups):
    """Other settings at some of the steps."""
    for group in groups:
        group["lr"] *= 0.8
        group["weight_decay"] = 0.1 if step in (3, 7) else 0
        group["maximize"] = step == 5


@each_optimizer
def test_settings_may_change_between_steps(name, settings):
    ours, theirs = (
        after_ten_steps(library, name, settings, arrays(), changed) for library in LIBRARIES
    )
    assert_all_close(ours, theirs, 1e-10)


@pytest.mark.parametrize(
    ("name", "settings", "setting", "values"),
    [
        ("SGD", {}, "momentum", (0, 0.9)),
        ("SGD", {"dampening": 0.3}, "momentum", (0, 0.9)),
        ("SGD", {}, "momentum", (0.9, 0)),
        ("SGD", {"momentum": 0.5}, "nesterov", (False, True)),
        ("Adam", {}, "betas", ((0.9, 0.999), (0.5, 0.6))),
        ("Adam", {}, "amsgrad", (True, False)),
    ],
)
def test_a_rule_may_be_switched_between_steps(name, settings, setting, values):
    def switch(step, groups):
        groups[0][setting] = values[step > 4]

    for every in (False, True):
        ours, theirs = (
            after_ten_steps(library, name, settings, arrays(), switch, every)
            for library in LIBRARIES
        )
        assert_all_close(ours, theirs, 1e-10)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
        ("SGD", {"weight_decay": 0.3, "maximize": True}),
        ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "amsgrad": True}),
        ("Adam", {"eps": 1e-2, "weight_decay": 0.3, "maximize": True}),
    ],
)
def test_groups_have_settings_of_their_own(name, own):
    found = []
    for library in LIBRARIES:
        parameters = parameters_of(library, arrays())
        groups = [{"params": parameters[:2]}, {"params": iter(parameters[2:5]), **own}]
        optimizer = getattr(library.optim, name)(groups, lr=0.1)
        take_steps(library, optimizer, parameters[:5], gradients(arrays()[:5], 3))
        optimizer.add_param_group({"params": parameters[5:], **own})
        take_steps(library, optimizer, parameters, gradients(arrays(), 7))
        found.append(values_of(parameters))
    assert_all_close(*found, 1e-10)


def test_a_group_may_be_one_tensor():
    parameter = nn.Parameter([1.0])
    optimizer = optim.SGD([{"params": parameter}], lr=0.5)
    parameter.grad = ops.ones(1)
    optimizer.step()
    assert parameter.tolist() == [0.5]


@each_dtype
@each_optimizer
def test_a_network_learns_as_in_pytorch(name, settings, dtype):
    rng = np.random.default_rng(2)
    x, target = (rng.normal(size=(16, n)).astype(dtype) for n in (4, 3))
    weights = [rng.normal(size=shape).astype(dtype) / 2 for shape in [(8, 4), (8,), (3, 8), (3,)]]
    found = []
    for library in LIBRARIES:
        constant = {"dtype": dtype if library is minidl else getattr(torch, dtype)}
        layers = library.nn.Linear(4, 8, **constant), library.nn.Linear(8, 3, **constant)
        model = library.nn.Sequential(layers[0], library.nn.Tanh(), layers[1])
        with library.no_grad():
            for p, value in zip(model.parameters(), weights, strict=True):
                p[...] = library.tensor(value)
        optimizer = getattr(library.optim, name)(
            model.parameters(), **{**settings, "lr": 0.02, "maximize": False}
        )
        losses = []
        for _ in range(STEPS):
            loss = library.nn.MSELoss()(model(library.tensor(x)), library.tensor(target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        found.append(values_of([*losses, *model.parameters()]))
    assert_all_close(*found, TOLERANCE[dtype])


@each_optimizer
def test_numpys_scalars_are_as_good_as_pythons(name, settings):
    values = arrays("float32")
    in_numpy = {key: np.float64(x) if type(x) is float else x for key, x in settings.items()}
    found = [after_ten_steps(minidl, name, given, values) for given in (settings, in_numpy)]
    assert_equal(*found)


# Steps, and what is left out of them.


@each_optimizer
def test_parameters_without_a_gradient_stay_as_they_are(name, settings):
    parameters = parameters_of(minidl, arrays())
    optimizer = getattr(optim, name)(parameters, **settings)
    optimizer.step()
    parameters[2].grad = minidl.ones_like(parameters[2])
    optimizer.step()
    assert_equal(values_of(parameters[:2]), arrays()[:2])
    assert (parameters[2].numpy() != arrays()[2]).all()
    assert list(optimizer.state) == [parameters[2]]
    assert optimizer.state[parameters[2]]["step"] == 1


def test_frozen_parameters_stay_as_they_are_until_they_thaw():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1)
    layer.weight.requires_grad = False
    before = values_of(layer.parameters())
    for thawed in (False, True):
        layer.weight.requires_grad = thawed
        optimizer.zero_grad()
        layer(ops.ones((3, 2))).sum().backward()
        optimizer.step()
        assert (layer.weight.numpy() != before[0]).all() == thawed
        assert (layer.bias.numpy() != before[1]).all()


def test_zero_grad_forgets_gradients():
    parameters = parameters_of(minidl, arrays())
    for p in parameters:
        p.grad = minidl.ones_like(p)
    parameters[0].requires_grad = False
    optim.SGD(parameters).zero_grad()
    assert all(p.grad is None for p in parameters)


def test_a_closure_gives_the_gradients_and_its_value():
    parameter = nn.Parameter(3.0)
    optimizer = optim.SGD([parameter], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = parameter * parameter
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    assert parameter.item() == 0
    assert optimizer.step() is None


@each_optimizer
def test_gradients_that_can_be_differentiated_are_accepted_too(name, settings):
    found = []
    for create_graph in (False, True):
        parameter = nn.Parameter(np.arange(1.0, 4.0))
        optimizer = getattr(optim, name)([parameter], **settings)
        with minidl.higher_order():
            (parameter**3).sum().backward(create_graph=create_graph)
        optimizer.step()
        found.append(parameter.numpy())
    assert_equal(*[[x] for x in found])
    assert parameter.is_leaf


# What an optimiser leaves alone.


def stepping(name, settings, steps=3):
    """An optimiser that has taken steps, its parameters, and the gradients of the last one."""
    parameters = parameters_of(minidl, arrays())
    optimizer = getattr(optim, name)(parameters, **settings)
    given = [[np.full_like(x, step + 1) for x in arrays()] for step in range(steps)]
    take_steps(minidl, optimizer, parameters, given)
    return optimizer, parameters, given[-1]


def all_state(optimizer):
    """A copy of the state of every parameter, in order."""
    return [on_host(x).copy() for own in optimizer.state.values() for x in own.values()]


@each_optimizer
def test_gradients_are_neither_changed_nor_kept(name, settings):
    optimizer, parameters, given = stepping(name, settings)
    assert_equal([p.grad for p in parameters], given)
    state = all_state(optimizer)
    for p in parameters:
        p.grad[...] = 100
    assert_equal(all_state(optimizer), state)
    assert not any(
        share_memory(x, array)
        for own in optimizer.state.values()
        for x in own.values()
        for p in parameters
        for array in (p.grad, p)
    )


@each_optimizer
def test_parameters_may_share_a_gradient(name, settings):
    pair = [nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])]
    pair[0].grad = pair[1].grad = shared = minidl.tensor([1.0, 2.0])
    getattr(optim, name)(pair, **settings).step()
    assert shared.tolist() == [1, 2]
    assert pair[0].tolist() == pair[1].tolist() != [1, 2]


@each_optimizer
def test_parameters_are_changed_in_place_and_arrays_they_were_copied_from_are_not(name, settings):
    array = np.ones(3)
    parameter = nn.Parameter(minidl.tensor(array))
    seen = parameter.detach()
    parameter.grad = minidl.ones_like(parameter)
    getattr(optim, name)([parameter], **settings).step()
    assert (array == 1).all()
    assert (seen.numpy() != 1).all()
    np.testing.assert_array_equal(seen, parameter)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_step_between_forward_and_backward_is_noticed(sparse):
    table = nn.Parameter(np.ones((4, 2)))
    y = (ops.embedding(table, minidl.tensor([1, 2]), sparse=sparse) ** 2).sum()
    y.backward()
    z = (table * table).sum()
    optim.SGD([table], lr=0.1).step()
    with pytest.raises(GradientError, match="multiply saved an array"):
        z.backward()


# Saving and restoring.


def as_it_is(saved):
    return saved


def pickled(saved):
    return pickle.loads(pickle.dumps(saved))


def continued(optimizer, parameters):
    """The values and the state after five more steps."""
    steps = gradients(arrays())[5:]
    take_steps(minidl, optimizer, parameters, steps, lambda step, groups: changed(step, groups))
    return values_of(parameters) + all_state(optimizer)


@pytest.mark.parametrize("through", [as_it_is, pickled, copy.deepcopy])
@pytest.mark.parametrize("fresh", ["same settings", "default settings"])
@each_optimizer
def test_a_restored_optimizer_goes_on_to_the_bit(name, settings, fresh, through):
    parameters = parameters_of(minidl, arrays())
    optimizer = getattr(optim, name)(parameters, **settings)
    take_steps(minidl, optimizer, parameters, gradients(arrays())[:5])
    saved, twins = through(optimizer.state_dict()), parameters_of(minidl, values_of(parameters))
    expected = continued(optimizer, parameters)
    restored = getattr(optim, name)(twins, **(settings if fresh == "same settings" else {}))
    restored.load_state_dict(saved)
    assert_equal(continued(restored, twins), expected)


@each_optimizer
def test_a_saved_state_is_a_copy(name, settings):
    optimizer, parameters, given = stepping(name, settings)
    saved, kept = optimizer.state_dict(), pickled(optimizer.state_dict())
    take_steps(minidl, optimizer, parameters, [given])
    optimizer.param_groups[0]["lr"] = 7
    other = getattr(optim, name)(parameters_of(minidl, arrays()), **settings)
    other.load_state_dict(saved)
    take_steps(minidl, other, other.param_groups[0]["params"], [given])
    assert saved["param_groups"] == kept["param_groups"]
    for number, own in saved["state"].items():
        assert_equal(own.values(), kept["state"][number].values())


def saved_after_a_step(library, name, settings):
    parameters = parameters_of(library, arrays("float32"))
    optimizer = getattr(library.optim, name)(
        [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.3}], **settings
    )
    take_steps(library, optimizer, parameters, [[np.ones_like(x) for x in arrays("float32")]])
    return optimizer.state_dict(), optimizer, parameters


@each_optimizer
def test_a_saved_state_has_pytorchs_form(name, settings):
    ours, theirs = (saved_after_a_step(library, name, settings)[0] for library in LIBRARIES)
    assert ours.keys() == theirs.keys()
    for one, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert one == {key: other.get(key, False) for key in one}  # "lazy" is ours alone
    for number, own in theirs["state"].items():
        for key, x in own.items():
            if x is not None:
                np.testing.assert_allclose(ours["state"][number][key], x, rtol=1e-6)


@each_optimizer
def test_training_begun_in_pytorch_goes_on_here(name, settings):
    saved, other, others = saved_after_a_step(torch, name, settings)
    _, optimizer, parameters = saved_after_a_step(minidl, name, {})
    optimizer.load_state_dict(saved)
    for library, each, own in ((torch, other, others), (minidl, optimizer, parameters)):
        with library.no_grad():
            for p, value in zip(own, arrays("float32"), strict=True):
                p[...] = library.tensor(value)
        take_steps(library, each, own, gradients(arrays("float32")))
    assert_all_close(values_of(parameters), values_of(others), 1e-5)


@each_optimizer
def test_a_copied_optimizer_goes_on_to_the_bit(name, settings):
    optimizer, parameters, _ = stepping(name, settings)
    twin, twins = copy.deepcopy((optimizer, parameters))
    assert_equal(continued(twin, twins), continued(optimizer, parameters))


BAD_STATES = {
    "groups": (lambda saved: saved["param_groups"].append({"params": [7]}), r"\[7, 1\].*\[7\]"),
    "parameters": (lambda saved: saved["param_groups"][0]["params"].pop(), r"\[6\].*\[7\]"),
    "shape": (
        lambda saved: saved["state"][2].update(exp_avg=ops.ones((3, 2))),
        r"parameter 2.*exp_avg.*\(2, 3\)",
    ),
    "missing": (lambda saved: saved["state"][1].pop("exp_avg_sq"), "parameter 1.*exp_avg_sq"),
    "no step": (lambda saved: saved["state"][1].pop("step"), "parameter 1.*step"),
    "number": (lambda saved: saved["state"].update({9: saved["state"].pop(0)}), "9"),
    "settings": (lambda saved: saved["param_groups"][0].update(lr=-1), "Adam: lr"),
    "no state": (lambda saved: saved.pop("state"), "state"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    optimizer, parameters, _ = stepping("Adam", {"lr": 0.1})
    other, _, _ = stepping("Adam", {"lr": 0.2}, steps=5)
    saved = pickled(other.state_dict())
    spoil(saved)
    before = copy.deepcopy((optimizer, parameters))
    with pytest.raises(MinidlError, match=message):
        optimizer.load_state_dict(saved)
    assert_equal(continued(optimizer, parameters), continued(*before))


# The gradient of a table of which few rows were used.

TABLE = np.random.default_rng(3).normal(size=(7, 3))
ROWS = [[1, 1, 4], [4, 0, 1], [6, 6, 6], [2, 4, 1]]  # those used in each step, some repeatedly


def plain(table, ids, sparse):
    return ops.embedding(table, ids, sparse=sparse)


def twice(table, ids, sparse):
    return plain(table, ids, sparse) * plain(table, ids[::-1], sparse)


def tied(table, ids, sparse):
    return plain(table, ids, sparse) @ table.T


def table_after(use, name, settings, sparse):
    """The table after a step for each list of rows."""
    table = nn.Parameter(minidl.tensor(TABLE))
    optimizer = getattr(optim, name)([table], **settings)
    for ids in ROWS:
        y = use(table, minidl.tensor(ids), sparse)
        optimizer.zero_grad()
        (y * y).sum().backward()
        assert isinstance(table.grad, RowGradient) == (sparse and use is not tied)
        optimizer.step()
    return table.numpy()


@pytest.mark.parametrize("use", [plain, twice, tied])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *A_FEW,
        ("SGD", {"lr": 0.1, "maximize": True}),
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ],
)
def test_row_gradients_are_as_good_as_dense_ones(name, settings, use):
    settings = {**settings, "lr": 0.01}
    found, expected = (table_after(use, name, settings, sparse) for sparse in (True, False))
    assert_all_close([found], [expected], 1e-14)


@pytest.mark.parametrize("maximize", [False, True])
def test_plain_sgd_changes_the_used_rows_and_touches_no_others(maximize, monkeypatch):
    monkeypatch.delattr(RowGradient, "dense")
    table = nn.Parameter(minidl.tensor(TABLE))
    plain(table, minidl.tensor([2, 5, 2]), sparse=True).sum().backward()
    optim.SGD([table], lr=0.1, maximize=maximize).step()
    change = np.zeros_like(TABLE)
    change[[2, 5]] = [[0.2] * 3, [0.1] * 3]
    np.testing.assert_allclose(table, TABLE + (change if maximize else -change), rtol=1e-15)
    np.testing.assert_array_equal(table.numpy()[[0, 1, 3, 4, 6]], TABLE[[0, 1, 3, 4, 6]])


def test_a_table_may_step_with_dense_parameters():
    table, bias = nn.Parameter(minidl.tensor(TABLE)), nn.Parameter(np.ones(3))
    (plain(table, minidl.tensor([2]), sparse=True) + bias).sum().backward()
    optim.SGD([table, bias], lr=0.5).step()
    np.testing.assert_allclose(table.numpy()[2], TABLE[2] - 0.5)
    assert bias.tolist() == [0.5] * 3


# Errors.

P, Q = nn.Parameter([1.0, 2.0]), nn.Parameter(3.0)
NAN = float("nan")
SETTINGS = {
    "SGD": [
        *(("lr", -0.1), ("lr", NAN), ("lr", "fast"), ("lr", None)),
        *(("momentum", -1), ("weight_decay", NAN), ("dampening", NAN)),
    ],
    "Adam": [
        *(("lr", -0.1), ("lr", NAN), ("eps", -1e-8), ("weight_decay", -1)),
        *(("betas", (1.0, 0.9)), ("betas", (0.9, -0.1)), ("betas", (NAN, 0.9))),
        *(("betas", 0.9), ("betas", (0.9,)), ("betas", (0.9, 0.9, 0.9)), ("betas", ("a", 0.9))),
    ],
}
BAD_SETTINGS = [(name, *pair) for name, pairs in SETTINGS.items() for pair in pairs]


@pytest.mark.parametrize("place", ["for all", "in a group"])
@pytest.mark.parametrize(("name", "setting", "value"), BAD_SETTINGS)
def test_settings_out_of_range_are_refused(name, setting, value, place):
    own = {setting: value}
    parameters, settings = ([P], own) if place == "for all" else ([{"params": [P], **own}], {})
    with pytest.raises(MinidlError, match=f"{name}: .*{setting}"):
        getattr(optim, name)(parameters, **settings)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_without_dampening(settings):
    with pytest.raises(ArgumentError, match="SGD: nesterov needs a momentum, and no dampening"):
        optim.SGD([P], nesterov=True, **settings)
    with pytest.raises(ArgumentError, match="SGD: nesterov needs a momentum, and no dampening"):
        optim.SGD([{"params": [P], "nesterov": True, **settings}])


BAD_PARAMETERS = {
    "none": ([], ArgumentError, "at least one parameter"),
    "an iterator of none": (iter([]), ArgumentError, "at least one parameter"),
    "not a leaf": ([P * 2], GradientError, "leaf tensors; got Tensor"),
    "an array": ([np.ones(3)], MinidlError, "leaf tensors; got array"),
    "names too": (nn.Linear(2, 2).named_parameters(), MinidlError, "leaf tensors; got"),
    "one tensor": (P, MinidlError, ""),
    "one number": (Q, MinidlError, ""),
    "a set": ({P}, ArgumentError, "a set, whose order changes .*: give a list"),
    "a frozen set": (frozenset([P]), ArgumentError, "a frozenset, whose order"),
    "a weak set": (WeakSet([P]), ArgumentError, "a WeakSet, whose order"),
    "a set in a group": ([{"params": {P}}], ArgumentError, 'in "params"; got a set, whose order'),
    "twice": ([P, Q, P], ArgumentError, r"shape \(2,\) is given twice"),
    "in two groups": ([{"params": [P]}, {"params": [P]}], ArgumentError, "given twice"),
    "a group without any": ([{"lr": 0.1}], MinidlError, "params"),
    "unknown setting": ([{"params": [P], "momentun": 0.9}], ArgumentError, "momentun.*momentum"),
}


@pytest.mark.parametrize(
    ("parameters", "kind", "message"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS
)
def test_what_is_no_list_of_parameters_is_refused(parameters, kind, message):
    with pytest.raises(kind, match=f"SGD: .*{message}"):
        optim.SGD(parameters)


def test_parameters_may_be_in_any_order_that_stays():
    other = nn.Parameter(minidl.ones(3))
    for given in (
        (P, other),
        {"a": P, "b": other}.values(),
        {P: 1, other: 2}.keys(),
        iter([P, other]),
    ):
        assert list(map(id, optim.SGD(given).param_groups[0]["params"])) == [id(P), id(other)]


def test_a_group_that_is_refused_is_not_added():
    optimizer = optim.SGD([P])
    with pytest.raises(ArgumentError):
        optimizer.add_param_group({"params": [Q, P]})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [Q]})


def test_a_state_for_other_shapes_is_refused():
    optimizer, _, _ = stepping("SGD", {"momentum": 0.9})
    other = optim.SGD(parameters_of(minidl, [x.T for x in arrays()]), momentum=0.9)
    with pytest.raises(ShapeError, match=r"parameter 2.*momentum_buffer.*\(3, 2\)"):
        other.load_state_dict(optimizer.state_dict())


def test_the_representation_shows_the_settings_of_each_group():
    optimizer = optim.SGD([{"params": [P]}, {"params": [Q], "lr": 0.5}], lr=0.1)
    shared = "momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False"
    assert repr(optimizer) == f"SGD(lr=0.1, {shared}; lr=0.5, {shared})"


def test_a_rule_of_ones_own_may_have_numbers_as_state():
    class Halving(optim.Optimizer):
        numbers = ("factor",)

        def __init__(self, params, lr=1.0):
            super().__init__(params, lr=lr, maximize=False)

        def initial(self, group, name):
            return 1.0

        def change(self, xp, group, step, gradient, state):
            state["factor"] *= 0.5
            return group["lr"] * state["factor"] * gradient

    w = nn.Parameter(np.zeros(2))
    optimizer = Halving([w])
    for _ in range(3):
        w.grad = minidl.ones(2, dtype="float64")
        optimizer.step()
    assert w.tolist() == [-0.875, -0.875]
    assert optimizer.state[w]["factor"] == 0.125
