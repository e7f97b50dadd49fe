"""Class labels from the predictions and targets of a classifier.

A prediction is one of these:

    (N, C), (N, C, …)           scores of C ≥ 2 classes: logits or probabilities
    (N,), (N, 1), (N, 1, …)     one binary score: of class 1 against class 0
    integers like the target    class labels

and a target one of these:

    (N,), (N, …)                class labels; for a binary score 0 or 1 of any dtype, or (N, 1, …)
    (N, C), (N, C, …)           probabilities, of which the largest determines the label
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.train.metrics.base import as_array

NONE = -1  # the label of a prediction that contains a NaN


class Labels(NamedTuple):
    """The predicted labels, in place of the scores of so many classes."""

    values: Tensor
    classes: int


def labels_of(prediction: Any, target: Any) -> tuple[Any, Any]:
    """The labels of scores of several classes, where they are; what is no such scores, as it is."""
    tensors = isinstance(prediction, Tensor) and isinstance(target, Tensor)
    if not tensors or prediction.dtype.kind != "f" or prediction.ndim < 2:
        return prediction, target
    classes = prediction.shape[1]
    if classes < 2 or target.shape != (prediction.shape[0], *prediction.shape[2:]):
        return prediction, target
    nan = ops.any(prediction != prediction, axis=1)
    return Labels(ops.where(nan, NONE, ops.argmax(prediction, axis=1)), classes), target


def class_labels(
    who: str, prediction: Any, target: Any, threshold: float, from_logits: bool
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """The predicted and the true label of each sample, flat, and the number of classes if known.

    Of several scores the label is the first argmax; a binary score is of class 1 if its probability
    is above the threshold.  The number of classes is unknown if predictions are labels.
    """
    if isinstance(prediction, Labels):
        t = as_array(who, "the target", target)
        if t.dtype.kind not in "iu":
            raise DTypeError(f"{who}: class numbers are integers; got {t.dtype}")
        check_range(who, t, prediction.classes)
        return prediction.values.numpy().ravel(), t.ravel(), prediction.classes
    p = as_array(who, "the prediction", prediction)
    t = as_array(who, "the target", target)
    if p.shape == t.shape and p.dtype.kind in "iub" and t.dtype.kind in "iub":
        check_range(who, t, None)
        return p.ravel(), t.ravel(), None
    if has_one_score(p):
        p, t = binary_scores(who, p, t)
        if not from_logits:
            check_probabilities(who, p)
        predicted = (p > (_logit(threshold) if from_logits else threshold)).astype(np.int64)
        predicted[p != p] = NONE
        return predicted, t, 2
    t = true_labels(who, p, t)
    predicted = p.argmax(axis=1)
    nan = np.isnan(p)
    if nan.any():
        predicted[nan.any(axis=1)] = NONE
    return predicted.ravel(), t.ravel(), p.shape[1]


def has_one_score(p: np.ndarray) -> bool:
    """Whether there is one binary score per sample, rather than one per class."""
    return p.ndim == 1 or (p.ndim > 1 and p.shape[1] == 1)


def binary_scores(who: str, p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Binary scores, and the true labels 0 and 1, flat."""
    needs = p.shape if p.ndim == 1 else (p.shape[0], *p.shape[2:])
    if t.shape not in (needs, (needs[0], 1, *needs[1:])):
        raise ShapeError(
            f"{who}: predictions of shape {p.shape} are one score for each sample, and need "
            f"targets, 0 or 1, of shape {needs}; got {t.shape}"
        )
    if not ((t == 0) | (t == 1)).all():
        raise ArgumentError(
            f"{who}: predictions of shape {p.shape} are one score for each sample, and need "
            "targets that are 0 or 1; there are others"
        )
    return p.ravel(), t.ravel().astype(np.int64)


def true_labels(who: str, p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The true label of each sample, where predictions are scores of several classes."""
    if p.ndim < 2 or not p.shape[1]:
        raise ShapeError(f"{who}: needs predictions of shape (N, C) or (N, C, …); got {p.shape}")
    if t.shape == p.shape:
        if np.isnan(t).any():
            raise ArgumentError(f"{who}: there is a NaN in the target")
        return t.argmax(axis=1)
    needs = (p.shape[0], *p.shape[2:])
    if t.shape != needs:
        raise ShapeError(
            f"{who}: predictions of shape {p.shape} need class numbers of shape {needs}, or "
            f"probabilities of shape {p.shape}; got {t.shape}"
        )
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{who}: class numbers are integers; got {t.dtype}")
    check_range(who, t, p.shape[1])
    return t


def check_range(who: str, numbers: np.ndarray, classes: int | None) -> None:
    """Raise BoundsError unless labels are non-negative and, if given, below `classes`."""
    if not numbers.size:
        return
    low, high = numbers.min(), numbers.max()
    if low < 0 or (classes is not None and high >= classes):
        last = "…" if classes is None else classes - 1
        raise BoundsError(
            f"{who}: class numbers are from 0 to {last}; got {low if low < 0 else high}"
        )


def check_probabilities(who: str, p: np.ndarray) -> None:
    """Raise ArgumentError unless all values are in [0, 1]."""
    if ((p < 0) | (p > 1)).any():
        raise ArgumentError(
            f"{who}: probabilities are from 0 to 1; these are from {np.nanmin(p):.4g} to "
            f"{np.nanmax(p):.4g}. If they are logits, say {who}(from_logits=True)"
        )


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
