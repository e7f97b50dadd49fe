"""What a program does on a device: its losses, and the launches, transfers and waits of each step.

A step is what happens from one call of `backward` to the next.  That a kernel of the contract does
not take a call, so that the operation's body runs in its place, is recorded too.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import minidl
from minidl.backends import contract
from tests.cuda import stand_in
from tests.cuda.stand_in.counters import Event

counters = stand_in.counters
_KERNELS = {**contract.KERNELS, **contract.RULES, **contract.GRADIENTS, **contract.BUFFERS}

# Of these a body is a single kernel of CuPy's; in the contract they are for threads of the CPU.
_ONE_LAUNCH = "add", "multiply"

_WITHIN = "minidl_cuda/", "backends/", "autograd/", "minidl/errors", "ops/creation", "ops/manip"


class Enough(BaseException):
    """The program has taken as many steps as were asked for."""


class Record:
    """What was recorded.

    losses      of each step, as tensors until they are read
    steps       the events of each step
    composed    by kernel: how often it did not take a call, with the dtypes of what it was given
    """

    def __init__(self) -> None:
        self.losses: list[Any] = []
        self.steps: list[list[Event]] = []
        self.composed: Counter[str] = Counter()
        self.tail: list[Event] = []

    def as_dict(self) -> dict[str, Any]:
        """The same, for JSON."""
        return {
            "losses": [float(loss) for loss in self.losses],
            "steps": [_counted(step) for step in self.steps],
            "launches": dict(self.launches()),
            "composed": dict(self.composed),
        }

    def launches(self) -> Counter[str]:
        """All launches, by kernel."""
        events = [event for step in [*self.steps, self.tail] for event in step]
        return Counter(event.what for event in events if event.kind == "launch")

    def waits(self) -> Counter[tuple[str, str, str]]:
        """All transfers and synchronisations, each with the line that asked for it."""
        events = [event for step in [*self.steps, self.tail] for event in step]
        return Counter((e.kind, e.what, _asked_by(e)) for e in events if e.kind != "launch")


def _asked_by(event: Event) -> str:
    """The innermost line that is not there for all operations."""
    sites = [site for site in event.sites if not site.startswith(_WITHIN)]
    return [*sites, event.sites[-1]][0]


def _counted(step: list[Event]) -> dict[str, Any]:
    """The number of launches of a step, and where it transferred or waited."""
    others = [event for event in step if event.kind != "launch"]
    counts = Counter(event.kind for event in step)
    return {**counts, "where": [f"{e.kind} {e.what}: {', '.join(e.sites[:12])}" for e in others]}


@contextmanager
def recording(steps: int | None = None) -> Iterator[Record]:
    """Record in this block; `Enough` is raised in `backward` after so many steps."""
    found, backward = Record(), minidl.Tensor.backward

    def recorded(loss: Any, *arguments: Any, **settings: Any) -> Any:
        found.steps.append(_taken())
        found.losses.append(loss.detach())
        if steps is not None and len(found.losses) >= steps:
            raise Enough
        return backward(loss, *arguments, **settings)

    counters.reset()
    counters.trace = True
    try:
        minidl.Tensor.backward = recorded
        with _noting_composites(found.composed):
            yield found
    finally:
        minidl.Tensor.backward = backward
        found.tail = _taken()
        counters.trace = False


def _taken() -> list[Event]:
    """The events since the last step."""
    events, counters.events = counters.events, []
    return events


@contextmanager
def _noting_composites(composed: Counter[str]) -> Iterator[None]:
    """Count the calls that kernels do not take."""
    import minidl_cuda

    kernel = minidl_cuda.kernel
    noted = _KERNELS.keys() - _ONE_LAUNCH

    def noting(name: str) -> Callable[..., Any] | None:
        found = kernel(name)
        if found is None:
            if name in noted:
                composed[f"{name}: none"] += 1
            return None

        def call(*arguments: Any, **settings: Any) -> Any:
            result = found(*arguments, **settings)
            if result is NotImplemented and name in noted:
                dtypes = [str(x.dtype) for x in arguments if hasattr(x, "dtype")]
                composed[f"{name}: {', '.join(dtypes)}"] += 1
            return result

        return call

    minidl_cuda.kernel = noting
    try:
        yield
    finally:
        minidl_cuda.kernel = kernel
