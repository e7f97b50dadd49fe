"""Learning-rate schedules, as functions of the step count t.

A step is the interval between two calls of `step()`: an epoch, or a step of the optimiser.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minidl.checks import check_integers, check_numbers
from minidl.errors import ArgumentError, listed
from minidl.optim.lr_scheduler import LRScheduler, cosine_annealing, groups_of
from minidl.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """lr = initial lr · f(t).

    lr_lambda    f, or a list of one function per group; not saved by `state_dict`

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.5 0.3333 0.25 0.2 0.1667
    """

    unsaved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _lambdas("LambdaLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """Initial lr · f(t), each group with its own f."""
        return [float(lr * f(step)) for lr, f in zip(base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LRScheduler):
    """lr = initial lr · f(1) · f(2) ⋯ f(t).

    lr_lambda    f, or a list of one function per group; not saved by `state_dict`

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.MultiplicativeLR(optimizer, lambda t: 0.5 if t < 3 else 1.0)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.5 0.25 0.25 0.25 0.25
    """

    unsaved = ("optimizer", "lr_lambdas", "_products")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _lambdas("MultiplicativeLR", lr_lambda, optimizer)
        self._products = 0, [1.0] * len(self.lr_lambdas)  # (t, f(1) ⋯ f(t) per group)
        super().__init__(optimizer, last_epoch)

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """Initial lr · f(1) ⋯ f(t), each group with its own f."""
        t, products = self._products
        if t > step:
            t, products = 0, [1.0] * len(self.lr_lambdas)
        while t < step:
            t += 1
            pairs = zip(products, self.lr_lambdas, strict=True)
            products = [float(product * f(t)) for product, f in pairs]
        self._products = t, products
        return [lr * product for lr, product in zip(base_lrs, products, strict=True)]


class StepLR(LRScheduler):
    """lr = initial lr · gamma^⌊t / step_size⌋.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.StepLR(optimizer, step_size=2, gamma=0.1)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 1.0 0.1 0.1 0.01 0.01
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a positive step_size."""
        check_integers("StepLR", 1, step_size=self.step_size)
        check_numbers("StepLR", finite=True, gamma=self.gamma)

    def rate(self, base_lr: float, step: float) -> float:
        """Initial lr · gamma^⌊t / step_size⌋."""
        return base_lr * self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """lr = initial lr · gamma^(number of milestones ≤ t).

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.MultiStepLR(optimizer, milestones=[1, 4], gamma=0.1)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.1 0.1 0.1 0.01 0.01
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = listed("MultiStepLR", "milestones, a list of steps", milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require non-negative milestones, and sort them."""
        for milestone in self.milestones:
            check_integers("MultiStepLR", 0, **{"a milestone": milestone})
        self.milestones = sorted(self.milestones)
        check_numbers("MultiStepLR", finite=True, gamma=self.gamma)

    def rate(self, base_lr: float, step: float) -> float:
        """Initial lr · gamma^(number of milestones ≤ t)."""
        return base_lr * self.gamma ** bisect_right(self.milestones, step)


class ConstantLR(LRScheduler):
    """lr = initial lr · factor for t < total_iters, then the initial lr.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.5 0.5 1.0 1.0 1.0 1.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a factor in [0, 1]."""
        check_numbers("ConstantLR", 0, 1, factor=self.factor)
        check_integers("ConstantLR", 0, total_iters=self.total_iters)

    def rate(self, base_lr: float, step: float) -> float:
        """Initial lr · factor, then the initial lr."""
        return base_lr * self.factor if step < self.total_iters else base_lr


class LinearLR(LRScheduler):
    """lr = initial lr · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1)).

    With the default end_factor of 1, a linear warm-up.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.LinearLR(optimizer, start_factor=0.2, total_iters=4)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.2 0.4 0.6 0.8 1.0 1.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require factors in [0, 1], and a positive start_factor."""
        check_numbers("LinearLR", 0, 1, start_factor=self.start_factor, end_factor=self.end_factor)
        if not self.start_factor:
            raise ArgumentError("LinearLR: start_factor is above 0; got 0")
        check_integers("LinearLR", 0, total_iters=self.total_iters)

    def rate(self, base_lr: float, step: float) -> float:
        """The straight line up to total_iters, then its end."""
        if step >= self.total_iters:
            return base_lr * self.end_factor
        increment = (self.end_factor - self.start_factor) * step / self.total_iters
        return base_lr * (self.start_factor + increment)


class ExponentialLR(LRScheduler):
    """lr = initial lr · gammaᵗ.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.5 0.25 0.125 0.0625 0.0312
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a finite gamma."""
        check_numbers("ExponentialLR", finite=True, gamma=self.gamma)

    def rate(self, base_lr: float, step: float) -> float:
        """Initial lr · gammaᵗ."""
        return base_lr * self.gamma**step


class PolynomialLR(LRScheduler):
    """lr = initial lr · (1 − min(t / total_iters, 1))^power.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = optim.PolynomialLR(optimizer, total_iters=4, power=2)
    >>> for _ in range(6):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    1.0 0.5625 0.25 0.0625 0.0 0.0
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """Require a positive total_iters and a non-negative power."""
        check_integers("PolynomialLR", 1, total_iters=self.total_iters)
        check_numbers("PolynomialLR", 0, finite=True, power=self.power)

    def rate(self, base_lr: float, step: float) -> float:
        """Initial lr · (remaining fraction)^power."""
        return base_lr * (1 - min(step, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
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
        self._go_to(self.last_epoch + 1 if epoch is None else epoch)


def _lambdas(name: str, given: Any, optimizer: Optimizer) -> list[Callable[[Any], float]]:
    """One function per group; a single one is repeated."""
    groups = len(groups_of(name, optimizer))
    functions = list(given) if isinstance(given, list | tuple) else [given] * groups
    if len(functions) != groups or not all(map(callable, functions)):
        raise ArgumentError(f"{name}: lr_lambda is a function, or {groups} of them; got {given!r}")
    return functions
