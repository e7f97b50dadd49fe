"""How good predictions are, over all the batches of a pass.

    metric = Accuracy()
    for inputs, target in batches:
        metric.update(model(inputs), target)
    print(metric.compute())

Sums are in float64, counts in whole numbers: how the samples are split into batches makes no
difference, but for the rounding of float64.  A metric of no samples is NaN.  Called like a
function, a metric looks at what it is given alone: `F1(average="macro")(logits, labels)`.
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
