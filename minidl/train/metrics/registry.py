"""Metrics by name, as in Keras."""

import difflib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from minidl.errors import ArgumentError
from minidl.train.metrics.auc import AUC
from minidl.train.metrics.base import Metric
from minidl.train.metrics.classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopKAccuracy,
)
from minidl.train.metrics.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

_METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "top_k_accuracy": TopKAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "f1_score": F1,
    "confusion_matrix": ConfusionMatrix,
    "auc": AUC,
    "roc_auc": AUC,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "r2": R2Score,
    "r2_score": R2Score,
}
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")
_AVERAGED = re.compile(r"(binary|macro|micro|weighted|each)_(precision|recall|f1)")


def metric_for(name: str | Metric, **settings: Any) -> Metric:
    """The metric registered under a name, which it keeps: `metric_for("acc")` logs as "acc".

        metric_for("auc", from_logits=True)

    name        a registered name, ignoring case; top_3_accuracy, with any number; macro_f1 and the
                like, with any average; a Metric is returned unchanged
    settings    arguments of the metric's class

    Raises ArgumentError for an unknown name, listing the known ones.

    >>> from minidl.train import metrics
    >>> metrics.metric_for("macro_f1"), metrics.metric_for("top_3_accuracy").k
    (<F1 'macro_f1'>, 3)
    """
    if isinstance(name, Metric):
        return name
    if not isinstance(name, str):
        raise ArgumentError(f"metric_for: needs the name of a metric, or a metric; got {name!r}")
    key = name.lower()
    metric = _factory(key)(**settings)
    metric.name = key
    return metric


def higher_is_better(name: str) -> bool | None:
    """Whether larger values of the history entry `name` are better; None if unknown.

    Smaller losses are better; a "val_" prefix makes no difference.

    >>> from minidl.train import metrics
    >>> metrics.higher_is_better("val_accuracy"), metrics.higher_is_better("loss")
    (True, False)
    """
    key = name.lower().removeprefix("val_")
    if "loss" in key.split("_"):
        return False
    if averaged := _AVERAGED.fullmatch(key):
        key = averaged[2]
    if _TOP_K.fullmatch(key):
        key = "top_k_accuracy"
    return _METRICS[key].higher_is_better if key in _METRICS else None


def _factory(key: str) -> Callable[..., Metric]:
    """The class of a name, with the settings that the name implies."""
    if top_k := _TOP_K.fullmatch(key):
        return partial(TopKAccuracy, k=int(top_k[1]))
    if averaged := _AVERAGED.fullmatch(key):
        average, key = averaged.groups()
        averaged_metric: Callable[..., Metric] = _METRICS[key]
        return partial(averaged_metric, average=None if average == "each" else average)
    if key in _METRICS:
        return _METRICS[key]
    near = difflib.get_close_matches(key, _METRICS, n=1)
    hint = f"; did you mean {near[0]!r}? " if near else ". "
    raise ArgumentError(f"metric_for: no metric {key!r}{hint}Known are {', '.join(_METRICS)}")
