"""Callbacks: when they are called, and what each of them does."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import io, nn, optim
from minidl.errors import ArgumentError
from minidl.optim.averaging import AveragedModel, get_ema_avg_fn
from minidl.train import (
    Averaging,
    Callback,
    Checkpoint,
    EarlyStopping,
    HistoryWriter,
    LambdaCallback,
    LearningCurves,
    Progress,
    TensorStatistics,
    Trainer,
    TrainingError,
)
from minidl.train.callbacks import hooks
from minidl.train.metrics import Accuracy, Metric


def data(n=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)).astype("float32"), rng.integers(0, 3, n)


def trainer(*callbacks, metrics=("accuracy",), lr=0.01, **settings):
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    optimizer = optim.Adam(net.parameters(), lr=lr)
    return Trainer(net, optimizer, "cross_entropy", metrics, callbacks, **settings)


def fit(trainer, epochs=2, validate=True, **settings):
    return trainer.fit(
        data(), epochs, batch_size=4, validation_data=data() if validate else None, **settings
    )


class Scripted(Metric):
    """A metric that takes these values, one an epoch; its name is "score"."""

    name = "score"

    def __init__(self, values, higher_is_better=None):
        self.values, self.higher_is_better = values, higher_is_better
        super().__init__()

    def reset(self):
        pass

    def update(self, prediction, target):
        pass

    def compute(self):
        return self.values.pop(0)


# When they are called.


class Recorder(Callback):
    def __init__(self):
        self.calls = []
        for name in vars(Callback):
            if name.startswith("on_"):
                setattr(self, name, self.record(name))

    def record(self, name):
        return lambda *arguments: self.calls.append((name, *arguments[:1]))


def test_the_hooks_are_called_in_order():
    recorder = Recorder()
    fit(trainer(recorder, accumulate=2), 1)
    assert recorder.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0),
        ("on_train_batch_begin", 1),
        ("on_step_begin", 0),
        ("on_step_end", 0),
        ("on_train_batch_end", 1),
        ("on_train_batch_begin", 2),
        ("on_train_batch_end", 2),
        ("on_step_begin", 1),
        ("on_step_end", 1),
        ("on_epoch_end", 0),
        ("on_train_end",),
        ("on_exit",),
    ]


def test_logs_are_those_of_the_history():
    seen, batches = [], []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(dict(logs)),
        on_train_batch_end=lambda batch, logs: batches.append((logs["loss"], t.logs())),
    )
    t = trainer(callback)
    history = fit(t)
    assert seen == list(history)
    assert set(seen[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert batches[2] == (history["loss"][0], {k: history[k][0] for k in ("loss", "accuracy")})


def test_only_hooks_that_are_defined_are_called():
    plain, own = Callback(), LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    assert hooks([plain, own], "on_train_batch_end") == []
    assert hooks([plain, own], "on_epoch_end") == [own.on_epoch_end]
    with pytest.raises(ArgumentError, match="no hook 'on_epoch'"):
        LambdaCallback(on_epoch=print)


def test_those_that_save_are_called_last(tmp_path):
    stop = EarlyStopping()
    t = trainer(Checkpoint(tmp_path))
    t.callbacks.append(stop)
    fit(t, 1)
    assert t.callbacks[0] is stop


def test_a_callback_may_stop_after_a_batch():
    def stop(batch, logs):
        t.stop_training = batch == 1

    t = trainer(LambdaCallback(on_train_batch_end=stop))
    assert len(fit(t)) == 0
    assert (t.epoch, t.batch, t.step) == (0, 2, 2)


def test_fit_does_not_run_within_itself():
    t = trainer()
    t.callbacks.append(LambdaCallback(on_epoch_end=lambda epoch, logs: fit(t)))
    with pytest.raises(ArgumentError, match="running already"):
        fit(t)
    t.callbacks.clear()
    fit(t)


# EarlyStopping.


@pytest.mark.parametrize(
    ("values", "settings", "epochs"),
    [
        ([3, 2, 1, 2, 2, 2], {"patience": 2}, 5),
        ([3, 2, 1, 2, 0.5, 2], {"patience": 2}, 6),
        ([3, 2, 1], {}, 3),
        ([3, 4, 5], {}, 2),
        ([3, 2.9, 2.8, 2.7, 2.6], {"patience": 2, "min_delta": 0.25}, 3),
        ([1, 2, 3, 2, 2, 9], {"patience": 2, "mode": "max"}, 5),
        ([math.nan, math.nan, 1], {"patience": 2}, 2),
    ],
)
def test_early_stopping_waits_for_its_patience(values, settings, epochs):
    stop = EarlyStopping("score", **{"mode": "min", **settings})
    t = trainer(stop, metrics=[Scripted([*values])])
    assert len(fit(t, len(values), validate=False)) == epochs
    assert (stop.stopped_epoch is None) == (epochs == len(values))


def test_early_stopping_knows_which_way_is_better():
    t = trainer(EarlyStopping("accuracy", patience=1), lr=0.0)
    assert len(fit(t, 5)) == 2
    higher = trainer(EarlyStopping("score"), metrics=[Scripted([1, 2, 3], higher_is_better=True)])
    assert len(fit(higher, 3, validate=False)) == 3
    with pytest.raises(ArgumentError, match=r'large .score. good\? Say mode="max"'):
        fit(trainer(EarlyStopping("score"), metrics=[Scripted([1])]), validate=False)
    with pytest.raises(ArgumentError, match="nothing is called 'val_loss'; there are loss"):
        fit(trainer(EarlyStopping("val_loss")), validate=False)
    for wrong in ({"mode": "best"}, {"patience": -1}, {"min_delta": -0.1}):
        with pytest.raises(ArgumentError):
            EarlyStopping(**wrong)


def test_the_best_weights_come_back():
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda *_: kept.append(t.model[0].weight.numpy().copy()))
    stop = EarlyStopping("score", 2, mode="min", restore_best=True)
    t = trainer(stop, keep, metrics=[Scripted([3, 1, 2, 2, 2])])
    fit(t, 5, validate=False)
    assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (1, 1, 3)
    assert len(kept) == 4
    np.testing.assert_array_equal(t.model[0].weight.numpy(), kept[1])
    t.metrics = [Scripted([5, 4])]
    fit(t, 2, validate=False)  # begins anew
    assert stop.best == 4


# Checkpoint.


def test_the_last_and_the_best_are_saved(tmp_path):
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda *_: kept.append(t.model[0].weight.numpy().copy()))
    save = Checkpoint(tmp_path / "runs" / "first", "score", "max")
    t = trainer(save, keep, metrics=[Scripted([1, 3, 2])])
    fit(t, 3, validate=False)
    for name, epoch in (("last", 2), ("best", 1)):
        saved = io.load(tmp_path / "runs" / "first" / f"{name}.safetensors")
        np.testing.assert_array_equal(saved["model"]["0.weight"].numpy(), kept[epoch])
        assert saved["position"]["epoch"] == epoch + 1


@pytest.mark.parametrize(
    ("path", "settings", "files"),
    [
        ("run", {}, ["run/best.safetensors", "run/last.safetensors"]),
        ("run", {"best_only": True}, ["run/best.safetensors"]),
        ("run.safetensors", {}, ["run.best.safetensors", "run.safetensors"]),
        ("run.safetensors", {"best_only": True}, ["run.safetensors"]),
    ],
)
def test_where_checkpoints_are(tmp_path, path, settings, files):
    fit(trainer(Checkpoint(tmp_path / path, **settings)), 1)
    found = [str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()]
    assert sorted(found) == files


def test_checkpoints_within_an_epoch(tmp_path):
    steps = []
    path = tmp_path / "last.safetensors"
    look = LambdaCallback(on_train_batch_begin=lambda *_: steps.append(saved_step(path)))
    fit(trainer(Checkpoint(tmp_path, every=2), look), 2)
    assert steps == [0, 0, 2, 3, 3, 5]
    for wrong in (0, "day", 1.5):
        with pytest.raises(ArgumentError, match="every"):
            Checkpoint(tmp_path, every=wrong)


def saved_step(path):
    return io.load(path)["updates"]["step"] if path.exists() else 0


def test_weights_of_nan_are_not_saved(tmp_path):
    def spoil(batch, logs):
        if t.epoch == 1 and batch == 2:
            t.model[0].weight.data[0, 0] = np.nan

    t = trainer(Checkpoint(tmp_path), LambdaCallback(on_train_batch_end=spoil))
    with pytest.raises(TrainingError, match=r"0\.weight has NaN"):
        fit(t, 3, validate=False)
    assert saved_step(tmp_path / "last.safetensors") == 3
    resumed = trainer()
    fit(resumed, 2, resume=tmp_path / "last.safetensors")
    assert resumed.step == 6


# Ctrl-C.


def test_ctrl_c_waits_for_the_end_of_the_batch(tmp_path):
    def press(step):
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    recorder = Recorder()
    t = trainer(recorder, LambdaCallback(on_step_begin=press), Checkpoint(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        fit(t)
    assert t.step == t.batch == 2
    assert recorder.calls[-2:] == [("on_interrupt",), ("on_exit",)]
    assert saved_step(tmp_path / "last.safetensors") == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_stops_at_once(tmp_path):
    def press(step):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    t = trainer(LambdaCallback(on_step_begin=press), Checkpoint(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        fit(t)
    assert not t.is_consistent
    assert not list(tmp_path.iterdir())  # this would not be a state between two batches
    t.callbacks.clear()
    fit(t)
    assert t.is_consistent


def test_ctrl_c_while_it_is_validated():
    class Press(Accuracy):
        def update(self, prediction, target):
            super().update(prediction, target)
            if self.count == 12 and not prediction.requires_grad and not pressed:
                pressed.append(1)
                os.kill(os.getpid(), signal.SIGINT)

    pressed = []
    t = trainer(metrics=[Press()])
    with pytest.raises(KeyboardInterrupt):
        fit(t)
    assert t.step == 3


def test_other_threads_and_other_handlers_keep_theirs():
    lengths = []
    thread = threading.Thread(target=lambda: lengths.append(len(fit(trainer()))))
    thread.start()
    thread.join()
    assert lengths == [2]
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(trainer())
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, mine)


# Files.


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_the_history_is_written_as_it_grows(tmp_path, suffix):
    path = tmp_path / "new" / f"history{suffix}"
    lines = []
    writer = HistoryWriter(path)
    look = LambdaCallback(on_epoch_end=lambda *_: lines.append(len(path.read_text().splitlines())))
    history = fit(trainer(writer, look), 3)
    assert lines == ([2, 3, 4] if suffix == ".csv" else [1, 2, 3])
    text = path.read_text().splitlines()
    rows = list(csv.DictReader(text)) if suffix == ".csv" else list(map(json.loads, text))
    for name in history.history:
        assert [float(row[name]) for row in rows] == history[name]
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    fit(trainer(writer), 1)
    assert len(path.read_text().splitlines()) == (2 if suffix == ".csv" else 1)
    with pytest.raises(ArgumentError, match=r"\.jsonl or \.csv"):
        HistoryWriter("history.txt")


def test_arrays_and_late_columns_are_written(tmp_path):
    path = tmp_path / "history.csv"

    def add(epoch, logs):
        if epoch == 1:
            logs["late"] = 5

    t = trainer(HistoryWriter(tmp_path / "history.jsonl"), metrics=["confusion_matrix"])
    fit(t, 1)
    line = json.loads((tmp_path / "history.jsonl").read_text())
    assert line["confusion_matrix"] == t.history["confusion_matrix"][0].tolist()
    t = trainer(HistoryWriter(path))
    t.history.append(0, {"loss": 1.0})
    t.callbacks[0].trainer = t
    t.callbacks[0].on_train_begin()
    t.history.append(1, {"loss": 0.5, "late": 5})
    t.callbacks[0].on_epoch_end(1, {"loss": 0.5, "late": 5})
    assert path.read_text() == "epoch,loss,late\n0,1.0,\n1,0.5,5\n"


def test_learning_curves_are_drawn_after_each_epoch(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / "curves.png"
    sizes = []
    look = LambdaCallback(on_epoch_end=lambda *_: sizes.append(path.stat().st_size))
    fit(trainer(LearningCurves(path), look), 2)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert len(set(sizes)) == 2


def test_statistics_are_those_of_numpy(tmp_path):
    path = tmp_path / "statistics.jsonl"
    weights, gradients = [], []

    def keep(step):
        weights.append(t.model[0].weight.numpy().copy().astype("float64"))
        gradients.append(t.model[0].weight.grad.numpy().copy().astype("float64"))

    t = trainer(TensorStatistics(path, every=2), LambdaCallback(on_step_begin=keep))
    fit(t, 2)
    weights.append(t.model[0].weight.numpy().astype("float64"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = [name for name, _ in t.model.named_parameters()]
    assert [(line["step"], line["name"]) for line in lines] == [
        (s, n) for s in (0, 2, 4) for n in names
    ]
    for line in lines[:: len(names)]:
        step = line["step"]
        for key, x in (("weight", weights[step]), ("gradient", gradients[step])):
            norm = np.sqrt((x * x).sum())
            expected = {"mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max()}
            assert line[key] == pytest.approx({**expected, "norm": norm}, rel=1e-9)
        change = np.linalg.norm(weights[step + 1] - weights[step])
        assert line["update_ratio"] == pytest.approx(change / np.linalg.norm(weights[step]))


def test_statistics_go_on_after_a_resume(tmp_path):
    path, run = tmp_path / "statistics.jsonl", tmp_path / "last.safetensors"
    fit(trainer(TensorStatistics(path, 2)), 3)
    whole = path.read_text()
    first = trainer(TensorStatistics(path, 2), Checkpoint(tmp_path))
    fit(first, 1)
    first.callbacks.pop()
    fit(first, 2, resume=run)  # two epochs, of which the second is to be done again
    with path.open("a") as file:
        file.write('{"step": 6, "na')
    fit(trainer(TensorStatistics(path, 2)), 3, resume=run)
    assert path.read_text() == whole
    with pytest.raises(ArgumentError, match="every"):
        TensorStatistics(path, every=0)


def test_frozen_and_empty_parameters_have_statistics(tmp_path):
    path = tmp_path / "statistics.jsonl"
    t = trainer(TensorStatistics(path, 1))
    t.model[0].weight.requires_grad = False
    t.model.empty = nn.Parameter(np.zeros((0, 3), "float32"))
    t.model.append(nn.Identity())
    fit(t, 1)
    first = json.loads(path.read_text().splitlines()[0])
    assert first["gradient"] is None
    assert first["update_ratio"] == 0


# Averages.


@pytest.mark.parametrize("every", ["step", "epoch"])
def test_averages_are_kept_up_to_date(every):
    t = trainer()
    average, other = (AveragedModel(t.model, get_ema_avg_fn(0.5)) for _ in range(2))
    name = f"on_{every}_end"
    by_hand = LambdaCallback(**{name: lambda *_: other.update_parameters(t.model)})
    t.callbacks = [Averaging(average, every), by_hand]
    fit(t, 2)
    assert int(average.n_averaged) == (6 if every == "step" else 2)
    for own, expected in zip(average.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(own.numpy(), expected.numpy())
    with pytest.raises(ArgumentError, match="every"):
        Averaging(average, "day")


# Progress.


class Terminal:
    """An error stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_progress_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("minidl.train.progress._INTERVAL", 0.0)
    bars = []
    progress = Progress()
    look = LambdaCallback(on_epoch_end=lambda *_: bars.append(progress._bar))
    fit(trainer(progress, look), 2)
    assert bars == [None, None]
    assert "3/3" in terminal.text
    assert "samples/s" in terminal.text
    done = [line for line in terminal.text.splitlines() if "val_loss" in line]
    assert len(done) == 2
    assert "Epoch 2/2" in done[1]


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_without_a_terminal(capsys, quiet):
    fit(trainer(Progress(quiet=quiet), metrics=["accuracy", "confusion_matrix"]), 2)
    lines = capsys.readouterr().err.splitlines()
    if quiet:
        assert not lines
    else:
        assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
        assert "val_accuracy" in lines[0]


def test_an_error_leaves_the_terminal_as_it_was(monkeypatch):
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def fail(batch, logs):
        raise ValueError("mine")

    t = trainer(Progress(), LambdaCallback(on_train_batch_end=fail))
    with pytest.raises(ValueError, match="mine"):
        fit(t)
    assert t.callbacks[0]._bar is None
    assert terminal.text.count("\x1b[?25h") >= terminal.text.count(
        "\x1b[?25l"
    )  # the cursor is back


def test_importing_the_callbacks_loads_nothing_heavy():
    code = "import sys, minidl.train; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"rich", "matplotlib", "safetensors"} & {name.split(".")[0] for name in loaded}
