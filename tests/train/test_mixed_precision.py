"""Trainer(mixed_precision=True): it is the loop with autocast and GradScaler, to the bit."""

import json

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.amp import GradScaler
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError, DTypeError, GradientError
from minidl.io import CheckpointError
from minidl.models import LanguageModel
from minidl.optim.schedules import StepLR
from minidl.train import Callback, TensorStatistics, Trainer, TrainingError, learning_curves
from minidl.train.metrics import Metric
from tests.train.test_resume import Stop, all_of, bits, data, fit, make

torch = pytest.importorskip("torch")


def scaler(**settings):
    """One whose scale is too large at first, and grows soon."""
    return GradScaler(**{"init_scale": 2.0**20, "growth_interval": 2, **settings})


def network():
    minidl.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3))


# What it computes.


def by_hand(accumulate, clip, epochs=8):
    """The loop, as the documentation of GradScaler has it."""
    net, own = network(), scaler()
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    schedule, skipped = StepLR(optimizer, 4, gamma=0.5), 0
    x, y = (minidl.asarray(a) for a in data())
    for _ in range(epochs):
        for start in range(0, len(x), 3 * accumulate):
            optimizer.zero_grad()
            count = len(x[start : start + 3 * accumulate])
            for i in range(start, start + count, 3):
                xs, ys = x[i : i + 3], y[i : i + 3]
                with minidl.autocast("cpu"):
                    loss = minidl.cross_entropy(net(xs), ys)
                own.scale(loss * len(xs) if accumulate > 1 else loss).backward()
            own.unscale_(optimizer)
            for p in net.parameters():
                p.grad = p.grad / count if accumulate > 1 else p.grad
            if clip:
                optim.clip_grad_norm_(net.parameters(), clip)
            skipped += int(own.found_inf(optimizer).item())
            own.step(optimizer)
            own.update()
            schedule.step()
    return net, optimizer, own, skipped


@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (1, 0.5), (2, 0.5), (4, None)])
def test_it_is_the_loop_with_autocast_and_a_scaler(accumulate, clip):
    net, optimizer, own, skipped = by_hand(accumulate, clip)
    model, used = network(), scaler()
    trainer = Trainer(
        model, optim.Adam(model.parameters(), lr=0.02), "cross_entropy", ["accuracy"],
        schedule=lambda o: StepLR(o, 4, gamma=0.5), schedule_every="step",
        clip_norm=clip, accumulate=accumulate, mixed_precision=used,
    )  # fmt: skip
    history = trainer.fit(data(), 8, batch_size=3, shuffle=False)
    assert bits(model.state_dict()) == bits(net.state_dict())
    assert bits(trainer.optimizer.state_dict()) == bits(optimizer.state_dict())
    assert used.state_dict() == own.state_dict()
    assert sum(history["skipped_steps"]) == skipped > 0
    assert history["loss_scale"][-1] == own.get_scale()
    taken = optimizer.state_dict()["state"][0]["step"]
    assert trainer.step == taken + skipped == trainer.schedule.last_epoch
    assert all(p.dtype == p.grad.dtype == "float32" for p in model.parameters())


def test_losses_are_those_of_pytorch():
    net, trainer = network(), None
    theirs = torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.LayerNorm(16), torch.nn.Linear(16, 3)
    )
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1), "cross_entropy",
                      mixed_precision=True)  # fmt: skip
    found = trainer.fit(data(), 6, batch_size=11, shuffle=False)["loss"]
    x, y = (torch.tensor(a) for a in data())
    optimizer, own = torch.optim.SGD(theirs.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = torch.nn.functional.cross_entropy(theirs(x), y)
        own.scale(loss).backward()
        own.step(optimizer)
        own.update()
        losses.append(loss.item())
    np.testing.assert_allclose(found, losses, rtol=2e-3)


class Seen(Metric):
    """The dtypes that a metric is given."""

    name = "seen"

    def reset(self):
        self.dtypes = set()

    def update(self, prediction, target):
        self.dtypes.add(str(prediction.dtype))

    def compute(self):
        return sorted(self.dtypes)


class Dtypes(nn.Module):
    """Notes in which dtype its product is, in training and not."""

    def __init__(self):
        self.linear, self.seen = nn.Linear(5, 3), []

    def forward(self, x):
        y = self.linear(x)
        self.seen.append((self.training, str(y.dtype)))
        return y


@pytest.mark.parametrize("how", [False, True, "float16"])
def test_training_evaluation_and_prediction_compute_in_it(how):
    net = Dtypes()
    trainer = Trainer(net, "sgd", "cross_entropy", [Seen()], mixed_precision=how)
    history = trainer.fit(data(), 1, validation_data=data())
    predicted = trainer.predict(data()[0])
    dtype = "float16" if how else "float32"
    assert net.seen == [(True, dtype), (False, dtype), (False, dtype)]
    assert history["seen"] == history["val_seen"] == [["float32"]]
    assert predicted.dtype == "float32"
    assert ("loss_scale" in history) == bool(how)
    assert not minidl.amp.is_autocast_enabled("cpu")


def test_the_head_of_a_classifier_is_in_float32():
    net = nn.Sequential(nn.Linear(5, 3), nn.Softmax(1))
    trainer = Trainer(net, "sgd", "cross_entropy", [Seen(), "accuracy"], mixed_precision=True)
    history = trainer.fit(data(), 1)
    assert history["seen"] == [["float32"]]
    np.testing.assert_allclose(trainer.predict(data()[0]).sum(axis=1).numpy(), 1, atol=1e-6)


# Stopping and resuming.


def mixed(net):
    return {"optimizer": optim.Adam(net.parameters(), lr=0.02), "mixed_precision": scaler()}


def accumulating(net):
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, dampening=0.5)
    schedule = StepLR(optimizer, 3, gamma=0.5)
    settings = {"schedule": schedule, "schedule_every": "step", "clip_norm": 0.5}
    return {"optimizer": optimizer, "accumulate": 3, "mixed_precision": scaler(), **settings}


@pytest.mark.parametrize("settings", [mixed, accumulating])
def test_a_run_goes_on_after_any_batch_with_the_same_bits(settings, tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = fit(make(settings))
    assert sum(trainer.history["skipped_steps"]) > 0
    whole = all_of(trainer), trainer.precision.scaler.state_dict()
    for k in range(1, 12):
        fit(make(settings, callbacks=[Stop(k, path)]))
        again = fit(make(settings), resume=path)
        assert (all_of(again), again.precision.scaler.state_dict()) == whole, k


def test_the_state_of_a_recurrent_network_goes_on(tmp_path):
    ids = np.random.default_rng(0).integers(0, 9, 200)

    def run(*callbacks, **settings):
        minidl.manual_seed(0)
        net = LanguageModel(9, embedding_dim=4, hidden_size=8)
        trainer = Trainer(net, "adam", "cross_entropy", callbacks=callbacks, carry_state=True,
                          mixed_precision=scaler())  # fmt: skip
        trainer.fit(minidl.data.text.StreamBatches(ids, 4, 10), 2, **settings)
        return all_of(trainer)

    whole = run()
    for k in (1, 3, 6):
        run(Stop(k, tmp_path / "run"))
        assert run(resume=tmp_path / "run") == whole


def test_a_run_goes_on_in_the_precision_that_it_began_in(tmp_path):
    path = tmp_path / "run.safetensors"
    plain = lambda net: {"optimizer": optim.Adam(net.parameters(), lr=0.02)}
    for first, second in ((mixed, plain), (plain, mixed)):
        fit(make(first), 1).save(path)
        trainer = make(second)
        before = all_of(trainer)
        with pytest.raises(CheckpointError, match=r"its mixed_precision is .*, here it is"):
            trainer.resume(path)
        assert all_of(trainer) == before


def test_a_damaged_scale_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = fit(make(mixed), 1)
    trainer.save(path)
    saved = minidl.io.load(path)
    for bad in ({}, {**saved["scaler"], "scale": -1.0}):
        minidl.io.save(path, {**saved, "scaler": bad})
        before = all_of(trainer)
        with pytest.raises(CheckpointError, match="cannot be resumed"):
            trainer.resume(path)
        assert all_of(trainer) == before


def test_a_step_that_was_broken_off_is_forgotten():
    class Break(Callback):
        def on_step_begin(self, step):
            raise RuntimeError("broken")

    net = network()
    trainer = Trainer(net, "adam", "cross_entropy", callbacks=[Break()], mixed_precision=True)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.fit(data())
    trainer.callbacks.clear()
    assert len(trainer.fit(data(), 2)) == 2


# What is not finite.


class Steep(nn.Module):
    """Its gradient is infinite at first, at any scale."""

    def __init__(self):
        self.w = nn.Parameter(minidl.zeros((5, 1)))

    def forward(self, x):
        return minidl.sqrt(minidl.abs(x @ self.w))


def test_gradients_that_are_infinite_at_any_scale_stop_training():
    x, model = data()[0], Steep()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer, "mse", clip_norm=1.0, mixed_precision=True)
    with pytest.raises(TrainingError, match=r"infinite at a scale of .*mixed_precision=False"):
        trainer.fit((x, np.ones((len(x), 1), "float32")), 100)
    assert trainer.precision.scaler.get_scale() < 2e-4
    assert not model.w.numpy().any()
    trainer.stop_on_nan = False
    assert len(trainer.fit((x, np.ones((len(x), 1), "float32")), 2)) == 2


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_loss_beyond_float16_stops_training():
    x, y = data()
    net = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 3))
    trainer = Trainer(net, "sgd", "cross_entropy", mixed_precision=True)
    with pytest.raises(TrainingError, match=r"the loss is nan .*mixed_precision=False"):
        trainer.fit((x * 1e6, y))
    assert np.isfinite(Trainer(net, "sgd", "cross_entropy").fit((x, y))["loss"]).all()


def test_statistics_of_skipped_steps_are_json(tmp_path):
    watch = TensorStatistics(tmp_path / "w.jsonl", every=1)
    trainer = Trainer(network(), "adam", "cross_entropy", callbacks=[watch],
                      mixed_precision=scaler(init_scale=2.0**40))  # fmt: skip
    trainer.fit(data(), 1, batch_size=11)
    lines = [json.loads(line) for line in (tmp_path / "w.jsonl").read_text().splitlines()]
    assert lines[0]["gradient"]["norm"] is None
    assert lines[0]["update_ratio"] == 0


# Settings.


def test_what_it_may_be():
    for bad in ("bfloat16", "16-mixed", "fp16", ""):
        with pytest.raises(ArgumentError, match="mixed_precision is True"):
            Trainer(network(), "adam", "cross_entropy", mixed_precision=bad)
    with pytest.raises(DTypeError, match="mixed_precision is True"):
        Trainer(network(), "adam", "cross_entropy", mixed_precision=16)
    trainer = Trainer(network(), "adam", "cross_entropy", mixed_precision=GradScaler(enabled=False))
    assert trainer.fit(data(), 2)["loss_scale"] == [1, 1]


def test_weights_in_float16_are_refused():
    net = network().to("float16")
    x, y = data()
    with pytest.raises(GradientError, match="keep the parameters float32"):
        Trainer(net, "sgd", "cross_entropy", mixed_precision=True).fit((x, y))


def test_the_scale_is_in_the_curves(tmp_path):
    trainer = fit(make(mixed))
    assert learning_curves(trainer.history.history, tmp_path / "curves.svg").exists()


def test_transforms_of_the_data_are_not_cast():
    seen = []

    def collate(samples):
        x, y = (
            minidl.stack([minidl.asarray(part) for part in parts])
            for parts in zip(*samples, strict=True)
        )
        seen.append(str((x @ minidl.ones((5, 5))).dtype))
        return x, y

    loader = DataLoader(TensorDataset(*data()), 4, collate_fn=collate)
    trainer = Trainer(network(), "adam", "cross_entropy", mixed_precision=True)
    trainer.fit(loader, 1, validation_data=loader)
    assert set(seen) == {"float32"}
