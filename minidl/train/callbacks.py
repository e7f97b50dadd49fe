"""Callbacks: what else is to happen while a model is trained."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from minidl.errors import ArgumentError, DTypeError, check_flags, check_kind, describe, path_of
from minidl.ops import isfinite
from minidl.optim.averaging import AveragedModel
from minidl.optim.checks import check_count, check_not_negative
from minidl.train.errors import TrainingError
from minidl.train.metrics import higher_is_better
from minidl.train.update import monitored, watched


class Callback:
    """The base of callbacks, with Keras's hooks; a subclass defines those that it needs.

    `self.trainer` is the Trainer: its `model`, `optimizer`, `epoch`, `batch`, `step`, `history`,
    and `stop_training`, which may be set.  Hooks of batches and steps that a class does not define
    cost nothing.

    saves    whether it saves the run, and so is called after those that do not

    >>> from minidl.train import Callback, Trainer
    >>> class StopEarly(Callback):
    ...     def on_step_end(self, step):
    ...         self.trainer.stop_training = step == 2
    >>> x = minidl.ones((40, 1))
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[StopEarly()])
    >>> _ = trainer.fit((x, x), epochs=9, batch_size=4)
    >>> trainer.step, trainer.batch
    (3, 3)
    """

    saves = False
    trainer: Any = None

    def on_train_begin(self) -> None:
        """`fit` begins; `trainer.resumed` says whether from a checkpoint."""

    def on_train_end(self) -> None:
        """`fit` has come to its end."""

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins, or goes on after it was resumed."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """An epoch is complete; logs are its loss, metrics, and those of validation: "val_loss"."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any]) -> None:
        """A batch of the epoch begins."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """A batch is done; logs["loss"] is the mean loss of the epoch so far.

        `trainer.logs()` has the metrics, too.
        """

    def on_step_begin(self, step: int) -> None:
        """The optimiser is about to use the gradients, which have been averaged and clipped."""

    def on_step_end(self, step: int) -> None:
        """The optimiser has changed the weights; the gradients are still there."""

    def on_interrupt(self) -> None:
        """Training was interrupted from the keyboard; KeyboardInterrupt follows."""

    def on_exit(self) -> None:
        """`fit` ends, in whatever way: close what is open."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint is to hold."""
        return {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class LambdaCallback(Callback):
    """Functions as hooks: LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs)).

    >>> from minidl.train import LambdaCallback, Trainer
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, list(logs)))
    >>> x = minidl.ones((4, 1))
    >>> _ = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[show]).fit((x, x), epochs=2)
    0 ['loss']
    1 ['loss']
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                known = [hook for hook in vars(Callback) if hook.startswith("on_")]
                raise ArgumentError(f"LambdaCallback: no hook {name!r}; has {', '.join(known)}")
            if not callable(function):
                raise DTypeError(f"LambdaCallback: {name} is a function; got {describe(function)}")
            setattr(self, name, function)


class EarlyStopping(Callback):
    """Training ends when a measurement has not improved for `patience` epochs.

    monitor         "val_loss" if left out, or without validation data "loss"
    patience        how many epochs without improvement are borne; with 0 or 1, not even one
    min_delta       a smaller change than this is no improvement
    mode            "min", "max", or "auto", which knows for losses and metrics
    restore_best    put the weights of the best epoch back when `fit` ends

    >>> from minidl.train import EarlyStopping, Trainer
    >>> model = nn.Linear(1, 1)
    >>> stop = EarlyStopping(monitor="loss", patience=2)
    >>> x = minidl.ones((4, 1))
    >>> still = optim.SGD(model.parameters(), lr=0.0)  # nothing gets better
    >>> len(Trainer(model, still, "mse", callbacks=[stop]).fit((x, x), epochs=100))
    3
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 0,
        min_delta: float = 0.0,
        *,
        mode: str = "auto",
        restore_best: bool = False,
    ) -> None:
        given = {"patience": patience, "min_delta": min_delta}
        check_count("EarlyStopping", given, "patience", least=0)
        check_not_negative("EarlyStopping", given, "min_delta")
        check_flags("EarlyStopping: ", restore_best=restore_best)
        check_monitor("EarlyStopping", monitor)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode, self.restore_best = check_mode("EarlyStopping", mode), restore_best
        self._reset()

    def _reset(self) -> None:
        self.wait, self.best, self.best_epoch = 0, None, None
        self.stopped_epoch: int | None = None
        self.best_weights: dict[str, Any] | None = None

    def on_train_begin(self) -> None:
        """Begin anew, unless the run is resumed; one that has been stopped stays so."""
        if not self.trainer.resumed:
            self._reset()
        elif self.stopped_epoch is not None:
            self.trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Look at the measurement."""
        value = monitored("EarlyStopping", self.monitor, logs)
        name = watched(self.monitor, logs)
        sign = direction("EarlyStopping", self.trainer, name, self.mode)
        if improved(value, self.best, sign, self.min_delta):
            self.wait, self.best, self.best_epoch = 0, value, epoch
            if self.restore_best:
                state = self.trainer.model.state_dict()
                self.best_weights = {key: x.copy() for key, x in state.items()}
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self) -> None:
        """Put the best weights back."""
        if self.best_weights is not None:
            self.trainer.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What it has seen."""
        names = "wait", "best", "best_epoch", "stopped_epoch", "best_weights"
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what it had seen."""
        vars(self).update({name: saved[name] for name in self.state_dict()})


class Checkpoint(Callback):
    """Saves the run, so that `fit(…, resume=path)` can go on where it was stopped or killed.

    path         a folder, for "last.safetensors" and "best.safetensors"; or a name that ends in
                 .safetensors, of the last one, or with best_only of the best
    monitor      what "best" means: "val_loss" if left out, or without validation data "loss"
    mode         "min", "max", or "auto", which knows for losses and metrics
    best_only    save only the best
    every        "epoch", or a number of batches after which the last one is saved as well

    Both hold everything: `io.load(path)["model"]` are the weights.  A run whose weights have become
    NaN is not saved, but a TrainingError, so that the last checkpoint stays usable.  When training
    is interrupted, the last one is saved once more.

    >>> from minidl.train import Checkpoint, Trainer
    >>> x = minidl.ones((8, 1))
    >>> def run(**how):
    ...     trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[Checkpoint("run")])
    ...     return trainer.fit((x, 2 * x), **how)
    >>> len(run(epochs=2)), len(run(epochs=5, resume="run/last.safetensors"))
    (2, 5)
    """

    saves = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str | None = None,
        mode: str = "auto",
        best_only: bool = False,
        every: str | int = "epoch",
    ) -> None:
        if every != "epoch" and (not isinstance(every, int) or every < 1):
            raise ArgumentError(
                f'Checkpoint: every is "epoch", or a number of batches from 1 on; got {every!r}'
            )
        check_flags("Checkpoint: ", best_only=best_only)
        check_monitor("Checkpoint", monitor)
        given = path_of("Checkpoint", path)
        if given.suffix == ".safetensors":
            self.last = given
            self.best = given if best_only else given.with_suffix(".best.safetensors")
        else:
            self.last, self.best = given / "last.safetensors", given / "best.safetensors"
        self.monitor, self.mode = monitor, check_mode("Checkpoint", mode)
        self.best_only, self.every = best_only, every
        self.best_value: float | None = None

    def on_train_begin(self) -> None:
        """Make the folder; the best is of this run."""
        self.last.parent.mkdir(parents=True, exist_ok=True)
        if not self.trainer.resumed:
            self.best_value = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save the last, and if it is, the best."""
        value = monitored("Checkpoint", self.monitor, logs)
        name = watched(self.monitor, logs)
        sign = direction("Checkpoint", self.trainer, name, self.mode)
        is_best = improved(value, self.best_value, sign)
        if is_best:
            self.best_value = value
            self._save(self.best)
        if not self.best_only:
            self._save(self.last)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Save the last, if it is time."""
        if self.every != "epoch" and not self.best_only and not (batch + 1) % self.every:
            self._save(self.last)

    def on_interrupt(self) -> None:
        """Save the last, as it is between two batches."""
        if not self.best_only and self.trainer.is_consistent:
            self._save(self.last)

    def _save(self, path: Path) -> None:
        for name, tensor in self.trainer.model.state_dict().items():
            if tensor.dtype.kind == "f" and not isfinite(tensor).all():
                raise TrainingError(
                    f"Checkpoint: {name} has NaN or infinity in it in epoch "
                    f"{self.trainer.epoch}, batch {self.trainer.batch}; {path} was not written"
                )
        self.trainer.save(path)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best_value": self.best_value}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over the best so far."""
        self.best_value = saved["best_value"]


class Averaging(Callback):
    """Keeps an average of the weights up to date, after each step or each epoch.

        average = AveragedModel(model, get_ema_avg_fn(0.999))
        Trainer(model, "adam", "mse", callbacks=[Averaging(average)]).fit(train)

    every    "step" or "epoch"

    >>> from minidl.train import Averaging, Trainer
    >>> model, x = nn.Linear(1, 1), minidl.ones((8, 1))
    >>> average = optim.AveragedModel(model)
    >>> _ = Trainer(model, "sgd", "mse", callbacks=[Averaging(average)]).fit((x, x), batch_size=2)
    >>> average.n_averaged.item()
    4
    """

    def __init__(self, average: AveragedModel, every: str = "step") -> None:
        if every not in ("step", "epoch"):
            raise ArgumentError(f'Averaging: every is "step" or "epoch"; got {every!r}')
        check_kind("Averaging", "average", average, AveragedModel)
        self.average = average
        setattr(self, f"on_{every}_end", self._update)

    def _update(self, *_: Any) -> None:
        self.average.update_parameters(self.trainer.model)

    def state_dict(self) -> dict[str, Any]:
        """The averages."""
        return dict(self.average.state_dict())

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over the averages."""
        self.average.load_state_dict(saved)


def hooks(callbacks: Iterable[Callback], name: str) -> list[Callable[..., Any]]:
    """The callbacks' own methods of this name."""
    found = [getattr(callback, name) for callback in callbacks]
    base = getattr(Callback, name)
    return [hook for hook in found if getattr(hook, "__func__", hook) is not base]


def check_monitor(who: str, monitor: Any) -> None:
    """Raise for what is neither a name nor left out."""
    if monitor is not None:
        check_kind(who, "monitor", monitor, str)


def check_mode(who: str, mode: str) -> str:
    """The mode, if it is one."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f'{who}: mode is "auto", "min" or "max"; got {mode!r}')
    return mode


def direction(who: str, trainer: Any, name: str, mode: str) -> int:
    """1 if larger values are better, else −1."""
    if mode != "auto":
        return 1 if mode == "max" else -1
    own = {metric.name: metric.higher_is_better for metric in trainer.metrics}
    higher = own.get(name.removeprefix("val_"))
    higher = higher_is_better(name) if higher is None else higher
    if higher is None:
        raise ArgumentError(f'{who}: is a large {name!r} good? Say mode="max" or mode="min"')
    return 1 if higher else -1


def improved(value: Any, best: Any, sign: int, min_delta: float = 0.0) -> bool:
    """Whether a value is better than the best so far; NaN never is."""
    if value != value:
        return False
    return best is None or sign * (value - best) > min_delta
