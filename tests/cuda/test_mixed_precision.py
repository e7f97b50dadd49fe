"""Mixed precision on the GPU: nothing waits, steps are skipped there, and a CNN learns."""

import numpy as np
import pytest

import minidl
from minidl import keras, nn, optim
from minidl.amp import GradScaler
from minidl.train import Callback, Trainer, TrainingError

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


class Counting(Callback):
    """Counts from the second batch of an epoch to the last."""

    def __init__(self, counters):
        self.counters = counters

    def on_train_batch_end(self, batch, logs):
        if batch == 1:
            self.counters.reset()
        self.found = self.counters.h2d, self.counters.d2h, self.counters.sync


def trained(device, *callbacks, epochs=2, **settings):
    minidl.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 2)
    model = nn.Sequential(*layers).to(device)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    trainer = Trainer(
        model, optimizer, "cross_entropy", ["accuracy"], callbacks,
        schedule=lambda o: optim.StepLR(o, 4, gamma=0.5), schedule_every="step", clip_norm=1.0,
        mixed_precision=GradScaler(init_scale=2.0**22, growth_interval=8),
    )  # fmt: skip
    data = images(96, 0)
    trainer.fit(data, epochs, batch_size=16, shuffle=False, validation_data=data, **settings)
    return trainer


def test_a_trainer_waits_for_nothing(counters):
    count = Counting(counters)
    there, here = trained("cuda", count), trained("cpu")
    batches, ahead = 4, 4  # inputs and labels of each; one batch is sent ahead
    assert count.found == (2 * ahead, batches, 0)  # the flags of the steps, which nobody waits for
    assert there.history["skipped_steps"] == here.history["skipped_steps"]
    assert there.history["skipped_steps"][0] > 0
    assert there.history["loss_scale"] == here.history["loss_scale"]
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(there.history[name], here.history[name], rtol=5e-3)
    steps = [t.optimizer.state_dict()["state"][0]["step"] for t in (there, here)]
    assert steps[0] == steps[1] == 12 - sum(here.history["skipped_steps"])
    assert there.predict(images(4, 1)[0]).dtype == "float32"


@pytest.mark.parametrize(("first", "second"), [("cuda:1", "cuda:0"), ("cuda", "cpu")])
def test_a_run_in_mixed_precision_goes_on_elsewhere(first, second, tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            if self.trainer.epoch == 1 and batch == 2:
                self.trainer.save(tmp_path / "run")
                self.trainer.stop_training = True

    whole = trained(first, epochs=3)
    trained(first, Stop(), epochs=3)
    rest = trained(second, epochs=3, resume=tmp_path / "run")
    assert rest.history["loss_scale"] == whole.history["loss_scale"]
    assert rest.history["skipped_steps"] == whole.history["skipped_steps"]
    if second != "cpu":
        assert rest.history.history == whole.history.history
    np.testing.assert_allclose(rest.history["loss"], whole.history["loss"], rtol=5e-3)


def test_gradients_that_are_never_finite_are_found_when_they_are_read():
    p = nn.Linear(2, 1).to("cuda")
    loss = lambda y, t: (minidl.sqrt(y - y.detach()) * t).mean()
    trainer = Trainer(p, "sgd", loss, mixed_precision=GradScaler(init_scale=1e-3))
    with pytest.raises(TrainingError, match="infinite at a scale"):
        trainer.fit((np.ones((64, 2), "float32"), np.ones((64, 1), "float32")), 1, batch_size=4)


def test_convolutions_of_sequences_are_on_tensor_cores(launches):
    layer = nn.Conv1d(8, 16, 3).to("cuda")
    x = minidl.random.normal((2, 8, 20), device="cuda")
    with minidl.autocast("cuda"):
        y = layer(x)
    (y * y).sum().backward()
    assert (y.dtype, layer.weight.grad.dtype) == ("float16", "float32")
    assert launches["conv2d_f16"] == launches["conv2d_weights_f16"] == 1
    assert "conv2d_f32" not in launches


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.LayerNorm(3)], ids=str)
def test_norms_have_the_dtypes_that_they_have_on_the_cpu(layer):
    x = minidl.random.normal((8, 3)).astype("float16")
    found = []
    for device in ("cpu", "cuda"):
        layer.to(device)
        with minidl.autocast(device):
            found.append(layer(x.to(device)).cpu())
    assert found[0].dtype == found[1].dtype
    np.testing.assert_allclose(found[1].numpy(), found[0].numpy(), rtol=2e-3, atol=1e-3)


def test_keras_models_train_in_mixed_precision(counters):
    found, count = {}, Counting(counters)
    for device in ("gpu", "cpu"):
        minidl.manual_seed(0)
        keras.mixed_precision.set_global_policy("mixed_float16")
        try:
            with keras.device(device):
                head = keras.layers.Dense(2), keras.layers.Activation("softmax", dtype="float32")
                model = keras.Sequential(
                    [keras.layers.Flatten(), keras.layers.Dense(8, "relu"), *head]
                )
                inner = keras.optimizers.Adam(0.01, global_clipnorm=1.0)
                optimizer = keras.optimizers.LossScaleOptimizer(inner, 2.0**22)
                model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
                settings = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
                callbacks = [count] if device == "gpu" else []
                history = model.fit(*images(96, 0), callbacks=callbacks, **settings)
                dtype = model.predict(images(4, 1)[0], verbose=0).dtype
        finally:
            keras.mixed_precision.set_global_policy("float32")
        found[device] = history.history, optimizer.dynamic_scale, dtype
    assert count.found[2] == 0  # nothing waits
    assert found["gpu"][1:] == found["cpu"][1:]
    assert found["cpu"][1] < 2.0**22
    for name, column in found["cpu"][0].items():
        np.testing.assert_allclose(found["gpu"][0][name], column, rtol=5e-3)
