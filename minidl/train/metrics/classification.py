"""Classification metrics: accuracy, confusion matrix, precision, recall and F1.

`class_labels` defines the accepted forms of predictions and targets.  A prediction that contains a
NaN belongs to no class, and so is never correct.
"""

from typing import Any

import numpy as np

from minidl.checks import check_flags
from minidl.errors import ArgumentError, ShapeError
from minidl.train.metrics.base import Metric, as_array
from minidl.train.metrics.class_labels import check_range, class_labels, labels_of, true_labels

_AVERAGES = "auto", "binary", "macro", "micro", "weighted", None
_NORMALIZATIONS = None, "true", "predicted", "all"


class Accuracy(Metric):
    """The fraction of samples whose predicted class is the true one.

    threshold      with one score per sample, the probability above which it is of class 1
    from_logits    whether that score is a logit; for several scores it makes no difference

    >>> from minidl.train import metrics
    >>> p, t = minidl.tensor([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), minidl.tensor([0, 1, 1])
    >>> metrics.Accuracy()(p, t)
    0.6666666666666666
    """

    name = "accuracy"
    higher_is_better = True

    def __init__(self, *, threshold: float = 0.5, from_logits: bool = False) -> None:
        self.threshold, self.from_logits = _checked(self, threshold, from_logits)
        super().__init__()

    def reset(self) -> None:
        """Discard all samples."""
        self.right = self.count = 0

    def reduced(self, prediction: Any, target: Any) -> tuple[Any, ...]:
        """The labels alone."""
        return labels_of(prediction, target)

    def update(self, prediction: Any, target: Any) -> None:
        """Count the correct predictions."""
        predicted, true, _ = class_labels(
            type(self).__name__, prediction, target, self.threshold, self.from_logits
        )
        self.right += int(np.count_nonzero(predicted == true))
        self.count += true.size

    def compute(self) -> float:
        """From 0 to 1; NaN if there were no samples."""
        return float(self.right / self.count) if self.count else float("nan")


class TopKAccuracy(Metric):
    """The fraction of samples whose true class is among the k classes with the largest scores.

    Ties are broken in favour of the smaller label, so that k = 1 is `Accuracy`; a NaN ranks before
    every number, and is never correct itself.

    k    from 1 to the number of classes

    >>> from minidl.train import metrics
    >>> p, t = minidl.tensor([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), minidl.tensor([0, 1, 1])
    >>> metrics.TopKAccuracy(1)(p, t), metrics.TopKAccuracy(2)(p, t)
    (0.6666666666666666, 1.0)
    """

    higher_is_better = True

    def __init__(self, k: int = 5) -> None:
        if not isinstance(k, int | np.integer) or k < 1:
            raise ArgumentError(f"TopKAccuracy: k is a number ≥ 1; got {k!r}")
        self.k, self.name = int(k), f"top_{k}_accuracy"
        super().__init__()

    def reset(self) -> None:
        """Discard all samples."""
        self.right = self.count = 0

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate scores (N, C) or (N, C, …), and class labels or probabilities."""
        p = as_array("TopKAccuracy", "the prediction", prediction)
        t = true_labels("TopKAccuracy", p, as_array("TopKAccuracy", "the target", target))
        if self.k > p.shape[1]:
            raise ShapeError(f"TopKAccuracy: k = {self.k}, but there are {p.shape[1]} classes")
        t = np.expand_dims(t, 1)
        own = np.take_along_axis(p, t, axis=1)
        labels = np.arange(p.shape[1]).reshape(-1, *[1] * (p.ndim - 2))
        before = ~(p <= own) | ((p == own) & (labels < t))
        self.right += int(np.count_nonzero(np.count_nonzero(before, axis=1) < self.k))
        self.count += t.size

    def compute(self) -> float:
        """From 0 to 1; NaN if there were no samples."""
        return float(self.right / self.count) if self.count else float("nan")


class _ConfusionCounts(Metric):
    """The base class of metrics computed from the counts of a confusion matrix."""

    def __init__(self, classes: int | None, threshold: float, from_logits: bool) -> None:
        if classes is not None and (not isinstance(classes, int | np.integer) or classes < 1):
            raise ArgumentError(f"{type(self).__name__}: classes is a number; got {classes!r}")
        self.threshold, self.from_logits = _checked(self, threshold, from_logits)
        self.classes = classes
        super().__init__()

    def reset(self) -> None:
        """Discard all samples."""
        size = self.classes or 0
        # counts[i, j + 1]: samples of class i predicted as class j; counts[i, 0]: as none (NaN)
        self.counts = np.zeros((size, size + 1), np.int64)

    def reduced(self, prediction: Any, target: Any) -> tuple[Any, ...]:
        """The labels alone."""
        return labels_of(prediction, target)

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate the confusion matrix."""
        who = type(self).__name__
        predicted, true, classes = class_labels(
            who, prediction, target, self.threshold, self.from_logits
        )
        if classes is None:
            classes = self.classes or len(self.counts)
            if not classes:
                raise ArgumentError(
                    f"{who}: class numbers do not say how many classes there are; "
                    f"say {who}(classes=…)"
                )
            check_range(who, true, classes)
            check_range(who, predicted, classes)
        if not len(self.counts):
            self.counts = np.zeros((classes, classes + 1), np.int64)
        if classes != len(self.counts):
            raise ShapeError(f"{who}: there were {len(self.counts)} classes; now {classes}")
        pairs = true.astype(np.int64) * (classes + 1) + (predicted.astype(np.int64) + 1)
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)


class ConfusionMatrix(_ConfusionCounts):
    """The number of samples of class i (row) that were predicted as class j (column).

    classes        the number of classes; required only if predictions are class labels
    normalize      None: counts; "true": fractions of the row, "predicted": of the column, "all":
                   of all samples; 0 where there are none
    threshold      with one score per sample, the probability above which it is of class 1
    from_logits    whether that score is a logit; for several scores it makes no difference

    Predictions with a NaN are in no column, but count in the row and overall totals: with "true",
    the diagonal is the recall.

    >>> from minidl.train import metrics
    >>> p, t = minidl.tensor([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), minidl.tensor([0, 1, 1])
    >>> metrics.ConfusionMatrix()(p, t)
    array([[1, 0],
           [1, 1]])
    """

    name = "confusion_matrix"

    def __init__(
        self,
        classes: int | None = None,
        normalize: str | None = None,
        *,
        threshold: float = 0.5,
        from_logits: bool = False,
    ) -> None:
        if normalize not in _NORMALIZATIONS:
            raise ArgumentError(
                f"ConfusionMatrix: normalize is one of {_NORMALIZATIONS}; got {normalize!r}"
            )
        self.normalize = normalize
        super().__init__(classes, threshold, from_logits)

    def compute(self) -> np.ndarray:
        """(C, C), int64 or, if normalised, float64."""
        matrix = self.counts[:, 1:]
        if self.normalize is None:
            return matrix.copy()
        if self.normalize == "true":
            return _ratio(matrix, self.counts.sum(axis=1, keepdims=True))
        return _ratio(
            matrix, matrix.sum(axis=0) if self.normalize == "predicted" else self.counts.sum()
        )


class _Averaged(_ConfusionCounts):
    """The base class of ratios per class, and their average."""

    higher_is_better = True

    def __init__(
        self,
        average: str | None = "auto",
        *,
        classes: int | None = None,
        threshold: float = 0.5,
        from_logits: bool = False,
    ) -> None:
        who = type(self).__name__
        if average not in _AVERAGES:
            raise ArgumentError(f"{who}: average is one of {_AVERAGES}; got {average!r}")
        self.average = average
        if average != "auto":
            self.name = f"{average or 'each'}_{self.name}"
        super().__init__(classes, threshold, from_logits)

    def update(self, prediction: Any, target: Any) -> None:
        """Accumulate the confusion matrix."""
        super().update(prediction, target)
        if self.average == "binary" and len(self.counts) != 2:
            raise ShapeError(
                f'{type(self).__name__}: average="binary" needs two classes; there are '
                f"{len(self.counts)}"
            )

    def compute(self) -> Any:
        """A float, or an array (C,) if average is None; NaN if there were no samples."""
        right, predicted, true = self._totals()
        each = _ratio(*self.parts(right, predicted, true))
        if self.average is None:
            return each if true.any() else np.full_like(each, np.nan)
        if not true.any():
            return float("nan")
        average = self.average
        if average == "auto":
            average = "binary" if len(each) == 2 else "macro"
        if average == "binary":
            return float(each[1])
        if average == "micro":
            return float(_ratio(*self.parts(right.sum(), predicted.sum(), true.sum())))
        return float(
            np.average(each, weights=true if average == "weighted" else predicted + true > 0)
        )

    def _totals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per class: true positives, predicted positives, actual positives."""
        matrix = self.counts[:, 1:]
        return matrix.diagonal(), matrix.sum(axis=0), self.counts.sum(axis=1)

    def parts(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        """Numerator and denominator, per class or summed over classes."""
        raise TypeError(f"{type(self).__name__} has no formula: it must define parts")


class Precision(_Averaged):
    """True positives / predicted positives.

    average        "auto": "binary" for two classes, else "macro"
                   "binary": of class 1 alone
                   "macro": the mean over the classes that occur, as true or as predicted
                   "weighted": the mean weighted by the number of true samples of each class
                   "micro": from the counts summed over all classes
                   None: an array with one number per class
    classes        the number of classes; required only if predictions are class labels
    threshold      with one score per sample, the probability above which it is of class 1
    from_logits    whether that score is a logit; for several scores it makes no difference

    0/0, where a class is never predicted, is 0.

    >>> from minidl.train import metrics
    >>> scores, t = minidl.tensor([0.9, 0.4, 0.6, 0.2]), minidl.tensor([1, 0, 1, 1])
    >>> metrics.Precision()(scores, t)
    1.0
    """

    name = "precision"

    def parts(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        """True positives, predicted positives."""
        return right, predicted


class Recall(_Averaged):
    """True positives / actual positives.

    The settings are those of `Precision`; 0/0, where a class never occurs, is 0.

    >>> from minidl.train import metrics
    >>> scores, t = minidl.tensor([0.9, 0.4, 0.6, 0.2]), minidl.tensor([1, 0, 1, 1])
    >>> round(metrics.Recall()(scores, t), 4)
    0.6667
    """

    name = "recall"

    def parts(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        """True positives, actual positives."""
        return right, true


class F1(_Averaged):
    """The harmonic mean of precision and recall: 2·TP / (predicted + actual positives).

    The settings are those of `Precision`; 0/0, where a class is neither predicted nor occurs, is 0.
    "macro" is the mean of the classes' F1, not the F1 of the mean precision and recall.

    >>> from minidl.train import metrics
    >>> scores, t = minidl.tensor([0.9, 0.4, 0.6, 0.2]), minidl.tensor([1, 0, 1, 1])
    >>> metrics.F1()(scores, t)
    0.8
    """

    name = "f1"

    def parts(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        """2·TP, predicted plus actual positives."""
        return 2 * right, predicted + true


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """part / whole of counts, and 0 for 0/0."""
    return part / np.maximum(whole, 1)  # where whole is 0, so is part


def _checked(metric: Metric, threshold: float, from_logits: bool) -> tuple[float, bool]:
    check_flags(metric, from_logits=from_logits)
    if not isinstance(threshold, int | float | np.number) or not 0 < threshold < 1:
        raise ArgumentError(
            f"{type(metric).__name__}: the threshold is a probability between 0 and 1; "
            f"got {threshold!r}"
        )
    return threshold, from_logits
