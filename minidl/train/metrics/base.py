"""Metric: the base class of metrics; and the weighted mean."""

import copy
import math
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.errors import (
    ArgumentError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)


class Metric:
    """The base class of metrics: `reset`, then `update` for each batch, then `compute`.

    A subclass defines these three, and a name:

        class Within(Metric):
            name = "within"

            def reset(self):
                self.right = self.count = 0

            def update(self, prediction, target):
                self.right += (abs(prediction.numpy() - target.numpy()) < 0.1).sum()
                self.count += target.size

            def compute(self):
                return self.right / self.count

    name                the key of its values in a history; may be changed
    higher_is_better    whether larger values are better; None if neither is

    >>> from minidl.train import metrics
    >>> metric = metrics.Accuracy()
    >>> metric.update(minidl.tensor([[0.9, 0.1]]), minidl.tensor([0]))
    >>> metric.update(minidl.tensor([[0.9, 0.1]]), minidl.tensor([1]))
    >>> metric.compute()
    0.5
    """

    name = "metric"
    higher_is_better: bool | None = None

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard all samples."""
        raise TypeError(f"{type(self).__name__} must define reset")

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate a batch: the model's output, and the target."""
        raise TypeError(f"{type(self).__name__} must define update")

    def reduced(self, prediction: Any, target: Any) -> tuple[Any, ...]:
        """What `update` needs of a batch, as small as possible, and computed on its device.

        A Trainer keeps that on a GPU until somebody looks at the metrics, so that no step waits.  A
        subclass that overrides `update`, and not this, gets predictions and targets as they are.
        """
        return prediction, target

    def compute(self) -> Any:
        """The value over all samples since the last `reset`."""
        raise TypeError(f"{type(self).__name__} must define compute")

    def __call__(self, prediction: Any, target: Any) -> Any:
        """The value over these samples alone; the accumulated state is unchanged."""
        other = copy.copy(self)
        other.reset()
        other.update(prediction, target)
        return other.compute()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class Mean(Metric):
    """Σ nᵢ·vᵢ / Σ nᵢ: the mean of values that are themselves means over nᵢ samples, such as losses.

    A NaN among the values makes it NaN.

    >>> from minidl.train import metrics
    >>> mean = metrics.Mean()
    >>> mean.update(1.0, samples=3)
    >>> mean.update(5.0, samples=1)
    >>> mean.compute()
    2.0
    """

    name = "mean"

    def reset(self) -> None:
        """Discard all values."""
        self.total, self.count = 0.0, 0

    def update(self, value: Any, samples: int = 1) -> None:
        """Accumulate a number, or a one-element tensor, that is the mean of `samples` samples."""
        if not isinstance(samples, int | float | np.number) or not 0 <= samples < math.inf:
            raise ArgumentError(f"Mean: samples is a number ≥ 0; got {samples!r}")
        if samples:
            self.total += _number("Mean", value) * samples
            self.count += samples

    def compute(self) -> float:
        """The mean over the samples; NaN if there were none."""
        return self.total / self.count if self.count else float("nan")

    def __call__(self, value: Any, samples: int = 1) -> float:
        """The value of this update alone."""
        return super().__call__(value, samples)


def _number(who: str, value: Any) -> float:
    """The value as a float; DTypeError unless it is one number."""
    try:
        return float(value)
    except MinidlError as error:
        raise_explained(who, [value], error)
    except (TypeError, ValueError):
        raise DTypeError(f"{who}: a value is one number; got {describe(value)}") from None


def as_array(who: str, what: str, x: Any) -> np.ndarray:
    """A tensor or array-like as a NumPy array of real numbers, without a copy where possible."""
    try:
        array = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
    except ValueError as error:
        raise ShapeError(f"{who}: {what} has rows of several lengths: {error}") from error
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{who}: {what} needs real numbers; got {describe(x)}")
    return array
