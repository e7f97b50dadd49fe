"""From what a classifier gives to classes.

A prediction is one of these:

    (N, C), (N, C, …)           scores of C ≥ 2 classes: logits or probabilities
    (N,), (N, 1), (N, 1, …)     one score, of class 1 as against class 0
    integers like the target    class numbers

and a target one of these:

    (N,), (N, …)                class numbers; beside one score, 0 or 1 of any dtype, (N, 1, …) too
    (N, C), (N, C, …)           probabilities, of which the largest counts
"""

import math
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.train.metrics.base import as_array

NONE = -1  # the class of a prediction in which there is a NaN


def outcomes(
    who: str, prediction: Any, target: Any, threshold: float, from_logits: bool
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """The predicted and the true class of each sample, flat, and how many classes there are.

    Of several scores the largest decides, of equal ones the first; a single one is of class 1 if
    its probability is above the threshold.  Class numbers do not say how many classes there are.
    """
    p = as_array(who, "the prediction", prediction)
    t = as_array(who, "the target", target)
    if p.shape == t.shape and p.dtype.kind in "iub" and t.dtype.kind in "iub":
        check_range(who, t, None)
        return p.ravel(), t.ravel(), None
    if has_one_score(p):
        p, t = one_score(who, p, t)
        if not from_logits:
            check_probabilities(who, p)
        predicted = (p > (_logit(threshold) if from_logits else threshold)).astype(np.int64)
        predicted[p != p] = NONE
        return predicted, t, 2
    t = true_classes(who, p, t)
    predicted = p.argmax(axis=1)
    unknown = np.isnan(p)
    if unknown.any():
        predicted[unknown.any(axis=1)] = NONE
    return predicted.ravel(), t.ravel(), p.shape[1]


def has_one_score(p: np.ndarray) -> bool:
    """Whether there is one score a sample, rather than one for each class."""
    return p.ndim == 1 or (p.ndim > 1 and p.shape[1] == 1)


def one_score(who: str, p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores, and the true classes 0 and 1, flat."""
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


def true_classes(who: str, p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The true class of each sample, where there are scores of several classes."""
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
    """Raise unless class numbers are from 0 on and, where that is known, below `classes`."""
    if not numbers.size:
        return
    low, high = numbers.min(), numbers.max()
    if low < 0 or (classes is not None and high >= classes):
        last = "…" if classes is None else classes - 1
        raise BoundsError(
            f"{who}: class numbers are from 0 to {last}; got {low if low < 0 else high}"
        )


def check_probabilities(who: str, p: np.ndarray) -> None:
    """Raise if what should be probabilities must be something else."""
    if ((p < 0) | (p > 1)).any():
        raise ArgumentError(
            f"{who}: probabilities are from 0 to 1; these are from {np.nanmin(p):.4g} to "
            f"{np.nanmax(p):.4g}. If they are logits, say {who}(from_logits=True)"
        )


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
