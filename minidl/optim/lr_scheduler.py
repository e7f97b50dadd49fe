"""What all schedules share: rates that are functions of the number of steps."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from minidl.errors import EXPLAINED, ArgumentError, MinidlError, describe
from minidl.optim.checks import check_not_negative
from minidl.optim.optimizer import Optimizer


def annealed(start: float, end: float, way: float) -> float:
    """From start, where way is 0, to end, where it is 1, as half a wave of the cosine goes."""
    return end + (start - end) * (1 + math.cos(math.pi * way)) / 2


def between(strategy: str, start: float, end: float, way: float) -> float:
    """From start, where way is 0, to end, where it is 1: as "cos" does, or "linear"."""
    return annealed(start, end, way) if strategy == "cos" else start + (end - start) * way


def groups_of(name: str, optimizer: Optimizer) -> list[dict[str, Any]]:
    """The groups of an optimiser, once it is seen to be one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{name}: needs an optimizer; got {type(optimizer).__name__}")
    return optimizer.param_groups


def for_each(
    name: str, setting: str, value: Any, groups: Sequence[Mapping[str, Any]]
) -> list[float]:
    """A setting that is one number for each group, or one for all."""
    values = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ArgumentError(
            f"{name}: {setting} is a number, or {len(groups)} of them; got {value!r}"
        )
    for each in values:
        check_not_negative(name, {setting: each}, setting)
    return [float(each) for each in values]


class LRScheduler:
    """The base of schedules, which set the learning rates of an optimiser.

    A subclass gives `rate`, lr as a function of the number of steps.  As nothing else enters, a
    restored schedule goes on exactly; what else is done to a group's lr is overwritten at the next
    step: two schedules in turn need a SequentialLR, and two at once a ChainedScheduler.

    optimizer     the optimiser whose groups' "lr" it sets, at once and at every step
    last_epoch    how many steps were taken before, less one; from 0 on, each group needs an
                  "initial_lr", as a schedule leaves there

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
        """Raise if a setting is outside what the schedule is defined for."""

    def rate(self, base_lr: float, step: float) -> float:
        """The lr after so many steps of a group that begins with base_lr."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define rate")

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr after so many steps of every group, which begin with base_lrs."""
        return [self.rate(base_lr, step) for base_lr in base_lrs]

    def step(self) -> None:
        """Set the learning rates for what comes next: after a step of the optimiser, or epoch."""
        self._go_to(self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """The lr of every group, as it was last set."""
        return list(self._last_lr)

    def _go_to(self, step: float) -> None:
        """Set the learning rates as they are after so many steps."""
        self._write(self.rates(self.base_lrs, step))
        self.last_epoch = step

    def _groups(self) -> list[dict[str, Any]]:
        """The groups of the optimiser, if they are those that there were."""
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
        """The settings and where it stands, in numbers, strings, lists and dicts."""
        own = {name: value for name, value in vars(self).items() if name not in self.unsaved}
        return copy.deepcopy(own)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; the optimiser's learning rates are set, too.

        Raises ArgumentError, and changes nothing, for what is no such state.
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
        """The saved attributes, once they are seen to be complete and possible."""
        name, own = f"{type(self).__name__}.load_state_dict", LRScheduler.state_dict(self)
        missing = [key for key in own if key not in saved]
        if missing:
            raise ArgumentError(f"{name}: needs {missing}")
        given = copy.deepcopy({key: saved[key] for key in own})
        check_not_negative(name, given, "last_epoch")
        for key in ("base_lrs", "_last_lr"):
            if not isinstance(given[key], list) or len(given[key]) != len(own[key]):
                raise ArgumentError(
                    f"{name}: needs {key} of {len(own[key])} groups; got {given[key]!r}"
                )
            for lr in given[key]:
                check_not_negative(name, {key: lr}, key)
        twin = copy.copy(self)
        vars(twin).update(given)
        twin.check()
        return given

    def _restore(self, checked: dict[str, Any]) -> None:
        vars(self).update(checked)
        for group, base_lr in zip(self._groups(), self.base_lrs, strict=True):
            group["initial_lr"] = base_lr
        self._go_to(self.last_epoch)
