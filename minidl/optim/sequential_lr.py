"""SequentialLR: one schedule after the other."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minidl.errors import ArgumentError
from minidl.optim.checks import check_count
from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedule import LRScheduler


class SequentialLR(LRScheduler):
    """schedulers[0], and schedulers[i] from step milestones[i − 1] on, which is its step 0.

    A warm-up of 5 epochs, and a cosine of 95:

        warmup = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        cosine = CosineAnnealingLR(optimizer, T_max=95)
        schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[5])

    Only `step()` of the whole is called, not that of the parts.
    """

    unsaved = ("optimizer", "_schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        for each in self._schedulers:
            name = type(each).__name__
            if not isinstance(each, LRScheduler) or isinstance(each, ReduceLROnPlateau):
                raise ArgumentError(f"SequentialLR: needs schedules of steps; got a {name}")
            if each.optimizer is not optimizer:
                raise ArgumentError(f"SequentialLR: the {name} is of another optimizer")
        super().__init__(optimizer, last_epoch)

    def check(self) -> None:
        """There is a milestone between each two schedules, and they ascend."""
        milestones = self._milestones
        for milestone in milestones:
            check_count("SequentialLR", {"a milestone": milestone}, "a milestone", least=0)
        if len(milestones) != len(self._schedulers) - 1 or milestones != sorted(milestones):
            raise ArgumentError(
                f"SequentialLR: {len(self._schedulers)} schedules need one ascending milestone "
                f"fewer; got {milestones}"
            )

    def _go_to(self, step: float) -> None:
        index = bisect_right(self._milestones, step)
        active = self._schedulers[index]
        active._go_to(step - self._milestones[index - 1] if index else step)
        self.last_epoch, self._last_lr = step, active.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The milestones and where it stands, and the states of its schedules."""
        states = [each.state_dict() for each in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def _checked(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        own, states = super()._checked(saved), saved.get("_schedulers", ())
        if len(states) != len(self._schedulers):
            raise ArgumentError(
                f"SequentialLR.load_state_dict: needs the states of {len(self._schedulers)} "
                f"schedules; got {len(states)}"
            )
        pairs = zip(self._schedulers, states, strict=True)
        return {**own, "_schedulers": [each._checked(state) for each, state in pairs]}

    def _restore(self, checked: dict[str, Any]) -> None:
        states = checked.pop("_schedulers")
        for each, state in zip(self._schedulers, states, strict=True):
            each._restore(state)
        super()._restore(checked)
