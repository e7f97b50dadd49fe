"""Callbacks: early stopping, checkpoints and weight averaging; the base class for your own."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_instance, check_integers, check_numbers, chosen
from minidl.errors import ArgumentError, DTypeError, describe, path_of
from minidl.ops import isfinite
from minidl.optim import Optimizer
from minidl.optim.averaging import AveragedModel
from minidl.train.claim import Claim, claim
from minidl.train.errors import TrainingError
from minidl.train.history import History
from minidl.train.metrics import Metric
from minidl.train.monitor import (
    check_mode,
    check_monitor,
    direction,
    improved,
    monitored_name,
    monitored_value,
)
from minidl.train.state import Position


class TrainingRun(Protocol):
    """The Trainer as callbacks see it."""

    model: nn.Module
    optimizer: Optimizer
    metrics: list[Metric]
    history: History
    position: Position
    data: Any
    epochs: int | None
    resumed: bool
    stop_training: bool

    @property
    def epoch(self) -> int: ...  # noqa: D102  documented in Trainer, like those below
    @property
    def batch(self) -> int: ...  # noqa: D102
    @property
    def step(self) -> int: ...  # noqa: D102
    @property
    def is_consistent(self) -> bool: ...  # noqa: D102
    def logs(self) -> dict[str, Any]: ...  # noqa: D102
    def evaluate(self, data: Any, batch_size: int = 32) -> dict[str, Any]: ...  # noqa: D102
    def predict(self, x: Any, batch_size: int = 32) -> Tensor: ...  # noqa: D102
    def save(self, path: str | os.PathLike[str]) -> None: ...  # noqa: D102


class Callback:
    """The base class of callbacks, with Keras's hooks; a subclass defines those that it needs.

    `self.trainer` is the Trainer: its `model`, `optimizer`, `epoch`, `batch`, `step`, `history`,
    and `stop_training`, which may be set.  Batch and step hooks that a class does not define cost
    nothing.

    saves    whether it saves the run; then it is called after those that do not

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
    trainer: TrainingRun = None  # type: ignore[assignment]  # set when `fit` begins

    def claim(self) -> None:
        """Claim the files of a run for this process, before any callback begins."""

    def on_train_begin(self) -> None:
        """`fit` begins; `trainer.resumed` is whether it continues from a checkpoint."""

    def on_train_end(self) -> None:
        """`fit` is complete."""

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins, or continues after it was resumed."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """An epoch is complete; logs are its loss and metrics, with "val_" for validation."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any]) -> None:
        """A batch begins."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """A batch is complete; logs["loss"] is the mean loss of the epoch so far.

        `trainer.logs()` also has the metrics.
        """

    def on_step_begin(self, step: int) -> None:
        """The optimiser is about to step; the gradients have been averaged and clipped."""

    def on_step_end(self, step: int) -> None:
        """The optimiser has updated the weights; the gradients are still available."""

    def on_interrupt(self) -> None:
        """Training was interrupted from the keyboard; KeyboardInterrupt follows."""

    def on_exit(self) -> None:
        """`fit` ends, normally or by an exception: release resources."""

    def state_dict(self) -> dict[str, Any]:
        """The state to save in a checkpoint."""
        return {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class LambdaCallback(Callback):
    """A callback made of functions: LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs)).

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
    """Stop training when a monitored quantity has not improved for `patience` epochs.

    monitor         "val_loss" by default, or "loss" without validation data
    patience        epochs without improvement after which training stops; 0 is the same as 1
    min_delta       the smallest change that counts as an improvement
    mode            "min", "max", or "auto", which infers it for losses and metrics
    restore_best    restore the weights of the best epoch when `fit` ends

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
        check_integers("EarlyStopping", 0, **chosen(given, "patience"))
        check_numbers("EarlyStopping", 0, finite=True, **chosen(given, "min_delta"))
        check_flags("EarlyStopping", restore_best=restore_best)
        check_monitor("EarlyStopping", monitor)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode, self.restore_best = check_mode("EarlyStopping", mode), restore_best
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.best: Any = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self.best_weights: dict[str, Any] | None = None

    def on_train_begin(self) -> None:
        """Reset, unless the run is resumed; a run that was stopped early stays stopped."""
        if not self.trainer.resumed:
            self._reset()
        elif self.stopped_epoch is not None:
            self.trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Check for an improvement."""
        value = monitored_value("EarlyStopping", self.monitor, logs)
        name = monitored_name(self.monitor, logs)
        sign = direction("EarlyStopping", self.trainer.metrics, name, self.mode)
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
        """Restore the best weights."""
        if self.best_weights is not None:
            self.trainer.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value and epoch, their weights, and the wait since."""
        names = "wait", "best", "best_epoch", "stopped_epoch", "best_weights"
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        vars(self).update({name: saved[name] for name in self.state_dict()})


class Checkpoint(Callback):
    """Save checkpoints from which `fit(…, resume=path)` can continue the run.

    path         a folder, for "last.safetensors" and "best.safetensors"; or a name that ends in
                 .safetensors, for the last checkpoint, or with best_only for the best
    monitor      the quantity that "best" refers to: "val_loss" by default, or "loss" without
                 validation data
    mode         "min", "max", or "auto", which infers it for losses and metrics
    best_only    save only the best
    every        "epoch", or a number of batches, after which the last one is saved as well

    Both hold the whole run: `io.load(path)["model"]` are the weights.  Weights that contain NaN
    are not saved but a TrainingError, so that the last checkpoint stays usable.  When training is
    interrupted between two batches, the last checkpoint is saved once more.  While a run goes on, a
    second process that would write the same files is a TrainingError.

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
                f'Checkpoint: every is "epoch", or a number of batches ≥ 1; got {every!r}'
            )
        check_flags("Checkpoint", best_only=best_only)
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
        self._claim: Claim | None = None

    def claim(self) -> None:
        """Create the folder, and claim the files; a TrainingError if another process has."""
        self.last.parent.mkdir(parents=True, exist_ok=True)
        self._claim = claim(self.last)

    def on_exit(self) -> None:
        """Let others have the files."""
        self._claim = None

    def on_train_begin(self) -> None:
        """Forget the best of earlier runs."""
        if not self.trainer.resumed:
            self.best_value = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save the last, and the best if this is it."""
        value = monitored_value("Checkpoint", self.monitor, logs)
        name = monitored_name(self.monitor, logs)
        sign = direction("Checkpoint", self.trainer.metrics, name, self.mode)
        is_best = improved(value, self.best_value, sign)
        if is_best:
            self.best_value = value
            self._save(self.best)
        if not self.best_only:
            self._save(self.last)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Save the last after every `every` batches."""
        if isinstance(self.every, int) and not self.best_only and not (batch + 1) % self.every:
            self._save(self.last)

    def on_interrupt(self) -> None:
        """Save the last, if the interrupt came between two batches."""
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
        """The best value so far."""
        return {"best_value": self.best_value}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore the best value so far."""
        self.best_value = saved["best_value"]


class Averaging(Callback):
    """Update an average of the weights, after each step or each epoch.

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
        check_instance("Averaging", AveragedModel, average=average)
        self.average = average
        setattr(self, f"on_{every}_end", self._update)

    def _update(self, *_: Any) -> None:
        self.average.update_parameters(self.trainer.model)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights."""
        return dict(self.average.state_dict())

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore the averaged weights."""
        self.average.load_state_dict(saved)


def hooks(callbacks: Iterable[Callback], name: str) -> list[Callable[..., Any]]:
    """The hooks of this name that callbacks define themselves."""
    methods = [getattr(callback, name) for callback in callbacks]
    base = getattr(Callback, name)
    return [hook for hook in methods if getattr(hook, "__func__", hook) is not base]
