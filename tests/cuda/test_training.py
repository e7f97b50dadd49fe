"""Training on a GPU: no step waits for it, and the results are those of the CPU."""

from contextlib import suppress

import numpy as np
import pytest

import minidl
from minidl import keras, nn, ops, optim
from minidl.data import DataLoader, TensorDataset
from minidl.data.text import StreamBatches
from minidl.errors import ArgumentError, BoundsError
from minidl.models import LanguageModel, TextClassifier
from minidl.train import Callback, Trainer, TrainingError
from tests.cuda import stand_in

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype("float32")
CLASSES = RNG.integers(0, 4, 96)
IDS = RNG.integers(0, 20, (4, 7))


class Sequences(nn.Module):
    """A recurrent or attending layer between an embedding and logits (N, C, T)."""

    def __init__(self, layer, positions=None):
        self.embedding, self.layer, self.positions = nn.Embedding(20, 8), layer, positions
        self.head = nn.Linear(8, 20)

    def forward(self, ids):
        x = self.embedding(ids)
        y = self.layer(x if self.positions is None else self.positions(x))
        return ops.moveaxis(self.head(y[0] if isinstance(y, tuple) else y), -1, 1)


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 4)),
            X[:8], CLASSES[:8]),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=None),
                                  nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(),
                                  nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"),
                                  nn.Flatten(), nn.Linear(4 * 36, 4)),
            RNG.normal(size=(3, 1, 16, 16)).astype("float32"), CLASSES[:3]),
    "lstm": (lambda: Sequences(nn.LSTM(8, 8, 2, batch_first=True, dropout=0.1)), IDS, IDS),
    "gru": (lambda: Sequences(nn.GRU(8, 8, batch_first=True)), IDS, IDS),
    "transformer": (lambda: Sequences(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
                                      nn.SinusoidalPositionalEncoding(8, batch_first=True)),
                    IDS, IDS),
}  # fmt: skip
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "adamw": lambda p: optim.AdamW(p, 0.01),
    "rmsprop": lambda p: optim.RMSprop(p, 0.01),
}


def steps(model, device, optimizer="adamw", ahead=lambda: None):
    """The losses of three steps, as tensors; `ahead` is called before the last."""
    make, x, y = MODELS[model]
    minidl.manual_seed(1)
    net = make().to(device)
    x, y = minidl.asarray(x, device=device), minidl.asarray(y, device=device)
    rule, losses = OPTIMIZERS[optimizer](net.parameters()), []
    for step in range(3):
        if step == 2:
            ahead()
        loss = minidl.cross_entropy(net(x), y, weight=None)
        rule.zero_grad()
        loss.backward()
        optim.clip_grad_value_(net.parameters(), 1.0)
        optim.clip_grad_norm_(net.parameters(), 0.5)
        rule.step()
        losses.append(loss)
    return losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_no_step_waits_or_sends_anything(model, optimizer, counters):
    losses = steps(model, "cuda", optimizer, counters.reset)
    assert (counters.h2d, counters.d2h, counters.sync, counters.peer) == (0, 0, 0, 0)
    assert sum(counters.launches.values()) > 10
    expected = [loss.item() for loss in steps(model, "cpu", optimizer)]
    np.testing.assert_allclose([loss.item() for loss in losses], expected, rtol=1e-4)


class Counting(Callback):
    """Counts from the second batch of an epoch to the last."""

    def __init__(self, counters):
        self.counters = counters

    def on_train_batch_end(self, batch, logs):
        if batch == 1:
            self.counters.reset()
        self.found = self.counters.h2d, self.counters.d2h, self.counters.sync


def network(device):
    minidl.manual_seed(3)
    return MODELS["mlp"][0]().to(device)


def trained(device, data, *, epochs=2, callbacks=(), loss="cross_entropy", **settings):
    trainer = Trainer(network(device), "adam", loss, metrics=["accuracy", "f1"],
                      callbacks=callbacks, clip_norm=1.0)  # fmt: skip
    trainer.fit(data, epochs, batch_size=16, validation_data=(X, CLASSES), **settings)
    return trainer


class Batches:
    """Batches of a user's own."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        for i in range(0, len(self.x), 16):
            yield minidl.asarray(self.x[i : i + 16]), minidl.asarray(self.y[i : i + 16])


DATA = {
    "arrays": lambda: (X, CLASSES),
    "loader": lambda: DataLoader(TensorDataset(X, CLASSES), 16, shuffle=True),
    "workers": lambda: DataLoader(TensorDataset(X, CLASSES), 16, num_workers=2, pin_memory=True),
    "batches": lambda: Batches(X, CLASSES),
}


@pytest.mark.parametrize("data", DATA)
def test_trainer_moves_batches_and_waits_for_nothing(data, counters):
    count = Counting(counters)
    there = trained("cuda:1", DATA[data](), callbacks=[count])
    here = trained("cpu", DATA[data]())
    sent = 2 * 3 if data == "workers" else 2 * 4  # inputs and labels of four batches; one was ahead
    assert count.found == (sent, 0, 0)
    assert there.history.history.keys() == here.history.history.keys()
    for name, column in here.history.history.items():
        np.testing.assert_allclose(there.history[name], column, rtol=1e-5)
    assert there.predict(X).device == "cuda:1"
    np.testing.assert_allclose(there.predict(X).numpy(), here.predict(X).numpy(), atol=1e-5)
    assert there.evaluate((X, CLASSES)).keys() == here.evaluate((X, CLASSES)).keys()


def test_labels_that_are_left_out_are_counted_without_waiting(counters):
    labels = np.where(CLASSES == 3, -100, CLASSES)
    count = Counting(counters)
    loss = nn.CrossEntropyLoss()
    there = trained("cuda", (X, labels), callbacks=[count], loss=loss)
    here = trained("cpu", (X, labels), loss=loss)
    assert count.found[1:] == (0, 0)
    np.testing.assert_allclose(there.history["loss"], here.history["loss"], rtol=1e-5)
    assert there.history["accuracy"] == here.history["accuracy"]


def test_what_callbacks_look_at_is_read(counters):
    seen = []

    class Looking(Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append((dict(logs), logs["loss"], list(logs), self.trainer.logs()["loss"]))

    trained("cuda", (X, CLASSES), epochs=1, callbacks=[Looking()])
    first, losses = seen, []
    seen = []
    trained("cpu", (X, CLASSES), epochs=1, callbacks=[Looking()])
    for (logs, loss, names, all_logs), (_, expected, *_rest) in zip(first, seen, strict=True):
        losses.append(loss)
        assert logs == {"loss": loss}
        assert names == ["loss"]
        assert loss == all_logs
        assert abs(loss - expected) < 1e-5
    assert len(losses) == 6


def test_a_loss_that_is_nan_is_found_when_it_is_read():
    bad = X.copy()
    bad[0] = 3e38
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4)).to("cuda")
    trainer = Trainer(net, "sgd", "cross_entropy")
    with pytest.raises(TrainingError, match=r"epoch 0, batch \d .*\. The weights are of step"):
        trainer.fit((bad, CLASSES), 1, shuffle=False, batch_size=16)


def test_a_wrong_label_is_found_at_the_end_of_the_epoch(monkeypatch):
    monkeypatch.setitem(stand_in.arrays.settings, "wrap", True)  # as on a GPU
    with pytest.raises(BoundsError, match=r"9 .*is outside 0 … 3"):
        trained("cuda", Batches(X, np.full(96, 9)), epochs=1)
    with suppress(BoundsError):
        minidl.cuda.synchronize()


@pytest.mark.parametrize(
    ("first", "second"), [("cpu", "cuda"), ("cuda:1", "cuda:0"), ("cuda", "cpu")]
)
def test_runs_go_on_on_another_device(first, second, tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            if self.trainer.epoch == 1 and batch == 2:
                self.trainer.save(tmp_path / "run")
                self.trainer.stop_training = True

    def loader():
        return DataLoader(TensorDataset(X, CLASSES), 16, shuffle=True)

    whole = trained("cpu", loader(), epochs=3)
    trained(first, loader(), epochs=3, callbacks=[Stop()])
    minidl.manual_seed(77)
    rest = trained(second, loader(), epochs=3, resume=tmp_path / "run")
    for name, column in whole.history.history.items():
        np.testing.assert_allclose(rest.history[name], column, rtol=1e-4)
    state = minidl.io.load(tmp_path / "run", device="cuda:1")
    assert {x.device for x in state["model"].values()} == {"cuda:1"}
    assert {x.device for x in minidl.io.load(tmp_path / "run")["model"].values()} == {"cpu"}


def test_language_models_carry_their_state_and_write():
    def losses(device):
        minidl.manual_seed(0)
        net = LanguageModel(20, embedding_dim=8, hidden_size=8).to(device)
        trainer = Trainer(net, "adam", "cross_entropy", carry_state=True, clip_norm=1.0)
        trainer.fit(StreamBatches(np.tile(IDS.ravel(), 6), 4, 5), 2)
        generator = minidl.random.Generator(3)
        return trainer.history["loss"], net.generate([1, 2], 5, generator=generator)

    there, here = losses("cuda:1"), losses("cpu")
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    assert there[1] == here[1]


def test_texts_are_classified_with_their_lengths():
    minidl.manual_seed(0)
    net = TextClassifier(20, 3, hidden_size=8).eval()
    here = net(IDS, [3, 7, 2, 5])
    there = net.to("cuda:1")(IDS, [3, 7, 2, 5])
    assert there.device == "cuda:1"
    np.testing.assert_allclose(there.numpy(), here.numpy(), atol=1e-6)


def test_keras_models_train_on_the_default_device():
    def history(device):
        minidl.manual_seed(0)
        with minidl.device(device):
            model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
            found = model.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0, shuffle=False)
            assert model.predict(X, verbose=0).shape == (96, 4)
        return found.history["loss"]

    np.testing.assert_allclose(history("cuda"), history("cpu"), rtol=1e-5)


def test_averages_of_weights_wait_for_nothing(counters):
    net = network("cuda")
    average = optim.AveragedModel(net, optim.get_ema_avg_fn(0.9))
    average.update_parameters(net)
    counters.reset()
    average.update_parameters(net)
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    assert int(average.n_averaged) == 2
    average.n_averaged[...] = 5
    average.update_parameters(net)
    assert int(average.n_averaged) == 6


def test_checks_of_values_wait_for_nothing_and_say_what_was_wrong(counters, monkeypatch):
    monkeypatch.setitem(stand_in.arrays.settings, "wrap", True)  # as on a GPU
    p = minidl.asarray([0.5, 1.5], device="cuda")
    counters.reset()
    loss = minidl.binary_cross_entropy(p, minidl.ones(2, device="cuda"))
    table = minidl.ones((3, 2), device="cuda")
    rows = minidl.embedding(table, minidl.arange(3, device="cuda"))
    assert (counters.d2h, counters.sync) == (0, 0)
    with pytest.raises(ArgumentError, match=r"needs probabilities, from 0 to 1.*0.5 to 1.5"):
        loss.item()
    assert rows.shape == (3, 2)
    minidl.embedding(table, minidl.asarray([0, 7], device="cuda"))
    with pytest.raises(BoundsError, match=r"index 7 is outside 0 … 2.*embedding.*test_training"):
        minidl.cuda.synchronize()
