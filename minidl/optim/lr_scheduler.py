"""LRScheduler: the base class of learning-rate schedules."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.errors import EXPLAINED, ArgumentError, MinidlError, describe
from minidl.optim.optimizer import Optimizer


def cosine_annealing(start: float, end: float, progress: float) -> float:
    """From start at progress 0 to end at progress 1, along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def anneal(strategy: str, start: float, end: float, progress: float) -> float:
    """From start at progress 0 to end at progress 1; strategy is "cos" or "linear"."""
    if strategy == "cos":
        return cosine_annealing(start, end, progress)
    return start + (end - start) * progress


def groups_of(name: str, optimizer: Optimizer) -> list[dict[str, Any]]:
    """The parameter groups of an optimiser; ArgumentError unless it is one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{name}: needs an optimizer; got {type(optimizer).__name__}")
    return optimizer.param_groups


def per_group(
    name: str, setting: str, value: Any, groups: Sequence[Mapping[str, Any]]
) -> list[float]:
    """A setting as a list of one number per group; a single number is repeated."""
    values = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ArgumentError(
            f"{name}: {setting} is a number, or {len(groups)} of them; got {value!r}"
        )
    for each in values:
        check_numbers(name, 0, finite=True, **{setting: each})
    return [float(each) for each in values]


class LRScheduler:
    """The base class of schedules, which set the learning rates of an optimiser.

    A subclass defines `rate`, lr as a function of the step count.  Since it depends on nothing
    else, a restored schedule continues exactly, and other changes to a group's lr are overwritten
    at the next step: use SequentialLR for one schedule after another, and ChainedScheduler for
    several at once.

    optimizer     the optimiser whose groups' "lr" is set, immediately and at every step
    last_epoch    the number of steps already taken, minus one; if not −1, each group needs the
                  "initial_lr" that an earlier schedule has stored there

    >>> class InverseRoot(optim.LRScheduler):
    ...     def rate(self, base_lr, step):
    ...         return base_lr / (1 + step) ** 0.5
    >>> schedule = InverseRoot(optim.SGD([nn.Parameter(1.0)], lr=1.0))
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        groups = groups_of(name, optimizer)
        self.optimizer = optimizer
        self.check()
        for group in groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(f'{name}: last_epoch={last_epoch} needs groups\' "initial_lr"')
        self.base_lrs = [float(group["initial_lr"]) for group in groups]
        self._last_lr: list[float] = []
        self._go_to(last_epoch + 1)

    def check(self) -> None:
        """Raise if a setting is outside the schedule's domain."""

    def rate(self, base_lr: float, step: float) -> float:
        """The lr after `step` steps, for a group whose initial lr is base_lr."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define rate")

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps; their initial lr are base_lrs."""
        return [self.rate(base_lr, step) for base_lr in base_lrs]

    def step(self) -> None:
        """Advance by one: call it after each optimiser step, or after each epoch."""
        self._go_to(self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """The lr of every group, as last set."""
        return list(self._last_lr)

    def _go_to(self, step: float) -> None:
        """Set the learning rates for this step count."""
        self._write(self.rates(self.base_lrs, step))
        self.last_epoch = step

    def _groups(self) -> list[dict[str, Any]]:
        """The optimiser's parameter groups; ArgumentError if their number has changed."""
        groups, count = self.optimizer.param_groups, len(self.base_lrs)
        if len(groups) != count:
            raise ArgumentError(
                f"{type(self).__name__}: was made for {count} groups; the optimizer now has "
                f"{len(groups)}; make it after add_param_group"
            )
        return groups

    def _write(self, lrs: list[float]) -> None:
        for group, lr in zip(self._groups(), lrs, strict=True):
            group["lr"] = lr
        self._last_lr = lrs

    # Saving and restoring.

    def state_dict(self) -> dict[str, Any]:
        """The settings and the step count, as numbers, strings, lists and dicts."""
        own = {name: value for name, value in vars(self).items() if name not in self.unsaved}
        return copy.deepcopy(own)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, and set the optimiser's learning rates.

        Raises ArgumentError, and changes nothing, if the state does not fit.
        """
        try:
            checked = self._checked(saved)
        except MinidlError:
            raise
        except (*EXPLAINED, LookupError) as error:
            name = type(self).__name__
            raise ArgumentError(
                f"{name}.load_state_dict: needs what {name}.state_dict gave; got "
                f"{describe(saved)} ({type(error).__name__}: {error})"
            ) from error
        self._restore(checked)

    def _checked(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """The saved attributes, validated."""
        name, own = f"{type(self).__name__}.load_state_dict", LRScheduler.state_dict(self)
        missing = [key for key in own if key not in saved]
        if missing:
            raise ArgumentError(f"{name}: needs {missing}")
        given = copy.deepcopy({key: saved[key] for key in own})
        check_numbers(name, 0, finite=True, **chosen(given, "last_epoch"))
        for key in ("base_lrs", "_last_lr"):
            if not isinstance(given[key], list) or len(given[key]) != len(own[key]):
                raise ArgumentError(
                    f"{name}: needs {key} of {len(own[key])} groups; got {given[key]!r}"
                )
            for lr in given[key]:
                check_numbers(name, 0, finite=True, **{key: lr})
        twin = copy.copy(self)
        vars(twin).update(given)
        twin.check()
        return given

    def _restore(self, checked: dict[str, Any]) -> None:
        vars(self).update(checked)
        for group, base_lr in zip(self._groups(), self.base_lrs, strict=True):
            group["initial_lr"] = base_lr
        self._go_to(self.last_epoch)
