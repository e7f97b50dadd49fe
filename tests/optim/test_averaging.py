"""Averages of weights, and the statistics of batch norm for them, against PyTorch's."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, ShapeError
from minidl.optim import AveragedModel, get_ema_avg_fn, get_swa_avg_fn, update_bn
from tests.helpers import assert_close
from tests.optim.test_optim import TOLERANCE
from tests.oracle import torch

LIBRARIES = minidl, torch
AVERAGES = {
    "equal": lambda library: None,
    "equal by name": lambda library: averaging_of(library).get_swa_avg_fn(),
    "moving": lambda library: averaging_of(library).get_ema_avg_fn(0.9),
    "moving slowly": lambda library: averaging_of(library).get_ema_avg_fn(),
    "the latest": lambda library: averaging_of(library).get_ema_avg_fn(0),
    "the first": lambda library: averaging_of(library).get_ema_avg_fn(1),
    "of one's own": lambda library: lambda averaged, current, n: (averaged * n + 2 * current) / 3,
}
each_average = pytest.mark.parametrize("average", AVERAGES.values(), ids=AVERAGES)


def averaging_of(library):
    return library.optim if library is minidl else torch.optim.swa_utils


def network(library, dtype="float64"):
    own = {"dtype": dtype if library is minidl else getattr(torch, dtype)}
    layers = library.nn.Linear(4, 3, **own), library.nn.BatchNorm1d(3, **own)
    return library.nn.Sequential(*layers, library.nn.Tanh(), library.nn.Linear(3, 2, **own))


def batches(steps=5):
    rng = np.random.default_rng(1)
    return list(rng.normal(size=(steps, 8, 4)))


def set_weights(library, model, step):
    rng = np.random.default_rng(step)
    with library.no_grad():
        for p in model.parameters():
            p[...] = library.tensor(rng.normal(size=tuple(p.shape)))


def averaged(library, average, dtype="float64", steps=5, **settings):
    """An average of five models, each of which has seen another batch."""
    model = network(library, dtype)
    set_weights(library, model, 100)
    found = averaging_of(library).AveragedModel(model, avg_fn=average(library), **settings)
    for step, x in enumerate(batches(steps)):
        set_weights(library, model, step)
        model(library.tensor(x.astype(dtype)))
        found.update_parameters(model)
    return found, model


def assert_same_state(ours, theirs, tolerance=1e-10):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert list(ours) == list(theirs)
    for name, x in theirs.items():
        assert_close(ours[name], x, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("use_buffers", [False, True])
@each_average
def test_averages_are_pytorchs(average, use_buffers, dtype):
    found = [averaged(lib, average, dtype, use_buffers=use_buffers)[0] for lib in LIBRARIES]
    assert_same_state(*found, TOLERANCE[dtype])
    assert found[0].n_averaged.item() == 5
    for each in found:
        each.eval()
    x = batches()[0].astype(dtype)
    ours, theirs = (
        each(lib.tensor(x)).detach() for each, lib in zip(found, LIBRARIES, strict=True)
    )
    assert_close(ours, theirs, TOLERANCE[dtype])


def test_before_the_first_update_it_is_a_copy():
    model = network(minidl)
    average = AveragedModel(model)
    before = copy.deepcopy(average.state_dict())
    set_weights(minidl, model, 3)
    for name, x in average.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    average.update_parameters(model)
    for own, p in zip(average.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(own.detach(), p.detach())
        assert not np.shares_memory(own, p)


def test_an_equal_average_is_the_mean():
    average, _ = averaged(minidl, AVERAGES["equal"])
    models = [network(minidl) for _ in range(5)]
    for step, model in enumerate(models):
        set_weights(minidl, model, step)
    for own, *each in zip(*(m.parameters() for m in (average, *models)), strict=True):
        np.testing.assert_allclose(own, np.mean([p.numpy() for p in each], axis=0), rtol=1e-12)


def test_the_model_is_not_changed_and_nothing_is_recorded():
    average, model = averaged(minidl, AVERAGES["moving"])
    expected = network(minidl)
    set_weights(minidl, expected, 4)
    for p, own in zip(model.parameters(), expected.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach(), own.detach())
    assert all(p.is_leaf for p in (*model.parameters(), *average.parameters()))


def test_a_shared_parameter_stays_shared():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    average = AveragedModel(model)
    for _ in range(3):
        average.update_parameters(model)
    assert average.module[0].weight is average.module[1].weight


@given(st.floats(0, 1), st.integers(1, 6))
def test_averages_stay_between_the_models(decay, steps):
    for average in (get_ema_avg_fn(decay), get_swa_avg_fn()):
        model = nn.Linear(2, 1, dtype="float64")
        found, seen = AveragedModel(model, average), []
        for step in range(steps):
            set_weights(minidl, model, step)
            found.update_parameters(model)
            seen.append(model.weight.numpy().copy())
        weight = found.module.weight.numpy()
        assert (weight <= np.max(seen, axis=0) + 1e-12).all()
        assert (weight >= np.min(seen, axis=0) - 1e-12).all()


# Saving and restoring.


@pytest.mark.parametrize("average", [AVERAGES["equal"], AVERAGES["moving"]])
def test_a_restored_average_goes_on_to_the_bit(average):
    found, model = averaged(minidl, average)
    other = AveragedModel(network(minidl), average(minidl))
    other.load_state_dict(pickle.loads(pickle.dumps(found.state_dict())))
    set_weights(minidl, model, 9)
    for each in (found, other):
        each.update_parameters(model)
    for name, x in found.state_dict().items():
        np.testing.assert_array_equal(x, other.state_dict()[name])


def test_an_average_begun_in_pytorch_goes_on_here():
    found, models = [], [network(lib) for lib in LIBRARIES]
    theirs, _ = averaged(torch, AVERAGES["equal"])
    ours = AveragedModel(models[0])
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    for each, model, library in zip((ours, theirs), models, LIBRARIES, strict=True):
        set_weights(library, model, 9)
        each.update_parameters(model)
        found.append(each)
    assert_same_state(*found)


# Batch norm.


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("in_pairs", [False, True])
def test_statistics_are_computed_anew_as_in_pytorch(momentum, in_pairs):
    found = []
    for library in LIBRARIES:
        average, _ = averaged(library, AVERAGES["moving"])
        average.module[1].momentum = momentum
        average.eval()
        inputs = [library.tensor(x) for x in batches(3)]
        loader = [(x, None) for x in inputs] if in_pairs else inputs
        averaging_of(library).update_bn(loader, average)
        assert not any(module.training for module in average.modules())
        assert average.module[1].momentum == momentum
        found.append(average)
    assert_same_state(*found)


def test_each_part_goes_on_in_its_own_mode_even_after_an_error():
    model = network(minidl).train()
    model[3].eval()
    with pytest.raises(ShapeError):
        update_bn([minidl.ones((3, 5))], model)
    assert [module.training for module in model.modules()] == [True] * 4 + [False]
    assert model[1].momentum == 0.1


def test_without_batch_norm_nothing_is_computed():
    update_bn(iter(lambda: 1 / 0, None), nn.Linear(2, 2))


def test_statistics_are_computed_without_a_graph():
    class Witness(nn.Module):
        def forward(self, x):
            assert not x.requires_grad
            return x

    model = nn.Sequential(nn.BatchNorm1d(2), Witness())
    x = minidl.ones((3, 2))
    update_bn([x, x * 2], model)
    assert model[0].running_mean.tolist() == [1.5, 1.5]
    assert model[0].num_batches_tracked.item() == 2


# Errors.


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan"), "a"])
def test_decays_are_fractions(decay):
    with pytest.raises(ArgumentError, match="get_ema_avg_fn: decay is a number from 0 to 1"):
        get_ema_avg_fn(decay)


@pytest.mark.parametrize("other", [nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(2, 2, bias=False)])
def test_another_model_is_refused_and_changes_nothing(other):
    average = AveragedModel(nn.Linear(2, 2))
    with pytest.raises(ShapeError, match=r"AveragedModel: parameters of shapes .* has \[\(2, 2\)"):
        average.update_parameters(other)
    assert average.n_averaged.item() == 0


def test_the_learning_rate_of_an_average_is_its_own_affair():
    """Averages may be trained on: their parameters are parameters."""
    average = AveragedModel(nn.Linear(2, 1))
    optimizer = optim.SGD(average.parameters(), lr=0.1)
    average(minidl.ones((3, 2))).sum().backward()
    optimizer.step()
