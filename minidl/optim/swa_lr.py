"""SWALR: annealing to the constant learning rate of stochastic weight averaging."""

from minidl.checks import check_choice, check_integers
from minidl.optim.lr_scheduler import ChainableScheduler, anneal, groups_of, per_group
from minidl.optim.optimizer import Optimizer


class SWALR(ChainableScheduler):
    """lr anneals from the value that it finds to swa_lr in anneal_epochs steps, then stays.

        lr ← α·swa_lr + (1 − α)·s,  s = (lr − α′·swa_lr) / (1 − α′)

    α goes from 0 to 1, α′ is the one before, and s where lr started, if nobody else changes it.

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
        self.swa_lrs = per_group("SWALR", "swa_lr", swa_lr, groups_of("SWALR", optimizer))
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a non-negative anneal_epochs and a known strategy."""
        check_integers("SWALR", 0, anneal_epochs=self.anneal_epochs)
        check_choice("SWALR", ("cos", "linear"), anneal_strategy=self.anneal_strategy)

    def next_rates(self, lrs: list[float], step: int) -> list[float]:
        """The lr of every group at `step`, from the present ones."""
        before, alpha = self._alpha(step - 1), self._alpha(step)
        starts = [
            end if before == 1 else (lr - before * end) / (1 - before)
            for lr, end in zip(lrs, self.swa_lrs, strict=True)
        ]
        pairs = zip(starts, self.swa_lrs, strict=True)
        return [end * alpha + start * (1 - alpha) for start, end in pairs]

    def _alpha(self, step: int) -> float:
        """The fraction of the way to swa_lr."""
        if not self.anneal_epochs:
            return float(step >= 0)
        progress = min(max(step / self.anneal_epochs, 0.0), 1.0)
        return anneal(self.anneal_strategy, 0.0, 1.0, progress)

    def _begin(self) -> None:
        """Leave the rates as they are, or with no steps of annealing reach the last at once."""
        self._composed = True  # it has no initial lr of its own
        self._advance(self._current(), 0)

    _enter = _begin

    def _jump(self, step: float) -> None:
        self._composed = True
        self._set(self._current(), step)

    def _start(self, last_epoch: int) -> None:
        self._begin()
        self.last_epoch = last_epoch + 1
