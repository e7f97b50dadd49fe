"""SequentialLR: one schedule after another."""

from bisect import bisect_right
from collections.abc import Sequence

from minidl.checks import check_integers
from minidl.errors import ArgumentError, listed
from minidl.optim.composed import ComposedScheduler
from minidl.optim.lr_scheduler import LRScheduler
from minidl.optim.optimizer import Optimizer


class SequentialLR(ComposedScheduler):
    """schedulers[0] first, and schedulers[i] from step milestones[i − 1] on, which is its step 0.

    A warm-up for 5 epochs, then cosine annealing for 95:

        warmup = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        cosine = CosineAnnealingLR(optimizer, T_max=95)
        schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[5])

    Only its own `step()` is called, not those of its schedules.

    >>> optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> warmup = optim.ConstantLR(optimizer, 0.1, total_iters=2)
    >>> halving = optim.ExponentialLR(optimizer, 0.5)
    >>> schedule = optim.SequentialLR(optimizer, [warmup, halving], milestones=[2])
    >>> for _ in range(5):
    ...     print(round(optimizer.param_groups[0]["lr"], 4), end=" ")
    ...     schedule.step()
    0.1 0.1 1.0 0.5 0.25
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._milestones = listed("SequentialLR", "milestones, a list of steps", milestones)
        super().__init__(optimizer, schedulers, last_epoch)

    def check(self) -> None:
        """Require one ascending milestone between each two schedules."""
        milestones = self._milestones
        for milestone in milestones:
            check_integers("SequentialLR", 0, **{"a milestone": milestone})
        if len(milestones) != len(self._schedulers) - 1 or milestones != sorted(milestones):
            raise ArgumentError(
                f"SequentialLR: {len(self._schedulers)} schedules need one ascending milestone "
                f"fewer; got {milestones}"
            )

    def _active(self, step: float) -> tuple[LRScheduler, float]:
        """The schedule active at this step, and its own step count."""
        index = bisect_right(self._milestones, step)
        return self._schedulers[index], step - self._milestones[index - 1] if index else step

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The lr of every group after `step` steps."""
        active, own = self._active(step)
        return active.rates(base_lrs, own)

    def step(self) -> None:
        """Advance the active schedule by one; a new one starts at its step 0."""
        step = self.last_epoch + 1
        active, own = self._active(step)
        if own:
            active.step()
        else:
            active._enter()
        self._follow(active, step)

    def _begin(self) -> None:
        """Set the rates of step 0, from the initial ones: what the schedules did is undone."""
        for group, lr in zip(self._groups(), self.base_lrs, strict=True):
            group["lr"] = lr
        active, _ = self._active(0)
        active._begin()
        self._follow(active, 0)

    def _jump(self, step: float) -> None:
        active, own = self._active(step)
        active._jump(own)
        self._follow(active, step)

    def _resume(self) -> None:
        active, own = self._active(self.last_epoch)
        if active.last_epoch == own:
            active._resume()
        else:
            active._jump(own)
        self._follow(active, self.last_epoch)

    def _follow(self, active: LRScheduler, step: float) -> None:
        self.last_epoch, self._last_lr = step, active.get_last_lr()
