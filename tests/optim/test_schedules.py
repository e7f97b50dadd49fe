"""Schedules: the learning rates of PyTorch's, exact resumption, and settings that make no sense."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError
from tests.oracle import torch

LIBRARIES = minidl, torch
STEPS = 60
LRS = (0.1, 0.003, 2.0)  # of the groups


def lower(t):
    return 0.95**t


def wavy(t):
    return 1 + 0.5 * math.sin(t)


def falling(x):
    return 0.7**x


SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lower}),
    ("LambdaLR", {"lr_lambda": [lower, wavy, lower]}),
    *(("StepLR", {"step_size": n, "gamma": g}) for n in (1, 7, 100) for g in (0.1, 0.9, 1.2)),
    ("StepLR", {"step_size": 5}),
    ("MultiStepLR", {"milestones": [3, 20, 41]}),
    ("MultiStepLR", {"milestones": [20, 3, 3, 100], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": []}),
    ("ConstantLR", {}),
    *(("ConstantLR", {"factor": f, "total_iters": n}) for f in (0.1, 1.0) for n in (1, 30, 90)),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 40}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 13}),
    ("LinearLR", {"start_factor": 1e-3, "total_iters": 1}),
    *(("ExponentialLR", {"gamma": g}) for g in (0.9, 1.0, 1.05)),
    *(("CosineAnnealingLR", {"T_max": n, "eta_min": e}) for n in (1, 2, 17, 90) for e in (0, 1e-3)),
    ("CosineAnnealingLR", {"T_max": 10}),
    *(
        ("CosineAnnealingWarmRestarts", {"T_0": n, "T_mult": m, "eta_min": e})
        for n in (1, 7, 90)
        for m in (1, 2, 3)
        for e in (0.0, 1e-3)
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS}),
    ("OneCycleLR", {"max_lr": [0.5, 1.0, 0.1], "epochs": 10, "steps_per_epoch": 7}),
    *(
        (
            "OneCycleLR",
            {
                **{"max_lr": 1.0, "total_steps": 61, "three_phase": three, "pct_start": start},
                **{"anneal_strategy": shape, "div_factor": 10.0, "final_div_factor": 100.0},
            },
        )
        for three in (False, True)
        for start in (0.0, 0.25, 0.4)
        for shape in ("cos", "linear")
        if start or not three
    ),
    (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 80, "base_momentum": 0.5, "max_momentum": [0.9, 0.8, 0.7]},
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 80, "cycle_momentum": False}),
    ("PolynomialLR", {}),
    *(("PolynomialLR", {"total_iters": n, "power": p}) for n, p in ((1, 0.0), (30, 0.5), (90, 2))),
    ("MultiplicativeLR", {"lr_lambda": wavy}),
    ("MultiplicativeLR", {"lr_lambda": [lower, wavy, lower]}),
    *(
        ("CyclicLR", {"base_lr": 1e-3, "max_lr": [0.5, 1, 1e-3], "mode": mode, **steps})
        for mode in ("triangular", "triangular2", "exp_range")
        for steps in (
            {"step_size_up": 3, "step_size_down": 8, "gamma": 0.9, "cycle_momentum": False},
            {"step_size_up": 1, "base_momentum": [0.1, 0.2, 0.3], "max_momentum": 0.95},
        )
    ),
    *(
        ("CyclicLR", {**settings, "step_size_up": 4, "scale_fn": falling, "scale_mode": mode})
        for settings in ({"base_lr": 0.1, "max_lr": 0.5}, {"base_lr": [0.1, 0, 2], "max_lr": 0.0})
        for mode in ("cycle", "iterations")
    ),
    *(
        ("SWALR", {"swa_lr": [0.1, 0.2, 0.3], "anneal_epochs": n, "anneal_strategy": shape})
        for n in (0, 1, 90)
        for shape in ("cos", "linear")
    ),
    ("SWALR", {"swa_lr": 0.05}),
]
OPTIMIZERS = "SGD", "Adam"
each_schedule = pytest.mark.parametrize(("name", "settings"), SCHEDULES)


def optimizer_of(library, kind="SGD", lrs=LRS):
    groups = [{"params": [library.nn.Parameter(library.ones(2))], "lr": lr} for lr in lrs]
    return getattr(library.optim, kind)(groups, **({"momentum": 0.9} if kind == "SGD" else {}))


def kind_of(library, name):
    if library is minidl:
        return getattr(optim, name)
    return getattr(torch.optim.swa_utils if name == "SWALR" else torch.optim.lr_scheduler, name)


def make(library, name, settings, optimizer=None):
    if optimizer is None:
        optimizer = optimizer_of(library)
    if "schedulers" in settings:
        parts = [make(library, *part, optimizer) for part in settings["schedulers"]]
        settings = {**settings, "schedulers": parts}
    return kind_of(library, name)(optimizer=optimizer, **settings)


def set_in(optimizer):
    """What a schedule may set."""
    return [
        [group["lr"], group.get("momentum", 0.0), *group.get("betas", ())]
        for group in optimizer.param_groups
    ]


def course(schedule, steps=STEPS):
    """What is set at first and after each step."""
    found = [set_in(schedule.optimizer)]
    for _ in range(steps - 1):
        schedule.optimizer.step()
        schedule.step()
        found.append(set_in(schedule.optimizer))
    return np.array(found)


def assert_same_course(ours, theirs):
    """As PyTorch's products of many factors are off by a few roundings: relative to the largest."""
    scale = np.abs(theirs).max(axis=0, keepdims=True)
    assert (np.abs(ours - theirs) <= 1e-12 * scale).all()


# The same learning rates as PyTorch.


@pytest.mark.parametrize("kind", OPTIMIZERS)
@each_schedule
def test_learning_rates_are_pytorchs(name, settings, kind):
    found = [make(lib, name, settings, optimizer_of(lib, kind)) for lib in LIBRARIES]
    assert_same_course(*map(course, found))
    np.testing.assert_allclose(found[0].get_last_lr(), found[1].get_last_lr(), 1e-9, 1e-15)
    assert found[0].last_epoch == found[1].last_epoch == STEPS - 1


SEQUENCES = {
    "warm-up and cosine": (
        [("LinearLR", {"start_factor": 0.1}), ("CosineAnnealingLR", {"T_max": 55})],
        [5],
    ),
    "warm-up and restarts": (
        [
            ("LinearLR", {"start_factor": 0.01, "total_iters": 10}),
            ("CosineAnnealingWarmRestarts", {"T_0": 8, "T_mult": 2}),
        ],
        [10],
    ),
    "three": (
        [
            ("ConstantLR", {"factor": 0.3, "total_iters": 50}),
            ("ExponentialLR", {"gamma": 0.9}),
            ("StepLR", {"step_size": 4, "gamma": 0.5}),
        ],
        [7, 31],
    ),
    "no warm-up": ([("LinearLR", {}), ("ExponentialLR", {"gamma": 0.9})], [0]),
    "never": ([("MultiStepLR", {"milestones": [9]}), ("LinearLR", {})], [100]),
    "by functions": ([("LambdaLR", {"lr_lambda": wavy}), ("LambdaLR", {"lr_lambda": lower})], [20]),
    "one": ([("CosineAnnealingLR", {"T_max": 13})], []),
}
each_sequence = pytest.mark.parametrize(("parts", "milestones"), SEQUENCES.values(), ids=SEQUENCES)


@each_sequence
def test_one_schedule_after_the_other_is_pytorchs(parts, milestones):
    settings = {"schedulers": parts, "milestones": milestones}
    found = [make(library, "SequentialLR", settings) for library in LIBRARIES]
    assert_same_course(*map(course, found))
    np.testing.assert_allclose(found[0].get_last_lr(), found[1].get_last_lr(), 1e-9)


def test_a_warm_up_and_a_cosine_in_numbers():
    optimizer = optimizer_of(minidl, lrs=[1.0])
    warmup = optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    cosine = optim.CosineAnnealingLR(optimizer, T_max=2)
    schedule = optim.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
    lrs = [schedule.get_last_lr()[0]]
    for _ in range(4):
        schedule.step()
        lrs += schedule.get_last_lr()
    np.testing.assert_allclose(lrs, [0.5, 0.75, 1, 0.5, 0], atol=1e-15)


def test_a_sequence_may_begin_within_a_sequence():
    optimizer = optimizer_of(minidl, lrs=[1.0])
    parts = [optim.LinearLR(optimizer, 0.5, total_iters=2), optim.StepLR(optimizer, 1, 0.5)]
    inner = optim.SequentialLR(optimizer, parts, milestones=[2])
    constant = optim.ConstantLR(optimizer, 0.1, total_iters=9)
    outer = optim.SequentialLR(optimizer, [constant, inner], milestones=[1])
    lrs = [lr for (lr, *_), *_ in course(outer, 5)]
    np.testing.assert_allclose(lrs, [0.1, 0.5, 0.75, 1, 0.5])


CHAINS = {
    "a warm-up and a decay": [("LinearLR", {}), ("ExponentialLR", {"gamma": 0.9})],
    "a cosine": [("ConstantLR", {"total_iters": 9}), ("CosineAnnealingLR", {"T_max": 70})],
    "three": [
        ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 20}),
        ("StepLR", {"step_size": 7, "gamma": 0.5}),
        ("MultiStepLR", {"milestones": [5, 30]}),
    ],
    "by functions": [
        ("LambdaLR", {"lr_lambda": lower}),
        ("PolynomialLR", {"total_iters": 70, "power": 2}),
        ("MultiplicativeLR", {"lr_lambda": [wavy, lower, wavy]}),
    ],
    "one": [("CosineAnnealingWarmRestarts", {"T_0": 7})],
    "overwritten": [("ExponentialLR", {"gamma": 0.9}), ("LambdaLR", {"lr_lambda": wavy})],
    "a damped cycle": [
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3}),
        ("ExponentialLR", {"gamma": 0.9}),
    ],
    "a cycle that comes last": [
        ("StepLR", {"step_size": 5}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS}),
    ],
    "averages": [("StepLR", {"step_size": 5, "gamma": 0.5}), ("SWALR", {"swa_lr": 0.05})],
}
each_chain = pytest.mark.parametrize("parts", CHAINS.values(), ids=CHAINS)


@each_chain
def test_schedules_at_once_are_pytorchs(parts):
    settings = {"schedulers": parts}
    found = [make(library, "ChainedScheduler", settings) for library in LIBRARIES]
    assert_same_course(*map(course, found))
    np.testing.assert_allclose(found[0].get_last_lr(), found[1].get_last_lr(), 1e-9)


@pytest.mark.parametrize("parts", [CHAINS[name] for name in ("a warm-up and a decay", "three")])
def test_the_factors_of_schedules_at_once_multiply(parts):
    whole = course(make(minidl, "ChainedScheduler", {"schedulers": parts}))[..., 0]
    factors = [course(make(minidl, *part))[..., 0] / LRS for part in parts]
    np.testing.assert_allclose(whole, LRS * np.prod(factors, axis=0), rtol=1e-12)


def test_a_chain_goes_on_from_where_its_schedules_are():
    parts = CHAINS["three"]
    whole = make(minidl, "ChainedScheduler", {"schedulers": parts})
    course(whole, 10)
    optimizer = optimizer_of(minidl)
    optimizer.load_state_dict(whole.optimizer.state_dict())
    later = [(name, {**settings, "last_epoch": 8}) for name, settings in parts]
    chain = make(minidl, "ChainedScheduler", {"schedulers": later}, optimizer)
    assert chain.last_epoch == 9
    np.testing.assert_array_equal(course(chain, STEPS - 9), course(whole, STEPS - 9))


@pytest.mark.parametrize("shape", ["cos", "linear"])
def test_the_rate_of_averages_is_reached_from_where_the_schedule_was(shape):
    """Made with the schedule, stepped after it."""
    found = []
    for library in LIBRARIES:
        optimizer = optimizer_of(library)
        cosine = make(library, "CosineAnnealingLR", {"T_max": 30}, optimizer)
        settings = {"swa_lr": 0.05, "anneal_epochs": 7, "anneal_strategy": shape}
        averaging = make(library, "SWALR", settings, optimizer)
        lrs = course(cosine, 20), course(averaging, 40)
        found.append(np.concatenate(lrs))
    assert_same_course(*found)


def test_a_sequence_may_end_in_the_rate_of_averages():
    parts = [("ExponentialLR", {"gamma": 0.9}), ("SWALR", {"swa_lr": 1.0, "anneal_epochs": 4})]
    schedule = make(
        minidl, "SequentialLR", {"schedulers": parts, "milestones": [5]}, optimizer_of(minidl)
    )
    lrs = course(schedule, 12)[:, 0, 0]
    np.testing.assert_allclose(lrs[:6], 0.1 * 0.9 ** np.array([0, 1, 2, 3, 4, 4]))
    assert (np.diff(lrs[5:10]) > 0).all()
    np.testing.assert_array_equal(lrs[9:], 1.0)


@pytest.mark.parametrize("settings", [{"T_0": 4}, {"T_0": 3, "T_mult": 2, "eta_min": 1e-3}])
def test_restarts_take_fractions_of_epochs(settings):
    found = []
    for library in LIBRARIES:
        schedule = make(library, "CosineAnnealingWarmRestarts", settings)
        lrs = []
        for epoch in np.arange(0, 20, 0.25).tolist():
            schedule.step(epoch)
            lrs.append(set_in(schedule.optimizer))
        found.append(np.array(lrs))
    assert_same_course(*found)


def test_a_cycle_that_begins_at_its_top():
    """Where the way up has no length, PyTorch divides by zero."""
    schedule = make(minidl, "OneCycleLR", {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1})
    assert schedule.get_last_lr() == [1, 1, 1]


def test_no_steps_of_warm_up_are_no_warm_up():
    for name in ("LinearLR", "ConstantLR"):
        schedule = make(minidl, name, {"total_iters": 0})
        assert schedule.get_last_lr() == list(LRS)


def test_a_cycle_ends():
    schedules = [make(lib, "OneCycleLR", {"max_lr": 1.0, "total_steps": 10}) for lib in LIBRARIES]
    for schedule in schedules:
        course(schedule, 11)
    with pytest.raises(ArgumentError, match="step 11 of a cycle of 10"):
        schedules[0].step()
    with pytest.raises(ValueError, match="11"):
        schedules[1].step()
    assert schedules[0].last_epoch == 10, "nothing happened"


def test_the_second_schedule_of_an_optimizer_knows_its_first_rates():
    optimizer = optimizer_of(minidl)
    optim.LinearLR(optimizer, 0.1)
    assert optim.ExponentialLR(optimizer, 0.9).base_lrs == list(LRS)


# Schedules that compose with each other, and with whoever else writes the rates.

ALL_KINDS = {
    "LambdaLR": {"lr_lambda": wavy},
    "MultiplicativeLR": {"lr_lambda": [wavy, lower, wavy]},
    "StepLR": {"step_size": 4, "gamma": 0.5},
    "MultiStepLR": {"milestones": [3, 9, 9, 20], "gamma": 0.5},
    "ConstantLR": {"factor": 0.3, "total_iters": 12},
    "LinearLR": {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 11},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 45, "power": 1.5},
    "CosineAnnealingLR": {"T_max": 7, "eta_min": 1e-4},
    "CosineAnnealingWarmRestarts": {"T_0": 5, "T_mult": 2},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 2 * STEPS},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.4, "step_size_up": 4},
    "SWALR": {"swa_lr": 0.05, "anneal_epochs": 6},
    "SequentialLR": dict(zip(("schedulers", "milestones"), SEQUENCES["three"], strict=True)),
    "ChainedScheduler": {"schedulers": CHAINS["three"]},
}
each_kind = pytest.mark.parametrize("name", ALL_KINDS)
PLACED = ("SequentialLR", "ChainedScheduler")


def both(act, steps=STEPS):
    """What `act` does step by step to the optimizer of either library."""
    found = []
    for library in LIBRARIES:
        optimizer = optimizer_of(library)
        acting, rates = act(library, optimizer), []
        for _ in range(steps):
            optimizer.step()
            next(acting)
            rates.append(set_in(optimizer))
        found.append(np.array(rates))
    return found


@pytest.mark.sampled(0.3)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("second", ALL_KINDS)
@each_kind
def test_two_schedules_that_are_stepped_in_turn_are_pytorchs(name, second):
    def act(library, optimizer):
        both = [make(library, kind, ALL_KINDS[kind], optimizer) for kind in (name, second)]
        yield
        while True:
            for schedule in both:
                schedule.step()
            yield

    assert_same_course(*both(act))


@pytest.mark.parametrize("when", [(7,), (1, 2, 13, 30)])
@each_kind
def test_a_rate_that_is_set_by_hand_is_taken_further_as_by_pytorch(name, when):
    def act(library, optimizer):
        schedule = make(library, name, ALL_KINDS[name], optimizer)
        yield
        for step in range(1, STEPS):
            if step in when:
                for group in optimizer.param_groups:
                    group["lr"] *= 0.1 * step
            schedule.step()
            yield

    assert_same_course(*both(act))


@pytest.mark.parametrize("first", ["ExponentialLR", "LambdaLR", None])
@each_kind
def test_a_schedule_that_is_made_in_the_middle_of_training_is_pytorchs(name, first):
    def act(library, optimizer):
        if first:
            schedule = make(library, first, ALL_KINDS[first], optimizer)
        for _ in range(9):
            yield
            if first:
                schedule.step()
        if not first:  # nobody has stored initial rates
            for group in optimizer.param_groups:
                group["lr"] = 0.03
        schedule = make(library, name, ALL_KINDS[name], optimizer)
        while True:
            yield
            schedule.step()

    assert_same_course(*both(act))


ORDERED = [*(name for name in ALL_KINDS if name not in PLACED)]


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("second", ORDERED)
@pytest.mark.parametrize("first", ORDERED)
def test_any_schedule_may_follow_another_in_a_sequence(first, second):
    def act(library, optimizer):
        parts = [(first, ALL_KINDS[first]), (second, ALL_KINDS[second])]
        settings = {"schedulers": parts, "milestones": [8]}
        schedule = make(library, "SequentialLR", settings, optimizer)
        while True:
            yield
            schedule.step()

    ours, theirs = both(act)
    if (first, second) == ("OneCycleLR", "CyclicLR"):  # PyTorch's share the bounds of the momentum
        ours, theirs = ours[..., :1], theirs[..., :1]
    assert_same_course(ours, theirs)


@each_kind
def test_rates_set_by_hand_survive_a_restart(name):
    """The optimiser and its schedules are restored, and go on to the bit."""
    steps = [("StepLR", ALL_KINDS["StepLR"]), (name, ALL_KINDS[name])]

    def walk(optimizer, schedules, start, stop):
        found = []
        for step in range(start, stop):
            if step in (5, 17):
                optimizer.param_groups[0]["lr"] = 0.02
            for schedule in schedules:
                schedule.step()
            found.append(set_in(optimizer))
        return found

    optimizer = optimizer_of(minidl)
    schedules = [make(minidl, *part, optimizer) for part in steps]
    whole = walk(optimizer, schedules, 0, 40)
    for stop in (1, 6, 23):
        optimizer = optimizer_of(minidl)
        schedules = [make(minidl, *part, optimizer) for part in steps]
        walk(optimizer, schedules, 0, stop)
        states = json.loads(json.dumps([each.state_dict() for each in schedules]))
        again = optimizer_of(minidl, lrs=[7.0] * 3)
        restored = [make(minidl, *part, again) for part in steps]
        again.load_state_dict(optimizer.state_dict())
        for each, state in reversed([*zip(restored, states, strict=True)]):
            each.load_state_dict(state)
        assert walk(again, restored, stop, 40) == whole[stop:]


def test_the_state_of_an_earlier_version_is_restored():
    first = make(minidl, "StepLR", {"step_size": 3})
    course(first, 5)
    saved = first.state_dict()
    del saved["_composed"]
    second = make(minidl, "StepLR", {"step_size": 3})
    second.load_state_dict(saved)
    assert second.get_last_lr() == first.get_last_lr()


# ReduceLROnPlateau.

METRICS = np.random.default_rng(0).normal(size=STEPS) + 3 - np.linspace(0, 2, STEPS)
PLATEAU = [
    {},
    {"patience": 2},
    {"patience": 0, "factor": 0.7, "min_lr": 1e-3},
    {"mode": "max", "patience": 3, "cooldown": 2},
    {"threshold": 0.3, "patience": 2, "cooldown": 4, "factor": 0.5},
    {"threshold": 0.3, "threshold_mode": "abs", "patience": 2, "min_lr": [0.05, 0, 1]},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.5, "patience": 1, "eps": 1e-2},
    {"mode": "max", "threshold": 0.5, "patience": 1},
]


def lrs_by_metrics(schedule, metrics):
    found = []
    for metric in metrics:
        schedule.step(metric)
        found.append(schedule.get_last_lr())
        assert found[-1] == [group["lr"] for group in schedule.optimizer.param_groups]
    return found


@pytest.mark.parametrize("settings", PLATEAU)
@pytest.mark.parametrize("spoilt", [(), (0, 17), (30,)])
def test_plateaus_are_pytorchs(settings, spoilt):
    metrics = METRICS.copy()
    metrics[list(spoilt)] = np.nan
    found = [
        lrs_by_metrics(make(lib, "ReduceLROnPlateau", settings), metrics.tolist())
        for lib in LIBRARIES
    ]
    assert found[0] == found[1]


def test_a_metric_may_be_a_tensor():
    schedule = make(minidl, "ReduceLROnPlateau", {"patience": 0})
    lrs_by_metrics(schedule, [minidl.tensor(1.0), minidl.tensor([2.0])])
    np.testing.assert_allclose(schedule.get_last_lr(), np.array(LRS) / 10)


@pytest.mark.parametrize("metric", ["low", None, minidl.ones(3)])
def test_what_is_no_metric_is_refused(metric):
    schedule = make(minidl, "ReduceLROnPlateau", {})
    with pytest.raises(ArgumentError, match="needs one number, the metric; got"):
        schedule.step(metric)


@pytest.mark.parametrize("settings", PLATEAU)
@pytest.mark.parametrize("stop", [0, 1, 23])
def test_a_restored_plateau_goes_on_exactly(settings, stop):
    whole, first, second = (make(minidl, "ReduceLROnPlateau", settings) for _ in range(3))
    expected = lrs_by_metrics(whole, METRICS)
    lrs_by_metrics(first, METRICS[:stop])
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert set_in(second.optimizer) == set_in(first.optimizer)
    assert lrs_by_metrics(second, METRICS[stop:]) == expected[stop:]


# Saving and restoring.

NESTED = {
    "schedulers": [
        ("LinearLR", {}),
        ("SequentialLR", dict(zip(("schedulers", "milestones"), SEQUENCES["three"], strict=True))),
    ],
    "milestones": [15],
}
RESUMED = [
    *SCHEDULES,
    *(("SequentialLR", {"schedulers": s, "milestones": m}) for s, m in SEQUENCES.values()),
    ("SequentialLR", NESTED),
    *(("ChainedScheduler", {"schedulers": parts}) for parts in CHAINS.values()),
    ("ChainedScheduler", {"schedulers": [("SequentialLR", NESTED), *CHAINS["three"]]}),
]


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("stop", [1, 23])
@pytest.mark.parametrize(("name", "settings"), RESUMED)
def test_a_restored_schedule_goes_on_exactly(name, settings, stop, optimizer_first):
    expected = course(make(minidl, name, settings))
    first = make(minidl, name, settings)
    course(first, stop)
    saved, rates = json.loads(json.dumps(first.state_dict())), first.optimizer.state_dict()
    optimizer = optimizer_of(minidl, lrs=[7.0] * 3)
    if optimizer_first:
        optimizer.load_state_dict(rates)
    second = make(minidl, name, settings, optimizer)
    if not optimizer_first:
        optimizer.load_state_dict(rates)
    second.load_state_dict(saved)
    assert second.get_last_lr() == first.get_last_lr()
    assert (course(second, STEPS - stop + 1) == expected[stop - 1 :]).all()


def test_a_restored_schedule_has_the_settings_that_were_saved():
    first = make(minidl, "StepLR", {"step_size": 3})
    second = make(minidl, "StepLR", {"step_size": 5}, optimizer_of(minidl, lrs=[7.0] * 3))
    second.load_state_dict(first.state_dict())
    assert second.step_size == 3
    assert [group["initial_lr"] for group in second.optimizer.param_groups] == list(LRS)


def test_a_saved_state_is_a_copy():
    schedule = make(minidl, "MultiStepLR", {"milestones": [2, 4]})
    saved = schedule.state_dict()
    saved["milestones"].append(1)
    saved["base_lrs"][0] = 9
    assert schedule.milestones == [2, 4]
    schedule.load_state_dict(saved | {"milestones": [1]})
    saved["base_lrs"][0] = 3
    assert schedule.base_lrs[0] == 9


@each_schedule
def test_a_schedule_may_begin_where_another_stopped(name, settings):
    """By last_epoch, once the optimiser has its state back."""
    expected = course(make(minidl, name, settings))
    first = make(minidl, name, settings)
    course(first, 10)
    optimizer = optimizer_of(minidl)
    optimizer.load_state_dict(first.optimizer.state_dict())
    second = make(minidl, name, {**settings, "last_epoch": 8}, optimizer)
    assert (course(second, STEPS - 9) == expected[9:]).all()


def test_last_epoch_needs_the_first_rates():
    with pytest.raises(ArgumentError, match='StepLR: last_epoch=3 needs groups\' "initial_lr"'):
        make(minidl, "StepLR", {"step_size": 2, "last_epoch": 3})


def test_a_copied_schedule_goes_on_exactly():
    schedule = make(minidl, "OneCycleLR", {"max_lr": 1.0, "total_steps": 80})
    course(schedule, 10)
    twin = copy.deepcopy(schedule)
    assert twin.optimizer is not schedule.optimizer
    assert (course(twin, 10) == course(schedule, 10)).all()


BAD_STATES = {
    "missing": (lambda saved: saved.pop("step_size"), r"needs \['step_size'\]"),
    "groups": (lambda saved: saved["base_lrs"].pop(), "base_lrs of 3 groups; got"),
    "rates": (lambda saved: saved["_last_lr"].__setitem__(0, "a"), "_last_lr.*'a'"),
    "setting": (lambda saved: saved.update(step_size=0), "step_size.*got 0"),
    "epoch": (lambda saved: saved.update(last_epoch=None), "last_epoch.*None"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    schedule = make(minidl, "StepLR", {"step_size": 2})
    course(schedule, 5)
    saved = schedule.state_dict()
    spoil(saved)
    other = make(minidl, "StepLR", {"step_size": 7})
    before = other.state_dict()
    with pytest.raises(ArgumentError, match=f"StepLR.*{message}"):
        other.load_state_dict(saved)
    assert other.state_dict() == before
    assert set_in(other.optimizer) == set_in(optimizer_of(minidl))


def test_a_rate_of_averages_that_has_not_begun_starts_from_the_rates_of_then():
    optimizer = optimizer_of(minidl)
    saved = make(minidl, "SWALR", {"swa_lr": 0.05}, optimizer).state_dict()
    for group in optimizer.param_groups:
        group["lr"] = 0.7
    other = make(minidl, "SWALR", {"swa_lr": 0.05}, optimizer)
    assert other.get_last_lr() == [0.7] * 3
    other.load_state_dict(saved)
    assert [group["lr"] for group in optimizer.param_groups] == list(LRS)


def test_a_sequence_needs_a_state_for_each_schedule():
    parts, milestones = SEQUENCES["three"]
    schedule = make(minidl, "SequentialLR", {"schedulers": parts, "milestones": milestones})
    saved = schedule.state_dict()
    saved["_schedulers"].pop()
    with pytest.raises(ArgumentError, match="states of 3 schedules; got 2"):
        schedule.load_state_dict(saved)


# Properties.


ON_COURSE = [(name, kw) for name, kw in RESUMED if name not in ("SWALR", "ChainedScheduler")]


@given(st.data())
def test_rates_that_nobody_else_writes_depend_only_on_the_number_of_steps(data):
    name, settings = data.draw(st.sampled_from(ON_COURSE))
    steps = data.draw(st.integers(1, STEPS - 1))
    walked, jumped = make(minidl, name, settings), make(minidl, name, settings)
    course(walked, steps + 1)
    jumped.load_state_dict({**jumped.state_dict(), "last_epoch": steps})
    assert jumped.get_last_lr() == walked.get_last_lr()
    assert set_in(jumped.optimizer) == set_in(walked.optimizer)


@given(st.integers(1, 50), st.floats(0, 1), st.floats(1e-3, 1))
def test_restarts_stay_between_their_bounds(t_0, share, lr):
    optimizer = optimizer_of(minidl, lrs=[lr])
    schedule = optim.CosineAnnealingWarmRestarts(optimizer, t_0, 2, eta_min=share * lr)
    lrs = course(schedule)[:, 0, 0]
    assert (lrs <= lr * (1 + 1e-12)).all()
    assert (lrs >= share * lr * (1 - 1e-12)).all()
    assert lrs[0] == pytest.approx(lr)


# Errors.

BAD = [
    ("LambdaLR", {"lr_lambda": 0.9}, "lr_lambda is a function, or 3 of them"),
    ("LambdaLR", {"lr_lambda": [lower]}, "lr_lambda is a function, or 3 of them"),
    ("StepLR", {"step_size": 0}, "step_size is an integer ≥ 1; got 0"),
    ("StepLR", {"step_size": 2.5}, "step_size"),
    ("StepLR", {"step_size": 2, "gamma": math.nan}, "gamma"),
    ("MultiStepLR", {"milestones": [1.5]}, "milestone"),
    ("MultiStepLR", {"milestones": [-1]}, "milestone"),
    ("ConstantLR", {"factor": 1.5}, "factor is a number from 0 to 1; got 1.5"),
    ("ConstantLR", {"total_iters": -1}, "total_iters"),
    ("LinearLR", {"start_factor": 0}, "start_factor is above 0"),
    ("LinearLR", {"end_factor": 1.1}, "end_factor"),
    ("ExponentialLR", {"gamma": "a"}, "gamma"),
    ("CosineAnnealingLR", {"T_max": 0}, "T_max"),
    ("CosineAnnealingLR", {"T_max": 3, "eta_min": None}, "eta_min"),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}, "T_0"),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 1.5}, "T_mult"),
    ("OneCycleLR", {"max_lr": 1.0}, "without total_steps: epochs"),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3}, "without total_steps: steps_per_epoch"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "total_steps"),
    ("OneCycleLR", {"max_lr": [1.0], "total_steps": 9}, "max_lr is a number, or 3 of them"),
    ("OneCycleLR", {"max_lr": -1.0, "total_steps": 9}, "max_lr"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 2}, "pct_start"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "div_factor": 0}, "div_factor"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "anneal_strategy": "up"}, "anneal_strategy"),
    ("PolynomialLR", {"total_iters": 0}, "total_iters is an integer ≥ 1; got 0"),
    ("PolynomialLR", {"power": -1}, "power"),
    ("MultiplicativeLR", {"lr_lambda": 0.9}, "lr_lambda is a function, or 3 of them"),
    ("MultiplicativeLR", {"lr_lambda": [lower]}, "lr_lambda is a function, or 3 of them"),
    *(
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, **own}, message)
        for own, message in [
            ({"base_lr": [0.1]}, "base_lr is a number, or 3 of them"),
            ({"max_lr": -1}, "max_lr is a number ≥ 0"),
            ({"step_size_up": 0}, "step_size_up"),
            ({"step_size_down": 2.5}, "step_size_down"),
            ({"mode": "square"}, "mode is one of"),
            ({"scale_mode": "steps"}, "scale_mode is one of"),
            ({"scale_fn": 0.5}, "scale_fn is a function; got 0.5"),
            ({"gamma": math.inf}, "gamma"),
            ({"max_momentum": [0.9]}, "max_momentum is a number, or 3 of them"),
        ]
    ),
    ("SWALR", {"swa_lr": [0.1]}, "swa_lr is a number, or 3 of them"),
    ("SWALR", {"swa_lr": 0.1, "anneal_epochs": -1}, "anneal_epochs"),
    ("SWALR", {"swa_lr": 0.1, "anneal_strategy": "up"}, "anneal_strategy is one of"),
    ("ChainedScheduler", {"schedulers": []}, "needs at least one schedule"),
    ("ChainedScheduler", {"schedulers": [("ReduceLROnPlateau", {})]}, "of steps; got a Reduce"),
    ("ReduceLROnPlateau", {"mode": "up"}, "mode is one of"),
    ("ReduceLROnPlateau", {"threshold_mode": "up"}, "threshold_mode is one of"),
    ("ReduceLROnPlateau", {"factor": 1.0}, "factor is below 1; got 1.0"),
    ("ReduceLROnPlateau", {"patience": -1}, "patience"),
    ("ReduceLROnPlateau", {"min_lr": [0.1]}, "min_lr is a number, or 3 of them"),
    ("SequentialLR", {"schedulers": [], "milestones": []}, "ascending milestone"),
    ("SequentialLR", {"schedulers": [("LinearLR", {})], "milestones": [3]}, "one ascending"),
    ("SequentialLR", {"schedulers": [("LinearLR", {})] * 3, "milestones": [3, 2]}, "ascending"),
    ("SequentialLR", {"schedulers": [("LinearLR", {})] * 2, "milestones": [-3]}, "milestone"),
    ("SequentialLR", {"schedulers": [("ReduceLROnPlateau", {})], "milestones": []}, "of steps"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD)
def test_settings_that_make_no_sense_are_refused_and_change_nothing(name, settings, message):
    optimizer = optimizer_of(minidl)
    with pytest.raises(ArgumentError, match=f"^{name}: .*{message}|^{name}: {message}"):
        make(minidl, name, settings, optimizer)
    if "schedulers" not in settings:
        assert set_in(optimizer) == set_in(optimizer_of(minidl))
        assert not any("initial_lr" in group for group in optimizer.param_groups)


@each_schedule
def test_an_optimizer_is_needed(name, settings):
    with pytest.raises(ArgumentError, match=f"{name}: needs an optimizer; got Linear"):
        getattr(optim, name)(nn.Linear(1, 1), **settings)


def test_a_sequence_or_a_chain_is_of_one_optimizer():
    other = optim.ExponentialLR(optimizer_of(minidl), 0.9)
    with pytest.raises(ArgumentError, match="the ExponentialLR is of another optimizer"):
        optim.SequentialLR(optimizer_of(minidl), [other], [])
    with pytest.raises(ArgumentError, match="the ExponentialLR is of another optimizer"):
        optim.ChainedScheduler([other], optimizer_of(minidl))
    assert optim.ChainedScheduler([other]).optimizer is other.optimizer


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_a_cycle_of_momentum_needs_one(name):
    optimizer, kind = optimizer_of(minidl, "Adagrad"), getattr(optim, name)
    with pytest.raises(ArgumentError, match="Adagrad has no momentum; use cycle_momentum=False"):
        kind(optimizer, 1.0, 10)
    kind(optimizer, 1.0, 10, cycle_momentum=False)


@pytest.mark.parametrize("name", ["ExponentialLR", "ReduceLROnPlateau"])
def test_a_group_that_came_later_is_noticed(name):
    schedule = make(minidl, name, {"gamma": 0.9} if name == "ExponentialLR" else {})
    schedule.optimizer.add_param_group({"params": [nn.Parameter(1.0)]})
    with pytest.raises(ArgumentError, match=f"{name}: was made for 3 groups; .* now has 4"):
        schedule.step(*([] if name == "ExponentialLR" else [1.0]))
