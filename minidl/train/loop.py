"""TrainingLoop: epochs and batches, from which a Trainer is made.

A run may be interrupted at any moment.  It is saved then only if it is *settled*: if the data, the
weights and what callbacks have counted all agree.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from minidl import nn
from minidl.backends import device
from minidl.errors import ShapeError
from minidl.optim import Optimizer
from minidl.optim.lr_scheduler import LRScheduler
from minidl.train import data_adapter, update
from minidl.train.callbacks import Callback
from minidl.train.carried_state import CarriedState, output_of
from minidl.train.errors import TrainingError
from minidl.train.evaluation import computed, evaluate, update_all
from minidl.train.history import History
from minidl.train.interrupt import Interrupt
from minidl.train.metrics import Metric
from minidl.train.objective import Objective
from minidl.train.precision import SMALLEST_SCALE, Precision
from minidl.train.state import Position, put_validation_state, validation_state
from minidl.train.unread import LateLogs, Unread


class TrainingLoop:
    """What a Trainer does between the begin and the end of `fit`, with a Trainer's attributes."""

    model: nn.Module
    optimizer: Optimizer
    objective: Objective
    metrics: list[Metric]
    callbacks: list[Callback]
    schedule: LRScheduler | None
    schedule_every: str
    monitor: str | None
    stop_on_nan: bool
    stop_training: bool
    updates: update.Updates
    precision: Precision
    carried: CarriedState | None
    position: Position
    history: History
    data: Any
    validation: Any
    _interrupt: Interrupt
    _in_step: bool
    _interrupted: bool
    _settled: bool  # whether all callbacks but those that save have seen the last batch
    _unchecked: bool
    _device: device  # of the model
    _unread: Unread  # what was computed on a GPU since `read`
    _pending: dict[str, Any] | None  # of a checkpoint: what `fit` restores
    _hooks: dict[str, list[Callable[..., Any]]]
    _saving_hooks: list[Callable[..., Any]]

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
        """Whether the state is that between two batches, so that it can be saved.

        After an interrupt, only where the data, the weights and all callbacks agree.
        """
        return not self._in_step and (self._settled or not self._interrupted)

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics over the batches of this epoch so far."""
        self.read()
        position = self.position
        loss = position.total / position.samples if position.samples else math.nan
        return {"loss": loss, **computed(self.metrics)}

    # Epochs.

    def _train(self, epochs: int) -> None:
        for callback in self.callbacks:
            callback.claim()
        self._call("on_train_begin")
        while self.epoch < epochs and not self.stop_training:
            self._run_epoch()
        self._settled = False
        self._call("on_train_end")

    def _call(self, name: str, *arguments: Any) -> None:
        for hook in self._hooks[name]:
            hook(*arguments)

    def _run_epoch(self) -> None:
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
        if self.validation is not None:
            results = self._validated()
            logs.update({f"val_{name}": value for name, value in results.items()})
        self._in_step = True
        self._end_epoch(epoch, logs)
        self._in_step = False
        # Not settled before all have run: best files are written first, the last one after them.
        self._call("on_epoch_end", epoch, logs)
        self._stop_if_asked()

    def _validated(self) -> dict[str, Any]:
        """The results on the validation data; if interrupted, the data are as before."""
        before = validation_state(self)
        try:
            return self._evaluate(self.validation)
        except KeyboardInterrupt:
            put_validation_state(self, before)
            self._settled = True
            raise

    def _stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt, at a point where the run can be saved, if Ctrl-C was pressed."""
        if self._interrupt.pressed:
            self._settled = True
            self._interrupt.check()

    def _end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Step the schedule, record the epoch in the history, and advance to the next."""
        if self.schedule is not None:
            logs["lr"] = self.optimizer.param_groups[0]["lr"]
            if self.schedule_every == "epoch":
                update.step_schedule(self.schedule, logs, self.monitor)
        if self.precision.is_mixed:
            logs["loss_scale"] = self.precision.scaler.get_scale()
            logs["skipped_steps"] = self.position.skipped
        self.history.append(epoch, logs)
        self.position = Position(epoch=epoch + 1)
        for metric in self.metrics:
            metric.reset()

    def _batches(self) -> Iterator[Any]:
        """The remaining batches of this epoch."""
        if self.carried is not None and not self.batch:
            self.carried.value = None  # the data begin anew
        pending, self._pending = self._pending, None
        if pending is not None:
            put_validation_state(self, pending)
            return self.position.go_on(self.data, pending, self._device)
        self.position.begin()
        return data_adapter.batches_on(self._device, self.data)

    def _run_batches(self, batches: Iterator[Any]) -> None:
        """Train on every batch, and call the batch hooks."""
        begin, end = self._hooks["on_train_batch_begin"], self._hooks["on_train_batch_end"]
        saving = self._saving_hooks
        others = end[: len(end) - len(saving)]  # those that save come last
        position, interrupt, train_on = self.position, self._interrupt, self._train_on
        for batch in batches:
            for hook in begin:
                hook(position.batch, {})
            self._in_step = True
            train_on(batch)
            position.batch += 1
            self._in_step = False
            if end:
                logs = self._batch_logs()
                for hook in others:
                    hook(position.batch - 1, logs)
                self._settled = True
                for hook in saving:
                    hook(position.batch - 1, logs)
            if interrupt.pressed:
                self._stop_if_asked()
            if self.stop_training:
                break
            self._settled = False  # the data go on first

    def _train_on(self, batch: Any) -> None:
        """Forward, backward, and an optimiser step if one is due."""
        if self._unchecked:
            batch = data_adapter.inputs_and_target("fit", batch)
        *inputs, target = batch
        objective, position, updates = self.objective, self.position, self.updates
        with self.precision.block(self._device):
            output = output_of(objective.body, inputs, self.carried)
        if self._unchecked:
            classes = objective.classes(output, target)
            data_adapter.check_labels("fit", self.data, classes, objective.ignored)
            with self.precision.block(self._device):
                loss = objective.checked(output, target)
            objective.check(output, loss)
            self._unchecked = False
        else:
            with self.precision.block(self._device):
                loss = objective.loss(output, target)
        samples = objective.weight_of(inputs, output, target)
        if loss.device != "cpu":
            self._unread.add_loss(loss, samples, self._place())
        else:
            value = loss.item() if samples else 0.0  # the mean of no labels is NaN
            if value - value != 0 and self.stop_on_nan:  # NaN, or infinity
                raise self._diverged(f"the loss is {value}")
            position.total += value * samples
        if updates.add(loss, samples):
            self._update()
        position.samples += samples
        if samples:
            unread = None if loss.device == "cpu" else self._unread
            update_all(self.metrics, objective, output, target, unread)
        if self._unread.is_full:
            self.read()

    def _update(self) -> None:
        """Step the optimiser, and a schedule of steps."""
        norm, skipped = self.updates.prepare(), self.updates.skipped()
        if self._device != "cpu":
            self._unread.add_step(norm, skipped, self._place())
        else:
            is_skipped = skipped is not None and skipped.item() != 0
            self._look_at_step(0.0 if norm is None else norm.item(), is_skipped)
        self._call("on_step_begin", self.step)
        self.updates.finish()
        if self.schedule is not None and self.schedule_every == "step":
            self.schedule.step()
        self._call("on_step_end", self.step - 1)

    def read(self) -> None:
        """Read the losses and all else that a GPU has computed since the last time.

        `logs()` and `save` do so; it waits, and finds a loss of NaN or infinity.
        """
        for value, samples, place in self._unread.losses():
            if value - value != 0 and self.stop_on_nan:
                raise self._diverged(f"the loss is {value}", place)
            self.position.total += value * samples
        for norm, is_skipped, place in self._unread.steps():
            self._look_at_step(norm, is_skipped, place)
        self._unread.update_metrics()

    def _look_at_step(self, norm: float, is_skipped: bool, place: str | None = None) -> None:
        """Count a step that is skipped, and stop where something is not finite that has to be."""
        if is_skipped:
            self.position.skipped += 1
            scale = self.precision.scaler.get_scale()
            if self.stop_on_nan and scale < SMALLEST_SCALE:
                raise self._diverged(f"gradients are infinite at a scale of {scale:.1g}", place)
        elif self.stop_on_nan and not math.isfinite(norm):
            raise self._diverged(f"the norm of the gradients is {norm}", place)

    def _batch_logs(self) -> Mapping[str, Any]:
        """The mean loss of the epoch so far; from a GPU it is read when it is looked at."""
        if self._device != "cpu":
            return LateLogs(self.read, self.position)
        return {"loss": self.position.total / (self.position.samples or math.nan)}

    def _place(self) -> str:
        return f"epoch {self.epoch}, batch {self.batch} (step {self.step})"

    def _diverged(self, what: str, place: str | None = None) -> TrainingError:
        weights = "as before this step"
        if place is not None:
            weights = f"of step {self.step}, as losses of a GPU are read later"
        return TrainingError(
            f"fit: {what} in {place or self._place()}. The weights are {weights}. A smaller "
            f"learning rate or clip_norm may help{self._hint()}; stop_on_nan=False goes on"
        )

    def _hint(self) -> str:
        """What may help if numbers in float16 are infinite."""
        return ", or mixed_precision=False" if self.precision.is_mixed else ""

    def _evaluate(self, batches: Iterable[Any]) -> dict[str, Any]:
        carried = None if self.carried is None else CarriedState()
        model, objective, precision = self.model, self.objective, self.precision
        return evaluate(
            model, objective, self.metrics, batches, self._interrupt, precision, carried
        )
