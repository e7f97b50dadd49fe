"""SWALR: to the constant rate at which weights are averaged."""

from minidl.optim.checks import check_choice, check_count
from minidl.optim.optimizer import Optimizer
from minidl.optim.lr_scheduler import LRScheduler, between, for_each, groups_of


class SWALR(LRScheduler):
    """lr from what it is at the first step to swa_lr in anneal_epochs steps, and then swa_lr.

    swa_lr             a number for all groups, or a list of one for each
    anneal_epochs      how many steps that takes; with 0, lr is swa_lr at once
    anneal_strategy    "cos", half a wave, or "linear"

    It may be made with the schedule that goes before it, and begins when it is first stepped:

        schedule, swa = CosineAnnealingLR(optimizer, T_max=100), SWALR(optimizer, swa_lr=0.05)
        for epoch in range(100):
            …
            if epoch < 75:
                schedule.step()
            else:
                average.update_parameters(model)
                swa.step()

    Izmailov et al. 2018; `AveragedModel` averages.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.SWALR(optimizer, swa_lr=0.2, anneal_epochs=4, anneal_strategy="linear")
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.8 0.6 0.4 0.2 0.2
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        groups = groups_of("SWALR", optimizer)
        self.swa_lrs = for_each("SWALR", "swa_lr", swa_lr, groups)
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        first = "lr" if last_epoch == -1 else "initial_lr"
        self.start_lrs = [float(group.get(first, group["lr"])) for group in groups]
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """anneal_epochs is a count, and the way is one of two."""
        check_count("SWALR", vars(self), "anneal_epochs", least=0)
        check_choice("SWALR", vars(self), "anneal_strategy", "cos", "linear")

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after so many steps; before the first, what it is."""
        if step >= self.anneal_epochs:
            return list(self.swa_lrs)
        if not step:
            return self._current()
        pairs = zip(self.start_lrs, self.swa_lrs, strict=True)
        way = step / self.anneal_epochs
        return [between(self.anneal_strategy, start, end, way) for start, end in pairs]

    def _current(self) -> list[float]:
        return [float(group["lr"]) for group in self._groups()]

    def _go_to(self, step: float) -> None:
        if self._last_lr and (self.last_epoch, step) == (0, 1):
            self.start_lrs = self._current()
        super()._go_to(step)
