"""What a GPU has computed and nobody has looked at: losses, norms, and what metrics need.

Reading a number waits for the GPU, which then has nothing to do until the next step is prepared.
So the numbers of a batch stay there, in a list, until someone wants to know them; then they are
read together, and added up in the order, and with the digits, in which a CPU would add them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.train.metrics import Metric

_MOST_BATCHES = 256  # so that a loss of NaN is found some time
_MOST_BYTES = 2**26  # of what metrics need


class Loss(NamedTuple):
    """The mean loss of a batch, and what is to be said if it is not finite."""

    value: Tensor
    samples: float
    place: str


class Step(NamedTuple):
    """An optimiser step: the norm of its gradients, and whether it was skipped, 1 or 0."""

    norm: Tensor | None
    skipped: Tensor | None
    place: str


class Unread:
    """The numbers of some batches."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self._losses: list[Loss] = []
        self._steps: list[Step] = []
        self._updates: list[tuple[Metric, tuple[Any, ...]]] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to read them."""
        return len(self._losses) >= _MOST_BATCHES or self._bytes > _MOST_BYTES

    def add_loss(self, value: Tensor, samples: float, place: str) -> None:
        """The mean loss of a batch, unless no sample of it counts."""
        if samples:
            self._losses.append(Loss(value.detach(), samples, place))

    def add_step(self, norm: Tensor | None, skipped: Tensor | None, place: str) -> None:
        """What is known of a step on the device, if anything."""
        if norm is not None or skipped is not None:
            self._steps.append(Step(norm, skipped, place))

    def add_update(self, metric: Metric, prediction: Any, target: Any) -> None:
        """What a metric is to be updated with, as small as the metric can do with."""
        arguments = prediction, target
        if _updates_from_reduced(type(metric)):
            arguments = metric.reduced(prediction, target)
        self._bytes += sum(_bytes_on_device(x) for x in arguments)
        self._updates.append((metric, arguments))

    def losses(self) -> Iterator[tuple[float, float, str]]:
        """The losses, the numbers of samples, and the places, which are forgotten then."""
        losses, self._losses = self._losses, []
        values = _numbers([loss.value for loss in losses])
        return ((v, loss.samples, loss.place) for v, loss in zip(values, losses, strict=True))

    def steps(self) -> Iterator[tuple[float, bool, str]]:
        """The norms, 0 if there is none, whether each step was skipped, and the places."""
        steps, self._steps = self._steps, []
        values = iter(_numbers([x for step in steps for x in step[:2] if x is not None]))
        for step in steps:
            norm = 0.0 if step.norm is None else next(values)
            yield norm, step.skipped is not None and next(values) != 0, step.place

    def update_metrics(self) -> None:
        """Update the metrics with all that they have not seen."""
        updates, self._updates, self._bytes = self._updates, [], 0
        for metric, arguments in updates:
            metric.update(*arguments)


def _updates_from_reduced(kind: type[Metric]) -> bool:
    """Whether `update` knows what `reduced` gives: no subclass has overridden it alone."""
    names = (name for cls in kind.__mro__ for name in ("reduced", "update") if name in vars(cls))
    return next(names) == "reduced"


class LateLogs(Mapping[str, Any]):
    """The mean loss of an epoch so far, which is read when it is looked at."""

    def __init__(self, read: Callable[[], None], position: Any) -> None:
        self._read, self._position = read, position

    def __getitem__(self, name: str) -> Any:
        if name != "loss":
            raise KeyError(name)
        self._read()
        return self._position.total / (self._position.samples or math.nan)

    def __iter__(self) -> Iterator[str]:
        return iter(("loss",))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return repr(dict(self))


def _numbers(tensors: list[Tensor]) -> list[float]:
    """Tensors of one element as Python numbers, in one transfer for each device and dtype."""
    kinds: dict[Any, list[int]] = {}
    for i, x in enumerate(tensors):
        kinds.setdefault((x.device, x.dtype), []).append(i)
    result = [0.0] * len(tensors)
    for places in kinds.values():
        joined = ops.concat([tensors[i].reshape(1) for i in places])
        for i, value in zip(places, joined.tolist(), strict=True):
            result[i] = value
    return result


def _bytes_on_device(x: Any) -> int:
    held = getattr(x, "values", x)  # of labels
    on_device = isinstance(held, Tensor) and held.device != "cpu"
    return held.size * held.dtype.itemsize if on_device else 0
