"""GradScaler: scales as PyTorch's, skipped steps, and what it saves."""

import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.amp import GradScaler
from minidl.errors import ArgumentError, DTypeError, GradientError

torch = pytest.importorskip("torch")


def layer_with(gradient, cls=nn.Parameter):
    p = nn.Parameter(minidl.ones(3))
    p.grad = minidl.tensor(gradient)
    return p


def test_scales_and_steps_are_those_of_pytorch():
    rng = np.random.default_rng(0)
    settings = {"init_scale": 8.0, "growth_factor": 3.0, "backoff_factor": 0.25}
    ours = GradScaler("cpu", growth_interval=2, **settings)
    theirs = torch.amp.GradScaler("cpu", growth_interval=2, **settings)
    p, q = nn.Parameter(minidl.ones(3)), torch.nn.Parameter(torch.ones(3))
    mine, other = optim.Adam([p], lr=0.1), torch.optim.Adam([q], lr=0.1)
    for bad in (False, False, True, False, False, False, True, True, False):
        x = rng.normal(size=3).astype("float32")
        x[0] = np.inf if bad else x[0]
        mine.zero_grad()
        other.zero_grad()
        ours.scale((p * minidl.tensor(x)).sum()).backward()
        theirs.scale((q * torch.tensor(x)).sum()).backward()
        ours.step(mine)
        ours.update()
        theirs.step(other)
        theirs.update()
        assert ours.get_scale() == theirs.get_scale()
        assert ours.state_dict() == theirs.state_dict()
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-6)
    assert mine.state[p]["step"] == 6


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.RMSprop])
def test_a_step_is_skipped_as_a_whole(rule, bad):
    p, q = layer_with([1.0, bad, 1.0]), layer_with([1.0, 1.0, 1.0])
    optimizer, scaler = rule([p, q], lr=0.1), GradScaler()
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == q.tolist() == [1, 1, 1]
    assert scaler.get_scale() == 2.0**15
    assert all(own["step"] == 0 for own in optimizer.state_dict()["state"].values())


def test_gradients_can_be_clipped_after_unscale():
    p = layer_with([3.0 * 1024, 4.0 * 1024, 0.0])
    optimizer, scaler = optim.SGD([p], lr=1.0), GradScaler(init_scale=1024.0)
    held = p.grad
    scaler.unscale_(optimizer)
    assert optim.clip_grad_norm_([p], 1.0).item() == 5
    assert held.tolist() == [3072, 4096, 0]
    scaler.step(optimizer)
    np.testing.assert_allclose(p.numpy(), [0.4, 0.2, 1.0], rtol=1e-5)


def test_rows_of_sparse_gradients_are_unscaled():
    table = nn.Embedding(5, 2, sparse=True)
    optimizer, scaler = optim.SGD(table.parameters(), lr=1.0), GradScaler(init_scale=4.0)
    scaler.scale(table(minidl.tensor([1, 3, 1])).sum()).backward()
    scaler.unscale_(optimizer)
    assert isinstance(table.weight.grad, minidl.RowGradient)
    rows = minidl.Tensor(table.weight.grad.rows)
    assert rows.tolist() == [[2, 2], [1, 1]]


def test_several_losses_and_optimisers_share_a_scale():
    p, q = nn.Parameter(minidl.ones(1)), nn.Parameter(minidl.ones(1))
    first, second = optim.SGD([p], lr=1.0), optim.SGD([q], lr=1.0)
    scaler = GradScaler(init_scale=16.0)
    for loss in scaler.scale([p.sum(), (q * np.float32(np.inf)).sum()]):
        loss.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (p.item(), q.item(), scaler.get_scale()) == (0, 1, 8)
    scaled = scaler.scale({"a": p.sum(), "b": (q.sum(),)})
    assert (scaled["a"].item(), scaled["b"][0].item()) == (0, 8)


def test_the_scale_does_not_overflow():
    scaler = GradScaler(init_scale=2.0**127, growth_interval=1)
    p = layer_with([0.0, 0.0, 0.0])
    scaler.step(optim.SGD([p]))
    scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_what_is_not_enabled_does_nothing():
    p = layer_with([1.0, np.inf, 1.0])
    scaler = GradScaler(enabled=False)
    assert scaler.scale(p) is p
    scaler.step(optim.SGD([p], lr=1.0))
    scaler.update()
    assert p.tolist() == [0, -np.inf, 0]
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1


def test_state_round_trip():
    scaler = GradScaler(init_scale=4.0, growth_interval=3)
    for _ in range(2):
        scaler.step(optim.SGD([layer_with([1.0, 1.0, 1.0])]))
        scaler.update()
    saved = pickle.loads(pickle.dumps(scaler.state_dict()))
    other = GradScaler()
    other.load_state_dict(saved)
    assert other.state_dict() == scaler.state_dict() == saved
    for each in (scaler, other):
        each.step(optim.SGD([layer_with([1.0, 1.0, 1.0])]))
        each.update()
        assert each.get_scale() == 8
    with pytest.raises(ArgumentError, match="state_dict"):
        other.load_state_dict({"scale": 1.0})
    with pytest.raises(ArgumentError, match="init_scale"):
        other.load_state_dict({**saved, "scale": -1.0})
    assert other.get_scale() == 8
    theirs = torch.amp.GradScaler("cpu")
    theirs.load_state_dict(saved)


def test_the_order_of_calls():
    p = layer_with([1.0, 1.0, 1.0])
    optimizer, scaler = optim.SGD([p]), GradScaler()
    with pytest.raises(GradientError, match="update"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match="unscale_"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GradientError, match="step"):
        scaler.step(optimizer)
    with pytest.raises(GradientError, match="step"):
        scaler.unscale_(optimizer)
    scaler.update(new_scale=2.0)
    assert scaler.get_scale() == 2


def test_parameters_in_float16_cannot_be_unscaled():
    p = nn.Parameter(minidl.ones(2, dtype="float16"))
    p.grad = minidl.ones(2, dtype="float16")
    with pytest.raises(GradientError, match="float32"):
        GradScaler().unscale_(optim.SGD([p]))


@pytest.mark.parametrize(
    "settings",
    [
        {"init_scale": 0},
        {"growth_factor": 1.0},
        {"backoff_factor": 1.0},
        {"growth_interval": 0},
        {"enabled": 1},
    ],
    ids=str,
)
def test_bad_settings(settings):
    with pytest.raises(ArgumentError, match=next(iter(settings))):
        GradScaler(**settings)


def test_only_floats_are_scaled():
    for bad in (minidl.tensor([1]), "loss"):
        with pytest.raises(DTypeError, match="scale"):
            GradScaler().scale(bad)


def test_whether_it_is_enabled():
    assert GradScaler().is_enabled() is True
    assert GradScaler(enabled=False).is_enabled() is False
    theirs = torch.amp.GradScaler("cpu", enabled=False)
    assert GradScaler(enabled=False).get_scale() == theirs.get_scale()
    assert theirs.is_enabled() is False


@pytest.mark.parametrize("bad", [np.inf, np.nan, 1.0])
def test_whether_a_step_will_be_skipped(bad):
    p = layer_with([1.0, bad, 1.0])
    optimizer, scaler = optim.SGD([p]), GradScaler()
    assert scaler.found_inf(optimizer) is None
    scaler.unscale_(optimizer)
    found = scaler.found_inf(optimizer)
    assert (found.shape, found.item()) == ((), float(bad != 1))
    scaler.step(optimizer)
    assert scaler.found_inf(optimizer).item() == found.item()
    scaler.update()
    assert scaler.found_inf(optimizer) is None


def test_a_step_that_was_broken_off_can_be_forgotten():
    p = layer_with([1.0, np.inf, 1.0])
    optimizer, scaler = optim.SGD([p], lr=1.0), GradScaler()
    scaler.unscale_(optimizer)
    scaler.forget()
    p.grad = minidl.ones(3) * 2.0**16
    scaler.step(optimizer)
    scaler.update()
    assert (p.tolist(), scaler.get_scale()) == ([0, 0, 0], 2.0**16)
