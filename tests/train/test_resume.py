"""Training that is stopped after any step and resumed gives the bits of training that was not."""

import copy
from functools import cache

import numpy as np
import pytest

import minidl
from minidl import io, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.io import CheckpointError
from minidl.ops.random import Generator, default_generator
from minidl.optim.averaging import AveragedModel, get_ema_avg_fn
from minidl.optim.cosine import CosineAnnealingLR
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedules import StepLR
from minidl.train import (
    Averaging,
    Callback,
    Checkpoint,
    EarlyStopping,
    HistoryWriter,
    LambdaCallback,
    Trainer,
    TrainingError,
)
from minidl.train.metrics import Accuracy

N, SIZE, EPOCHS = 11, 3, 3  # four batches an epoch, the last of them smaller
BATCHES = 4


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 5)).astype("float32"), rng.integers(0, 3, N)


class Stop(Callback):
    """Saves the run after so many batches in all, and stops it there."""

    saves = True

    def __init__(self, after, path, how="flag"):
        self.left, self.path, self.how = after, path, how

    def on_train_batch_end(self, batch, logs):
        self.left -= 1
        if not self.left:
            self.trainer.save(self.path)
            if self.how == "ctrl-c":
                raise KeyboardInterrupt
            self.trainer.stop_training = True


def plain(net):
    return {"optimizer": optim.Adam(net.parameters(), lr=0.02)}


def accumulating(net):
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    schedule = CosineAnnealingLR(optimizer, T_max=10)
    settings = {"schedule": schedule, "schedule_every": "step", "clip_norm": 0.5}
    return {"optimizer": optimizer, "accumulate": 3, **settings}


def plateau(net):
    optimizer = optim.AdamW(net.parameters(), lr=0.5)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    return {"optimizer": optimizer, "schedule": schedule}


def averaging(net):
    average = AveragedModel(net, get_ema_avg_fn(0.7))
    schedule = lambda optimizer: StepLR(optimizer, 1, gamma=0.5)
    return {"optimizer": "rmsprop", "callbacks": [Averaging(average)], "schedule": schedule}


def stopping(net):
    stop = EarlyStopping(patience=2, min_delta=10.0, restore_best=True)
    return {"optimizer": optim.Adam(net.parameters(), lr=0.02), "callbacks": [stop]}


def make(settings, **more):
    """A trainer, made as it would be in a fresh process."""
    minidl.manual_seed(3)
    net = nn.Sequential(
        nn.Linear(5, 6),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Dropout(0.2, generator=Generator(7)),
        nn.Linear(6, 3),
    )
    chosen = settings(net)
    callbacks = [*chosen.pop("callbacks", []), *more.pop("callbacks", [])]
    return Trainer(net, loss="cross_entropy", metrics=["accuracy"], callbacks=callbacks, **chosen)


def all_of(trainer):
    """Everything that is to be the same to the bit, as a tree of bytes and values."""
    average = [c.average.state_dict() for c in trainer.callbacks if isinstance(c, Averaging)]
    return bits(
        [
            trainer.model.state_dict(),
            trainer.optimizer.state_dict(),
            trainer.history.state_dict(),
            trainer.schedule and trainer.schedule.state_dict(),
            trainer.step,
            (default_generator.seed, default_generator.offset),
            average,
        ]
    )


def bits(tree):
    if isinstance(tree, dict):
        return {key: bits(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [bits(value) for value in tree]
    if isinstance(tree, minidl.Tensor):
        return str(tree.dtype), tree.shape, tree.numpy().tobytes()
    return np.float64(tree).tobytes() if isinstance(tree, float) else tree


def fit(trainer, epochs=EPOCHS, **settings):
    x, y = data()
    trainer.fit((x, y), epochs, batch_size=SIZE, validation_data=(x, y), **settings)
    return trainer


each_setting = pytest.mark.parametrize(
    "settings", [plain, accumulating, plateau, averaging, stopping]
)


@cache
def whole_run(settings):
    """What a run that is not stopped comes to."""
    return all_of(fit(make(settings)))


@each_setting
@pytest.mark.parametrize("k", range(1, EPOCHS * BATCHES + 1))
def test_a_run_that_was_stopped_after_any_batch_goes_on_to_the_bit(tmp_path, settings, k):
    path = tmp_path / "run.safetensors"
    whole = whole_run(settings)
    stopped = fit(make(settings, callbacks=[Stop(k, path)]))
    assert stopped.epoch == (k - 1) // BATCHES
    minidl.manual_seed(999)  # a fresh process has drawn other numbers
    resumed = make(settings)
    resumed.resume(path)
    minidl.random.uniform(5)
    assert all_of(fit(resumed)) == whole


@pytest.mark.parametrize("k", [1, 5, 6, 8])
def test_a_run_may_be_stopped_again_and_again(tmp_path, k):
    path = tmp_path / "run.safetensors"
    whole = whole_run(accumulating)
    fit(make(accumulating, callbacks=[Stop(1, path)]))
    for _ in range((EPOCHS * BATCHES - 1) // k):
        fit(make(accumulating, callbacks=[Stop(k, path)]), resume=path)
    assert all_of(fit(make(accumulating), resume=path)) == whole


@each_setting
def test_a_run_may_be_resumed_from_the_end_of_an_epoch(tmp_path, settings):
    whole = whole_run(settings)
    for epochs in (1, 2, 3):
        fit(make(settings, callbacks=[Checkpoint(tmp_path)]), epochs)
        resumed = make(settings)
        assert all_of(fit(resumed, resume=tmp_path / "last.safetensors")) == whole
        assert resumed.resumed


def test_a_run_that_has_stopped_early_stays_so(tmp_path):
    def run(*callbacks, **settings):
        stop = EarlyStopping(patience=1, min_delta=10.0, restore_best=True)
        return fit(make(plain, callbacks=[stop, *callbacks]), **settings)

    whole = run(Checkpoint(tmp_path))
    assert whole.epoch == 2
    again = run(resume=tmp_path / "last.safetensors")
    assert all_of(again) == all_of(whole)


def test_interrupted_from_the_keyboard(tmp_path):
    path, last = tmp_path / "other.safetensors", tmp_path / "last.safetensors"
    whole = whole_run(accumulating)
    for k in (2, 4, 7):
        stop = Stop(k, path, "ctrl-c")
        with pytest.raises(KeyboardInterrupt):
            fit(make(accumulating, callbacks=[stop, Checkpoint(tmp_path)]))
        assert all_of(fit(make(accumulating), resume=last)) == whole


def test_interrupted_while_it_is_validated(tmp_path):
    whole = whole_run(plain)

    class Impatient(Accuracy):
        calls = 0

        def update(self, prediction, target):
            super().update(prediction, target)
            Impatient.calls += 1
            if Impatient.calls == BATCHES + 2:  # in the second batch of the validation
                raise KeyboardInterrupt

    trainer = make(plain, callbacks=[Checkpoint(tmp_path)])
    trainer.metrics = [Impatient()]
    with pytest.raises(KeyboardInterrupt):
        fit(trainer)
    assert trainer.model.training
    assert all_of(fit(make(plain), resume=tmp_path / "last.safetensors")) == whole


class Loaders:
    """Data in the forms in which `fit` takes it."""

    @staticmethod
    def own_generator():
        return DataLoader(TensorDataset(*data()), SIZE, shuffle=True, generator=Generator(5))

    @staticmethod
    def threads():
        return DataLoader(TensorDataset(*data()), SIZE, shuffle=True, num_workers=2)

    @staticmethod
    def samples():
        x, y = data()
        samples = list(zip(x, y.tolist(), strict=True))
        return DataLoader(samples, SIZE, shuffle=True, drop_last=True)

    @staticmethod
    def iterable():
        """One that cannot say where it stands, and draws its order and noise as it goes."""
        x, y = data()

        class Batches:
            def __iter__(self):
                order = minidl.random.permutation(N).numpy()
                for i in range(0, N, SIZE):
                    chosen = order[i : i + SIZE]
                    yield minidl.asarray(x[chosen]), minidl.asarray(y[chosen])

        return Batches()


@pytest.mark.parametrize("kind", ["own_generator", "threads", "samples", "iterable"])
def test_the_position_in_the_data_is_restored(tmp_path, kind):
    path, loader = tmp_path / "run.safetensors", getattr(Loaders, kind)

    def run(*callbacks, **settings):
        trainer = make(plain, callbacks=callbacks)
        trainer.fit(loader(), EPOCHS, **settings)
        return trainer

    whole = all_of(run())
    for k in (1, 3, 4, 6, 8, 9):
        run(Stop(k, path))
        assert all_of(run(resume=path)) == whole, k


def test_gradients_of_few_rows_wait_in_the_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    ids, y = np.array([[0, 1], [2, 2], [5, 0], [1, 1], [0, 5]]), np.array([0, 1, 0, 1, 1])

    def run(*callbacks, **settings):
        minidl.manual_seed(0)
        table = nn.Embedding(6, 4, sparse=True)
        net = nn.Sequential(table, nn.Flatten(), nn.Linear(8, 2))
        optimizer = optim.SGD(net.parameters(), lr=0.5)
        trainer = Trainer(net, optimizer, "cross_entropy", callbacks=callbacks, accumulate=4)
        trainer.fit((ids, y), 2, batch_size=1, **settings)
        return trainer

    whole = all_of(run())
    for k in range(1, 10):
        run(Stop(k, path))
        assert all_of(run(resume=path)) == whole, k


def test_metrics_of_all_kinds_go_on(tmp_path):
    path = tmp_path / "run.safetensors"
    names = ["accuracy", "auc", "f1", "top_2_accuracy", "confusion_matrix"]

    def run(*callbacks, **settings):
        minidl.manual_seed(0)
        net = nn.Linear(5, 3)
        trainer = Trainer(net, "adam", "cross_entropy", names, callbacks)
        return trainer.fit(data(), 2, batch_size=SIZE, **settings)

    whole = run()
    for k in (2, 4, 7):
        run(Stop(k, path))
        again = run(resume=path)
        for name in whole.history:
            np.testing.assert_array_equal(again[name], whole[name])


def test_more_epochs_than_there_were(tmp_path):
    """The number of epochs is no part of a run; resuming one that is done does nothing more."""
    path = tmp_path / "last.safetensors"
    whole = fit(make(plain), 4)
    first = fit(make(plain, callbacks=[Checkpoint(tmp_path)]), 2)
    again = fit(make(plain), 2, resume=path)
    assert all_of(again) == all_of(first) or again.step == first.step
    assert len(again.history) == 2
    assert all_of(fit(again, 4)) == all_of(whole)


def test_one_that_was_resumed_can_be_saved_before_it_goes_on(tmp_path):
    path, copied = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    whole = whole_run(plain)
    fit(make(plain, callbacks=[Stop(6, path)]))
    trainer = make(plain)
    trainer.resume(path)
    trainer.save(copied)
    assert all_of(fit(make(plain), resume=copied)) == whole


def test_a_history_file_has_no_line_twice(tmp_path):
    path, run = tmp_path / "history.csv", tmp_path / "run.safetensors"
    fit(make(plain, callbacks=[HistoryWriter(path)]))
    whole = path.read_text()
    for k in (3, 4, 6, 12):
        fit(make(plain, callbacks=[HistoryWriter(path), Stop(k, run)]))
        with path.open("a") as file:
            file.write("2,half a li")  # what a killed run may leave
        fit(make(plain, callbacks=[HistoryWriter(path)]), resume=run)
        assert path.read_text() == whole


# Checkpoints of others.


def other_names():
    return nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(3, 3))


def other_shapes():
    return nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3))


def others(model):
    """Trainers that do not fit a checkpoint of `original`, and what differs."""
    adam = lambda net: optim.Adam(net.parameters())
    groups = lambda net: optim.Adam([{"params": [p]} for p in net.parameters()])
    step = lambda optimizer: StepLR(optimizer, 1)
    double = copy.deepcopy(model).double()
    return [
        (Trainer(other_names(), "adam", "mse", schedule=step), r"has no 2\.weight, 2\.bias"),
        (Trainer(other_shapes(), "adam", "mse", schedule=step), r"\(6, 5\), here .*\(7, 5\)"),
        (
            Trainer(nn.Sequential(nn.Linear(5, 6)), "adam", "mse", schedule=step),
            r"1\.weight.*not here",
        ),
        (Trainer(model, "sgd", "mse", schedule=step), "optimizer is 'Adam', here it is 'SGD'"),
        (Trainer(model, groups(model), "mse", schedule=step), r"groups of \[4\].*\[1, 1, 1, 1\]"),
        (Trainer(model, adam(model), "mse"), "schedule is .*'StepLR'.*here it is None"),
        (Trainer(model, "adam", "mse", ["mae"], schedule=step), "metrics"),
        (
            Trainer(model, "adam", "mse", accumulate=2, schedule=step),
            "accumulate is 1, here it is 2",
        ),
        (Trainer(double, adam(double), "mse", schedule=step), "float32.*here float64"),
    ]


@pytest.mark.parametrize("which", range(9))
def test_a_checkpoint_of_another_run_changes_nothing(tmp_path, which):
    path = tmp_path / "run.safetensors"
    model = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3))
    original = Trainer(model, "adam", "mse", schedule=lambda o: StepLR(o, 1))
    x, _ = data()
    original.fit((x, x[:, :3]), 2)
    original.save(path)
    trainer, message = others(nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3)))[which]
    before = all_of(trainer)
    with pytest.raises(CheckpointError, match=message) as raised:
        trainer.resume(path)
    assert "run.safetensors" in str(raised.value)
    assert all_of(trainer) == before


def test_a_checkpoint_that_is_none(tmp_path):
    trainer = make(plain)
    path = tmp_path / "run.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        trainer.resume(path)
    io.save(path, trainer.model.state_dict())
    with pytest.raises(CheckpointError, match="no training run"):
        trainer.resume(path)
    trainer.save(path)
    tree = io.load(path)
    fit(trainer, 1)  # so that it differs from what is in the file
    for change, message in [
        (lambda t: t["about"].update(version=2), "version 2"),
        (lambda t: t.pop("history"), "history is missing"),
        (lambda t: t["position"].update(surplus=1), "cannot be resumed"),
        (lambda t: t["optimizer"]["param_groups"][0].update(lr=-1.0), "cannot be resumed"),
        (lambda t: t.update(random=3), "cannot be resumed"),
    ]:
        wrong = copy.deepcopy(tree)
        change(wrong)
        io.save(path, wrong)
        before = all_of(trainer)
        with pytest.raises(CheckpointError, match=message):
            trainer.resume(path)
        assert all_of(trainer) == before


def test_nothing_is_saved_in_the_middle_of_a_step(tmp_path):
    trainer = make(plain)

    def save(step):
        trainer.save(tmp_path / "run.safetensors")

    trainer.callbacks.append(LambdaCallback(on_step_begin=save))
    with pytest.raises(TrainingError, match="between two batches"):
        fit(trainer)
    assert not list(tmp_path.iterdir())
