"""AdamW against PyTorch's, and what holds for all optimisers with any threads and layouts."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import minidl
from minidl import nn, optim
from minidl.backends import threads
from minidl.errors import ArgumentError
from tests.helpers import assert_all_close, assert_close
from tests.optim.test_optim import (
    LIBRARIES,
    STEPS,
    TOLERANCE,
    after_ten_steps,
    all_state,
    arrays,
    assert_equal,
    changed,
    gradients,
    grid,
    parameters_of,
    saved_after_a_step,
    take_steps,
    values_of,
)
from tests.oracle import torch

ADAMW = list(
    grid(
        "AdamW",
        lr=[0.1],
        betas=[(0.9, 0.999), (0.5, 0.7)],
        eps=[1e-8, 1e-2],
        weight_decay=[0, 0.3],
        amsgrad=[False, True],
        maximize=[False, True],
    )
)
A_FEW = [
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
]
RULES = [
    *A_FEW,
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
]
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_few = pytest.mark.parametrize(("name", "settings"), A_FEW)
each_rule = pytest.mark.parametrize(("name", "settings"), RULES)
each_way = pytest.mark.parametrize("kernels", ["fast", "reference"])


# The same steps as PyTorch.


@each_dtype
@each_way
@pytest.mark.parametrize(("name", "settings"), ADAMW)
def test_ten_steps_are_pytorchs(name, settings, kernels, dtype):
    with minidl.kernels(kernels):
        ours = after_ten_steps(minidl, name, settings, arrays(dtype))
    assert_all_close(ours, after_ten_steps(torch, name, settings, arrays(dtype)), TOLERANCE[dtype])


def test_default_settings_are_pytorchs():
    ours, theirs = (lib.optim.AdamW(parameters_of(lib, arrays())).defaults for lib in LIBRARIES)
    assert ours == {"lazy": False} | {key: theirs[key] for key in ours if key != "lazy"}
    assert ours["weight_decay"] == 0.01


@each_few
@each_way
def test_settings_may_change_between_steps(name, settings, kernels):
    with minidl.kernels(kernels):
        ours = after_ten_steps(minidl, name, settings, arrays(), changed)
    assert_all_close(ours, after_ten_steps(torch, name, settings, arrays(), changed), 1e-10)


def test_each_group_has_its_own_decay():
    found = []
    for library in LIBRARIES:
        parameters = parameters_of(library, arrays())
        groups = [
            {"params": parameters[:3], "weight_decay": 0.0},
            {"params": parameters[3:], "weight_decay": 0.5, "lr": 0.02},
        ]
        optimizer = library.optim.AdamW(groups, lr=0.1)
        take_steps(library, optimizer, parameters, gradients(arrays()))
        found.append(values_of(parameters))
    assert_all_close(*found, 1e-10)


# What tells it from Adam.


@each_way
def test_weights_decay_however_small_their_gradients_are(kernels):
    p = nn.Parameter(minidl.tensor([1.0, -2.0], dtype="float64"))
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    with minidl.kernels(kernels):
        for _ in range(4):
            p.grad = minidl.zeros(2, dtype="float64")
            optimizer.step()
    np.testing.assert_allclose(p, np.array([1.0, -2.0]) * (1 - 0.1 * 0.5) ** 4, rtol=1e-14)
    assert optimizer.state[p]["exp_avg"].tolist() == [0, 0], "no decay in the momentum"


@each_way
@each_dtype
def test_without_decay_it_is_adam(kernels, dtype):
    settings = {"lr": 0.1, "weight_decay": 0}
    with minidl.kernels(kernels):
        found = [
            after_ten_steps(minidl, name, settings, arrays(dtype)) for name in ("Adam", "AdamW")
        ]
    assert_equal(*found)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("lr", -1), ("eps", -1), ("weight_decay", float("nan")), ("betas", (1.0, 0.9)), ("betas", 1)],
)
def test_errors_call_it_by_its_name(setting, value):
    with pytest.raises(ArgumentError, match=f"^AdamW: {setting}"):
        optim.AdamW([nn.Parameter(1.0)], **{setting: value})


def test_the_representation_shows_the_settings():
    shown = "AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, "
    assert repr(optim.AdamW([nn.Parameter(1.0)])) == shown + "lazy=False, maximize=False)"


# Saving and restoring.


@each_few
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


@each_few
def test_a_restored_optimizer_goes_on_to_the_bit(name, settings):
    parameters = parameters_of(minidl, arrays())
    optimizer = optim.AdamW(parameters, **settings)
    steps = gradients(arrays())
    take_steps(minidl, optimizer, parameters, steps[:5])
    twins = parameters_of(minidl, values_of(parameters))
    restored = optim.AdamW(twins)
    restored.load_state_dict(optimizer.state_dict())
    for each, own in ((optimizer, parameters), (restored, twins)):
        take_steps(minidl, each, own, steps[5:])
    assert_equal(
        values_of(parameters) + all_state(optimizer), values_of(twins) + all_state(restored)
    )


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_state_may_come_in_any_order_of_memory(name):
    """As that of PyTorch's channels_last does."""
    parameter = nn.Parameter(minidl.tensor(arrays(shapes=[(3, 4)])[0]))
    optimizer = getattr(optim, name)([parameter], lr=0.1)
    steps = gradients([parameter.numpy()], every=True)
    take_steps(minidl, optimizer, [parameter], steps[:5])
    saved = optimizer.state_dict()
    for own in saved["state"].values():
        own.update({k: np.asfortranarray(own[k]) for k in ("exp_avg", "exp_avg_sq")})
    twin = nn.Parameter(minidl.tensor(parameter.numpy()))
    restored = getattr(optim, name)([twin])
    restored.load_state_dict(saved)
    for each, own in ((optimizer, parameter), (restored, twin)):
        take_steps(minidl, each, [own], steps[5:])
    assert_equal(values_of([parameter]), values_of([twin]))


# Kernels against whole-array arithmetic.


def after_three_steps(name, settings, value, steps):
    p = nn.Parameter(minidl.tensor(value))
    optimizer = getattr(optim, name)([p], **settings)
    for gradient in steps:
        p.grad = minidl.asarray(gradient)  # of any strides
        optimizer.step()
    return p.numpy(), [x for key, x in sorted(optimizer.state[p].items()) if key != "step"]


@each_rule
@each_dtype
@given(data=st.data())
def test_kernels_do_what_whole_array_arithmetic_does(name, settings, dtype, data):
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    layout = data.draw(st.sampled_from(["C", "F", "backwards", "every other", "one number"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    value = rng.normal(size=shape).astype(dtype)
    steps = [laid_out(rng, shape, dtype, layout) for _ in range(3)]
    found = []
    for kernels in ("fast", "reference"):
        with minidl.kernels(kernels):
            found.append(after_three_steps(name, settings, value, steps))
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    assert_close(found[0][0], found[1][0], tolerance)
    assert_all_close(found[0][1], found[1][1], tolerance)


def laid_out(rng, shape, dtype, layout):
    """Random numbers that lie in memory in this way."""
    if layout == "one number":
        return np.broadcast_to(np.asarray(rng.normal(), dtype), shape)
    if layout == "every other":
        return rng.normal(size=(*shape, 2)).astype(dtype)[..., 0]
    x = rng.normal(size=shape).astype(dtype, order="F" if layout == "F" else "C")
    return np.flip(x) if layout == "backwards" and x.ndim else x


@each_rule
@pytest.mark.parametrize("count", [2, 3])
def test_the_number_of_threads_changes_no_bit(name, settings, count, monkeypatch):
    values = arrays("float32", shapes=[(20_011,), (3, 5), (200, 301)])
    alone = after_ten_steps(minidl, name, settings, values)
    monkeypatch.setattr(threads, "chunks", lambda nanoseconds: count)
    assert_equal(after_ten_steps(minidl, name, settings, values), alone)


def test_a_copied_optimizer_goes_on_to_the_bit():
    parameters = parameters_of(minidl, arrays())
    optimizer = optim.AdamW(parameters)
    take_steps(minidl, optimizer, parameters, gradients(arrays())[: STEPS // 2])
    twin, twins = copy.deepcopy((optimizer, parameters))
    for each, own in ((optimizer, parameters), (twin, twins)):
        take_steps(minidl, each, own, gradients(arrays())[STEPS // 2 :])
    assert_equal(values_of(parameters), values_of(twins))
