"""Mixed precision on the GPU: nothing waits, steps are skipped there, and a CNN learns."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.amp import GradScaler

RULES = {
    "descent": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    "adam": (optim.Adam, {"lr": 0.1}),
    "amsgrad": (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    "adamw": (optim.AdamW, {"lr": 0.1}),
    "rmsprop": (optim.RMSprop, {"lr": 0.1}),  # without a kernel
}
BAD = 1, 3, 4  # which of seven steps are skipped


def stepped(device, rule, counters=None):
    cls, settings = RULES[rule]
    rng = np.random.default_rng(0)
    params = [nn.Parameter(minidl.ones(shape).to(device)) for shape in ((3,), (2, 2))]
    optimizer, scaler = cls(params, **settings), GradScaler(init_scale=1024.0)
    for step in range(7):
        for p in params:
            p.grad = minidl.tensor(rng.normal(size=p.shape) * 1024, dtype="float32").to(device)
        if step in BAD:
            params[1].grad = minidl.full((2, 2), np.nan).to(device)
        if counters is not None:
            counters.reset()
        scaler.step(optimizer)
        scaler.update()
        if counters is not None and step > 1:
            assert (counters.h2d, counters.sync) == (0, 0)
            assert counters.d2h == 1  # the flag, which nobody waits for
            assert counters.launches["unscale_f32"] == counters.launches["update_scale"] == 1
            assert sum(counters.launches.values()) <= 4
    return params, optimizer, scaler


@pytest.mark.parametrize("rule", RULES)
def test_steps_are_skipped_as_on_the_cpu(rule, counters):
    found, ours, scaler = stepped("cuda", rule, None if rule == "rmsprop" else counters)
    expected, theirs, other = stepped("cpu", rule)
    for p, q in zip(found, expected, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=2e-6)
    assert scaler.state_dict() == other.state_dict()
    steps = [[own["step"] for own in o.state_dict()["state"].values()] for o in (ours, theirs)]
    assert steps[0] == steps[1] == [4, 4]


def test_a_skipped_first_step_is_not_counted():
    for device in ("cuda", "cpu"):
        p = nn.Parameter(minidl.ones(2).to(device))
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.5)
        scaler = GradScaler(init_scale=1.0)
        for value in (np.inf, 1.0, 1.0):
            p.grad = minidl.full((2,), value).to(device)
            scaler.step(optimizer)
            scaler.update(new_scale=1.0)
        np.testing.assert_allclose(p.numpy(), 1 - 0.1 - 0.1 * 1.4, rtol=1e-6)


def test_rows_are_skipped():
    table = nn.Embedding(6, 3, sparse=True).to("cuda")
    optimizer = optim.Adam(table.parameters(), lazy=True, lr=0.1)
    scaler, before = GradScaler(init_scale=1.0), table.weight.numpy().copy()
    for factor in (np.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale((table(minidl.tensor([1, 4]).to("cuda")) * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        changed = (table.weight.numpy() != before).any(axis=1)
        assert changed.tolist() == [factor == 1 and i in (1, 4) for i in range(6)]
    assert optimizer.state_dict()["state"][0]["step"] == 1


def images(count, seed):
    """Noisy bars, upright or level."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    x = rng.normal(0, 0.3, (count, 1, 8, 8)).astype("float32")
    for image, label, place in zip(x, labels, rng.integers(0, 8, count), strict=True):
        bar = image[0, place] if label else image[0, :, place]
        bar += 2
    return x, labels


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_cnn_learns_in_mixed_precision(device):
    minidl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, 2),
    ).to(device)
    optimizer, scaler = optim.Adam(model.parameters(), lr=0.02), GradScaler(growth_interval=8)
    losses = []
    for step in range(20):
        x, labels = (minidl.asarray(a).to(device) for a in images(16, step))
        optimizer.zero_grad()
        with minidl.autocast(device):
            output = model(x)
            loss = minidl.cross_entropy(output, labels)
        assert (output.dtype, loss.dtype) == ("float16", "float32")
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        optim.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:3])
    assert scaler.get_scale() > 1
    assert all(p.dtype == p.grad.dtype == "float32" for p in model.parameters())
