"""Regression metrics, of predictions in the target's shape.  NaN propagates."""

import math
from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.train.metrics.base import Metric, as_array


class _MeanError(Metric):
    """The base class of means, over all elements, of a cost of the error."""

    higher_is_better = False

    def reset(self) -> None:
        """Discard all samples."""
        self.total, self.count = 0.0, 0

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate a prediction and a target of one shape."""
        p, t = _pair(type(self).__name__, prediction, target)
        with np.errstate(invalid="ignore", over="ignore"):
            self.total += float(self.cost(np.subtract(p, t, dtype=np.float64)).sum())
        self.count += p.size

    def cost(self, error: np.ndarray) -> np.ndarray:
        """The cost of each error."""
        raise TypeError(f"{type(self).__name__} has no formula: it must define cost")

    def compute(self) -> float:
        """The mean over all elements; NaN if there were none."""
        return self.total / self.count if self.count else float("nan")


class MeanSquaredError(_MeanError):
    """mean (prediction − target)², over all elements.

    >>> from minidl.train import metrics
    >>> y, t = minidl.tensor([1.0, 2.0, 5.0]), minidl.tensor([1.0, 3.0, 3.0])
    >>> round(metrics.MeanSquaredError()(y, t), 4)
    1.6667
    """

    name = "mse"

    def cost(self, error: np.ndarray) -> np.ndarray:
        """error²."""
        return error * error


class RootMeanSquaredError(MeanSquaredError):
    """√ mean (prediction − target)², over all elements, in the unit of the target.

    >>> from minidl.train import metrics
    >>> y, t = minidl.tensor([1.0, 2.0, 5.0]), minidl.tensor([1.0, 3.0, 3.0])
    >>> round(metrics.RootMeanSquaredError()(y, t), 4)
    1.291
    """

    name = "rmse"

    def compute(self) -> float:
        """The root of the mean over all elements; NaN if there were none."""
        return math.sqrt(super().compute())


class MeanAbsoluteError(_MeanError):
    """mean |prediction − target|, over all elements.

    >>> from minidl.train import metrics
    >>> y, t = minidl.tensor([1.0, 2.0, 5.0]), minidl.tensor([1.0, 3.0, 3.0])
    >>> metrics.MeanAbsoluteError()(y, t)
    1.0
    """

    name = "mae"

    def cost(self, error: np.ndarray) -> np.ndarray:
        """|error|."""
        return np.abs(error)


class R2Score(Metric):
    """R² = 1 − Σ (target − prediction)² / Σ (target − mean target)²: the variance explained.

    1 is perfect, 0 is no better than the mean of the targets; there is no lower bound.  With
    several outputs, (N, …), the mean of their R².  An output whose target is constant has R² = 1 if
    the predictions are exact, else 0, as in scikit-learn.

    The sum of squares of the targets is merged from batch to batch without cancellation; Chan,
    Golub, LeVeque 1983.

    >>> from minidl.train import metrics
    >>> y, t = minidl.tensor([1.0, 2.0, 5.0]), minidl.tensor([1.0, 3.0, 3.0])
    >>> metrics.R2Score()(t, t), round(metrics.R2Score()(y, t), 4)
    (1.0, -0.875)
    """

    name = "r2"
    higher_is_better = True

    def reset(self) -> None:
        """Discard all samples."""
        self.count = 0
        self.origin = self.mean = self.spread = self.error = np.zeros(0)

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate a prediction and a target, (N,) or (N, …)."""
        p, t = _pair("R2Score", prediction, target)
        if not t.ndim:
            raise ShapeError("R2Score: needs predictions and targets of shape (N,) or (N, …)")
        if not t.size:
            return
        p, t = (x.reshape(len(x), -1).astype(np.float64) for x in (p, t))
        if not self.count:
            self.origin = t[0]  # so that a constant target has a spread of exactly 0
            self.mean, self.spread, self.error = np.zeros((3, t.shape[1]))
        if t.shape[1] != self.mean.size:
            raise ShapeError(f"R2Score: there were {self.mean.size} outputs; now {t.shape[1]}")
        with np.errstate(invalid="ignore", over="ignore"):
            self.error = self.error + np.square(t - p).sum(axis=0)
            self._merge(t - self.origin)

    def _merge(self, t: np.ndarray) -> None:
        """Merge the mean and the spread, Σ (t − mean)², of a batch of targets."""
        before, self.count = self.count, self.count + len(t)
        mean = t.mean(axis=0)
        step = mean - self.mean
        within = np.square(t - mean).sum(axis=0)
        self.spread = self.spread + within + step * step * (before * len(t) / self.count)
        self.mean = self.mean + step * (len(t) / self.count)

    def compute(self) -> float:
        """At most 1; NaN if there were fewer than two samples."""
        if self.count < 2:
            return float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1 - self.error / self.spread
        constant = (self.spread == 0) & (self.error == self.error)
        return float(np.where(constant, self.error == 0, scores).mean())


def _pair(who: str, prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    p = as_array(who, "the prediction", prediction)
    t = as_array(who, "the target", target)
    if p.shape != t.shape:
        raise ShapeError(
            f"{who}: prediction {p.shape} and target {t.shape} must have the same shape; "
            "broadcasting them would count errors twice"
        )
    return p, t
