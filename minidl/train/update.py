"""Optimiser steps with gradient accumulation and clipping, and steps of schedules."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.amp import GradScaler
from minidl.autograd.tensor import Tensor
from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.ops import asarray
from minidl.optim import Optimizer
from minidl.optim.clipping import clip_grad_norm_, clip_grad_value_
from minidl.optim.lr_scheduler import LRScheduler
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.train.monitor import monitored_value


class Updates:
    """Gradients accumulated over batches, averaged over their samples, clipped, and applied.

    scaler     scales losses, and skips steps whose gradients are infinite, if it is enabled
    step       the number of optimiser steps, with those that were skipped
    batches    the number of batches accumulated for the next step
    samples    the number of their samples, or the weight of their labels, that the loss counts
    """

    def __init__(
        self,
        optimizer: Optimizer,
        clip_norm: float | None,
        clip_value: float | None,
        accumulate: int,
        scaler: GradScaler,
    ) -> None:
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            number = isinstance(limit, int | float | np.number)
            if limit is not None and not (number and limit > 0):
                raise ArgumentError(f"Trainer: {name} is a number above 0, or None; got {limit!r}")
        if not isinstance(accumulate, int | np.integer) or accumulate < 1:
            raise ArgumentError(f"Trainer: accumulate is a number ≥ 1; got {accumulate!r}")
        self.optimizer, self.accumulate, self.scaler = optimizer, int(accumulate), scaler
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.step = self.batches = 0
        self.samples: float = 0

    @property
    def pending(self) -> bool:
        """Whether there are accumulated gradients that have not been applied."""
        return self.samples > 0

    def add(self, loss: Tensor, samples: float) -> bool:
        """Accumulate the gradients of a batch's mean loss; returns whether a step is due.

        A batch of no samples, of which the loss ignores all labels, has no mean, and no gradients.
        """
        if not self.samples:
            self.optimizer.zero_grad()
        if samples and self.accumulate == 1:
            self.scaler.scale(loss).backward()
        elif samples:  # gradients of the sum: batches may differ in size
            (self.scaler.scale(loss) * samples).backward()
        self.batches += 1
        self.samples += samples
        if self.batches == self.accumulate and not self.samples:
            self.batches = 0
        return self.batches == self.accumulate

    def prepare(self) -> Tensor | None:
        """Unscale, average and clip the gradients; returns their norm if that is clipped."""
        self.scaler.unscale_(self.optimizer)
        if self.accumulate > 1:
            for p in self.parameters():
                if p.grad is not None:
                    own = p.grad if isinstance(p.grad, RowGradient) else p.grad.detach()
                    p.grad = own / self.samples
        if self.clip_value is not None:
            clip_grad_value_(self.parameters(), self.clip_value)
        if self.clip_norm is not None:
            return clip_grad_norm_(self.parameters(), self.clip_norm)
        return None

    def skipped(self) -> Tensor | None:
        """After `prepare`: 1 if the step will be skipped, else 0; None if it cannot be."""
        return self.scaler.found_inf(self.optimizer)

    def finish(self) -> None:
        """Step the optimiser, unless the step is skipped, and adapt the scale."""
        self.scaler.step(self.optimizer)
        if self.scaler.found_inf(self.optimizer) is None:  # it is not enabled, or had no gradients
            self.scaler.forget()
        else:
            self.scaler.update()
        self.step += 1
        self.batches = self.samples = 0

    def forget(self) -> None:
        """Discard accumulated gradients."""
        self.optimizer.zero_grad()
        self.scaler.forget()
        self.batches = self.samples = 0

    def parameters(self) -> list[Tensor]:
        """All parameters of the optimiser."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """The counts, and the gradients accumulated so far."""
        counts = {"step": self.step, "batches": self.batches, "samples": self.samples}
        accumulating = self.parameters() if self.pending else []
        return {**counts, "gradients": [_saved(p.grad) for p in accumulating]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.forget()
        self.step, self.batches, self.samples = saved["step"], saved["batches"], saved["samples"]
        if saved["gradients"]:
            for p, gradient in zip(self.parameters(), saved["gradients"], strict=True):
                if gradient is not None:
                    p.grad = _restored(gradient, p)


def schedule_for(schedule: Any, every: str, optimizer: Optimizer) -> LRScheduler | None:
    """The schedule, created if a function was given, and validated."""
    if every not in ("epoch", "step"):
        raise ArgumentError(f'Trainer: schedule_every is "epoch" or "step"; got {every!r}')
    if schedule is None:
        return None
    if not hasattr(schedule, "step") and callable(schedule):
        schedule = schedule(optimizer)
    if not isinstance(schedule, LRScheduler):
        raise DTypeError(
            "Trainer: a schedule is one of minidl.optim's, or a function of the optimizer that "
            f"makes one; got {describe(schedule)}"
        )
    if schedule.optimizer is not optimizer:
        raise ArgumentError(f"Trainer: the {type(schedule).__name__} is of another optimizer")
    if every == "step" and isinstance(schedule, ReduceLROnPlateau):
        raise ArgumentError('Trainer: a ReduceLROnPlateau goes on with schedule_every="epoch"')
    return schedule


def step_schedule(schedule: LRScheduler, logs: Mapping[str, Any], monitor: str | None) -> None:
    """Advance a schedule by one epoch."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(monitored_value("Trainer", monitor, logs))
    else:
        schedule.step()


def _saved(gradient: Any) -> Any:
    """A gradient in the form saved in checkpoints."""
    if isinstance(gradient, RowGradient):
        xp = gradient.backend
        return {"indices": xp.to_numpy(gradient.indices), "rows": xp.to_numpy(gradient.rows)}
    return None if gradient is None else gradient.detach()


def _restored(gradient: Any, p: Tensor) -> Any:
    """The gradient of a parameter from its saved form."""
    if isinstance(gradient, Mapping):
        indices = asarray(gradient["indices"]).to_device(p.device).data
        rows = asarray(gradient["rows"]).to_device(p.device).data
        return RowGradient(indices, rows, p.shape)
    return asarray(gradient, copy=True).to_device(p.device)
