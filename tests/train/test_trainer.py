"""Trainer: the same steps as in PyTorch, losses that know what they are given, and checked data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops, optim
from minidl.data import DataLoader, Subset, TensorDataset
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedules import ExponentialLR, StepLR
from minidl.train import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Trainer,
    TrainingError,
    loss_for,
    optimizer_for,
)
from minidl.train.metrics import Accuracy
from tests.helpers import HERE, assert_all_close, assert_close, named
from tests.oracle import functional, torch

N, INPUTS, CLASSES = 22, 5, 3


def classification(seed=0, n=N, dtype="float32"):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, INPUTS)).astype(dtype), rng.integers(0, CLASSES, n)


def network(*last, seed=0, dtype="float32", outputs=CLASSES):
    """A small network with the same weights each time."""
    rng = np.random.default_rng(seed)
    net = nn.Sequential(nn.Linear(INPUTS, 7), nn.Tanh(), nn.Linear(7, outputs), *last).to(dtype)
    for p in net.parameters():
        p.data = minidl.asarray(rng.normal(size=p.shape, scale=0.4).astype(dtype))
        p.requires_grad = False
        p.requires_grad = True
    return net


def twin(net):
    """The same network in PyTorch."""
    other = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, 7), torch.nn.Tanh(), torch.nn.Linear(7, CLASSES)
    ).double()
    other.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    return other


def weights(net):
    return [p.numpy().copy() for p in net.parameters()]


# Parity with a loop in PyTorch.


def torch_loop(net, optimizer, x, y, *, epochs, size, accumulate, norm, value, schedule, every):
    """The loop that Trainer.fit stands for, written out; the mean loss of each epoch."""
    x, y = torch.tensor(x), torch.tensor(y)
    batches = [slice(i, i + size) for i in range(0, len(x), size)]
    groups = [batches[i : i + accumulate] for i in range(0, len(batches), accumulate)]
    losses = []
    for _ in range(epochs):
        total = 0.0
        for group in groups:
            samples = sum(len(x[batch]) for batch in group)
            optimizer.zero_grad()
            for batch in group:
                loss = functional.cross_entropy(net(x[batch]), y[batch], reduction="sum")
                total += loss.item()
                (loss / samples).backward()
            if value:
                torch.nn.utils.clip_grad_value_(net.parameters(), value)
            if norm:
                torch.nn.utils.clip_grad_norm_(net.parameters(), norm)
            optimizer.step()
            if schedule and every == "step":
                schedule.step()
        if schedule and every == "epoch":
            schedule.step()
        losses.append(total / len(x))
    return losses


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize("clip", [{}, {"norm": 0.3}, {"value": 0.02}, {"norm": 0.1, "value": 0.05}])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_three_epochs_are_those_of_a_loop_in_pytorch(accumulate, clip, every):
    x, y = classification(dtype="float64")
    net = network(dtype="float64")
    other = twin(net)
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    trainer = Trainer(
        net,
        optimizer,
        "cross_entropy",
        schedule=lambda optimizer: ExponentialLR(optimizer, 0.8),
        schedule_every=every,
        clip_norm=clip.get("norm"),
        clip_value=clip.get("value"),
        accumulate=accumulate,
    )
    history = trainer.fit((x, y), 3, batch_size=4, shuffle=False)
    theirs = torch.optim.Adam(other.parameters(), lr=0.05)
    losses = torch_loop(
        other,
        theirs,
        x,
        y,
        epochs=3,
        size=4,
        accumulate=accumulate,
        norm=clip.get("norm"),
        value=clip.get("value"),
        schedule=torch.optim.lr_scheduler.ExponentialLR(theirs, 0.8),
        every=every,
    )
    assert_all_close(weights(net), [p.detach().numpy() for p in other.parameters()], 1e-10)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)
    assert trainer.step == 3 * -(-6 // accumulate)
    if every == "epoch":
        assert history["lr"] == pytest.approx([0.05, 0.04, 0.032])  # of the epoch, not the next
    assert optimizer.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])


def test_accumulated_batches_are_one_large_one():
    x, y = classification(dtype="float64")
    nets = [network(dtype="float64") for _ in range(2)]
    for net, settings, size in zip(nets, ({}, {"accumulate": 3}), (12, 4), strict=True):
        Trainer(net, optim.SGD(net.parameters(), lr=0.1), "cross_entropy", **settings).fit(
            (x, y), 2, batch_size=size, shuffle=False
        )
    assert_all_close(weights(nets[0]), weights(nets[1]), 1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_of_few_rows_are_averaged_too(accumulate):
    ids = np.array([[0, 1], [2, 2], [5, 0], [1, 1], [0, 5]])
    y = np.array([0, 1, 0, 1, 1])
    results = []
    for sparse in (False, True):
        minidl.manual_seed(0)
        table = nn.Embedding(6, 4, sparse=sparse)
        net = nn.Sequential(table, nn.Flatten(), nn.Linear(8, 2))
        trainer = Trainer(
            net, optim.SGD(net.parameters(), lr=0.5), "cross_entropy", accumulate=accumulate
        )
        trainer.fit((ids, y), 2, batch_size=2, shuffle=False)
        results.append(weights(net))
    assert_all_close(*results, 1e-6)


def test_a_plateau_is_given_what_is_monitored():
    x, y = classification()
    for monitor, validation in [(None, None), (None, (x, y)), ("accuracy", None)]:
        net = network()
        optimizer = optim.SGD(net.parameters(), lr=0.0)  # nothing ever improves
        trainer = Trainer(
            net,
            optimizer,
            "cross_entropy",
            ["accuracy"],
            schedule=ReduceLROnPlateau(optimizer, factor=0.5, patience=0),
            monitor=monitor,
        )
        optimizer.param_groups[0]["lr"] = 1e-7
        trainer.schedule._last_lr = [1e-7]
        history = trainer.fit((x, y), 2, validation_data=validation)
        best = trainer.schedule.best
        name = monitor or ("val_loss" if validation else "loss")
        assert best in history[name]
        assert "lr" in history


# Losses.


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["cross_entropy", "sparse_categorical_crossentropy"])
def test_cross_entropy_is_the_same_of_logits_and_of_probabilities(name):
    x, y = classification(dtype="float64")
    plain, ending = network(dtype="float64"), network(nn.Softmax(dim=1), dtype="float64")
    expected = -np.log(softmax(plain(minidl.asarray(x)).numpy())[range(N), y]).mean()
    for net in (plain, ending):
        assert Trainer(net, "sgd", name).evaluate((x, y))["loss"] == pytest.approx(expected, 1e-12)
    one_hot = np.eye(CLASSES, dtype="int64")[y]
    tested = Trainer(ending, "sgd", "categorical_crossentropy").evaluate((x, one_hot))
    assert tested["loss"] == pytest.approx(expected, 1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["numbers", "one-hot", "shares"]))
def test_losses_of_probabilities_are_keras_s(seed, kind):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.01, 1, (4, CLASSES)) * rng.uniform(0.5, 2)  # Keras divides by the sum
    y = rng.integers(0, CLASSES, 4)
    target = {"numbers": y, "one-hot": np.eye(CLASSES)[y], "shares": rng.dirichlet([1] * 3, 4)}[
        kind
    ]
    q = np.clip(p / p.sum(axis=1, keepdims=True), 1e-7, 1 - 1e-7)
    shares = np.eye(CLASSES)[y] if kind != "shares" else target
    expected = -(shares * np.log(q)).sum(axis=1).mean()
    assert CrossEntropy()(minidl.asarray(p), target).item() == pytest.approx(expected, abs=1e-6)
    b, t = np.clip(p[:, 0] / 2, 0.0, 1.0), shares[:, 0]
    c = np.clip(b, 1e-7, 1 - 1e-7)
    expected = -(t * np.log(c) + (1 - t) * np.log(1 - c)).mean()
    value = BinaryCrossEntropy()(minidl.asarray(b), t).item()
    assert value == pytest.approx(expected, abs=1e-6)


def test_losses_are_pytorch_s():
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(6, 2), scale=20), rng.uniform(size=(6, 2))
    cases = [
        (BinaryCrossEntropy(from_logits=True), functional.binary_cross_entropy_with_logits),
        (MeanSquaredError(), functional.mse_loss),
        (MeanAbsoluteError(), functional.l1_loss),
        (Huber(delta=1.5), lambda a, b: functional.huber_loss(a, b, delta=1.5)),
        (CrossEntropy(from_logits=True), functional.cross_entropy),
    ]
    for ours, theirs in cases:
        x = minidl.asarray(z, requires_grad=True)
        loss = ours(x, t)
        loss.backward()
        other = torch.tensor(z, requires_grad=True)
        expected = theirs(other, torch.tensor(t))
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12), ours
        assert_close(x.grad.numpy(), other.grad.numpy(), 1e-10)


def test_saturated_probabilities_give_finite_losses():
    p, y = minidl.asarray([[0.0, 1.0], [1.0, 0.0]], requires_grad=True), np.array([0, 0])
    for loss in (CrossEntropy()(p, y), BinaryCrossEntropy()(p, np.ones((2, 2)))):
        assert np.isfinite(loss.item())
        loss.backward()
        assert np.isfinite(p.grad.numpy()).all()
    # where the layer is left out, the loss is exact even there
    z = np.array([[200.0, -200.0]], dtype="float32")
    net = nn.Sequential(nn.Identity(), nn.Softmax(dim=1))
    net.p = nn.Parameter(np.zeros(1, "float32"))
    assert Trainer(net, "sgd", "cross_entropy").evaluate((z, np.array([1])))["loss"] == 400


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_targets_may_lack_the_axis_of_one(shape):
    x, y = np.zeros((4, INPUTS), "float32"), np.array([0, 1, 1, 0]).reshape(shape)
    for name in ("mse", "mae", "huber", "binary_crossentropy"):
        value = Trainer(network(outputs=1), "sgd", name).evaluate((x, y))["loss"]
        same = Trainer(network(outputs=1), "sgd", name).evaluate((x, y.reshape(4, 1)))["loss"]
        assert value == same
    with pytest.raises(ShapeError, match=r"MeanSquaredError.*\(4, 3\).*\(4,\)"):
        Trainer(network(), "sgd", "mse").evaluate((x, np.zeros(4)))


@pytest.mark.parametrize("given", [nn.CrossEntropyLoss(), ops.cross_entropy])
def test_softmax_is_not_applied_twice(given):
    x, y = classification()
    for net in (network(nn.Softmax(dim=1)), nn.Sequential(network(nn.Softmax(dim=1)))):
        with pytest.raises(ArgumentError, match=r'Softmax.*twice.*loss="cross_entropy"'):
            Trainer(net, "adam", given)

    class Own(nn.Module):
        def __init__(self):
            self.net = network()

        def forward(self, x):
            return ops.softmax(self.net(x), axis=1)

    for loss in (given, "cross_entropy"):
        trainer = Trainer(Own(), "adam", loss)
        before = weights(trainer.model)
        with pytest.raises(ArgumentError, match="sums to 1"):
            trainer.fit((x, y))
        assert_all_close(weights(trainer.model), before, 0)
    Trainer(Own(), "adam", CrossEntropy()).fit((x, y))  # this one takes probabilities
    Trainer(network(nn.LogSoftmax(dim=1)), "adam", given).fit((x, y))  # this is exact
    with pytest.raises(ArgumentError, match=r"Sigmoid.*twice"):
        Trainer(network(nn.Sigmoid()), "adam", BinaryCrossEntropy(from_logits=True))


def test_logits_are_not_mistaken_for_probabilities():
    x, y = classification()
    with pytest.raises(ArgumentError, match=r"needs probabilities.*from_logits=True"):
        Trainer(network(), "adam", CrossEntropy()).fit((x * 10, y))


def test_the_softmax_has_the_axis_of_the_classes():
    x = np.zeros((2, INPUTS, 4), "float32")
    net = nn.Sequential(nn.Identity(), nn.Softmax(dim=-1))
    net.p = nn.Parameter(np.zeros(1, "float32"))
    with pytest.raises(ShapeError, match="axis 1"):
        Trainer(net, "adam", "cross_entropy").fit((x, np.zeros((2, 4), "int64")))


def test_nested_parts_and_their_modes():
    """The layer that is left out in training is the last of the last part; the rest is shared."""
    x, y = classification()
    inner = network(nn.Dropout(0.5), nn.Softmax(dim=1))
    net = nn.Sequential(nn.Identity(), inner)
    trainer = Trainer(net, "adam", "cross_entropy", ["accuracy"])
    assert type(trainer.objective.head) is nn.Softmax
    trainer.fit((x, y))
    assert inner[3].training
    trainer.evaluate((x, y))
    assert inner[3].training
    p = trainer.predict(x).numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert net.training


def test_names_that_are_not_known():
    for what, call in [
        ("loss", lambda: Trainer(network(), "adam", "crossentropi")),
        ("optimizer", lambda: Trainer(network(), "adamm", "mse")),
        ("loss", lambda: loss_for("nothing")),
    ]:
        with pytest.raises(ArgumentError, match=f"no {what}.*Known are"):
            call()
    with pytest.raises(DTypeError):
        Trainer(network(), 3, "mse")
    with pytest.raises(DTypeError):
        Trainer(network(), "adam", 3)
    with pytest.raises(DTypeError):
        Trainer(lambda x: x, "adam", "mse")


@pytest.mark.parametrize(
    "name", ["sgd", "Adam", "adamw", "rmsprop", "nadam", "adagrad", "adadelta", "lion"]
)
def test_optimizers_by_name_learn(name):
    x, y = classification()
    trainer = Trainer(network(), name, "cross_entropy")
    trainer.optimizer.param_groups[0]["lr"] *= 10
    losses = trainer.fit((x, y), 5, batch_size=4)["loss"]
    assert losses[-1] < losses[0]
    assert optimizer_for(trainer.optimizer, trainer.model) is trainer.optimizer


def test_an_optimizer_of_another_model_is_refused():
    other = optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match="this SGD changes no parameter of the model"):
        Trainer(network(), other, "cross_entropy")
    model = network()
    part = optim.SGD(list(model.parameters())[-2:], lr=0.1)  # the rest is frozen
    assert Trainer(model, part, "cross_entropy").optimizer is part


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_norm": 0},
        {"clip_value": -1.0},
        {"accumulate": 0},
        {"accumulate": 1.5},
        {"schedule_every": "day"},
        {"metrics": ["accuracy", Accuracy()]},
        {"schedule": lambda o: ReduceLROnPlateau(o), "schedule_every": "step"},
        {"schedule": lambda o: StepLR(optim.SGD([minidl.ones(1, requires_grad=True)]), 1)},
    ],
    ids=named,
)
def test_settings_that_mean_nothing(settings):
    with pytest.raises(ArgumentError):
        Trainer(network(), "adam", "cross_entropy", **settings)


# Data.


def bad(x, y):
    """Data that must be refused, the error, and what its message says."""
    with_nan, with_inf = x.copy(), x.copy()
    with_nan[13, 2], with_inf[4, 0] = np.nan, -np.inf
    return [
        ((x[:0], y[:0]), ShapeError, "no samples"),
        ((x, y[:-1]), ShapeError, "22 in the inputs, 21 in the targets"),
        ((x, x[:3], y), ShapeError, "22 in inputs 0, 3 in inputs 1, 22 in the targets"),
        ((x,), ArgumentError, r"\(x, y\)"),
        (x, ArgumentError, r"\(x, y\)"),
        (3, DTypeError, "DataLoader"),
        ((with_nan, y), ArgumentError, "inputs have nan in sample 13"),
        ((with_inf, y), ArgumentError, "inputs have -inf in sample 4"),
        (TensorDataset(with_nan, y), ArgumentError, "sample 13"),
        (DataLoader(TensorDataset(with_inf, y), 4), ArgumentError, "sample 4"),
        (TensorDataset(x), ShapeError, "tuple of inputs and, last, the target"),
        ((x, np.where(np.arange(N) == 20, 7, y)), BoundsError, "label 7 of sample 20.*0 … 2.*3"),
        ((x, np.where(np.arange(N) == 5, -1, y)), BoundsError, "label -1 of sample 5"),
        ([], ShapeError, "no samples"),
        (iter([]), ShapeError, "no batches"),
    ]


@pytest.mark.parametrize("which", range(15))
@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss()])
def test_bad_data_is_refused_before_anything_is_learned(which, loss):
    data, error, message = bad(*classification())[which]
    net = network()
    before = weights(net)
    with pytest.raises(error, match=message):
        Trainer(net, "adam", loss).fit(data, shuffle=False)
    assert_all_close(weights(net), before, 0)


def test_labels_of_a_loader_of_samples_are_checked_batch_by_batch():
    x, y = classification()
    y[9] = 3
    samples = [(x[i], int(y[i])) for i in range(N)]
    with pytest.raises(BoundsError, match=r"label 3 \(sample 1 of the batch\).*3 classes"):
        Trainer(network(), "adam", "cross_entropy").fit(samples, batch_size=8, shuffle=False)


def test_samples_that_are_left_out_are_not_checked():
    x, y = classification()
    x[13] = np.nan
    kept = Subset(TensorDataset(x, y), [i for i in range(N) if i != 13])
    Trainer(network(), "adam", "cross_entropy").fit(kept)
    with pytest.raises(TrainingError, match="loss is nan"):
        Trainer(network(), "adam", "cross_entropy").fit(Subset(TensorDataset(x, y), [13]))


def test_nan_in_targets_and_in_validation_data():
    x, _ = classification()
    y = np.zeros((N, CLASSES))
    y[7, 1] = np.nan
    with pytest.raises(ArgumentError, match="targets have nan in sample 7"):
        Trainer(network(), "adam", "mse").fit((x, y))
    with pytest.raises(ArgumentError, match="validation: the targets have nan in sample 7"):
        Trainer(network(), "adam", "mse").fit((x, x[:, :3]), validation_data=(x, y))
    with pytest.raises(ArgumentError, match="evaluate: the targets"):
        Trainer(network(), "adam", "mse").evaluate((x, y))


def test_the_dtype_of_arrays_is_the_model_s():
    x, y = classification(dtype="float64")
    trainer = Trainer(network(), "adam", "cross_entropy")
    trainer.fit((x, y))
    assert trainer.predict(x).dtype == np.float32
    assert trainer.predict(x.tolist() and minidl.asarray(x)).dtype == np.float32


@pytest.mark.parametrize("kind", ["arrays", "tensors", "dataset", "samples", "loader", "batches"])
def test_all_kinds_of_data_give_the_same(kind):
    x, y = classification()
    samples = [(x[i], int(y[i])) for i in range(N)]

    class Batches:
        def __iter__(self):
            return ((x[i : i + 8], y[i : i + 8]) for i in range(0, N, 8))

    data = {
        "arrays": (x, y),
        "tensors": (minidl.asarray(x), minidl.asarray(y)),
        "dataset": TensorDataset(x, y),
        "samples": samples,
        "loader": DataLoader(TensorDataset(x, y), 8),
        "batches": Batches(),
    }[kind]
    trainers = [Trainer(network(), "adam", "cross_entropy", ["accuracy"]) for _ in range(2)]
    histories = [
        trainer.fit(given, 2, batch_size=8, shuffle=False, validation_data=given)
        for trainer, given in zip(trainers, (data, (x, y)), strict=True)
    ]
    assert histories[0].history == histories[1].history
    assert set(histories[0].history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert_close(
        trainers[0].predict(data if kind not in ("arrays", "tensors") else x).numpy(),
        trainers[1].predict(x).numpy(),
        0,
    )


def test_a_model_of_two_inputs():
    class Sum(nn.Module):
        def __init__(self):
            self.a, self.b = network(seed=1), network(seed=2)

        def forward(self, x, y):
            return self.a(x) + self.b(y)

    x, y = classification()
    trainer = Trainer(Sum(), "adam", "cross_entropy")
    trainer.fit((x, x + 1, y), 2)
    assert trainer.predict((x, x + 1)).shape == (N, CLASSES)
    assert trainer.predict(TensorDataset(x, x + 1, y)).shape == (N, CLASSES)


# Use.


def test_evaluate_is_the_mean_over_samples_and_leaves_no_trace():
    x, y = classification()
    net = network(nn.Dropout(0.5))
    net[1].eval()
    trainer = Trainer(net, "adam", "cross_entropy", ["accuracy"])
    whole, parts = trainer.evaluate((x, y), batch_size=N), trainer.evaluate((x, y), batch_size=5)
    assert whole["loss"] == pytest.approx(parts["loss"], rel=1e-6)
    assert whole["accuracy"] == parts["accuracy"]
    assert net.training
    assert not net[1].training
    assert all(p.grad is None for p in net.parameters())
    assert trainer.metrics[0].count == 0
    assert not trainer.predict(x).requires_grad
    with pytest.raises(ShapeError, match="evaluate: there are no samples"):
        trainer.evaluate((x[:0], y[:0]))
    with pytest.raises(ShapeError, match="predict: there are no samples"):
        trainer.predict(x[:0])
    assert trainer.predict(x[:1]).shape == (1, CLASSES)


def test_metrics_of_one_logit_know_that_it_is_one():
    x = np.random.default_rng(0).normal(size=(N, INPUTS)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    for last in ((), (nn.Sigmoid(),)):
        net = network(*last, outputs=1)
        trainer = Trainer(net, "adam", "binary_crossentropy", ["accuracy", "auc"])
        history = trainer.fit((x, y), 3)
        z = trainer.predict(x).numpy()[:, 0]
        right = ((z > (0.5 if last else 0)) == y).mean()
        assert trainer.evaluate((x, y))["accuracy"] == pytest.approx(right)
        assert set(history.history) == {"loss", "accuracy", "auc"}


def test_a_history_is_like_keras_s():
    x, y = classification()
    trainer = Trainer(network(), "adam", "cross_entropy")
    history = trainer.fit((x, y), 3)
    assert history.epoch == [0, 1, 2]
    assert len(history) == len(history["loss"]) == len(history.history["loss"]) == 3
    assert history[-1] == {"loss": history["loss"][2]}
    assert next(iter(history)) == history[0]
    assert "loss" in history
    assert "val_loss" not in history
    assert "History of 3 epochs" in repr(history)
    history.append(3, {"loss": 1.0, "late": 2.0})
    assert history["late"] == [None, None, None, 2.0]
    assert trainer.fit((x, y), 5, initial_epoch=3).epoch == [3, 4]
    assert len(trainer.fit((x, y), 0)) == 0
    with pytest.raises(ArgumentError, match="epochs"):
        trainer.fit((x, y), -1)


# NaN.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_of_nan_stops_before_the_weights_are_spoiled(value):
    x, _ = classification()

    class Spoiled:
        """Batches, so that nothing is checked as a whole."""

        def __iter__(self):
            for i in range(4):
                y = np.full((4, CLASSES), value if i == 2 else 1, dtype="float32")
                yield minidl.asarray(x[:4]), minidl.asarray(y)

    net = network()
    trainer = Trainer(net, "adam", "mse")
    with pytest.raises(TrainingError, match=rf"loss is {value} in epoch 0, batch 2 \(step 2\)"):
        trainer.fit(Spoiled(), 3)
    if HERE == "cpu":  # a GPU's loss is read later
        assert all(np.isfinite(w).all() for w in weights(net))
    history = Trainer(net, "adam", "mse", stop_on_nan=False).fit(Spoiled(), 1)
    assert not np.isfinite(history["loss"][0])


def test_a_gradient_of_infinity_stops_too():
    class Steep(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(np.zeros((INPUTS, 1), "float64"))

        def forward(self, x):
            return ops.sqrt(ops.abs(x @ self.w))

    x, _ = classification()
    model = Steep()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), "mse", clip_norm=1.0)
    with pytest.raises(TrainingError, match="norm of the gradients"):
        trainer.fit((x, np.ones((N, 1))))
    if HERE == "cpu":  # a GPU's norm is read later
        assert not model.w.numpy().any()


def test_the_loss_is_one_number():
    x, y = classification()
    each = nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(ShapeError, match="one number"):
        Trainer(network(), "adam", each).fit((x, y))
