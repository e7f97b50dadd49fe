"""OneCycleLR: up to a large rate and down to almost none, once."""

from minidl.errors import ArgumentError, check_flags
from minidl.optim.checks import (
    check_choice,
    check_count,
    check_fraction,
    check_not_negative,
)
from minidl.optim.cycling import CyclingScheduler
from minidl.optim.optimizer import Optimizer
from minidl.optim.lr_scheduler import between, for_each, groups_of


class OneCycleLR(CyclingScheduler):
    """lr from max_lr / div_factor up to max_lr, and down to a final_div_factor-th of the first.

    Momentum, or β₁, goes the other way: from max_momentum down to base_momentum, and back.

    max_lr             the largest lr; max_lr and both momenta may be lists of one for each group
    total_steps        how many steps the cycle has; or else `epochs` of `steps_per_epoch`
    pct_start          the share of it that goes upwards
    anneal_strategy    "cos", half a wave, or "linear"
    cycle_momentum     whether momentum is set, too
    three_phase        come down in as many steps as up, and then to almost nothing

    Smith, Topin 2019; it is meant to take a step after each batch.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=6, cycle_momentum=False)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.04 0.9944 0.8117 0.4626 0.1335 0.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
            check_count("OneCycleLR: without total_steps", counts, *counts)
            total_steps = epochs * steps_per_epoch
        divisors = {"div_factor": div_factor, "final_div_factor": final_div_factor}
        check_not_negative("OneCycleLR", divisors, *divisors)
        if not div_factor or not final_div_factor:
            raise ArgumentError(f"OneCycleLR: divides by its factors; got {divisors}")
        self.total_steps, self.pct_start, self.three_phase = total_steps, pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        groups = groups_of("OneCycleLR", optimizer)
        self.optimizer = optimizer
        self.max_lrs = for_each("OneCycleLR", "max_lr", max_lr, groups)
        self.max_momentums = for_each("OneCycleLR", "max_momentum", max_momentum, groups)
        self.base_momentums = for_each("OneCycleLR", "base_momentum", base_momentum, groups)
        self.min_lrs = [lr / div_factor / final_div_factor for lr in self.max_lrs]
        self.check()
        for group, lr in zip(groups, self.max_lrs, strict=True):
            group["initial_lr"] = lr / div_factor
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """The cycle has steps, and shares are shares."""
        check_count("OneCycleLR", vars(self), "total_steps")
        check_fraction("OneCycleLR", vars(self), "pct_start")
        check_flags("OneCycleLR: ", three_phase=self.three_phase)
        check_choice("OneCycleLR", vars(self), "anneal_strategy", "cos", "linear")
        super().check()

    def _phase(self, step: float) -> tuple[str, str, float]:
        """The level that the phase of this step begins at, the one it ends at, and the way made."""
        up, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        phases = [(up, "initial", "max"), (last, "max", "min")]
        if self.three_phase:
            phases[1:] = (2 * up, "max", "initial"), (last, "initial", "min")
        begin = 0.0
        for end, *levels in phases[:-1]:
            if step <= end:
                return *levels, (step - begin) / (end - begin) if end > begin else 1.0
            begin = end
        end, *levels = phases[-1]
        return *levels, (step - begin) / (end - begin) if end > begin else 1.0

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after so many steps."""
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {step} of a cycle of {self.total_steps}")
        begin, end, way = self._phase(step)
        levels = {"initial": base_lrs, "max": self.max_lrs, "min": self.min_lrs}
        pairs = zip(levels[begin], levels[end], strict=True)
        return [between(self.anneal_strategy, start, stop, way) for start, stop in pairs]

    def momenta(self, step: float) -> list[float]:
        """The momentum of every group after so many steps: low where lr is high."""
        begin, end, way = self._phase(step)
        high, low = self.max_momentums, self.base_momentums
        levels = {"initial": high, "max": low, "min": high}
        pairs = zip(levels[begin], levels[end], strict=True)
        return [between(self.anneal_strategy, start, stop, way) for start, stop in pairs]
