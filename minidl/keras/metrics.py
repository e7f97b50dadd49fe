"""Metrics by Keras's names; their arithmetic is `minidl.train.metrics`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.train.metrics import (
    AUC,
    Accuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    RootMeanSquaredError,
    TopKAccuracy,
    metric_for,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
    "get",
]


class BinaryAccuracy(Accuracy):
    """The share of all numbers that are above the threshold as their targets, 0 and 1, are."""

    name = "binary_accuracy"

    def update(self, prediction: Any, target: Any) -> None:
        """Count what is right."""
        super().update(np.ravel(prediction), np.ravel(target))


_SAME: dict[str, Callable[[], Metric]] = {
    "sparse_categorical_accuracy": Accuracy,
    "categorical_accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "sparse_top_k_categorical_accuracy": TopKAccuracy,
    "top_k_categorical_accuracy": TopKAccuracy,
}


def get(metric: Any) -> str | Metric:
    """A metric, or a name of minidl's own, for the Trainer; raises if the name is not known.

    "categorical_accuracy" and its kin are the accuracy, under that name in a history.
    """
    key = metric.lower() if isinstance(metric, str) else metric
    if not isinstance(key, str) or key not in _SAME:
        metric_for(key)
        return key
    found = _SAME[key]()
    found.name = key
    return found
