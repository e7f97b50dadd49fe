"""The other optimisers against PyTorch's, and Lion and LAMB against their papers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops, optim
from minidl.errors import ArgumentError
from tests.helpers import assert_all_close, on_host
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
    pickled,
    saved_after_a_step,
    take_steps,
    values_of,
)
from tests.oracle import INSTALLED, torch

SHARED = {"weight_decay": [0, 0.1], "maximize": [False, True]}
GRID = [
    *grid("RMSprop", lr=[0.1], alpha=[0.99, 0.5], momentum=[0, 0.9], centered=[False, True]),
    *grid("RMSprop", lr=[0.1], eps=[1e-8, 1e-2], centered=[False, True], **SHARED),
    *grid("Adagrad", lr=[0.1], lr_decay=[0, 0.3], initial_accumulator_value=[0, 0.5], **SHARED),
    *grid("Adagrad", eps=[1e-10, 1e-2]),
    *grid("Adadelta", lr=[1.0, 0.3], rho=[0.9, 0.5], eps=[1e-6, 1e-2], **SHARED),
    *grid(
        "NAdam",
        lr=[0.1],
        betas=[(0.9, 0.999), (0.5, 0.7), (0, 0)],
        momentum_decay=[4e-3, 0.3],
        decoupled_weight_decay=[False, True],
        **SHARED,
    ),
    *grid("NAdam", eps=[1e-8, 1e-2]),
    *grid("Adamax", lr=[0.1], betas=[(0.9, 0.999), (0.5, 0.7), (0, 0)], **SHARED),
    *grid("Adamax", eps=[1e-8, 1e-2]),
    *grid("RAdam", lr=[0.1], decoupled_weight_decay=[False, True], **SHARED),
    *grid("RAdam", lr=[0.1], betas=[(0.9, 0.99), (0.5, 0.7), (0, 0)], eps=[1e-8, 1e-2]),
    *grid("ASGD", lr=[0.1], lambd=[1e-4, 0.3], alpha=[0.75, 0.3], t0=[1e6, 3, 0]),
    *grid("ASGD", lr=[0.1], **SHARED),
    *grid("Rprop", lr=[0.1, 1e-2], etas=[(0.5, 1.2), (0.1, 3)], maximize=[False, True]),
    *grid("Rprop", lr=[0.1], step_sizes=[(1e-6, 50), (0.05, 0.13), (0.2, 0.3)]),
]
A_FEW = [
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.1, "momentum_decay": 0.3}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.99)}),
    ("RAdam", {"lr": 0.1, "betas": (0, 0.7), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "t0": 3.0}),
    ("Rprop", {"lr": 0.1, "maximize": True}),
]
LION = [
    ("Lion", {"lr": 0.1}),
    ("Lion", {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.3, "maximize": True}),
]
LAMB = [
    ("LAMB", {"lr": 0.1}),
    ("LAMB", {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.3, "maximize": True}),
]
NAMES = ["RMSprop", "Adagrad", "Adadelta", "NAdam", "Adamax", "RAdam", "ASGD", "Rprop"]
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_few = pytest.mark.parametrize(("name", "settings"), A_FEW)
each_rule = pytest.mark.parametrize(("name", "settings"), A_FEW + LION + LAMB)


@pytest.fixture(autouse=True)
def exact_numbers_in_pytorch():
    """PyTorch keeps state of one number, such as μ₁⋯μₜ, in its default dtype."""
    if INSTALLED:
        torch.set_default_dtype(torch.float64)
    yield
    if INSTALLED:
        torch.set_default_dtype(torch.float32)


# The same steps as PyTorch.


@each_dtype
@pytest.mark.parametrize(("name", "settings"), GRID)
def test_ten_steps_are_pytorchs(name, settings, dtype):
    ours, theirs = (after_ten_steps(lib, name, settings, arrays(dtype)) for lib in LIBRARIES)
    assert_all_close(ours, theirs, TOLERANCE[dtype])


@each_few
def test_ten_steps_leave_pytorchs_state(name, settings):
    found = []
    for library in LIBRARIES:
        parameters = parameters_of(library, arrays())
        optimizer = getattr(library.optim, name)(parameters, **settings)
        take_steps(library, optimizer, parameters, gradients(arrays()))
        found.append(optimizer.state_dict()["state"])
    for number, own in found[1].items():
        for key, x in own.items():
            np.testing.assert_allclose(found[0][number][key], x, 1e-10, 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_default_settings_are_pytorchs(name):
    ours, theirs = (
        getattr(library.optim, name)(parameters_of(library, arrays())).defaults
        for library in LIBRARIES
    )
    assert ours == {key: theirs[key] for key in ours}
    left_out = {"foreach", "capturable", "differentiable", "fused"}
    assert set(theirs) - left_out == set(ours)


@each_few
def test_settings_may_change_between_steps(name, settings):
    ours, theirs = (
        after_ten_steps(library, name, settings, arrays(), changed) for library in LIBRARIES
    )
    assert_all_close(ours, theirs, 1e-10)


def test_nadams_product_remembers_the_betas_of_each_step():
    def switch(step, groups):
        groups[0]["betas"] = (0.9 - step / 20, 0.99)

    found = [after_ten_steps(lib, "NAdam", {}, arrays(), switch) for lib in LIBRARIES]
    assert_all_close(*found, 1e-10)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("RMSprop", {"lr": 0.02, "momentum": 0.9, "centered": True}),
        ("Adagrad", {"lr_decay": 0.3, "maximize": True}),
        ("Adadelta", {"rho": 0.5, "weight_decay": 0.3}),
        ("NAdam", {"betas": (0.5, 0.9), "weight_decay": 0.3, "decoupled_weight_decay": True}),
        ("Adamax", {"betas": (0.5, 0.9), "weight_decay": 0.3}),
        ("RAdam", {"betas": (0.5, 0.9), "weight_decay": 0.3, "decoupled_weight_decay": True}),
        ("ASGD", {"lr": 0.02, "lambd": 0.3, "t0": 2}),
        ("Rprop", {"etas": (0.3, 2), "maximize": True}),
    ],
)
def test_groups_have_settings_of_their_own(name, own):
    found = []
    for library in LIBRARIES:
        parameters = parameters_of(library, arrays())
        groups = [{"params": parameters[:2]}, {"params": parameters[2:5], **own}]
        optimizer = getattr(library.optim, name)(groups, lr=0.1)
        take_steps(library, optimizer, parameters[:5], gradients(arrays()[:5], 3))
        optimizer.add_param_group({"params": parameters[5:], **own})
        take_steps(library, optimizer, parameters, gradients(arrays(), 7))
        found.append(values_of(parameters))
    assert_all_close(*found, 1e-10)


@each_few
def test_one_optimizer_may_have_several_dtypes(name, settings):
    values = arrays(["float32", "float64"])
    ours, theirs = (after_ten_steps(lib, name, settings, values) for lib in LIBRARIES)
    for one, other in zip(ours, theirs, strict=True):
        assert_all_close([one], [other], TOLERANCE[str(one.dtype)])


@each_rule
def test_numpys_scalars_are_as_good_as_pythons(name, settings):
    in_numpy = {key: np.float64(x) if type(x) is float else x for key, x in settings.items()}
    found = [after_ten_steps(minidl, name, s, arrays("float32")) for s in (settings, in_numpy)]
    assert_equal(*found)


@each_rule
def test_gradients_are_neither_changed_nor_kept(name, settings):
    parameters = parameters_of(minidl, arrays())
    optimizer = getattr(optim, name)(parameters, **settings)
    steps = gradients(arrays(), 3, every=True)
    take_steps(minidl, optimizer, parameters, steps)
    assert_equal([p.grad for p in parameters], steps[-1])
    state = all_state(optimizer)
    for p in parameters:
        p.grad[...] = 100
    assert_equal(all_state(optimizer), state)


@each_rule
def test_rows_of_a_table_are_as_good_as_a_dense_gradient(name, settings):
    found = []
    for sparse in (False, True):
        table = nn.Parameter(minidl.tensor(arrays(shapes=[(7, 3)])[0]))
        optimizer = getattr(optim, name)([table], **settings)
        for ids in ([2, 5, 2], [0, 5, 1], [6, 6, 6]):
            y = ops.embedding(table, minidl.tensor(ids), sparse=sparse)
            optimizer.zero_grad()
            (y * y).sum().backward()
            optimizer.step()
        found.append(table.numpy())
    assert_all_close(*([x] for x in found), 1e-14)


def test_rprop_forgets_a_gradient_whose_sign_has_changed():
    """It then stays, and goes on with a smaller step whatever the sign."""
    p = nn.Parameter([0.0])
    optimizer = optim.Rprop([p], lr=1.0)
    seen = []
    for g in (2.0, 0.1, -3.0, -3.0, -0.5):
        p.grad = minidl.tensor([g], dtype="float32")
        optimizer.step()
        seen += p.tolist()
    np.testing.assert_allclose(seen, [-1.2 + 0.2, -2.2, -2.2, -1.6, -0.88], rtol=1e-6)


def test_the_average_of_asgd_begins_late():
    p = nn.Parameter(np.zeros(2))
    optimizer = optim.ASGD([p], lr=1.0, lambd=0.0, t0=2)
    seen = []
    for step in range(6):
        p.grad = minidl.tensor([1.0, -2.0], dtype="float64")
        optimizer.step()
        seen.append(p.numpy().copy())
        average = seen[-1] if step < 3 else np.mean(seen[3:], axis=0)
        np.testing.assert_allclose(on_host(optimizer.state[p]["ax"]), average, rtol=1e-12)


def test_a_constant_gradient_has_no_variance_and_gives_no_nan():
    """Rounding would take v − m² below 0."""
    p = nn.Parameter(minidl.tensor([0.1, 0.7, 1.3], dtype="float32"))
    optimizer = optim.RMSprop([p], lr=1e-9, alpha=0.5, centered=True)
    for _ in range(100):
        p.grad = minidl.tensor([0.1, 0.7, 1.3], dtype="float32")
        optimizer.step()
    assert np.isfinite(p.numpy()).all()


# Lion, of which PyTorch has none.


def lion_of_the_paper(values, steps, lr, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
    """Algorithm 2 of Chen et al. 2023, for one parameter at a time."""
    found = []
    for position, theta in enumerate(values):
        m = np.zeros_like(theta)
        for drawn in steps:
            if drawn[position] is not None:
                g = -drawn[position] if maximize else drawn[position]
                c = betas[0] * m + (1 - betas[0]) * g
                theta = theta - lr * (np.sign(c) + weight_decay * theta)
                m = betas[1] * m + (1 - betas[1]) * g
        found.append(np.asarray(theta))
    return found


@pytest.mark.parametrize("lr", [0.1, 0.01])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.5, 0.7), (0, 0)])
@pytest.mark.parametrize("decay", [0, 0.3])
@pytest.mark.parametrize("maximize", [False, True])
def test_ten_steps_of_lion_are_the_papers(lr, betas, decay, maximize):
    settings = {"lr": lr, "betas": betas, "weight_decay": decay, "maximize": maximize}
    ours = after_ten_steps(minidl, "Lion", settings, arrays())
    assert_all_close(ours, lion_of_the_paper(arrays(), gradients(arrays()), **settings), 1e-12)


def test_lion_stays_where_there_is_no_gradient():
    p = nn.Parameter([1.0, 2.0])
    p.grad = minidl.tensor([0.0, 1e-20], dtype="float32")
    optim.Lion([p], lr=0.5).step()
    assert p.tolist() == [1, 1.5]


# LAMB, of which PyTorch has none.


def lamb_of_the_paper(
    values, steps, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=1e-2, maximize=False
):
    """Algorithm 2 of You et al. 2020, for one parameter at a time."""
    found = []
    for position, theta in enumerate(values):
        m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
        for drawn in steps:
            if drawn[position] is not None:
                g = -drawn[position] if maximize else drawn[position]
                t += 1
                m = betas[0] * m + (1 - betas[0]) * g
                v = betas[1] * v + (1 - betas[1]) * g**2
                r = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
                r = r + weight_decay * theta
                lengths = np.linalg.norm(theta.ravel()), np.linalg.norm(r.ravel())
                ratio = lengths[0] / lengths[1] if all(lengths) else 1
                theta = theta - lr * ratio * r
        found.append(np.asarray(theta))
    return found


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.7), (0, 0)])
@pytest.mark.parametrize("eps", [1e-6, 1e-2])
@pytest.mark.parametrize("decay", [0, 0.3])
@pytest.mark.parametrize("maximize", [False, True])
def test_ten_steps_of_lamb_are_the_papers(betas, eps, decay, maximize):
    own = {"lr": 0.1, "betas": betas, "eps": eps, "weight_decay": decay, "maximize": maximize}
    expected = lamb_of_the_paper(arrays(), gradients(arrays()), **own)
    assert_all_close(after_ten_steps(minidl, "LAMB", own, arrays()), expected, 1e-10)
    single = [np.asarray(x, "float32") for x in expected]
    assert_all_close(after_ten_steps(minidl, "LAMB", own, arrays("float32")), single, 1e-5)


@given(st.floats(1, 1e6), st.integers(1, 9))
def test_a_step_of_lamb_is_as_long_as_the_parameter_says(scale, size):
    rng = np.random.default_rng(size)
    pair = [nn.Parameter(rng.normal(size=size)) for _ in range(2)]
    before = values_of(pair)
    for p in pair:
        p.grad = minidl.tensor(scale * rng.normal(size=size))
    optim.LAMB(pair, lr=0.25).step()
    for p, old in zip(pair, before, strict=True):
        length = np.linalg.norm(p.numpy() - old)
        np.testing.assert_allclose(length, 0.25 * np.linalg.norm(old), rtol=1e-6)


def test_lamb_moves_what_is_zero_and_stays_where_there_is_no_gradient():
    zero, still = nn.Parameter([0.0, 0.0]), nn.Parameter([1.0, 1.0])
    zero.grad, still.grad = minidl.tensor([3.0, -5.0]), minidl.tensor([0.0, 0.0])
    optim.LAMB([zero, still], lr=0.5, weight_decay=0.0).step()
    np.testing.assert_allclose(zero.numpy(), [-0.5, 0.5], rtol=1e-5)
    assert still.tolist() == [1, 1]


# Saving and restoring.


@each_rule
@pytest.mark.parametrize("fresh", ["same settings", "default settings"])
def test_a_restored_optimizer_goes_on_to_the_bit(name, settings, fresh):
    parameters = parameters_of(minidl, arrays())
    optimizer = getattr(optim, name)(parameters, **settings)
    steps = gradients(arrays())
    take_steps(minidl, optimizer, parameters, steps[: STEPS // 2])
    twins = parameters_of(minidl, values_of(parameters))
    restored = getattr(optim, name)(twins, **(settings if fresh == "same settings" else {}))
    restored.load_state_dict(pickled(optimizer.state_dict()))
    for each, own in ((optimizer, parameters), (restored, twins)):
        take_steps(minidl, each, own, steps[STEPS // 2 :])
    assert_equal(
        values_of(parameters) + all_state(optimizer), values_of(twins) + all_state(restored)
    )


@each_few
def test_a_saved_state_has_pytorchs_form(name, settings):
    ours, theirs = (saved_after_a_step(library, name, settings)[0] for library in LIBRARIES)
    for one, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert one == {key: other[key] for key in one}
    for number, own in theirs["state"].items():
        assert set(own) == set(ours["state"][number])
        for key, x in own.items():
            scale = np.abs(np.asarray(x)).max(initial=0)
            np.testing.assert_allclose(ours["state"][number][key], x, 0, 1e-6 * scale)


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


def test_a_state_without_its_number_is_refused():
    saved, optimizer, _ = saved_after_a_step(minidl, "NAdam", {})
    del saved["state"][2]["mu_product"]
    with pytest.raises(ArgumentError, match="parameter 2 has no mu_product"):
        optimizer.load_state_dict(saved)


# Errors.

NAN = float("nan")
BAD = {
    "RMSprop": [("lr", -1), ("alpha", 1.5), ("alpha", NAN), ("eps", -1), ("momentum", -0.1)],
    "Adagrad": [("lr", NAN), ("lr_decay", -1), ("initial_accumulator_value", -1), ("eps", "a")],
    "Adadelta": [("lr", -1), ("rho", -0.1), ("rho", 1.1), ("eps", None), ("weight_decay", -1)],
    "NAdam": [("lr", -1), ("betas", (1, 0.9)), ("momentum_decay", -1), ("weight_decay", NAN)],
    "Adamax": [("lr", -1), ("betas", (1, 0.9)), ("eps", NAN), ("weight_decay", -1)],
    "RAdam": [("lr", NAN), ("betas", (0.9, 1)), ("eps", -1), ("weight_decay", "a")],
    "ASGD": [("lr", -1), ("lambd", -1), ("alpha", NAN), ("t0", None), ("weight_decay", -1)],
    "Rprop": [
        *(("lr", -1), ("etas", (0.5, 0.9)), ("etas", (0, 1.2)), ("etas", 0.5), ("etas", ("a", 2))),
        *(("step_sizes", (1, 0.5)), ("step_sizes", (-1, 1)), ("step_sizes", (0, NAN))),
    ],
    "LAMB": [("lr", -1), ("betas", (0.9,)), ("eps", -1), ("weight_decay", NAN)],
    "Lion": [("lr", -1), ("betas", 0.9), ("betas", (0.9, NAN)), ("weight_decay", -1)],
}


@pytest.mark.parametrize(
    ("name", "setting", "value"), [(name, *pair) for name, pairs in BAD.items() for pair in pairs]
)
def test_settings_out_of_range_are_refused(name, setting, value):
    with pytest.raises(ArgumentError, match=f"^{name}: {setting}"):
        getattr(optim, name)([nn.Parameter(1.0)], **{setting: value})
    with pytest.raises(ArgumentError, match=f"^{name}: {setting}"):
        getattr(optim, name)([{"params": [nn.Parameter(1.0)], setting: value}])
