"""Trainer: the training loop, evaluation, prediction, and resuming from checkpoints."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Any

from minidl import io, nn
from minidl.amp import GradScaler
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_instance, check_integers
from minidl.errors import ArgumentError, listed, path_of
from minidl.optim import Optimizer
from minidl.optim.lr_scheduler import LRScheduler
from minidl.train import data_adapter, update
from minidl.train.callbacks import Callback, hooks
from minidl.train.carried_state import CarriedState
from minidl.train.errors import TrainingError
from minidl.train.evaluation import metrics_for, predict
from minidl.train.history import History
from minidl.train.interrupt import Interrupt
from minidl.train.loop import TrainingLoop
from minidl.train.metrics import Metric
from minidl.train.monitor import check_monitor
from minidl.train.objective import join
from minidl.train.optimizers import optimizer_for
from minidl.train.precision import Precision, precision_of
from minidl.train.state import Position, restore, state_of
from minidl.train.unread import Unread


class Trainer(TrainingLoop):
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
    carry_state       whether a recurrent model begins each batch in the state that it had after the
                      last, as for `StreamBatches`: it is called with the state as its last input,
                      None at the start of an epoch, and returns (output, state); gradients go back
                      to the start of the batch
    stop_on_nan       whether a loss of NaN or infinity is a TrainingError, raised before the
                      weights are updated; on a GPU when the loss is read, at the latest after 256
                      batches
    mixed_precision   True, or "float16", which is the same: models and losses run under
                      `minidl.autocast`, the loss is scaled by a `GradScaler`, and steps whose
                      gradients are infinite are skipped, below; or a GradScaler with settings of
                      its own

    epoch, batch      the position: epochs completed, and batches completed of the next
    step              optimiser steps, with those that were skipped
    history           the loss and the metrics of every epoch
    stop_training     may be set by callbacks: training ends after this batch, or epoch
    resumed           whether training continues from a checkpoint

    In mixed precision products compute in float16, which on GPUs is many times faster; weights,
    gradients and checkpoints stay float32, metrics and predictions are float32.  Gradients are
    unscaled before they are averaged and clipped.  A step that is skipped leaves the weights and
    the optimiser's state alone; schedules go on, as in PyTorch's loops, so that they end with the
    training, and callbacks are called.  The history has the scale after each epoch, "loss_scale",
    and how many of its steps were skipped, "skipped_steps": a few at first, and then one of 2000 or
    so.  An infinite loss stops training as ever, as do gradients that are infinite at any scale.

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
        carry_state: bool = False,
        stop_on_nan: bool = True,
        mixed_precision: bool | str | GradScaler | Precision = False,
    ) -> None:
        check_instance("Trainer", nn.Module, **{"a model": model})
        self.model, self.optimizer = model, optimizer_for(optimizer, model)
        self.objective = join(model, loss)
        self.metrics = metrics_for(metrics, self.objective.from_logits)
        self.callbacks: list[Callback] = listed("Trainer", "a list of callbacks", callbacks)
        for callback in self.callbacks:
            check_instance("Trainer", Callback, **{"a callback": callback})
        check_monitor("Trainer", monitor)
        check_flags("Trainer", carry_state=carry_state, stop_on_nan=stop_on_nan)
        self.precision = precision_of(mixed_precision)
        self.updates = update.Updates(
            self.optimizer, clip_norm, clip_value, accumulate, self.precision.scaler
        )
        self.schedule = update.schedule_for(schedule, schedule_every, self.optimizer)
        self.schedule_every, self.monitor, self.stop_on_nan = schedule_every, monitor, stop_on_nan
        self.position, self.history = Position(), History()
        self.carried = CarriedState() if carry_state else None
        self.stop_training = self.resumed = False
        self.data: Any = None
        self.validation: Any = None
        self.epochs: int | None = None
        self._pending: dict[str, Any] | None = None  # of a checkpoint: what `fit` restores
        self._interrupt = Interrupt()
        self._device, self._unread = data_adapter.device_of(model), Unread()
        self._in_step = self._in_fit = self._interrupted = False
        self._settled = False  # whether all callbacks but those that save have seen the last batch
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

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
                          iterable of batches (x, y) that can be iterated repeatedly, where x may
                          also be a dict, as one input
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
        self._start(epochs, initial_epoch, validation)
        # In a context of its own: whenever it is interrupted, the caller's modes are as they were.
        copy_context().run(self._fit, epochs)
        return self.history

    def _fit(self, epochs: int) -> None:
        """Run the epochs that are left, and see to it that it ends in order."""
        try:
            with self._interrupt.deferred():
                try:
                    self._train(epochs)
                except KeyboardInterrupt:
                    self._interrupted = True
                    self._call("on_interrupt")
                    raise
                finally:
                    self._in_fit = False
                    self._call("on_exit")
        finally:
            self._in_fit = False

    def _start(self, epochs: int, initial_epoch: int, validation: Any) -> None:
        """Start a new run, or continue from the checkpoint that was resumed."""
        self.validation, self._device = validation, data_adapter.device_of(self.model)
        self.resumed, self.stop_training, self.epochs = self._pending is not None, False, epochs
        self._in_step = self._interrupted = self._settled = False
        self._unread.clear()
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
        saving = [callback for callback in self.callbacks if callback.saves]
        self._saving_hooks = hooks(saving, "on_train_batch_end")
        self._in_fit = self._unchecked = True

    # Evaluation and prediction.

    def evaluate(self, data: Any, batch_size: int = 32) -> dict[str, Any]:
        """The loss and the metrics on data of any kind that `fit` accepts.

        Runs in evaluation mode and without recording gradients; the modes of modules are restored.
        """
        dtype = data_adapter.float_dtype(self.model)
        return self._evaluate(data_adapter.batches_of("evaluate", data, batch_size, False, dtype))

    def predict(self, x: Any, batch_size: int = 32) -> Any:
        """The model's outputs for all samples, in order: (n, …), or a tuple or dict of such.

        x    an array, or a tuple of them for a model of several inputs; or a dataset or a loader,
             where the last of several parts is the target, and ignored
        """
        arrays = isinstance(x, tuple) or hasattr(x, "shape")
        dtype = data_adapter.float_dtype(self.model)
        batches = data_adapter.batches_of("predict", x, batch_size, False, dtype, roles=not arrays)
        carried = None if self.carried is None else CarriedState()
        return predict(self.model, batches, self.precision, carried, all_inputs=arrays)

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
