"""ChainedScheduler: several schedules at once, whose factors multiply."""

from collections.abc import Sequence
from typing import Any

from minidl.errors import ArgumentError, listed
from minidl.optim.composed import ComposedScheduler
from minidl.optim.cycling import CyclingScheduler
from minidl.optim.lr_scheduler import LRScheduler
from minidl.optim.optimizer import Optimizer
from minidl.optim.swa_lr import SWALR


class ChainedScheduler(ComposedScheduler):
    """Schedules whose factors multiply: the rates of each are the initial rates of the next.

    A warm-up combined with a decay:

        warmup, decay = LinearLR(optimizer, 0.1), ExponentialLR(optimizer, gamma=0.9)
        schedule = ChainedScheduler([warmup, decay])

    PyTorch multiplies schedules that are recursive in lr, and lets LambdaLR,
    CosineAnnealingWarmRestarts and the like overwrite those before them; here all multiply.  A
    lower bound such as eta_min applies at its schedule's position in the chain.  OneCycleLR and
    CyclicLR, which have rates of their own, can only be first.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> warmup = optim.ConstantLR(optimizer, 0.1, total_iters=2)
    >>> schedule = optim.ChainedScheduler([warmup, optim.ExponentialLR(optimizer, 0.5)])
    >>> for _ in range(4):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.1 0.05 0.25 0.125
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        schedulers = listed("ChainedScheduler", "a list of schedules", schedulers)
        if not schedulers:
            raise ArgumentError("ChainedScheduler: needs at least one schedule")
        for i, each in enumerate(schedulers):
            if isinstance(each, SWALR) or (i and isinstance(each, CyclingScheduler)):
                where = "is for a SequentialLR" if isinstance(each, SWALR) else "can only be first"
                raise ArgumentError(
                    f"ChainedScheduler: a {type(each).__name__} has rates of its own, and {where}"
                )
        steps = [getattr(each, "last_epoch", 0) for each in schedulers]
        if len(set(steps)) > 1:
            raise ArgumentError(f"ChainedScheduler: schedules are at one step; got some at {steps}")
        own: Any = getattr(schedulers[0], "optimizer", None) if optimizer is None else optimizer
        super().__init__(own, schedulers, steps[0] - 1)

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps."""
        for each in self._schedulers:
            base_lrs = each.rates(base_lrs, step)
        return base_lrs

    def _go_to(self, step: float) -> None:
        for each in self._schedulers:
            each._go_to(step)  # for those that also set the momentum
        super()._go_to(step)
