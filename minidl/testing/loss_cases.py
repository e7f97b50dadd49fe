"""Cases for losses."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from minidl.testing.case_builder import CaseBuilder, Recipe
from minidl.testing.values import HALVES, INTEGERS, POSITIVE, PROBABILITIES, REAL, SIGNS

REDUCTIONS = ("mean", "sum", "none")
MARGIN = 15 / 16  # never equal to a difference of elements, which are multiples of 1/8
TARGET_PROBABILITIES = (0.0, 1.0, 0.5, 0.25)


def pair(
    names: Sequence[str], first: Sequence[float], second: Sequence[float], **settings: Sequence
) -> Recipe:
    """A loss of two arrays of one shape; targets ±1 are not differentiated."""

    def recipe(d: CaseBuilder) -> None:
        for name, choices in {**settings, "reduction": REDUCTIONS}.items():
            d.setting(name, choices)
        shape = d.shape(d.integer(1, 2))
        d.array(names[0], shape, first)
        d.array(names[1], shape, second, constant=second is SIGNS)

    return recipe


def binary(first: str, values: Sequence[float]) -> Recipe:
    """Binary cross-entropy: (p or logits, target, weight)."""

    def recipe(d: CaseBuilder) -> None:
        d.setting("reduction", REDUCTIONS)
        shape = d.shape(d.integer(1, 2))
        d.array(first, shape, values)
        d.array("target", shape, TARGET_PROBABILITIES)
        d.array("weight", shape, POSITIVE, optional=True, constant=True)

    return recipe


def classes(first: str, values: Sequence[float], **settings: Sequence) -> Recipe:
    """Logits (N, C) or (N, C, L), the classes (N) or (N, L), and class weights (C)."""

    def recipe(d: CaseBuilder) -> None:
        for name, choices in {**settings, "reduction": REDUCTIONS}.items():
            d.setting(name, choices)
        n, c, *rest = d.shape(d.integer(2, 3), 3)
        d.array(first, (n, c, *rest), values)
        d.indices("target", (n, *rest), c)
        d.array("weight", (c,), POSITIVE, optional=True, constant=True)

    return recipe


def multi_margin(d: CaseBuilder) -> None:
    """x (N, C), the classes (N)."""
    d.setting("margin", (MARGIN,))
    d.setting("p", (1, 2))
    d.setting("reduction", REDUCTIONS)
    n, c = d.shape(2, 3)
    d.array("x", (n, c))
    d.indices("target", (n,), c)


def ranking(d: CaseBuilder) -> None:
    """x1, x2, and a target that says which should be larger."""
    d.setting("margin", (MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(1)
    d.array("x1", shape)
    d.array("x2", shape)
    d.array("target", shape, SIGNS, constant=True)


def triplet(d: CaseBuilder) -> None:
    """Anchor, positive and negative (N, D), no two of which coincide."""
    d.setting("margin", (MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("anchor", shape, INTEGERS)
    d.array("positive", shape, HALVES)
    d.array("negative", shape, HALVES)


def multilabel_soft_margin(d: CaseBuilder) -> None:
    """x (N, C), and targets 0 or 1."""
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("x", shape)
    d.array("target", shape, (0.0, 1.0), constant=True)


def gaussian(d: CaseBuilder) -> None:
    """Prediction, target, variance of one shape."""
    d.setting("full", (False, True))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("prediction", shape)
    d.array("target", shape)
    d.array("var", shape, POSITIVE)


def ctc_loss(d: CaseBuilder) -> None:
    """log_probs (T, N, C), the logarithms of a softmax, and targets (N, S) that fit into T."""
    d.setting("reduction", REDUCTIONS)
    n, longest, classes = d.shape(3, 3)
    times = 2 * longest + 1 + d.integer(0, 1)
    d.setting("blank", (0,))
    d.setting("input_lengths", st.lists(st.integers(2 * longest, times), min_size=n, max_size=n))
    d.setting("target_lengths", st.lists(st.integers(1, longest), min_size=n, max_size=n))
    scores = d.elements((times, n, classes + 1), REAL)
    d.argument("log_probs", scores - np.log(np.exp(scores).sum(-1, keepdims=True)))
    d.argument("targets", 1 + d.elements((n, longest), range(classes), dtype="int64"))


def multilabel_margin(d: CaseBuilder) -> None:
    """x (N, C), no difference in which equals the margin, and the true classes, padded with −1."""
    d.setting("reduction", REDUCTIONS)
    n, c = d.shape(2, 4)
    target = np.argsort(d.elements((n, c), REAL), axis=-1)
    target[np.arange(c) >= d.elements((n, 1), range(c + 1), dtype="int64")] = -1
    d.argument("x", d.elements((n, c), (), distinct=True) * d.dtype.type(0.375))
    d.argument("target", target)


def cosine_embedding(d: CaseBuilder) -> None:
    """x1 and x2 (N, D), and a target that says which pairs are similar."""
    d.setting("margin", (-MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("x1", shape, POSITIVE)
    d.array("x2", shape, POSITIVE)
    d.array("target", shape[:1], SIGNS, constant=True)


RECIPES: dict[str, Recipe] = {
    "mse_loss": pair(("prediction", "target"), REAL, REAL),
    "l1_loss": pair(("prediction", "target"), INTEGERS, HALVES),
    "smooth_l1_loss": pair(("prediction", "target"), INTEGERS, HALVES, beta=(1.0, 0.75)),
    "huber_loss": pair(("prediction", "target"), INTEGERS, HALVES, delta=(1.0, 0.75)),
    "soft_margin_loss": pair(("x", "target"), REAL, SIGNS),
    "hinge_embedding_loss": pair(("x", "target"), tuple(v + 1 / 16 for v in REAL), SIGNS),
    "poisson_nll_loss": pair(
        ("prediction", "target"), POSITIVE, TARGET_PROBABILITIES[:2], log_input=(True, False)
    ),
    "kl_div": pair(("log_p", "target"), REAL, PROBABILITIES),
    "gaussian_nll_loss": gaussian,
    "binary_cross_entropy": binary("p", PROBABILITIES),
    "binary_cross_entropy_with_logits": binary("logits", REAL),
    "cross_entropy": classes("logits", REAL, label_smoothing=(0.0, 0.25)),
    "nll_loss": classes("log_p", REAL),
    "multi_margin_loss": multi_margin,
    "margin_ranking_loss": ranking,
    "triplet_margin_loss": triplet,
    "multilabel_soft_margin_loss": multilabel_soft_margin,
    "ctc_loss": ctc_loss,
    "multilabel_margin_loss": multilabel_margin,
    "cosine_embedding_loss": cosine_embedding,
}
