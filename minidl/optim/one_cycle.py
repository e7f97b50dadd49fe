"""OneCycleLR: the 1cycle policy (Smith & Topin 2019)."""

from typing import Any

from minidl.checks import check_choice, check_flags, check_integers, check_numbers
from minidl.errors import ArgumentError
from minidl.optim.cycling import CyclingScheduler
from minidl.optim.lr_scheduler import anneal, groups_of, per_group
from minidl.optim.optimizer import Optimizer


class OneCycleLR(CyclingScheduler):
    """lr rises from max_lr / div_factor to max_lr, then anneals to initial lr / final_div_factor.

    The momentum, or β₁, moves in the opposite direction: from max_momentum to base_momentum, and
    back.

    max_lr             the peak lr; max_lr and both momenta may be lists of one number per group
    total_steps        the length of the cycle; or else `epochs` times `steps_per_epoch`
    pct_start          the fraction of the cycle spent increasing lr
    anneal_strategy    "cos", half a cosine wave, or "linear"
    cycle_momentum     whether the momentum is set, too
    three_phase        fall back to the initial lr in as many steps as up, then anneal to the end

    Smith, Topin 2019; step it after each batch.

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
            counts: dict[str, Any] = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
            check_integers("OneCycleLR: without total_steps", 1, **counts)
            total_steps = counts["epochs"] * counts["steps_per_epoch"]
        divisors = {"div_factor": div_factor, "final_div_factor": final_div_factor}
        check_numbers("OneCycleLR", 0, finite=True, **divisors)
        if not div_factor or not final_div_factor:
            raise ArgumentError(f"OneCycleLR: divides by its factors; got {divisors}")
        self.total_steps, self.pct_start, self.three_phase = total_steps, pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        groups = groups_of("OneCycleLR", optimizer)
        self.optimizer = optimizer
        self.max_lrs = per_group("OneCycleLR", "max_lr", max_lr, groups)
        self.max_momentums = per_group("OneCycleLR", "max_momentum", max_momentum, groups)
        self.base_momentums = per_group("OneCycleLR", "base_momentum", base_momentum, groups)
        self.min_lrs = [lr / div_factor / final_div_factor for lr in self.max_lrs]
        self.check()
        for group, lr in zip(groups, self.max_lrs, strict=True):
            group["initial_lr"] = lr / div_factor
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a positive length, a pct_start in [0, 1] and a known strategy."""
        check_integers("OneCycleLR", 1, total_steps=self.total_steps)
        check_numbers("OneCycleLR", 0, 1, pct_start=self.pct_start)
        check_flags("OneCycleLR", three_phase=self.three_phase)
        check_choice("OneCycleLR", ("cos", "linear"), anneal_strategy=self.anneal_strategy)
        super().check()

    def _phase(self, step: float) -> tuple[str, str, float]:
        """The phase of this step: the level it starts from, the one it goes to, the progress."""
        up, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        phases = [(up, "initial", "max"), (last, "max", "min")]
        if self.three_phase:
            phases[1:] = (2 * up, "max", "initial"), (last, "initial", "min")
        begin = 0.0
        while len(phases) > 1 and step > phases[0][0]:
            begin = phases.pop(0)[0]
        end, source, target = phases[0]
        return source, target, (step - begin) / (end - begin) if end > begin else 1.0

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps."""
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {step} of a cycle of {self.total_steps}")
        levels = {"initial": base_lrs, "max": self.max_lrs, "min": self.min_lrs}
        return self._annealed(levels, step)

    def momenta(self, step: float) -> list[float]:
        """The momentum of every group after `step` steps: low where lr is high."""
        high, low = self.max_momentums, self.base_momentums
        return self._annealed({"initial": high, "max": low, "min": high}, step)

    def _annealed(self, levels: dict[str, list[float]], step: float) -> list[float]:
        """The value for every group at this step, between the levels of its phase."""
        source, target, progress = self._phase(step)
        pairs = zip(levels[source], levels[target], strict=True)
        return [anneal(self.anneal_strategy, start, end, progress) for start, end in pairs]
