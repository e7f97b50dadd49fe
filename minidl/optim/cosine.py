"""Cosine annealing, without and with restarts (Loshchilov & Hutter 2017)."""

import math

from minidl.checks import check_integers, check_numbers
from minidl.errors import ArgumentError
from minidl.optim.lr_scheduler import ChainableScheduler, LRScheduler, cosine_annealing
from minidl.optim.optimizer import Optimizer


class CosineAnnealingLR(ChainableScheduler):
    """lr = eta_min + (initial lr − eta_min) · (1 + cos(π·t / T_max)) / 2.

    After T_max steps it rises again, following the cosine.  Loshchilov, Hutter 2017, without
    restarts.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.8536 0.5 0.1464 0.0 0.1464
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a positive T_max."""
        check_integers("CosineAnnealingLR", 1, T_max=self.T_max)
        check_numbers("CosineAnnealingLR", finite=True, eta_min=self.eta_min)

    def rate(self, base_lr: float, step: float) -> float:
        """Cosine annealing, periodic with period 2·T_max."""
        return cosine_annealing(base_lr, self.eta_min, step / self.T_max)

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """eta_min + (lr − eta_min) · the quotient of this step's wave by the one before.

        Where that was 0, the first step up the closed form.
        """
        length, low = self.T_max, self.eta_min
        if not step:
            return lr
        if (step - 1 - length) % (2 * length) == 0:
            return lr + (base_lr - low) * (1 - math.cos(math.pi / length)) / 2
        wave, before = (1 + math.cos(math.pi * t / length) for t in (step, step - 1))
        return wave / before * (lr - low) + low


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial lr − eta_min) · (1 + cos(π·s / T)) / 2, s steps after a restart.

    The first T is T_0, and each restart multiplies it by T_mult.  Loshchilov, Hutter 2017 (SGDR).

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.5 1.0 0.8536 0.5 0.1464
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require positive T_0 and T_mult."""
        check_integers("CosineAnnealingWarmRestarts", 1, T_0=self.T_0, T_mult=self.T_mult)
        check_numbers("CosineAnnealingWarmRestarts", finite=True, eta_min=self.eta_min)

    def rate(self, base_lr: float, step: float) -> float:
        """Cosine annealing since the last restart."""
        length = self.T_0
        if self.T_mult == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.T_mult
        return cosine_annealing(base_lr, self.eta_min, step / length)

    def step(self, epoch: float | None = None) -> None:
        """Advance by one, or to `epoch`, which may be fractional: epoch + batch / batches."""
        if epoch is not None:
            check_numbers("CosineAnnealingWarmRestarts.step", finite=True, epoch=epoch)
            if epoch < 0:
                raise ArgumentError(f"CosineAnnealingWarmRestarts.step: epoch is ≥ 0; got {epoch}")
        self._jump(self.last_epoch + 1 if epoch is None else epoch)
