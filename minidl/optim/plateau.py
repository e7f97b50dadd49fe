"""ReduceLROnPlateau: a smaller learning rate when a metric stops improving."""

import math
from collections.abc import Mapping
from typing import Any

from minidl.checks import check_choice, check_integers, check_numbers, chosen
from minidl.errors import ArgumentError
from minidl.optim.lr_scheduler import LRScheduler, groups_of
from minidl.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """lr ← max(lr · factor, min_lr) once a metric has not improved for `patience` steps.

    mode              "min": smaller metrics are better; "max": larger ones
    patience          steps without improvement that are tolerated; the next one reduces lr
    threshold         the smallest change that counts as an improvement
    threshold_mode    "rel", a fraction of the best, or "abs", a difference
    cooldown          steps after a reduction during which bad steps are not counted
    min_lr            a lower bound for all groups, or a list of one per group
    eps               reductions of lr smaller than this are skipped

    >>> schedule = optim.ReduceLROnPlateau(optim.SGD([nn.Parameter(1.0)], lr=1.0), patience=1)
    >>> for loss in [0.9, 0.8, 0.8, 0.8]:
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        groups = len(groups_of("ReduceLROnPlateau", optimizer))
        self.min_lrs = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ArgumentError(
                f"ReduceLROnPlateau: min_lr is a number, or {groups} of them; got {min_lr!r}"
            )
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def check(self) -> None:
        """Require a factor below 1, non-negative counts and known modes."""
        name, settings = "ReduceLROnPlateau", vars(self)
        check_choice(name, ("min", "max"), mode=settings["mode"])
        check_choice(name, ("rel", "abs"), threshold_mode=settings["threshold_mode"])
        check_numbers(name, 0, finite=True, **chosen(settings, "factor", "eps"))
        check_numbers(name, finite=True, **chosen(settings, "threshold"))
        check_integers(name, 0, **chosen(settings, "patience", "cooldown"))
        for min_lr in self.min_lrs:
            check_numbers(name, 0, finite=True, min_lr=min_lr)
        if self.factor >= 1:
            raise ArgumentError(f"{name}: factor is below 1; got {self.factor}")

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # alone in needing a metric
        """Record a metric, a single number, and reduce lr if it has not improved for too long."""
        try:
            metric = float(metrics)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"ReduceLROnPlateau.step: needs one number, the metric; got {metrics!r:.60}"
            ) from None
        self.num_bad_epochs += 1
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        lrs = [float(group["lr"]) for group in self._groups()]
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lrs = [self._reduced(*pair) for pair in zip(lrs, self.min_lrs, strict=True)]
        self._set(lrs, self.last_epoch + 1)

    def _is_better(self, metric: float) -> bool:
        larger = self.mode == "max"
        margin = self.threshold if larger else -self.threshold
        bound = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return metric > bound if larger else metric < bound

    def _reduced(self, lr: float, min_lr: float) -> float:
        smaller = max(lr * self.factor, min_lr)
        return smaller if lr - smaller > self.eps else lr

    def rates(self, base_lrs: list[float], step: float) -> list[float]:
        """The rates as last set: they depend on the metrics, not on the step count."""
        return self._last_lr or [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The settings, the best metric and the counters; an infinite metric as a string."""
        best = self.best if math.isfinite(self.best) else str(self.best)
        return {**super().state_dict(), "best": best}

    def _checked(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        own = super()._checked(saved)
        return {**own, "best": float(own["best"])}
