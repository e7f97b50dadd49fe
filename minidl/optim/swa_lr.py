"""SWALR: annealing to the constant learning rate of stochastic weight averaging."""

from minidl.checks import check_choice, check_integers
from minidl.optim.lr_scheduler import LRScheduler, anneal, groups_of, per_group
from minidl.optim.optimizer import Optimizer


class SWALR(LRScheduler):
    """lr anneals from its value at the first step to swa_lr in anneal_epochs steps, then stays.

    swa_lr             a number for all groups, or a list of one per group
    anneal_epochs      the number of annealing steps; with 0, lr is swa_lr immediately
    anneal_strategy    "cos", half a cosine wave, or "linear"

    It may be created along with the schedule before it, and starts when it is first stepped:

        schedule, swa = CosineAnnealingLR(optimizer, T_max=100), SWALR(optimizer, swa_lr=0.05)
        for epoch in range(100):
            …
            if epoch < 75:
                schedule.step()
            else:
                average.update_parameters(model)
                swa.step()

    Izmailov et al. 2018; see `AveragedModel` for the averaging.

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
        self.swa_lrs = per_group("SWALR", "swa_lr", swa_lr, groups)
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        first = "lr" if last_epoch == -1 else "initial_lr"
        self.start_lrs = [float(group.get(first, group["lr"])) for group in groups]
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a non-negative anneal_epochs and a known strategy."""
        check_integers("SWALR", 0, anneal_epochs=self.anneal_epochs)
        check_choice("SWALR", ("cos", "linear"), anneal_strategy=self.anneal_strategy)

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps; before the first, the current one."""
        if step >= self.anneal_epochs:
            return list(self.swa_lrs)
        if not step:
            return self._current()
        pairs = zip(self.start_lrs, self.swa_lrs, strict=True)
        progress = step / self.anneal_epochs
        return [anneal(self.anneal_strategy, start, end, progress) for start, end in pairs]

    def _current(self) -> list[float]:
        return [float(group["lr"]) for group in self._groups()]

    def _go_to(self, step: float) -> None:
        if self._last_lr and (self.last_epoch, step) == (0, 1):
            self.start_lrs = self._current()
        super()._go_to(step)
