"""Callbacks under Keras's names and arguments; `self.model` is the model being trained."""

import os
from collections.abc import Callable
from typing import Any

from minidl import io, optim, train
from minidl.train import Callback, History, HistoryWriter, LambdaCallback
from minidl.train.monitor import (
    check_mode,
    direction,
    improved,
    monitored_name,
    monitored_value,
)

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
]


class EarlyStopping(train.EarlyStopping):
    """Stop training when a monitored value has not improved for `patience` epochs.

    monitor                 the value to monitor: "val_loss", "loss", a metric's name
    min_delta               a smaller change than this, of either sign, is no improvement
    mode                    "min", "max", or "auto", which infers it for losses and metrics
    restore_best_weights    restore the weights of the best epoch when training ends

    >>> from minidl.keras import Sequential, callbacks, layers, optimizers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile(optimizers.SGD(learning_rate=0.0), "mse")  # nothing gets better
    >>> x, stop = np.ones((4, 1)), callbacks.EarlyStopping("loss", patience=2)
    >>> len(model.fit(x, x, epochs=100, verbose=0, callbacks=[stop]).history["loss"])
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        super().__init__(
            monitor, patience, abs(min_delta), mode=mode, restore_best=restore_best_weights
        )


class ModelCheckpoint(Callback):
    """Save the weights in a safetensors file after each epoch, for `load_weights`.

    filepath          may contain values of the epoch: "{epoch:02d}-{val_loss:.2f}.safetensors"
    save_best_only    save only when the monitored value is the best so far
    monitor           the value to monitor
    mode              "min", "max", or "auto", which infers it for losses and metrics

    Only the weights are saved, whatever the value of `save_weights_only`.

    >>> import os
    >>> from minidl.keras import Sequential, callbacks, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, save = np.ones((4, 1)), callbacks.ModelCheckpoint("{epoch:02d}.safetensors")
    >>> _ = model.fit(x, 2 * x, epochs=2, verbose=0, callbacks=[save])
    >>> sorted(os.listdir())
    ['01.safetensors', '02.safetensors']
    >>> model.load_weights("01.safetensors")  # as they were after the first epoch
    """

    saves = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = True,
        mode: str = "auto",
    ) -> None:
        self.filepath, self.monitor = os.fspath(filepath), monitor
        self.save_best_only, self.mode = save_best_only, check_mode("ModelCheckpoint", mode)
        self.best: float | None = None

    def on_train_begin(self) -> None:
        """Forget the best value of an earlier run."""
        self.best = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save the weights, unless only the best are saved and these are not."""
        if self.save_best_only:
            value = monitored_value("ModelCheckpoint", self.monitor, logs)
            name = monitored_name(self.monitor, logs)
            sign = direction("ModelCheckpoint", self.trainer.metrics, name, self.mode)
            if not improved(value, self.best, sign):
                return
            self.best = value
        io.save_weights(self.filepath.format(epoch=epoch + 1, **logs), self.trainer.model)


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch: schedule(epoch, rate) → rate; the first epoch is 0.

    >>> from minidl.keras import Sequential, callbacks, layers, optimizers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile(optimizers.SGD(learning_rate=0.5), "mse")
    >>> halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    >>> x = np.ones((4, 1))
    >>> _ = model.fit(x, x, epochs=3, verbose=0, callbacks=[halve])
    >>> model.optimizer.learning_rate
    0.125
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the learning rate."""
        for group in self.trainer.optimizer.param_groups:
            group["lr"] = float(self.schedule(epoch, group["lr"]))


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs.

    monitor      the value to monitor
    min_delta    a smaller change than this is no improvement
    cooldown     the number of epochs after a reduction that are not counted
    min_lr       the lower bound of the learning rate

    The rule is that of `minidl.optim.ReduceLROnPlateau`, whose `patience` is one less.

    >>> from minidl.keras import Sequential, callbacks, layers, optimizers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile(optimizers.SGD(learning_rate=1.0), "mse")
    >>> plateau = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=1e9)
    >>> x = np.ones((4, 1))  # after the first epoch, two times two without improvement
    >>> _ = model.fit(x, x, epochs=5, verbose=0, callbacks=[plateau])
    >>> model.optimizer.learning_rate
    0.25
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self.monitor, self.mode = monitor, check_mode("ReduceLROnPlateau", mode)
        self.settings: dict[str, Any] = {
            "factor": factor,
            "patience": max(patience - 1, 0),  # the rule reduces one epoch later than Keras
            "threshold": min_delta,
            "threshold_mode": "abs",
            "cooldown": cooldown,
            "min_lr": min_lr,
        }
        self.rule: optim.ReduceLROnPlateau | None = None

    def on_train_begin(self) -> None:
        """Start over."""
        self.rule = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Reduce the learning rate if the value has stopped improving."""
        value = monitored_value("ReduceLROnPlateau", self.monitor, logs)
        if self.rule is None:
            name = monitored_name(self.monitor, logs)
            sign = direction("ReduceLROnPlateau", self.trainer.metrics, name, self.mode)
            mode = "max" if sign > 0 else "min"
            self.rule = optim.ReduceLROnPlateau(self.trainer.optimizer, mode, **self.settings)
        self.rule.step(value)


class CSVLogger(HistoryWriter):
    """Write the values of each epoch as a line of a CSV file with a header.

    >>> from minidl.keras import Sequential, callbacks, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, log = np.ones((4, 1)), callbacks.CSVLogger("run.csv")
    >>> _ = model.fit(x, 2 * x, epochs=2, verbose=0, callbacks=[log])
    >>> with open("run.csv") as file:
    ...     [line.split(",")[0] for line in file]
    ['epoch', '0', '1']
    """

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        super().__init__(filename)
