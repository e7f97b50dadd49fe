"""L-BFGS against PyTorch's, its line search by the conditions it promises, and what it refuses."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import io, nn, ops, optim
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.optim.line_search import Point, strong_wolfe
from minidl.train import Trainer
from tests.helpers import assert_all_close
from tests.optim.test_optim import assert_equal, values_of
from tests.oracle import torch

LIBRARIES = minidl, torch
STEPS = 12
START = np.array([-1.5, 2.0, 0.3, 0.7])
SETTINGS = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "history_size": 1, "max_iter": 2},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 1},
    {"line_search_fn": "strong_wolfe", "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "lr": 20.0, "max_iter": 3},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 1.0},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-2},
    {"lr": 1e-3},
    {"lr": 1e-3, "max_iter": 3, "history_size": 2},
    {"lr": 1e-3, "max_iter": 1},
    {"lr": 1e-3, "max_eval": 1},
    {"lr": 0.0, "max_iter": 3},
]
each_setting = pytest.mark.parametrize("settings", SETTINGS)


def valley(p):
    """Rosenbrock's function of four variables."""
    return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


def closure_of(optimizer, loss_of):
    def closure():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return closure


def in_the_valley(library, settings, start=START):
    p = library.nn.Parameter(library.tensor(start))
    optimizer = library.optim.LBFGS([p], **settings)
    return optimizer, p, closure_of(optimizer, lambda: valley(p))


def network(library):
    """A small network, what it is to learn, and a parameter that it does not use."""
    rng = np.random.default_rng(0)
    constant = {"dtype": "float64" if library is minidl else torch.float64}
    layers = library.nn.Linear(3, 5, **constant), library.nn.Linear(5, 2, **constant)
    model = library.nn.Sequential(layers[0], library.nn.Tanh(), layers[1])
    with library.no_grad():
        for p in model.parameters():
            p[...] = library.tensor(rng.normal(size=tuple(p.shape)))
    x, target = (library.tensor(rng.normal(size=(16, n))) for n in (3, 2))
    unused = library.nn.Parameter(library.tensor(np.ones(2)))
    return [*model.parameters(), unused], lambda: ((model(x) - target) ** 2).mean()


def of_a_network(library, settings):
    params, loss_of = network(library)
    optimizer = library.optim.LBFGS(params, **settings)
    return optimizer, params, closure_of(optimizer, loss_of)


def number(loss):
    return float(loss.detach())


def plain(value):
    """Arrays and numbers of a saved state as NumPy's."""
    return [plain(x) for x in value] if isinstance(value, list) else np.asarray(value, "float64")


# The same steps as PyTorch.


@each_setting
def test_the_valley_is_descended_as_in_pytorch(settings):
    found = []
    for library in LIBRARIES:
        optimizer, p, closure = in_the_valley(library, settings)
        steps = []
        for _ in range(STEPS):
            loss = number(optimizer.step(closure))
            steps.append([loss, *values_of([p])[0]])
        counts = optimizer.state_dict()["state"][0]
        found.append((np.array(steps), counts["n_iter"], counts["func_evals"]))
    (ours, *counts), (theirs, *others) = found
    assert_all_close(ours, theirs, 1e-10)
    assert counts == others


@pytest.mark.parametrize(
    "settings",
    [
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "max_iter": 2, "history_size": 3},
        {"lr": 0.1, "max_iter": 4},
    ],
)
def test_a_network_learns_as_in_pytorch(settings):
    found = []
    for library in LIBRARIES:
        optimizer, params, closure = of_a_network(library, settings)
        losses = [number(optimizer.step(closure)) for _ in range(STEPS)]
        assert losses[-1] < losses[0] / 2
        found.append([np.array(losses), *values_of(params)])
    assert_all_close(*found, 1e-10)


def test_default_settings_are_pytorchs():
    ours, theirs = (in_the_valley(library, {})[0].defaults for library in LIBRARIES)
    assert ours == theirs
    ours, theirs = (in_the_valley(lib, {"max_iter": 7})[0].defaults for lib in LIBRARIES)
    assert ours == theirs


@each_setting
def test_a_saved_state_is_pytorchs(settings):
    found = []
    for library in LIBRARIES:
        optimizer, _, closure = in_the_valley(library, settings)
        for _ in range(3):
            optimizer.step(closure)
        found.append(optimizer.state_dict()["state"][0])
    ours, theirs = found
    theirs.pop("al", None)  # only used within a step
    assert set(ours) == set(theirs)
    for key, x in theirs.items():
        for one, other in zip(plain([ours[key]]), plain([x]), strict=True):
            np.testing.assert_allclose(one, other, 1e-6, 1e-9)


@each_setting
def test_training_begun_in_pytorch_goes_on_here(settings):
    (other, q, closures), (optimizer, p, closure) = (
        in_the_valley(library, settings) for library in reversed(LIBRARIES)
    )
    for _ in range(3):
        other.step(closures)
    optimizer.load_state_dict(other.state_dict())
    with minidl.no_grad():
        p[...] = minidl.tensor(values_of([q])[0])
    for _ in range(3):
        other.step(closures)
        optimizer.step(closure)
    assert_all_close(values_of([p]), values_of([q]), 1e-10)


def test_single_precision_finds_the_end_of_the_valley():
    start = np.array([-1.2, 1.0], "float32")
    optimizer, p, closure = in_the_valley(minidl, SETTINGS[0], start)
    for _ in range(5):
        optimizer.step(closure)
    assert p.dtype == "float32"
    np.testing.assert_allclose(p.detach(), [1, 1], atol=1e-3)


@given(st.integers(1, 8), st.integers(0, 1000))
def test_a_quadratic_is_solved(size, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(size, size)), minidl.tensor(rng.normal(size=size))
    matrix = minidl.tensor(a @ a.T + np.eye(size))
    p = nn.Parameter(np.zeros(size))
    optimizer = optim.LBFGS([p], max_iter=100, line_search_fn="strong_wolfe", tolerance_change=0)
    optimizer.step(closure_of(optimizer, lambda: (p @ matrix @ p) / 2 - b @ p))
    np.testing.assert_allclose(matrix.numpy() @ p.numpy(), b, atol=1e-5)


# Steps, and what is left out of them.


def test_rows_of_a_table_are_as_good_as_a_dense_gradient():
    found = []
    for sparse in (False, True):
        table = nn.Parameter(minidl.tensor(np.random.default_rng(0).normal(size=(7, 3))))
        optimizer = optim.LBFGS([table], lr=0.1, max_iter=3)
        ids = minidl.tensor([2, 5, 2])
        closure = closure_of(
            optimizer,
            lambda table=table, ids=ids, sparse=sparse: (
                ops.embedding(table, ids, sparse=sparse) ** 4
            ).sum(),
        )
        for _ in range(3):
            optimizer.step(closure)
        found.append(table.numpy())
    assert_all_close(*([x] for x in found), 1e-12)


def test_parameters_may_be_empty_and_of_several_dtypes():
    params = [nn.Parameter(np.ones((0, 3))), nn.Parameter([3.0]), nn.Parameter(np.array(2.0))]
    optimizer = optim.LBFGS(params, line_search_fn="strong_wolfe")
    optimizer.step(closure_of(optimizer, lambda: sum((p * p).sum() for p in params)))
    assert [str(p.dtype) for p in params] == ["float64", "float32", "float64"]
    np.testing.assert_allclose([params[1].item(), params[2].item()], 0, atol=1e-5)


def test_a_frozen_parameter_stays_and_changes_nothing():
    for library in (minidl, torch):
        _, p, closure = in_the_valley(library, {})
        frozen = library.nn.Parameter(library.tensor([1.0, 2.0]), requires_grad=False)
        optimizer = library.optim.LBFGS([frozen, p])
        optimizer.step(closure)
        if library is minidl:
            found = p.numpy()
        assert frozen.tolist() == [1, 2]
    assert_all_close([found], [p.detach().numpy()], 1e-10)


def test_a_step_at_the_minimum_stays_there():
    optimizer, p, closure = in_the_valley(minidl, {}, np.ones(4))
    assert number(optimizer.step(closure)) == 0
    assert (p.numpy() == 1).all()
    assert optimizer.state[p] == {"func_evals": 1, "n_iter": 0}


def test_a_gradient_of_nan_moves_nothing():
    p = nn.Parameter([1.0])
    optimizer = optim.LBFGS([p])
    optimizer.step(closure_of(optimizer, lambda: p.sum() * float("nan")))
    assert p.tolist() == [1]


def test_a_closure_that_fails_in_a_search_leaves_the_parameters():
    optimizer, p, closure = in_the_valley(minidl, SETTINGS[0])
    calls = []

    def failing():
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no data")
        return closure()

    with pytest.raises(RuntimeError, match="no data"):
        optimizer.step(failing)
    assert_equal([p.numpy()], [START])


# The line search.


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_a_search_ends_where_the_strong_wolfe_conditions_hold(seed, first):
    a, b, c = np.random.default_rng(seed).uniform(0.1, 3, size=3)

    def phi(t):
        loss = a * (t - b) ** 2 + np.sin(c * t) / c
        slope = 2 * a * (t - b) + np.cos(c * t)
        return Point(t, float(loss), None, float(slope))

    start = phi(0.0)
    if start.slope >= -1e-3:
        return
    found, count = strong_wolfe(phi, start, first, 1.0, 50)
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert count <= 51


def test_a_search_turns_back_from_where_there_is_no_loss():
    def phi(t):
        if t > 1:
            return Point(t, float("nan"), None, float("nan"))
        return Point(t, (t - 0.7) ** 2, None, 2 * (t - 0.7))

    found, _ = strong_wolfe(phi, phi(0.0), 100.0, 1.0, 25)
    assert abs(found.slope) <= 0.9 * 1.4
    assert found.loss < 0.49


# Saving and restoring.


def through_a_file(saved, path):
    io.save(path, saved)
    return io.load(path)


@pytest.mark.parametrize("steps", [0, 1, 4])
@each_setting
def test_a_restored_optimizer_goes_on_to_the_bit(settings, steps, tmp_path):
    optimizer, p, closure = in_the_valley(minidl, settings)
    for _ in range(steps):
        optimizer.step(closure)
    saved = optimizer.state_dict()
    in_a_file = through_a_file(saved, tmp_path / "state.safetensors")
    twins = []
    for state in (pickle.loads(pickle.dumps(saved)), in_a_file):
        twin, q, other = in_the_valley(minidl, {}, p.numpy().copy())
        twin.load_state_dict(state)
        twins.append((twin, q, other))
    copied, q = copy.deepcopy((optimizer, p))
    twins.append((copied, q, closure_of(copied, lambda: valley(q))))
    for each, _, evaluated in ((optimizer, p, closure), *twins):
        for _ in range(3):
            each.step(evaluated)
    for _, q, _ in twins:
        assert_equal([q.numpy()], [p.numpy()])


def test_a_saved_state_is_a_copy():
    optimizer, _, closure = in_the_valley(minidl, {"lr": 1e-3})
    optimizer.step(closure)
    saved, kept = optimizer.state_dict(), pickle.loads(pickle.dumps(optimizer.state_dict()))
    optimizer.step(closure)
    for key, x in kept["state"][0].items():
        for one, other in zip(plain([saved["state"][0][key]]), plain([x]), strict=True):
            np.testing.assert_array_equal(one, other)


BAD_STATES = {
    "missing": (lambda own: own.pop("ro"), ArgumentError, r"lacks \['ro'\]"),
    "no count": (lambda own: own.pop("n_iter"), ArgumentError, r"lacks \['n_iter'\]"),
    "shape": (lambda own: own.update(d=ops.ones(3)), ShapeError, r"\(3,\); needs \(4,\)"),
    "lists": (lambda own: own["old_dirs"].pop(), ArgumentError, "as many old_dirs as"),
}


@pytest.mark.parametrize(("spoil", "kind", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, kind, message):
    optimizer, p, closure = in_the_valley(minidl, {"lr": 1e-3})
    optimizer.step(closure)
    saved = optimizer.state_dict()
    spoil(saved["state"][0])
    before = optimizer.state[p]
    with pytest.raises(kind, match=f"load_state_dict: LBFGS's state.*{message}"):
        optimizer.load_state_dict(saved)
    assert optimizer.state[p] is before


def test_a_state_under_another_parameter_is_refused():
    optimizer, _, closure = of_a_network(minidl, {})
    optimizer.step(closure)
    saved = optimizer.state_dict()
    saved["state"] = {1: saved["state"][0]}
    with pytest.raises(ArgumentError, match="under the first parameter"):
        optimizer.load_state_dict(saved)


# Errors.


def test_a_step_needs_a_closure():
    optimizer, _, _ = in_the_valley(minidl, {})
    with pytest.raises(ArgumentError, match=r"LBFGS\.step: needs a closure .*; got None"):
        optimizer.step()
    with pytest.raises(ArgumentError, match=r"LBFGS\.step: needs a closure .*; got float32 \(1,\)"):
        optimizer.step(minidl.ones(1))


def test_a_trainer_says_that_it_has_no_closure():
    model = nn.Linear(2, 1)
    trainer = Trainer(model, optim.LBFGS(model.parameters()), "mse")
    with pytest.raises(ArgumentError, match=r"Trainer\.fit has none to give; write the loop"):
        trainer.fit((np.ones((4, 2), "float32"), np.ones((4, 1), "float32")))


@pytest.mark.parametrize("loss", [None, "low", np.ones(3)])
def test_a_closure_returns_one_number(loss):
    optimizer, _, _ = in_the_valley(minidl, {})
    with pytest.raises(ArgumentError, match="the closure returns the loss, one number; got"):
        optimizer.step(lambda: loss)


def test_there_is_one_group():
    p, q = nn.Parameter(1.0), nn.Parameter(2.0)
    with pytest.raises(ArgumentError, match="LBFGS: takes one group of parameters"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ArgumentError, match="LBFGS: takes one group of parameters"):
        optim.LBFGS([p]).add_param_group({"params": [q]})


BAD = [
    *(("lr", -1), ("lr", float("nan")), ("max_iter", 0), ("max_iter", 2.5), ("max_iter", None)),
    *(("max_eval", 0), ("tolerance_grad", -1), ("tolerance_change", "a"), ("history_size", 0)),
    *(("line_search_fn", "wolfe"), ("line_search_fn", True)),
]


@pytest.mark.parametrize(("setting", "value"), BAD)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(MinidlError, match=f"^LBFGS: {setting}"):
        optim.LBFGS([nn.Parameter(1.0)], **{setting: value})
