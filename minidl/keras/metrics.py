"""Metrics under Keras's names, computed by `minidl.train.metrics`."""

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
    """The fraction of elements that are above the threshold exactly where their targets are 1.

    Predictions are (N,) or (N, …), and targets have as many elements, in the same order.  With
    several labels for a sample, which `Accuracy` takes for classes, each label counts by itself.

    threshold      the probability above which a label is predicted
    from_logits    whether predictions are logits

    >>> from minidl.keras import metrics
    >>> metric = metrics.BinaryAccuracy()
    >>> metric.update(minidl.tensor([[0.9, 0.2], [0.7, 0.6]]), minidl.tensor([[1, 0], [1, 0]]))
    >>> metric.compute()
    0.75
    """

    name = "binary_accuracy"

    def update(self, prediction: Any, target: Any) -> None:
        """Count the correct elements."""
        super().update(np.ravel(prediction), np.ravel(target))


_ACCURACIES: dict[str, Callable[[], Metric]] = {
    "sparse_categorical_accuracy": Accuracy,
    "categorical_accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "sparse_top_k_categorical_accuracy": TopKAccuracy,
    "top_k_categorical_accuracy": TopKAccuracy,
}


def get(metric: Any) -> str | Metric:
    """A metric, or the name of one of minidl's, as the Trainer takes it.

    "categorical_accuracy" and the like are the accuracy, recorded under that name in a history.
    Raises ArgumentError for an unknown name, listing the known ones, and for anything else.

    >>> from minidl.keras import metrics
    >>> metrics.get("sparse_categorical_accuracy"), metrics.get("mae")
    (<Accuracy 'sparse_categorical_accuracy'>, 'mae')
    """
    key = metric.lower() if isinstance(metric, str) else metric
    if not isinstance(key, str) or key not in _ACCURACIES:
        metric_for(key)
        return key
    found = _ACCURACIES[key]()
    found.name = key
    return found
