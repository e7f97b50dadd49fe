"""Metrics: the quality of predictions, accumulated over batches.

    metric = Accuracy()
    for inputs, target in batches:
        metric.update(model(inputs), target)
    print(metric.compute())

Sums are accumulated in float64 and counts in integers, so that the division into batches makes no
difference beyond float64 rounding.  A metric of no samples is NaN.  Called like a function, a
metric considers its arguments alone: `F1(average="macro")(logits, labels)`.
"""

from minidl.train.metrics.auc import AUC
from minidl.train.metrics.base import Mean, Metric
from minidl.train.metrics.classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopKAccuracy,
)
from minidl.train.metrics.registry import higher_is_better, metric_for
from minidl.train.metrics.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

# fmt: off
__all__ = [
    "AUC", "F1", "Accuracy", "ConfusionMatrix", "Mean", "MeanAbsoluteError", "MeanSquaredError",
    "Metric", "Precision", "R2Score", "Recall", "RootMeanSquaredError", "TopKAccuracy",
    "higher_is_better", "metric_for",
]
# fmt: on
