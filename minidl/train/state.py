"""The state of a training run as a tree that can be saved, and its restoration."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.data.transfer import mapped
from minidl.errors import DTypeError, MinidlError
from minidl.io import CheckpointError
from minidl.ops.random import Generator, default_generator
from minidl.train.data_adapter import batches_on, device_of
from minidl.train.metrics import Metric
from minidl.train.structure import structure_faults

_VERSION = 1
# The parts whose structure does not depend on how far the run has come.
_FIXED = "position", "updates", "metrics", "history", "random"


@dataclass
class Position:
    """The position in a training run, and the running sums of the current epoch.

    total      Σ loss · samples over the batches so far
    samples    Σ samples, or the weights of the labels that the loss counts
    random     the default generator's seed and offset at the start of the epoch
    seen       whether all batches are done, but not the end of the epoch
    skipped    how many steps were skipped, as gradients in float16 were infinite
    """

    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    samples: float = 0
    random: tuple[int, int] = (0, 0)
    seen: bool = False
    skipped: int = 0

    def begin(self) -> None:
        """Record the state of the default generator at the start of an epoch."""
        self.random = _state(default_generator)

    def go_on(self, data: Any, pending: Mapping[str, Any], where: device) -> Iterator[Any]:
        """The remaining batches of a resumed epoch, with the generator's state restored.

        A loader without a state of its own restarts the epoch, from the generator's state at its
        start, and the batches already seen are skipped.
        """
        stateful = pending["loader"] is not None and hasattr(data, "load_state_dict")
        if stateful:
            data.load_state_dict(pending["loader"])
        _set(default_generator, pending["random"])
        if self.seen:
            return iter(())
        if not self.batch:
            self.begin()
            return batches_on(where, data)
        if not stateful:
            _set(default_generator, self.random)
        batches = batches_on(where, data)
        if not stateful:
            for _ in islice(batches, self.batch):
                pass
        _set(default_generator, pending["random"])
        return batches


def state_of(trainer: Any) -> dict[str, Any]:
    """The state that `restore` takes; arrays share the trainer's memory."""
    trainer.read()
    schedule, pending = trainer.schedule, trainer._pending
    loader = getattr(trainer.data, "state_dict", None)
    return {
        "about": {
            "version": _VERSION,
            "model": type(trainer.model).__name__,
            "optimizer": type(trainer.optimizer).__name__,
            "schedule": schedule and [type(schedule).__name__, trainer.schedule_every],
            "metrics": [metric.name for metric in trainer.metrics],
            "accumulate": trainer.updates.accumulate,
            "mixed_precision": trainer.precision.name,
        },
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": schedule and schedule.state_dict(),
        "position": asdict(trainer.position),
        "updates": trainer.updates.state_dict(),
        "scaler": trainer.precision.scaler.state_dict(),
        "carried": trainer.carried and trainer.carried.value,
        "metrics": [_metric_state(metric) for metric in trainer.metrics],
        "history": trainer.history.state_dict(),
        "random": _state(default_generator),
        "generators": {path: _state(generator) for path, generator in _generators(trainer.model)},
        "loader": pending["loader"] if pending else loader and loader(),
        "validation": (pending or validation_state(trainer)).get("validation"),
        "callbacks": {
            key: state for key, callback in _keys(trainer) if (state := callback.state_dict())
        },
    }


def restore(trainer: Any, saved: Any, path: str) -> dict[str, Any]:
    """Restore a trainer; returns what remains to be restored once the data is known.

    Raises CheckpointError, and leaves the trainer unchanged, if the state does not fit.
    """
    _check(trainer, saved, path)
    before = deepcopy(state_of(trainer))
    try:
        _put(trainer, saved)
    except (MinidlError, LookupError, TypeError, ValueError, AttributeError) as error:
        _put(trainer, before)
        raise CheckpointError(f"{path}: cannot be resumed: {error}") from error
    except BaseException:  # interrupted
        _put(trainer, before)
        raise
    return {name: saved.get(name) for name in ("loader", "validation", "random")}


def validation_state(trainer: Any) -> dict[str, Any]:
    """The random position of the validation data: its loader's, and the default generator's."""
    state = getattr(trainer.validation, "state_dict", None)
    return {"validation": state and state(), "random": _state(default_generator)}


def put_validation_state(trainer: Any, saved: Mapping[str, Any]) -> None:
    """Restore what `validation_state` returned, as far as the data can."""
    if saved["validation"] is not None and hasattr(trainer.validation, "load_state_dict"):
        trainer.validation.load_state_dict(saved["validation"])
    _set(default_generator, saved["random"])


def _put(trainer: Any, saved: Mapping[str, Any]) -> None:
    trainer.model.load_state_dict(saved["model"])
    trainer.optimizer.load_state_dict(saved["optimizer"])
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(saved["schedule"])
    trainer.position = Position(
        **{**saved["position"], "random": tuple(saved["position"]["random"])}
    )
    trainer.updates.load_state_dict(saved["updates"])
    trainer.precision.scaler.load_state_dict(saved.get("scaler", {}))
    if trainer.carried is not None:
        where = device_of(trainer.model)
        trainer.carried.value = mapped(saved.get("carried"), Tensor, lambda x: x.to(where))
    for metric, state in zip(trainer.metrics, saved["metrics"], strict=True):
        _restore_metric(metric, state)
    trainer.history.load_state_dict(saved["history"])
    for path, generator in _generators(trainer.model):
        if path in saved["generators"]:
            _set(generator, saved["generators"][path])
    for key, callback in _keys(trainer):
        if key in saved["callbacks"]:
            callback.load_state_dict(saved["callbacks"][key])
    _set(default_generator, saved["random"])


def _check(trainer: Any, saved: Any, path: str) -> None:
    """Raise CheckpointError, listing the differences, unless it is a checkpoint of such a run."""
    about = saved.get("about") if isinstance(saved, Mapping) else None
    if not isinstance(about, Mapping) or "version" not in about:
        raise CheckpointError(f"{path}: holds no training run, as Trainer.save saves one")
    if about["version"] != _VERSION:
        raise CheckpointError(
            f"{path}: is of version {about['version']} of training runs; this minidl reads "
            f"{_VERSION}"
        )
    own = state_of(trainer)
    optional = "validation", "carried", "scaler"
    missing = [name for name in own if name not in saved and name not in optional]
    if missing:
        raise CheckpointError(f"{path}: is not complete: {', '.join(missing)} is missing")
    faults = [
        f"its {name} is {about.get(name)!r}, here it is {own['about'][name]!r}"
        for name in ("optimizer", "schedule", "metrics", "accumulate", "mixed_precision")
        if _as_list(about.get(name)) != _as_list(own["about"][name])
    ]
    faults += _weight_faults(saved["model"], own["model"])
    faults += _optimizer_faults(saved["optimizer"], own["optimizer"])
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise CheckpointError(f"{path}: is of another run; nothing was changed{lines}")
    faults = [fault for name in _FIXED for fault in structure_faults(saved[name], own[name], name)]
    if faults:
        raise CheckpointError(f"{path}: cannot be resumed: {'; '.join(faults)}")


def _optimizer_faults(saved: Any, own: Mapping[str, Any]) -> list[str]:
    """How the groups of two optimisers differ; the rest is for the optimiser to check."""
    try:
        sizes = [[len(group["params"]) for group in x["param_groups"]] for x in (saved, own)]
    except (LookupError, TypeError):
        return ["its optimizer has no groups of parameters"]
    if sizes[0] == sizes[1]:
        return []
    return [f"its optimizer has groups of {sizes[0]} parameters, here of {sizes[1]}"]


def _weight_faults(saved: Any, own: Mapping[str, Tensor]) -> list[str]:
    """The tensors in which two models differ, for the error message."""
    if not isinstance(saved, Mapping) or not all(isinstance(x, Tensor) for x in saved.values()):
        return ["its model is no dict of tensors"]
    missing = [name for name in own if name not in saved]
    unexpected = [name for name in saved if name not in own]
    faults = [f"its model has no {', '.join(missing)}"] if missing else []
    faults += [f"its model has {', '.join(unexpected)}, which is not here"] if unexpected else []
    return faults + [
        f"its {name} is {saved[name].dtype} {saved[name].shape}, here {x.dtype} {x.shape}"
        for name, x in own.items()
        if name in saved and (saved[name].shape, saved[name].dtype) != (x.shape, x.dtype)
    ]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _keys(trainer: Any) -> Iterator[tuple[str, Any]]:
    """The callbacks by a key: the class name and the index among callbacks of that class."""
    indices: dict[str, int] = {}
    for callback in trainer.callbacks:
        name = type(callback).__name__
        indices[name] = indices.get(name, -1) + 1
        yield f"{name}.{indices[name]}", callback


def _generators(model: nn.Module) -> Iterator[tuple[str, Generator]]:
    """The generators that modules own, by path."""
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Generator) and value is not default_generator:
                yield f"{prefix}.{name}" if prefix else name, value


def _set(generator: Generator, state: Any) -> None:
    """Restore a generator from (seed, offset)."""
    seed, offset = state
    generator.set_state({"seed": seed, "offset": offset})


def _state(generator: Generator) -> tuple[int, int]:
    state = generator.get_state()
    return state["seed"], state["offset"]


def _metric_state(metric: Metric) -> dict[str, Any]:
    """A metric's accumulators: its `state_dict()`, or else its attributes."""
    if hasattr(metric, "state_dict"):
        return metric.state_dict()
    return {name: value for name, value in vars(metric).items() if _can_be_saved(metric, value)}


def _restore_metric(metric: Metric, state: Mapping[str, Any]) -> None:
    if hasattr(metric, "load_state_dict"):
        metric.load_state_dict(state)
    else:
        vars(metric).update(deepcopy(dict(state)))


def _can_be_saved(metric: Metric, value: Any) -> bool:
    """Whether to save an attribute: not functions; DTypeError for what cannot be saved."""
    if isinstance(value, dict | list | tuple):
        items = value.values() if isinstance(value, dict) else value
        savable = [_can_be_saved(metric, item) for item in items]  # each of them may raise
        return all(savable)
    if value is None or isinstance(value, Tensor | np.ndarray | np.generic | str | int | float):
        return True
    if callable(value):
        return False
    raise DTypeError(
        f"save: {metric!r} has a {type(value).__name__}; give it state_dict and load_state_dict"
    )
