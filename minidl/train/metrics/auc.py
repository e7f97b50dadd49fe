"""AUC: the area under the ROC curve."""

from typing import Any

import numpy as np

from minidl.checks import check_flags
from minidl.errors import ShapeError
from minidl.train.metrics.base import Metric, as_array
from minidl.train.metrics.class_labels import (
    binary_scores,
    check_probabilities,
    has_one_score,
    true_labels,
)


class AUC(Metric):
    """P(a positive sample scores above a negative one) + ½ P(they score the same).

    This equals the area under the ROC curve, computed exactly from ranks; Hanley, McNeil 1982.  All
    scores are stored until `compute`.

    from_logits    whether scores of several classes are logits, which a softmax makes comparable
                   between samples; for one score it makes no difference

    With several classes: the macro average of one-vs-rest areas, over the classes that have both
    positive and negative samples.  A score of NaN ranks below every other.

    >>> from minidl.train import metrics
    >>> scores, t = minidl.tensor([0.9, 0.4, 0.6, 0.2]), minidl.tensor([1, 0, 1, 1])
    >>> round(metrics.AUC()(scores, t), 4)
    0.6667
    """

    name = "auc"
    higher_is_better = True

    def __init__(self, *, from_logits: bool = False) -> None:
        check_flags("AUC", from_logits=from_logits)
        self.from_logits = from_logits
        super().__init__()

    def reset(self) -> None:
        """Discard all samples."""
        self.scores: list[np.ndarray] = []  # (n, 1) or (n, C)
        self.classes: list[np.ndarray] = []  # (n,)

    def update(self, prediction: Any, target: Any) -> None:
        """Store scores: one per sample, or one per sample and class; see `class_labels`."""
        p = as_array("AUC", "the prediction", prediction)
        t = as_array("AUC", "the target", target)
        if has_one_score(p):
            p, t = binary_scores("AUC", p, t)
            p = p[:, None].copy()
        else:
            t = true_labels("AUC", p, t).ravel().astype(np.int64)
            p = np.moveaxis(p, 1, -1).reshape(-1, p.shape[1])
            if not self.from_logits:
                check_probabilities("AUC", p)
            p = _softmax(p) if self.from_logits else p.copy()
        if self.scores and self.scores[0].shape[1] != p.shape[1]:
            raise ShapeError(f"AUC: there were {self.scores[0].shape[1]} scores; now {p.shape[1]}")
        self.scores.append(p)
        self.classes.append(t)

    def compute(self) -> float:
        """From 0 to 1; NaN unless there are samples of two classes."""
        if not self.scores:
            return float("nan")
        scores, classes = np.concatenate(self.scores), np.concatenate(self.classes)
        if scores.shape[1] == 1:
            return _area(scores[:, 0], classes == 1)
        areas = [_area(score, classes == c) for c, score in enumerate(scores.T)]
        areas = [area for area in areas if area == area]
        return float(np.mean(areas)) if areas else float("nan")


def _area(scores: np.ndarray, positive: np.ndarray) -> float:
    """The fraction of positive–negative pairs that the positive wins; ties count ½."""
    positives = int(np.count_nonzero(positive))
    pairs = positives * (scores.size - positives)
    if not pairs:
        return float("nan")
    valid = scores == scores  # a NaN wins no pair
    values, rank = np.unique(scores[valid], return_inverse=True)
    above = np.bincount(rank[positive[valid]], minlength=values.size)
    below = np.bincount(rank[~positive[valid]], minlength=values.size)
    won_twice = above * (2 * (np.cumsum(below) - below) + below)  # wins twice, ties once
    return int(won_twice.sum()) / (2 * pairs)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax in float64, which keeps more scores distinct."""
    with np.errstate(invalid="ignore"):
        powers = np.exp(np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64))
    return powers / powers.sum(axis=1, keepdims=True)
