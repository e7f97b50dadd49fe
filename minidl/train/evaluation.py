"""Evaluation and prediction, in evaluation mode and without gradients."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from minidl import nn
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.data.collate import concatenated
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe, listed
from minidl.train.carried_state import CarriedState, output_of
from minidl.train.data_adapter import batches_on, check_labels, device_of, inputs_and_target
from minidl.train.interrupt import Interrupt
from minidl.train.metrics import Metric, metric_for
from minidl.train.objective import Objective
from minidl.train.precision import Precision, widened
from minidl.train.unread import Unread


@no_grad()
def evaluate(
    model: nn.Module,
    objective: Objective,
    metrics: Iterable[Metric],
    batches: Iterable[Any],
    interrupt: Interrupt,
    precision: Precision,
    carried: CarriedState | None = None,
) -> dict[str, Any]:
    """The mean loss per sample, and the metrics, computed on copies, where the model is."""
    where = device_of(model)
    metrics = [deepcopy(metric) for metric in metrics]
    for metric in metrics:
        metric.reset()
    total = count = 0.0
    checked, unread = False, Unread()

    def read() -> float:
        losses = sum(value * samples for value, samples, _ in unread.losses())
        unread.update_metrics()
        return losses

    with evaluation_mode(model):
        for batch in batches_on(where, batches):
            interrupt.check()
            *inputs, target = inputs_and_target("evaluate", batch)
            with precision.block(where):
                output = output_of(objective.body, inputs, carried)
            if not checked:
                classes = objective.classes(output, target)
                check_labels("evaluate", batches, classes, objective.ignored)
                checked = True
            samples = objective.weight_of(inputs, output, target)
            if not samples:  # all labels are ignored
                continue
            with precision.block(where):
                loss = objective.loss(output, target)
            late = None if loss.device == "cpu" else unread
            if late is None:
                total += loss.item() * samples
            unread.add_loss(loss, 0 if late is None else samples, "")
            count += samples
            update_all(metrics, objective, output, target, late)
            if unread.is_full:
                total += read()
    total += read()
    if not count:
        nothing = "the loss ignores all labels" if checked else "there are no samples"
        raise ShapeError(f"evaluate: {nothing}")
    return {"loss": total / count, **computed(metrics)}


@no_grad()
def predict(
    model: nn.Module,
    batches: Iterable[Any],
    precision: Precision,
    carried: CarriedState | None = None,
    *,
    all_inputs: bool,
) -> Any:
    """The outputs for all samples; unless `all_inputs`, the last part of a batch is the target."""
    outputs, where = [], device_of(model)
    with evaluation_mode(model):
        for batch in batches_on(where, batches):
            parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            inputs = parts if all_inputs or len(parts) == 1 else parts[:-1]
            with precision.block(where):
                output = output_of(model, inputs, carried)
            if precision.is_mixed:
                output = widened(output)
            if not _can_be_joined(output):
                raise DTypeError(
                    "predict: joins Tensors, and tuples, lists and dicts of them; the model gave "
                    f"{describe(output)}: call it on the batches yourself"
                )
            outputs.append(output)
    if not outputs:
        raise ShapeError("predict: there are no samples")
    try:
        return concatenated(outputs)
    except ShapeError:
        first, other = (describe(outputs[i]) for i in (0, -1))
        raise ShapeError(
            "predict: joins outputs that are alike but for the number of samples; got such as "
            f"{first} and {other}: call the model on the batches yourself"
        ) from None


def _can_be_joined(output: Any) -> bool:
    """Whether it is a Tensor with an axis of samples, or a tuple, list or dict of such."""
    if isinstance(output, dict | tuple | list):
        parts = output.values() if isinstance(output, dict) else output
        return bool(output) and all(map(_can_be_joined, parts))
    return isinstance(output, Tensor) and output.ndim > 0


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """A block in which a model is in evaluation mode; the modes of its modules are restored."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def update_all(
    metrics: Sequence[Metric],
    objective: Objective,
    output: Any,
    target: Any,
    unread: Unread | None = None,
) -> None:
    """Update metrics with what the loss counts of a batch; or let `unread` do it later."""
    if metrics:
        counted = objective.counted(objective.prediction(output), target)
        for metric in metrics:
            if unread is None:
                metric.update(*counted)
            else:
                unread.add_update(metric, *counted)


def computed(metrics: Iterable[Metric]) -> dict[str, Any]:
    """The metrics' values by name, NumPy scalars as Python numbers."""
    values = {metric.name: metric.compute() for metric in metrics}
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in values.items()}


def metrics_for(given: Sequence[str | Metric], from_logits: bool) -> list[Metric]:
    """Metrics, those given by name set to logits or probabilities; duplicate names are an error."""
    if isinstance(given, str | Metric):
        raise DTypeError(f"Trainer: metrics are a list of metrics; got {describe(given)}")
    given = listed("Trainer", "a list of metrics", given)
    metrics = [metric_for(one) for one in given]
    for one, metric in zip(given, metrics, strict=True):
        if isinstance(one, str) and hasattr(metric, "from_logits"):
            metric.from_logits = from_logits
    names = ["loss", *(metric.name for metric in metrics)]
    duplicates = [name for i, name in enumerate(names) if name in names[:i]]
    if duplicates:
        raise ArgumentError(f"Trainer: two metrics are called {duplicates[0]!r}; set one's name")
    return metrics
