"""Metrics under Keras's names, computed by `minidl.train.metrics`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, describe
from minidl.train import metrics
from minidl.train.metrics import Metric, metric_for

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKAccuracy",
    "TopKCategoricalAccuracy",
    "get",
]


class _Named:
    """Keras's argument `name`, the key of a metric's values in a history."""

    def __init__(self, *settings: Any, name: str | None = None, **named: Any) -> None:
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"{type(self).__name__}: a name is a str; got {describe(name)}")
        super().__init__(*settings, **named)
        if name is not None:
            self.name = name


class Accuracy(_Named, metrics.Accuracy):
    """The fraction of samples whose class is predicted, for any kind of targets.

    >>> from minidl.keras import metrics
    >>> metrics.Accuracy(name="right")
    <Accuracy 'right'>
    """


class SparseCategoricalAccuracy(Accuracy):
    """The fraction of class numbers that are predicted: have the largest probability.

    >>> from minidl.keras import metrics
    >>> metric = metrics.SparseCategoricalAccuracy()
    >>> metric.update(minidl.tensor([[0.9, 0.1], [0.8, 0.2]]), minidl.tensor([0, 1]))
    >>> metric.compute()
    0.5
    """

    name = "sparse_categorical_accuracy"


class CategoricalAccuracy(Accuracy):
    """The fraction of one-hot targets whose class has the largest probability.

    >>> from minidl.keras import metrics
    >>> metric = metrics.CategoricalAccuracy()
    >>> metric.update(minidl.tensor([[0.9, 0.1], [0.8, 0.2]]), minidl.tensor([[1, 0], [0, 1]]))
    >>> metric.compute()
    0.5
    """

    name = "categorical_accuracy"


class BinaryAccuracy(Accuracy):
    """The fraction of elements that are above the threshold exactly where their targets are 1.

    Predictions are (N,) or (N, …), and targets have as many elements, in the same order.  With
    several labels for a sample, which `Accuracy` takes for classes, each label counts by itself.

    threshold      the probability above which a label is predicted
    from_logits    whether predictions are logits
    name           the key of its values in a history

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


class TopKAccuracy(_Named, metrics.TopKAccuracy):
    """The fraction of samples whose class is among the k likeliest.

    >>> from minidl.keras import metrics
    >>> metrics.TopKAccuracy(k=3)
    <TopKAccuracy 'top_3_accuracy'>
    """


class TopKCategoricalAccuracy(TopKAccuracy):
    """The fraction of one-hot targets whose class is among the k likeliest.

    >>> from minidl.keras import metrics
    >>> metrics.TopKCategoricalAccuracy(k=3)
    <TopKCategoricalAccuracy 'top_k_categorical_accuracy'>
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(k, name=name)


class SparseTopKCategoricalAccuracy(TopKAccuracy):
    """The fraction of class numbers that are among the k likeliest.

    >>> from minidl.keras import metrics
    >>> metrics.SparseTopKCategoricalAccuracy(k=3, name="near")
    <SparseTopKCategoricalAccuracy 'near'>
    """

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(k, name=name)


class Precision(_Named, metrics.Precision):
    """The fraction of the samples predicted as positive that are so.

    >>> from minidl.keras import metrics
    >>> metric = metrics.Precision(name="p")
    >>> metric.update(minidl.tensor([0.9, 0.8, 0.1]), minidl.tensor([1, 0, 1]))
    >>> metric.compute(), metric.name
    (0.5, 'p')
    """


class Recall(_Named, metrics.Recall):
    """The fraction of the positive samples that are predicted as such.

    >>> from minidl.keras import metrics
    >>> metric = metrics.Recall()
    >>> metric.update(minidl.tensor([0.9, 0.8, 0.1]), minidl.tensor([1, 0, 1]))
    >>> metric.compute()
    0.5
    """


class AUC(_Named, metrics.AUC):
    """The area under the ROC curve, exactly: Keras adds up 200 thresholds.

    >>> from minidl.keras import metrics
    >>> metric = metrics.AUC()
    >>> metric.update(minidl.tensor([0.9, 0.8, 0.1]), minidl.tensor([1, 0, 0]))
    >>> metric.compute()
    1.0
    """


class MeanSquaredError(_Named, metrics.MeanSquaredError):
    """The mean of (prediction − target)².

    >>> from minidl.keras import metrics
    >>> metrics.MeanSquaredError()
    <MeanSquaredError 'mean_squared_error'>
    """

    name = "mean_squared_error"


class RootMeanSquaredError(_Named, metrics.RootMeanSquaredError):
    """The root of the mean of (prediction − target)².

    >>> from minidl.keras import metrics
    >>> metrics.RootMeanSquaredError()
    <RootMeanSquaredError 'root_mean_squared_error'>
    """

    name = "root_mean_squared_error"


class MeanAbsoluteError(_Named, metrics.MeanAbsoluteError):
    """The mean of |prediction − target|.

    >>> from minidl.keras import metrics
    >>> metrics.MeanAbsoluteError()
    <MeanAbsoluteError 'mean_absolute_error'>
    """

    name = "mean_absolute_error"


_ACCURACIES: dict[str, Callable[[], Metric]] = {
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "binary_accuracy": BinaryAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
}


def get(metric: Any) -> str | Metric:
    """A metric, or the name of one of minidl's, as the Trainer takes it.

    "categorical_accuracy" and the like are the accuracy, recorded under that name in a history.
    Raises ArgumentError for an unknown name, listing the known ones, and for anything else.

    >>> from minidl.keras import metrics
    >>> metrics.get("sparse_categorical_accuracy"), metrics.get("mae")
    (<SparseCategoricalAccuracy 'sparse_categorical_accuracy'>, 'mae')
    """
    key = metric.lower() if isinstance(metric, str) else metric
    if not isinstance(key, str) or key not in _ACCURACIES:
        metric_for(key)
        return key
    return _ACCURACIES[key]()
