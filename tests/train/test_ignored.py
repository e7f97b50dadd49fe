"""Labels that a loss leaves out: losses, gradients and metrics weigh by what was counted."""

import numpy as np
import pytest

import minidl
from minidl import keras, nn, ops, optim
from minidl.data import DataLoader
from minidl.errors import ArgumentError, BoundsError, ShapeError
from minidl.train import CrossEntropy, Trainer
from tests.oracle import torch

N, C = 30, 4
WEIGHTS = np.array([0.5, 1.0, 3.0, 0.2], "float32")


def data(ignored=-100, shape=()):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N, 5, *shape)).astype("float32"), rng.integers(0, C, (N, *shape))
    y[rng.random(y.shape) < 0.4] = ignored
    y[8:16] = ignored  # all of a batch
    return x, y


def model_of(shape):
    minidl.manual_seed(0)
    return nn.Conv2d(5, C, 1) if shape else nn.Linear(5, C)


class LogSoftmaxed(nn.Module):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return ops.log_softmax(self.inner(x), axis=1)


def cases():
    for ignored in (-100, 2, 7):
        yield nn.CrossEntropyLoss(ignore_index=ignored), ignored, None, False
        yield nn.NLLLoss(ignore_index=ignored), ignored, None, True
        yield CrossEntropy(from_logits=True, ignore_index=ignored), ignored, None, False
    yield nn.CrossEntropyLoss(minidl.asarray(WEIGHTS)), -100, WEIGHTS, False
    yield nn.NLLLoss(minidl.asarray(WEIGHTS), ignore_index=1), 1, WEIGHTS, True
    yield ops.cross_entropy, -100, None, False
    yield ops.nll_loss, -100, None, True


@pytest.mark.parametrize("shape", [(), (3, 2)])
@pytest.mark.parametrize(("loss", "ignored", "weight", "log"), [*cases()])
def test_all_batches_together_are_one_large_one(loss, ignored, weight, log, shape):
    """Gradients that are accumulated, and the loss and metrics that are recorded."""
    x, y = data(ignored, shape)
    net = model_of(shape)
    twin = torch.nn.Conv2d(5, C, 1) if shape else torch.nn.Linear(5, C)
    for p, q in zip(twin.parameters(), net.parameters(), strict=True):
        p.data = torch.tensor(q.numpy().copy())
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    wrapped = LogSoftmaxed(net) if log else net
    trainer = Trainer(wrapped, optimizer, loss, ["accuracy"], accumulate=4)
    before = trainer.evaluate((x, y), batch_size=8)
    trainer.fit((x, y), batch_size=8, shuffle=False)
    z = twin(torch.tensor(x))
    kept = None if weight is None else torch.tensor(weight)
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(y), kept, ignore_index=ignored)
    expected.backward()
    for found in (before["loss"], trainer.history["loss"][0]):
        np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
    counted = y != ignored
    right = (z.argmax(1).numpy() == y)[counted].mean()
    for found in (before["accuracy"], trainer.history["accuracy"][0]):
        np.testing.assert_allclose(found, right, rtol=1e-6)
    for p, q in zip(twin.parameters(), net.parameters(), strict=True):
        np.testing.assert_allclose(
            q.numpy(), (p - 0.1 * p.grad).detach().numpy(), rtol=1e-5, atol=1e-7
        )


def test_a_batch_of_nothing_but_ignored_labels_changes_nothing():
    x, y = data()
    net = model_of(())
    trainer = Trainer(
        net, optim.Adam(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), ["accuracy"]
    )
    start = net.weight.numpy().copy()
    trainer.fit((x[8:16], y[8:16]), batch_size=4)
    assert trainer.step == 0
    assert np.isnan(trainer.history["loss"][0])
    np.testing.assert_array_equal(net.weight.numpy(), start)
    with pytest.raises(ShapeError, match="ignores all labels"):
        trainer.evaluate((x[8:16], y[8:16]))
    trainer.fit((x, y), batch_size=4, shuffle=False)
    assert trainer.step == 6
    assert np.isfinite(net.weight.numpy()).all()


@pytest.mark.parametrize("loss", ["cross_entropy", CrossEntropy(), CrossEntropy(ignore_index=9)])
@pytest.mark.parametrize("as_samples", [False, True])
def test_other_labels_are_out_of_bounds_as_before(loss, as_samples):
    x, y = data()
    given = DataLoader([*zip(x, y.tolist(), strict=True)], 8) if as_samples else (x, y)
    net = nn.Sequential(nn.Linear(5, C), nn.Softmax())
    with pytest.raises(BoundsError, match="-100"):
        Trainer(net, "sgd", loss).fit(given)
    with pytest.raises(BoundsError, match="4"):
        Trainer(nn.Linear(5, C), "sgd", nn.CrossEntropyLoss()).fit((x, np.full(N, 4)))


def test_keras_may_ignore_a_class():
    x, y = data(ignored=2)
    model = keras.Sequential([keras.layers.Dense(C, activation="softmax")])
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    model.compile("sgd", loss, metrics=["accuracy"])
    results = model.evaluate(x, y, return_dict=True)
    p, kept = model.predict(x, verbose=0), y != 2
    expected = -np.log(p[np.arange(N), y])[kept].mean()
    np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(results["accuracy"], (p.argmax(1) == y)[kept].mean(), rtol=1e-6)


# Targets and predictions that would be broadcast.


def columns():
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    return x, x.sum(axis=1)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_targets_may_lack_the_axis_of_a_single_output(name):
    x, y = columns()
    trainer = Trainer(nn.Linear(3, 1), "sgd", name)
    assert trainer.evaluate((x, y)) == trainer.evaluate((x, y[:, None]))


@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(),
        nn.SmoothL1Loss(),
        ops.l1_loss,
        lambda p, t: ((p - t) ** 2).mean(),
        lambda p, t: ((2 * t - 2 * p) ** 2).sum(),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_an_outer_product_of_targets_and_predictions_is_refused(loss, swapped):
    x, y = columns()
    net = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)) if swapped else nn.Linear(3, 1)
    with pytest.raises(ShapeError, match=r"\(20, 1\)"):
        Trainer(net, "sgd", loss).fit((x, y[:, None] if swapped else y))


def test_a_loss_may_reshape_them_itself():
    x, y = columns()
    Trainer(nn.Linear(3, 1), "sgd", lambda p, t: ((p[:, 0] - t) ** 2).mean()).fit((x, y))
    Trainer(nn.Linear(3, 1), "sgd", lambda p, t: ((p - t) ** 2).mean()).fit((x[:1], y[:1]))


def test_inputs_and_targets_are_one_argument():
    x, y = columns()
    with pytest.raises(ArgumentError, match=r"fit\(\(x, y\), epochs"):
        Trainer(nn.Linear(3, 1), "sgd", "mse").fit(x, y)
