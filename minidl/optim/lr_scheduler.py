"""LRScheduler: the base class of learning-rate schedules."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidl.autograd.pytorch_names import missing_from
from minidl.checks import check_flags, check_numbers, chosen
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

    A subclass defines `rate`, lr as a function of the step count; such a schedule overwrites what
    others have set.  A ChainableScheduler composes with them: with other schedules that are stepped
    in turn, and with a rate that is set by hand.  Which of PyTorch's schedules do which is the same
    here.

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
    chainable = False  # whether rates follow from those that others have set
    last_epoch: Any

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
        self._composed = False
        self._present: list[float] = []  # the rates when the state was saved
        self._start(last_epoch)

    def check(self) -> None:
        """Raise if a setting is outside the schedule's domain."""

    def rate(self, base_lr: float, step: float) -> float:
        """The lr after `step` steps, for a group whose initial lr is base_lr."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define rate")

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps; their initial lr are base_lrs."""
        return [self.rate(base_lr, step) for base_lr in base_lrs]

    def next_rates(self, lrs: list[float], step: int) -> list[float]:
        """The lr of every group at `step`, where others have written the present `lrs`."""
        return self.rates(self.base_lrs, step)

    def step(self) -> None:
        """Advance by one: call it after each optimiser step, or after each epoch."""
        lrs = self._current()
        self._composed = self._is_composed(lrs)
        self._advance(lrs, self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """The lr of every group, as last set."""
        return list(self._last_lr)

    def _start(self, last_epoch: int) -> None:
        """Set the rates of the first step, or of the one after `last_epoch`."""
        if last_epoch == -1:
            self._begin()
        else:
            self._jump(last_epoch + 1)

    def _begin(self) -> None:
        """Set the rates of step 0, over what others have set."""
        lrs = self._current()
        self._composed = self.chainable and lrs != self.base_lrs
        self._advance(lrs, 0)

    def _enter(self) -> None:
        """Set the rates of step 0, whatever others have set, as when a sequence comes to it."""
        self._jump(0)

    def _advance(self, lrs: list[float], step: int) -> None:
        """Set the rates of a step: by the closed form, which is exact, if nobody else writes."""
        on_course = not self._composed
        new = self.rates(self.base_lrs, step) if on_course else self.next_rates(lrs, step)
        self._set(new, step)

    def _jump(self, step: float) -> None:
        """Set the rates for this step count."""
        self._composed = False
        self._set(self.rates(self.base_lrs, step), step)

    def _is_composed(self, lrs: list[float]) -> bool:
        """Whether others write the rates too; from then on each follows from the one before."""
        return self._composed or (self.chainable and lrs != self._last_lr)

    def _current(self) -> list[float]:
        """The present lr of every group."""
        return [float(group["lr"]) for group in self._groups()]

    def _groups(self) -> list[dict[str, Any]]:
        """The optimiser's parameter groups; ArgumentError if their number has changed."""
        groups, count = self.optimizer.param_groups, len(self.base_lrs)
        if len(groups) != count:
            raise ArgumentError(
                f"{type(self).__name__}: was made for {count} groups; the optimizer now has "
                f"{len(groups)}; make it after add_param_group"
            )
        return groups

    def _set(self, lrs: list[float], step: float) -> None:
        """Write the rates, which are those of this step count."""
        for group, lr in zip(self._groups(), lrs, strict=True):
            group["lr"] = lr
        self._last_lr, self.last_epoch = lrs, step

    # Saving and restoring.

    def state_dict(self) -> dict[str, Any]:
        """The settings and the step count, as numbers, strings, lists and dicts."""
        own = {name: value for name, value in vars(self).items() if name not in self.unsaved}
        present = self._current()
        composed = self._is_composed(present)
        return {**copy.deepcopy(own), "_composed": composed, "_present": present}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, and set the optimiser's learning rates.

        Where others write the rates too, those are set that were there when the state was saved.
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
        self._resume()

    def _checked(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """The saved attributes, validated."""
        name, own = f"{type(self).__name__}.load_state_dict", LRScheduler.state_dict(self)
        saved = {"_composed": False, "_present": saved["_last_lr"], **saved}
        missing = [key for key in own if key not in saved]
        if missing:
            raise ArgumentError(f"{name}: needs {missing}")
        given = copy.deepcopy({key: saved[key] for key in own})
        check_numbers(name, 0, finite=True, **chosen(given, "last_epoch"))
        check_flags(name, _composed=given["_composed"])
        for key in ("base_lrs", "_last_lr", "_present"):
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

    def _resume(self) -> None:
        """Set the rates of the restored step."""
        if not self._composed:
            self._jump(self.last_epoch)
            return
        for group, lr in zip(self._groups(), self._present, strict=True):
            group["lr"] = lr


class ChainableScheduler(LRScheduler):
    """A schedule that takes the rates it finds a step further, as PyTorch's recursive ones do.

    A subclass defines `next_rate`, and `rate`, which is what comes of it where nobody else writes.

    >>> class Halving(optim.ChainableScheduler):
    ...     def rate(self, base_lr, step):
    ...         return base_lr / 2**step
    ...     def next_rate(self, lr, base_lr, step):
    ...         return lr / 2 if step else lr
    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = Halving(optimizer)
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"] = 0.3  # by hand, or by another schedule
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.15]
    """

    chainable = True

    def next_rate(self, lr: float, base_lr: float, step: int) -> float:
        """The lr at `step`, from the present one; at step 0, from the one that was found."""
        raise TypeError(f"{type(self).__name__} has no rule: it must define next_rate")

    def next_rates(self, lrs: list[float], step: int) -> list[float]:
        """The lr of every group at `step`, from the present ones."""
        pairs = zip(lrs, self.base_lrs, strict=True)
        return [self.next_rate(lr, base_lr, step) for lr, base_lr in pairs]

    def _start(self, last_epoch: int) -> None:
        """Begin; or go on at the rates found, which are the optimiser's restored ones."""
        if last_epoch == -1:
            self._begin()
            return
        lrs, step = self._current(), last_epoch + 1
        self._composed = lrs != self.rates(self.base_lrs, step)
        self._set(lrs, step)


if not TYPE_CHECKING:
    __getattr__ = missing_from(__name__)
