"""CyclingScheduler: the base class of schedules that cycle lr and momentum in opposition."""

from minidl.checks import check_flags
from minidl.errors import ArgumentError
from minidl.optim.lr_scheduler import LRScheduler


class CyclingScheduler(LRScheduler):
    """A schedule between bounds of its own, which also sets the momentum, or β₁.

    A subclass defines `rates`, and `momenta` for `cycle_momentum`.
    """

    cycle_momentum: bool

    def check(self) -> None:
        """Require an optimiser with a momentum, for cycle_momentum."""
        check_flags(self, cycle_momentum=self.cycle_momentum)
        if self.cycle_momentum and not {"momentum", "betas"} & set(self.optimizer.defaults):
            raise ArgumentError(
                f"{type(self).__name__}: {type(self.optimizer).__name__} has no momentum; use "
                "cycle_momentum=False"
            )

    def momenta(self, step: float) -> list[float]:
        """The momentum of every group after `step` steps."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define momenta")

    def _set(self, lrs: list[float], step: float) -> None:
        super()._set(lrs, step)
        if self.cycle_momentum:
            for group, momentum in zip(self._groups(), self.momenta(step), strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
