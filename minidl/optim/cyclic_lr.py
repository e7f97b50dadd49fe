"""CyclicLR: a periodic triangular schedule (Smith 2017)."""

from collections.abc import Callable
from typing import Any

from minidl.checks import check_choice, check_integers, check_numbers
from minidl.errors import ArgumentError
from minidl.optim.cycling import CyclingScheduler
from minidl.optim.lr_scheduler import groups_of, per_group
from minidl.optim.optimizer import Optimizer


class CyclicLR(CyclingScheduler):
    """lr rises linearly from base_lr to a peak and falls back, periodically.

        lr = base_lr + (max_lr − base_lr) · h · scale       h: 0 … 1 … 0 over a cycle

    The momentum, or β₁, moves in the opposite direction: from max_momentum down, and back.

    base_lr, max_lr    the lower and the upper bound; these and both momenta may be lists of one
                       number per group
    step_size_up       steps from base_lr to the peak; `step_size_down` from there, the same by
                       default
    mode               the scale: "triangular", 1; "triangular2", halved after each cycle;
                       "exp_range", gammaᵗ
    scale_fn           a custom scale, as a function of the number of the "cycle", from 1, or of
                       "iterations", as `scale_mode` says; not saved by `state_dict`
    cycle_momentum     whether the momentum is set, too

    Smith 2017; step it after each batch.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.CyclicLR(optimizer, 0.1, 1.0, step_size_up=2, cycle_momentum=False)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.1 0.55 1.0 0.55 0.1 0.55
    """

    unsaved = ("optimizer", "scale_fn")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[int], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        groups = groups_of("CyclicLR", optimizer)
        self.optimizer = optimizer
        self.step_size_up = step_size_up
        self.step_size_down = step_size_up if step_size_down is None else step_size_down
        self.mode, self.gamma = mode, gamma
        self.scale_fn: Callable[[Any], float] | None = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        lowest = per_group("CyclicLR", "base_lr", base_lr, groups)
        self.max_lrs = per_group("CyclicLR", "max_lr", max_lr, groups)
        self.base_momentums = per_group("CyclicLR", "base_momentum", base_momentum, groups)
        self.max_momentums = per_group("CyclicLR", "max_momentum", max_momentum, groups)
        self.check()
        for group, lr in zip(groups, lowest, strict=True):
            group.setdefault("initial_lr", lr)  # of another schedule, if there is one
        self.lowest_lrs = lowest
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a cycle of at least one step, and known modes."""
        check_integers(
            "CyclicLR", 1, step_size_up=self.step_size_up, step_size_down=self.step_size_down
        )
        check_choice("CyclicLR", ("triangular", "triangular2", "exp_range"), mode=self.mode)
        check_choice("CyclicLR", ("cycle", "iterations"), scale_mode=self.scale_mode)
        check_numbers("CyclicLR", finite=True, gamma=self.gamma)
        if self.scale_fn is not None and not callable(self.scale_fn):
            raise ArgumentError(f"CyclicLR: scale_fn is a function; got {self.scale_fn!r}")
        super().check()

    def _start(self, last_epoch: int) -> None:
        super()._start(last_epoch)
        if last_epoch == -1:
            self._set(list(self.base_lrs), 0)  # as in PyTorch, if another schedule was made before

    def _height(self, step: float) -> float:
        """h · scale."""
        up, down = self.step_size_up, self.step_size_down
        cycle, within = divmod(step, up + down)
        height = within / up if within <= up else (up + down - within) / down
        if self.scale_fn is not None:
            by_cycle = self.scale_mode == "cycle"
            return height * float(self.scale_fn(cycle + 1 if by_cycle else step))
        if self.mode == "exp_range":
            return height * self.gamma**step
        return height * (0.5**cycle if self.mode == "triangular2" else 1.0)

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps."""
        height = self._height(step)
        pairs = zip(self.lowest_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]

    def momenta(self, step: float) -> list[float]:
        """The momentum of every group after `step` steps: low where lr is high."""
        height = self._height(step)
        pairs = zip(self.base_momentums, self.max_momentums, strict=True)
        return [high - (high - low) * height for low, high in pairs]
