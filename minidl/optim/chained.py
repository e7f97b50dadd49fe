"""ChainedScheduler: several schedules at once."""

from collections.abc import Sequence
from typing import Any

from minidl.errors import ArgumentError, listed
from minidl.optim.composed import ComposedScheduler
from minidl.optim.lr_scheduler import LRScheduler
from minidl.optim.optimizer import Optimizer


class ChainedScheduler(ComposedScheduler):
    """Schedules that are stepped in turn, each taking further the rates that it finds.

    A warm-up combined with a decay:

        warmup, decay = LinearLR(optimizer, 0.1), ExponentialLR(optimizer, gamma=0.9)
        schedule = ChainedScheduler([warmup, decay])

    The factors of chainable schedules multiply.  LambdaLR, CosineAnnealingWarmRestarts, OneCycleLR
    and CyclicLR overwrite the rates of those before them, as in PyTorch: let them be first.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> warmup = optim.ConstantLR(optimizer, 0.1, total_iters=2)
    >>> schedule = optim.ChainedScheduler([warmup, optim.ExponentialLR(optimizer, 0.5)])
    >>> for _ in range(4):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.1 0.05 0.25 0.125
    """

    chainable = True  # like its schedules

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        schedulers = listed("ChainedScheduler", "a list of schedules", schedulers)
        if not schedulers:
            raise ArgumentError("ChainedScheduler: needs at least one schedule")
        own: Any = getattr(schedulers[0], "optimizer", None) if optimizer is None else optimizer
        super().__init__(own, schedulers, -1)

    def step(self) -> None:
        """Step all schedules, in their order."""
        for each in self._schedulers:
            each.step()
        self._follow(self.last_epoch + 1)

    def _start(self, last_epoch: int) -> None:
        """Go on from where the schedules are: they have set their rates already."""
        self._follow(self._schedulers[0].last_epoch)

    def _begin(self) -> None:
        for each in self._schedulers:
            each._begin()
        self._follow(0)

    def _enter(self) -> None:
        first, *rest = self._schedulers
        first._enter()
        for each in rest:
            each._begin()
        self._follow(0)

    def _jump(self, step: float) -> None:
        for each in self._schedulers:
            each._jump(step)
        self._follow(step)

    def _resume(self) -> None:
        for each in self._schedulers:
            each._resume()  # for those that also set the momentum
        super()._resume()

    def _follow(self, step: float) -> None:
        self._composed = True
        self._set(self._current(), step)
