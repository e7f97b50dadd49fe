"""The state of optimisers is found by the identity of its objects, whoever put them there."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import on_host
from tests.oracle import INSTALLED, torch

RULES = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1},
    "Adamax": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.9, "centered": True},
    "Adagrad": {"lr": 0.1},
    "Adadelta": {"lr": 0.1},
    "Rprop": {"lr": 0.1},
    "ASGD": {"lr": 0.1},
}
OURS_ALONE = {"LAMB": {"lr": 0.1}, "Lion": {"lr": 0.1}}
EVERY = {**RULES, **OURS_ALONE}
each_rule = pytest.mark.parametrize("name", EVERY)
each_shared_rule = pytest.mark.parametrize("name", RULES)
each_path = pytest.mark.parametrize("kernels", ["fast", "reference"])

SHAPES = (3, 2), (4,), (2, 1, 2)


def made(library, name, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    params = [
        library.nn.Parameter(library.asarray(rng.normal(size=s).astype(dtype))) for s in SHAPES
    ]
    return params, getattr(library.optim, name)(params, **EVERY[name])


def step(library, params, optimizer, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = library.asarray(
            rng.normal(size=tuple(p.shape)).astype(str(p.dtype).split(".")[-1])
        )
    optimizer.step()


def numbers(x):
    return x.numpy() if INSTALLED and isinstance(x, torch.Tensor) else on_host(x).copy()


def arrays_in(own):
    return {name: x for name, x in own.items() if getattr(x, "shape", ())}


def values(params):
    return [numbers(p.detach()) for p in params]


@each_path
@each_shared_rule
def test_state_that_is_replaced_by_hand_is_what_counts(name, kernels):
    """As in PyTorch, whether one array is replaced, or the whole state of a parameter."""
    found = []
    for library in (minidl, torch):
        with minidl.kernels(kernels):
            params, optimizer = made(library, name)
            for seed in range(3):
                step(library, params, optimizer, seed)
            for i, p in enumerate(params):
                own = optimizer.state[p]
                for key, x in arrays_in(own).items():
                    own[key] = abs(library.asarray(numbers(x))) * 0.5 + (i + 1) * 0.1
                if i == 1:
                    optimizer.state[p] = dict(own)
            for seed in range(3, 6):
                step(library, params, optimizer, seed)
        found.append(values(params))
    for ours, theirs in zip(*found, strict=True):
        rtol = 1e-6 if name in ("NAdam", "ASGD") else 1e-10  # PyTorch keeps their μ in float32
        np.testing.assert_allclose(ours, theirs, rtol=rtol)


@each_path
@each_rule
def test_a_new_parameter_inherits_nothing_from_a_dead_one(name, kernels):
    """At the address of a dead parameter or elsewhere, it starts as in a new optimiser."""
    with minidl.kernels(kernels):
        for attempt in range(5):
            params, optimizer = made(minidl, name)
            step(minidl, params, optimizer, 0)
            old = params.pop(1)
            optimizer.param_groups[0]["params"] = params
            del optimizer.state[old], old
            params.insert(1, nn.Parameter(np.full(SHAPES[1], 2.0)))
            optimizer.param_groups[0]["params"] = params
            step(minidl, params, optimizer, attempt)
            alone = nn.Parameter(np.full(SHAPES[1], 2.0))
            fresh = getattr(optim, name)([alone], **EVERY[name])
            alone.grad = params[1].grad
            fresh.step()
            np.testing.assert_allclose(params[1].numpy(), alone.numpy(), rtol=1e-12)


@each_path
@each_rule
def test_an_array_that_was_deleted_begins_anew(name, kernels):
    with minidl.kernels(kernels):
        params, optimizer = made(minidl, name)
        step(minidl, params, optimizer, 0)
        optimizer.state[params[0]].clear()
        start = params[0].numpy().copy()
        step(minidl, params, optimizer, 1)
        alone = nn.Parameter(start)
        fresh = getattr(optim, name)([alone], **EVERY[name])
        alone.grad = params[0].grad
        fresh.step()
    np.testing.assert_allclose(params[0].numpy(), alone.numpy(), rtol=1e-12)


@each_path
@each_rule
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_by_itself(name, kernels, copied):
    with minidl.kernels(kernels):
        params, optimizer = made(minidl, name)
        step(minidl, params, optimizer, 0)
        twins, twin = copied((params, optimizer))
        for seed in (1, 2):
            step(minidl, params, optimizer, seed)
        for seed in (1, 2):
            step(minidl, twins, twin, seed)
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@each_path
@each_rule
def test_which_parameters_step_may_vary(name, kernels):
    """Each parameter moves as it would alone, whatever the buckets are."""
    with minidl.kernels(kernels):
        params, optimizer = made(minidl, name)
        alone = [made(minidl, name) for _ in SHAPES]
        for seed in range(12):
            rng = np.random.default_rng(seed)
            for i, p in enumerate(params):
                p.grad = None if rng.random() < 0.4 else minidl.asarray(rng.normal(size=p.shape))
                alone[i][0][i].grad = p.grad
            optimizer.step()
            for _, single in alone:
                single.step()
        for i, p in enumerate(params):
            np.testing.assert_allclose(p.numpy(), alone[i][0][i].numpy(), rtol=1e-9)


@each_path
@pytest.mark.parametrize(
    "given",
    [
        np.ones((3, 2), "float32"),
        np.ones((2, 3)).T,
        minidl.ones((3, 2)),
        [[1.0, 1.0]] * 3,
        np.broadcast_to(1.0, (3, 2)),
    ],
    ids=["another dtype", "another order", "a tensor", "lists", "read-only"],
)
def test_state_of_another_form_is_taken_as_numbers(given, kernels):
    found = []
    for moment in (given, np.ones((3, 2))):
        with minidl.kernels(kernels):
            params, optimizer = made(minidl, "Adam")
            step(minidl, params, optimizer, 0)
            optimizer.state[params[0]]["exp_avg"] = moment
            optimizer.state[params[0]]["step"] = minidl.tensor(1)
            step(minidl, params, optimizer, 1)
            step(minidl, params, optimizer, 2)
        found.append(params[0].numpy().copy())
    np.testing.assert_array_equal(*found)


@each_path
@each_rule
def test_state_of_another_shape_is_refused(name, kernels):
    with minidl.kernels(kernels):
        params, optimizer = made(minidl, name)
        step(minidl, params, optimizer, 0)
        for key in arrays_in(optimizer.state[params[0]]):
            kept = optimizer.state[params[0]][key]
            optimizer.state[params[0]][key] = np.zeros(2)
            with pytest.raises(ShapeError, match=rf"{name}.*'{key}'.*\(3, 2\)"):
                step(minidl, params, optimizer, 1)
            optimizer.state[params[0]][key] = kept


@each_path
@each_rule
def test_a_model_may_change_its_dtype(name, kernels):
    with minidl.kernels(kernels):
        model = nn.Linear(3, 2)
        optimizer = getattr(optim, name)(model.parameters(), **EVERY[name])
        step(minidl, list(model.parameters()), optimizer, 0)
        model.double()
        step(minidl, list(model.parameters()), optimizer, 1)
    assert all(
        x.dtype == "float64" for own in optimizer.state.values() for x in arrays_in(own).values()
    )


@pytest.mark.parametrize("step", [None, "a", -1, 1.5, np.nan, [1, 2]])
def test_a_number_of_steps_that_is_none_is_refused(step):
    p = nn.Parameter(minidl.ones(3))
    optimizer = optim.Adam([p])
    p.grad = minidl.ones(3)
    optimizer.step()
    optimizer.state[p]["step"] = step
    with pytest.raises(ArgumentError, match=r"Adam: state\['step'\] is an integer ≥ 0; got"):
        optimizer.step()
