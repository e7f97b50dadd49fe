"""Learning-rate schedules, as functions of the step count t.

A step is the interval between two calls of `step()`: an epoch, or a step of the optimiser.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minidl.checks import check_integers, check_numbers
from minidl.errors import ArgumentError, listed
from minidl.optim.lr_scheduler import ChainableScheduler, LRScheduler, groups_of
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


class MultiplicativeLR(ChainableScheduler):
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

    def next_rates(self, lrs: list[float], step: int) -> list[float]:
        """lr · f(t), each group with its own f."""
        if not step:
            return lrs
        return [float(lr * f(step)) for lr, f in zip(lrs, self.lr_lambdas, strict=True)]

    def _enter(self) -> None:
        """Go on from the rates of the schedule before: there is no closed form in PyTorch."""
        lrs = [float(lr * f(0)) for lr, f in zip(self._current(), self.lr_lambdas, strict=True)]
        self._composed = True
        self._set(lrs, 0)


class StepLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · gamma at multiples of step_size."""
        return lr if not step or step % self.step_size else lr * self.gamma


class MultiStepLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · gamma at milestones, as often as they are given."""
        return lr * self.gamma ** self.milestones.count(step)


class ConstantLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · factor at first, lr / factor at last; from a factor of 0, the initial lr."""
        if step not in (0, self.total_iters) or not self.total_iters:
            return lr
        if not step:
            return lr * self.factor
        return lr * (1 / self.factor) if self.factor else base_lr


class LinearLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · the quotient of this step's factor by the one before."""
        if step > self.total_iters or not self.total_iters:
            return lr
        if not step:
            return lr * self.start_factor
        slope = self.end_factor - self.start_factor
        return lr * (1 + slope / (self.total_iters * self.start_factor + (step - 1) * slope))


class ExponentialLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · gamma."""
        return lr * self.gamma if step else lr


class PolynomialLR(ChainableScheduler):
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

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """lr · (remaining fraction / the one before)^power."""
        if not 0 < step <= self.total_iters:
            return lr
        total = self.total_iters
        return lr * ((1 - step / total) / (1 - (step - 1) / total)) ** self.power


def _lambdas(name: str, given: Any, optimizer: Optimizer) -> list[Callable[[Any], float]]:
    """One function per group; a single one is repeated."""
    groups = len(groups_of(name, optimizer))
    functions = list(given) if isinstance(given, list | tuple) else [given] * groups
    if len(functions) != groups or not all(map(callable, functions)):
        raise ArgumentError(f"{name}: lr_lambda is a function, or {groups} of them; got {given!r}")
    return functions
