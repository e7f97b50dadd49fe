"""KeyboardInterrupt at any line: what is saved is consistent, and the run goes on to the bit."""

import os
import random
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import io, nn, optim
from minidl.autograd.mode import Mode, current
from minidl.data import DataLoader, TensorDataset, sample_generator
from minidl.ops.random import Generator
from minidl.train import (
    Averaging,
    Callback,
    Checkpoint,
    EarlyStopping,
    HistoryWriter,
    Trainer,
    TrainingError,
)
from tests.train.test_resume import Stop, all_of, bits

# An interrupt within a finalizer is lost, as Python says then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SOURCE = Path(minidl.__file__).parent
TRACED = tuple(f"{SOURCE / name}{os.sep}" for name in ("train", "data", "optim", "io"))
N, EPOCHS = 11, 2


class Again(Callback):
    """Injects more interrupts while the first one is handled."""

    def __init__(self, injector):
        self.injector = injector

    def on_interrupt(self):
        self.injector.go_on()


class Injector:
    """A trace function that counts lines, and interrupts at some of them.

    pressed    the line at which Ctrl-C is pressed, which waits for the end of the batch
    raised     the line at which KeyboardInterrupt is raised, as by a second Ctrl-C
    again      the line at which it is raised once more, counted since `on_interrupt`
    """

    def __init__(self, pressed=0, raised=0, again=0):
        self.pressed, self.raised, self.again, self.count = pressed, raised, again, 0

    def __enter__(self):
        sys.settrace(self.called)

    def __exit__(self, *_):
        sys.settrace(None)

    def go_on(self):
        """Trace again, which ended with the exception; also the frames that are running."""
        self.count, self.pressed, self.raised, self.again = 0, 0, self.again, 0
        frame = sys._getframe()
        while frame is not None:
            frame.f_trace = self.line if frame.f_code.co_filename.startswith(TRACED) else None
            frame = frame.f_back
        sys.settrace(self.called)

    def called(self, frame, event, arg):
        return self.line if frame.f_code.co_filename.startswith(TRACED) else None

    def line(self, frame, event, arg):
        if event == "line":
            self.count += 1
            if self.count == self.pressed:
                os.kill(os.getpid(), signal.SIGINT)
            if self.count == self.raised:
                raise KeyboardInterrupt
        return self.line


def make(folder, injector=None):
    """A trainer and its data, made as in a fresh process."""
    minidl.manual_seed(3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N, 5)).astype("float32"), rng.integers(0, 3, N)
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 3))
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    average = optim.AveragedModel(net, optim.get_ema_avg_fn(0.7))
    callbacks = [
        *([Again(injector)] if injector else []),
        HistoryWriter(folder / "history.jsonl"),
        Averaging(average),
        EarlyStopping(patience=5, restore_best=True),
        Checkpoint(folder, every=2),
    ]
    trainer = Trainer(
        net,
        optimizer,
        "cross_entropy",
        ["accuracy"],
        callbacks,
        schedule=lambda optimizer: optim.StepLR(optimizer, 1, 0.5),
        accumulate=2,
    )
    data = TensorDataset(x, y)
    train = DataLoader(data, 3, shuffle=True, generator=Generator(5))
    test = DataLoader(data, 4, shuffle=True)  # draws from the default generator
    return trainer, train, test


def run(folder, injector=None):
    """Begin the run in a folder, or go on with it; returns the trainer."""
    trainer, train, test = make(folder, injector)
    last = folder / "last.safetensors"
    if last.exists():
        minidl.random.uniform(3)  # what else a program may have drawn
        trainer.resume(last)
    with injector or nullcontext():
        trainer.fit(train, EPOCHS, validation_data=test)
    return trainer


def everything(folder, trainer):
    files = [bits(io.load(folder / f"{name}.safetensors")) for name in ("last", "best")]
    return all_of(trainer), files, (folder / "history.jsonl").read_text()


_whole = []


def whole(folder=None):
    """What a run that is not interrupted leaves, and its number of lines."""
    if not _whole:
        counter = Injector()
        trainer = run(folder, counter)
        _whole.append((everything(folder, trainer), counter.count))
    return _whole[0]


def check(folder, injector, expected):
    """Interrupt a run; go on with it; compare."""
    folder.mkdir()
    with suppress(KeyboardInterrupt):
        run(folder, injector)
    sys.settrace(None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert current.get() == Mode()
    for name in ("last", "best"):
        if (folder / f"{name}.safetensors").exists():
            io.load(folder / f"{name}.safetensors")
    assert everything(folder, run(folder)) == expected


def check_many(tmp_path, many):
    (tmp_path / "whole").mkdir()
    expected, count = whole(tmp_path / "whole")
    draw = random.Random(many)
    for i in range(many):
        at = draw.randrange(1, count + 1)
        later = min(at + draw.randrange(1, 400), count)
        again = draw.randrange(1, 900)
        kind = [
            {"raised": at},
            {"pressed": at},
            {"pressed": at, "raised": later},
            {"raised": at, "again": again},
            {"pressed": at, "again": again},
        ][i % 5]
        try:
            check(tmp_path / str(i), Injector(**kind), expected)
        except BaseException as error:
            error.add_note(f"interrupts at {kind}")
            raise


def test_a_run_that_is_interrupted_at_any_line_goes_on_to_the_same_bits(tmp_path):
    check_many(tmp_path, 25)


@pytest.mark.full
def test_two_thousand_interrupts(tmp_path):
    check_many(tmp_path, 2000)


def test_a_trainer_that_was_interrupted_can_be_used_again(tmp_path):
    """Also if the second interrupt comes while the first is handled."""
    for again in range(1, 40):
        injector = Injector(raised=9000, again=again)
        trainer, train, test = make(tmp_path, injector)
        with suppress(KeyboardInterrupt), injector:
            trainer.fit(train, EPOCHS, validation_data=test)
        sys.settrace(None)
        trainer.fit(train, 1, validation_data=test)
        assert trainer.model.training


def test_a_mode_is_restored_if_it_is_interrupted_as_it_begins(monkeypatch):
    """Whether before the new mode is set, or right after."""
    settings = minidl.no_grad()

    def interrupted(mode):
        current.set(mode._replace(record=False))
        raise KeyboardInterrupt

    monkeypatch.setattr(settings, "_changed", interrupted)
    with pytest.raises(KeyboardInterrupt), settings:
        pass
    assert current.get() == Mode()


def test_the_random_position_of_validation_data_is_restored(tmp_path):
    """Its order comes from a generator of its own, and noise from the samples' generators."""

    def losses(*callbacks, **how):
        trainer, train, _ = make(tmp_path)
        trainer.callbacks = [*callbacks]
        noisy = DataLoader(Noisy(*train.dataset.tensors), 4, shuffle=True, generator=Generator(9))
        return trainer.fit(train, 3, validation_data=noisy, **how).history.get("val_loss")

    expected = losses()
    assert len({*expected}) == 3
    for k in (1, 4, 6, 9):
        path = tmp_path / f"{k}.safetensors"
        losses(Stop(k, path))
        assert losses(resume=path) == expected


class Noisy(TensorDataset):
    def batch(self, indices):
        x, y = super().batch(indices)
        return x + minidl.random.normal(x.shape, generator=sample_generator()), y


# Two processes.

PROGRAM = """
import sys, time
import minidl
from minidl import nn
from minidl.train import Checkpoint, LambdaCallback, Trainer
x = minidl.ones((8, 2))
def wait(epoch, logs):
    print("training", flush=True)
    time.sleep(60)
callbacks = [Checkpoint(sys.argv[1]), LambdaCallback(on_epoch_end=wait)]
Trainer(nn.Linear(2, 1), "sgd", "mse", callbacks=callbacks).fit((x, x[:, :1]), epochs=2)
"""


def trained(folder):
    trainer = Trainer(nn.Linear(2, 1), "sgd", "mse", callbacks=[Checkpoint(folder)])
    x = minidl.ones((8, 2))
    trainer.fit((x, x[:, :1]))
    return trainer


def test_two_processes_that_train_one_run_are_told(tmp_path):
    trained(tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "training\n"
        with pytest.raises(TrainingError, match=f"process {process.pid} is training the run"):
            trained(tmp_path)
        process.kill()
    assert (tmp_path / "last.safetensors").read_bytes() == before
    trained(tmp_path)  # the claim of a dead process is none
    assert sorted(x.name for x in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_one_process_may_have_several_trainers_of_a_run(tmp_path):
    for _ in range(2):
        trained(tmp_path)

    class Inner(Callback):
        def on_epoch_end(self, epoch, logs):
            trained(tmp_path)

    x = minidl.ones((8, 2))
    callbacks = [Checkpoint(tmp_path), Inner()]
    Trainer(nn.Linear(2, 1), "sgd", "mse", callbacks=callbacks).fit((x, x[:, :1]))
