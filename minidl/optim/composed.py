"""ComposedScheduler: the base class of schedules composed of others."""

from collections.abc import Mapping, Sequence
from typing import Any

from minidl.errors import ArgumentError, listed
from minidl.optim.lr_scheduler import LRScheduler
from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau


class ComposedScheduler(LRScheduler):
    """A schedule composed of others; only its own `step()` is called."""

    unsaved = ("optimizer", "_schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], last_epoch: int = -1
    ) -> None:
        own = type(self).__name__
        self._schedulers = listed(own, "a list of schedules", schedulers)
        for each in self._schedulers:
            name = type(each).__name__
            if not isinstance(each, LRScheduler) or isinstance(each, ReduceLROnPlateau):
                raise ArgumentError(f"{own}: needs schedules of steps; got a {name}")
            if each.optimizer is not optimizer:
                raise ArgumentError(f"{own}: the {name} is of another optimizer")
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The settings, the step count, and the states of its schedules."""
        states = [each.state_dict() for each in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def _checked(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        own, states = super()._checked(saved), saved.get("_schedulers", ())
        if len(states) != len(self._schedulers):
            raise ArgumentError(
                f"{type(self).__name__}.load_state_dict: needs the states of "
                f"{len(self._schedulers)} schedules; got {len(states)}"
            )
        pairs = zip(self._schedulers, states, strict=True)
        return {**own, "_schedulers": [each._checked(state) for each, state in pairs]}

    def _restore(self, checked: dict[str, Any]) -> None:
        states = checked.pop("_schedulers")
        for each, state in zip(self._schedulers, states, strict=True):
            each._restore(state)
        super()._restore(checked)
