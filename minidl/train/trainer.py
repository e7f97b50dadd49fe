"""Trainer: the training loop, evaluation, prediction, and resuming from checkpoints."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minidl import io, nn
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_instance, check_integers
from minidl.errors import ArgumentError, ShapeError, listed, path_of
from minidl.optim import Optimizer
from minidl.optim.lr_scheduler import LRScheduler
from minidl.train import data_adapter, update
from minidl.train.callbacks import Callback, hooks
from minidl.train.errors import TrainingError
from minidl.train.evaluation import computed, evaluate, metrics_for, predict, update_all
from minidl.train.history import History
from minidl.train.interrupt import Interrupt
from minidl.train.metrics import Metric
from minidl.train.monitor import check_monitor
from minidl.train.objective import join
from minidl.train.optimizers import optimizer_for
from minidl.train.state import Position, restore, state_of


class Trainer:
    """Trains, evaluates and applies a model, like Keras's `fit`, `evaluate` and `predict`.

        trainer = Trainer(model, "adam", "cross_entropy", metrics=["accuracy"])
        history = trainer.fit(train, epochs=10, validation_data=test)
        print(trainer.evaluate(test), trainer.predict(images))

    model             a Module, called with the inputs of a batch
    optimizer         an Optimizer; or a name, with Keras's defaults: "adam", "sgd", "rmsprop", …
    loss              (prediction, target) → Tensor, the mean over the samples; or a name, which
                      adapts to a final softmax of the model: "cross_entropy", "mse", …
    metrics           Metrics, or their names
    callbacks         Callbacks, called in this order; those that save the run, last
    schedule          a learning-rate schedule of the optimiser, or a function that creates it:
                      lambda optimizer: StepLR(optimizer, 10)
    schedule_every    when the schedule is stepped: "epoch" or "step"
    monitor           the quantity for a ReduceLROnPlateau: "val_loss" by default, or "loss" without
                      validation data
    clip_norm         the maximum norm of all gradients together, as in `clip_grad_norm_`
    clip_value        the maximum absolute gradient of any weight; applied before clip_norm
    accumulate        batches per step, whose gradients are averaged over all their samples
    stop_on_nan       whether a loss of NaN or infinity is a TrainingError, raised before the
                      weights are updated

    epoch, batch      the position: epochs completed, and batches completed of the next
    step              optimiser steps taken
    history           the loss and the metrics of every epoch
    stop_training     may be set by callbacks: training ends after this batch, or epoch
    resumed           whether training continues from a checkpoint

    >>> from minidl.train import Trainer
    >>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", metrics=["mae"])
    >>> history = trainer.fit((x, 3 * x + 1), epochs=3, batch_size=16)
    >>> list(history.history), trainer.step, trainer.predict(x).shape
    (['loss', 'mae'], 12, (64, 1))
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: str | Optimizer,
        loss: str | Callable[[Any, Any], Tensor],
        metrics: Sequence[str | Metric] = (),
        callbacks: Iterable[Callback] = (),
        *,
        schedule: LRScheduler | Callable[[Optimizer], LRScheduler] | None = None,
        schedule_every: str = "epoch",
        monitor: str | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        stop_on_nan: bool = True,
    ) -> None:
        check_instance("Trainer", nn.Module, **{"a model": model})
        self.model, self.optimizer = model, optimizer_for(optimizer, model)
        self.objective = join(model, loss)
        self.metrics = metrics_for(metrics, self.objective.from_logits)
        self.callbacks: list[Callback] = listed("Trainer", "a list of callbacks", callbacks)
        for callback in self.callbacks:
            check_instance("Trainer", Callback, **{"a callback": callback})
        check_monitor("Trainer", monitor)
        check_flags("Trainer", stop_on_nan=stop_on_nan)
        self.updates = update.Updates(self.optimizer, clip_norm, clip_value, accumulate)
        self.schedule = update.schedule_for(schedule, schedule_every, self.optimizer)
        self.schedule_every, self.monitor, self.stop_on_nan = schedule_every, monitor, stop_on_nan
        self.position, self.history = Position(), History()
        self.stop_training = self.resumed = False
        self.data: Any = None
        self.epochs: int | None = None
        self._pending: dict[str, Any] | None = None  # of a checkpoint: what `fit` restores
        self._interrupt = Interrupt()
        self._in_step = self._in_fit = False
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

    # The position.

    @property
    def epoch(self) -> int:
        """Epochs completed; within an epoch, its number."""
        return self.position.epoch

    @property
    def batch(self) -> int:
        """Batches completed in this epoch."""
        return self.position.batch

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return self.updates.step

    @property
    def is_consistent(self) -> bool:
        """Whether the state is that between two batches, so that it can be saved."""
        return not self._in_step

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics over the batches of this epoch so far."""
        position = self.position
        loss = position.total / position.samples if position.samples else math.nan
        return {"loss": loss, **computed(self.metrics)}

    # Training.

    def fit(
        self,
        train: Any,
        epochs: int = 1,
        *,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_batch_size: int | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are completed; returns their History.

        train             (x, y), or (x1, x2, y) for a model of two inputs, as arrays, whose floats
                          are cast to the model's dtype; a dataset; or a DataLoader or any other
                          iterable of batches (x, y) that can be iterated repeatedly
        batch_size        samples per batch; like `shuffle`, for arrays and datasets only
        validation_data   as `train`; evaluated after each epoch
        initial_epoch     the number of the first epoch, unless the run is resumed
        resume            a checkpoint to continue from, as with `resume`

        Raises ShapeError and ArgumentError for data that is empty, of different lengths, or
        contains NaN or infinity, and TrainingError if the loss becomes NaN or infinite.  Ctrl-C
        raises KeyboardInterrupt after the current batch; a second one, immediately.
        """
        if self._in_fit:
            raise ArgumentError("fit: is running already; a callback cannot call it")
        if resume is not None:
            self.resume(resume)
        if hasattr(epochs, "shape") and epochs.shape:
            raise ArgumentError("fit: inputs and targets are one argument: fit((x, y), epochs=…)")
        counts = {"epochs": epochs, "initial_epoch": initial_epoch}
        check_integers("fit", 0, **counts)
        dtype = data_adapter.float_dtype(self.model)
        self.data = data_adapter.batches_of("fit", train, batch_size, shuffle, dtype)
        validation = None
        if validation_data is not None:
            size = batch_size if validation_batch_size is None else validation_batch_size
            validation = data_adapter.batches_of(
                "fit: validation", validation_data, size, False, dtype
            )
        self._start(epochs, initial_epoch)
        with self._interrupt.deferred():
            try:
                self._call("on_train_begin")
                while self.epoch < epochs and not self.stop_training:
                    self._run_epoch(validation)
                self._call("on_train_end")
            except KeyboardInterrupt:
                self._call("on_interrupt")
                raise
            finally:
                self._in_fit = False
                self._call("on_exit")
        return self.history

    def _start(self, epochs: int, initial_epoch: int) -> None:
        """Start a new run, or continue from the checkpoint that was resumed."""
        self.resumed, self.stop_training, self.epochs = self._pending is not None, False, epochs
        self._in_step = False
        if not self.resumed:
            self.position, self.history = Position(epoch=initial_epoch), History()
            self.updates.forget()
            for metric in self.metrics:
                metric.reset()
        self.callbacks.sort(key=lambda callback: callback.saves)  # those that save the run, last
        for callback in self.callbacks:
            callback.trainer = self
        names = [name for name in vars(Callback) if name.startswith("on_")]
        self._hooks = {name: hooks(self.callbacks, name) for name in names}
        self._in_fit = self._unchecked = True

    def _call(self, name: str, *arguments: Any) -> None:
        for hook in self._hooks[name]:
            hook(*arguments)

    def _run_epoch(self, validation: Any) -> None:
        """Run an epoch, or the rest of a resumed one."""
        epoch = self.epoch
        batches = self._batches()
        self._call("on_epoch_begin", epoch)
        self.model.train()
        self._run_batches(batches)
        if self.stop_training:
            return  # within the epoch, which can be resumed
        if not self.batch:
            raise ShapeError(f"fit: the loader gave no batches in epoch {epoch}")
        self.position.seen = True
        self._in_step = True
        if self.updates.pending:
            self._update()
        self.updates.batches = 0
        self._in_step = False
        logs = self.logs()
        if validation is not None:
            results = self._evaluate(validation)
            logs.update({f"val_{name}": value for name, value in results.items()})
        self._in_step = True
        self._end_epoch(epoch, logs)
        self._in_step = False
        self._call("on_epoch_end", epoch, logs)
        self._interrupt.check()

    def _end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Step the schedule, record the epoch in the history, and advance to the next."""
        if self.schedule is not None:
            logs["lr"] = self.optimizer.param_groups[0]["lr"]
            if self.schedule_every == "epoch":
                update.step_schedule(self.schedule, logs, self.monitor)
        self.history.append(epoch, logs)
        self.position = Position(epoch=epoch + 1)
        for metric in self.metrics:
            metric.reset()

    def _batches(self) -> Iterator[Any]:
        """The remaining batches of this epoch."""
        pending, self._pending = self._pending, None
        if pending is not None:
            return self.position.go_on(self.data, pending)
        self.position.begin()
        return iter(self.data)

    def _run_batches(self, batches: Iterator[Any]) -> None:
        """Train on every batch, and call the batch hooks."""
        begin, end = self._hooks["on_train_batch_begin"], self._hooks["on_train_batch_end"]
        position, interrupt, train_on = self.position, self._interrupt, self._train_on
        for batch in batches:
            for hook in begin:
                hook(position.batch, {})
            self._in_step = True
            train_on(batch)
            position.batch += 1
            self._in_step = False
            if end:
                logs = {"loss": position.total / (position.samples or math.nan)}
                for hook in end:
                    hook(position.batch - 1, logs)
            if interrupt.pressed:
                interrupt.check()
            if self.stop_training:
                break

    def _train_on(self, batch: Any) -> None:
        """Forward, backward, and an optimiser step if one is due."""
        if self._unchecked:
            batch = data_adapter.inputs_and_target("fit", batch)
        *inputs, target = batch
        objective, position, updates = self.objective, self.position, self.updates
        output = objective.body(*inputs)
        if self._unchecked:
            classes = objective.classes(output, target)
            data_adapter.check_labels("fit", self.data, classes, objective.ignored)
            loss = objective.checked(output, target)
            objective.check(output, loss)
            self._unchecked = False
        else:
            loss = objective.loss(output, target)
        samples = objective.weight_of(inputs, target)
        value = loss.item() if samples else 0.0  # the mean of no labels is NaN
        if value - value != 0 and self.stop_on_nan:  # NaN, or infinity
            raise self._diverged(f"the loss is {value}")
        if updates.add(loss, samples):
            self._update()
        position.total += value * samples
        position.samples += samples
        if samples:
            update_all(self.metrics, objective, output, target)

    def _update(self) -> None:
        """Step the optimiser, and a schedule of steps."""
        norm = self.updates.prepare()
        if norm is not None and self.stop_on_nan and not math.isfinite(norm):
            raise self._diverged(f"the norm of the gradients is {norm}")
        self._call("on_step_begin", self.step)
        self.updates.finish()
        if self.schedule is not None and self.schedule_every == "step":
            self.schedule.step()
        self._call("on_step_end", self.step - 1)

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"fit: {what} in epoch {self.epoch}, batch {self.batch} (step {self.step}). The "
            "weights are as before this step. A smaller learning rate or clip_norm may help; "
            "stop_on_nan=False goes on"
        )

    # Evaluation and prediction.

    def evaluate(self, data: Any, batch_size: int = 32) -> dict[str, Any]:
        """The loss and the metrics on data of any kind that `fit` accepts.

        Runs in evaluation mode and without recording gradients; the modes of modules are restored.
        """
        dtype = data_adapter.float_dtype(self.model)
        return self._evaluate(data_adapter.batches_of("evaluate", data, batch_size, False, dtype))

    def _evaluate(self, batches: Iterable[Any]) -> dict[str, Any]:
        return evaluate(self.model, self.objective, self.metrics, batches, self._interrupt)

    def predict(self, x: Any, batch_size: int = 32) -> Tensor:
        """The model's outputs for all samples, in order: (n, …).

        x    an array, or a tuple of them for a model of several inputs; or a dataset or a loader,
             where the last of several parts is the target, and ignored
        """
        arrays = isinstance(x, tuple) or hasattr(x, "shape")
        dtype = data_adapter.float_dtype(self.model)
        batches = data_adapter.batches_of("predict", x, batch_size, False, dtype, roles=not arrays)
        return predict(self.model, batches, all_inputs=arrays)

    # Saving and resuming.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save a checkpoint from which `resume` continues exactly.

        It holds the model with its buffers, the optimiser, the schedule, the position in the data,
        the state of random number generators, the sums and gradients of an incomplete epoch or
        step, the history, and the state of callbacks.
        """
        if not self.is_consistent:
            raise TrainingError("save: a step has not been completed; save between two batches")
        io.save(path, state_of(self))

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Restore a run from a checkpoint; the next `fit` continues it.

        Create the model, optimiser, schedule, metrics and callbacks as for the original run, and
        call `fit` with the same data and settings, except for a larger number of epochs.  Then the
        weights, the optimiser's state and the history are bit-identical to those of a run that was
        never stopped.

        Raises CheckpointError, and changes nothing, if the file is damaged, or does not fit the
        model or the optimiser.
        """
        path = path_of("resume", path)
        self._pending = restore(self, io.load(path), os.fspath(path))
