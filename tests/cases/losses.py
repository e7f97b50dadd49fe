"""Rows of the losses."""

import numpy as np

from tests.cases.registry import ops
from tests.cases.support import with_settings
from tests.helpers import Case, away_from, distinct, fixed, given, positive, real
from tests.oracle import functional, torch


def losses(name, function, torch_function, *inputs):
    """A row for each reduction of a loss."""
    return [
        Case(
            f"{name} {reduction}",
            lambda *xs, how=reduction: function(*xs, reduction=how),
            lambda *xs, how=reduction: torch_function(*xs, reduction=how),
            *inputs,
        )
        for reduction in ("mean", "sum", "none")
    ]


def likelihood(emitted):
    """Of one label between blanks."""
    begin, skip, end = [[0, -np.inf, -np.inf]], [[-np.inf] * 3], [[-np.inf, 0, 0]]
    steps = (ops.asarray(x, dtype=emitted.dtype) for x in (begin, skip, end))
    running = ops.asarray(np.ones((emitted.shape[0], 1, 1), bool))
    return ops.ctc_log_likelihood(emitted, *steps, running)


# fmt: off
CASES = [
    *losses("cross_entropy of a vector,", ops.cross_entropy, functional.cross_entropy,
            real(5), fixed(3)),
    *losses("cross_entropy of rows,", ops.cross_entropy, functional.cross_entropy,
            real(4, 3), fixed([2, 0, 0, 1])),
    *losses("cross_entropy of columns,", ops.cross_entropy, functional.cross_entropy,
            real(2, 3, 4), fixed([[2, 0, 0, 1], [1, 1, 2, 0]])),
    *losses("cross_entropy of probabilities,", ops.cross_entropy, functional.cross_entropy,
            real(4, 3), positive(4, 3)),
    *losses("cross_entropy of columns of probabilities,", ops.cross_entropy,
            functional.cross_entropy, real(2, 3, 4), positive(2, 3, 4)),
    *losses("cross_entropy weighted, smoothed,",
            *with_settings("cross_entropy", weight=[0.5, 2.0, 1.5], label_smoothing=0.2,
                           ignore_index=1),
            real(4, 3), fixed([2, 0, 1, 0])),
    *losses("nll_loss", *with_settings("nll_loss", weight=[0.5, 2.0, 1.5]),
            real(4, 3), fixed([2, 0, 0, 1])),
    *losses("mse_loss", ops.mse_loss, functional.mse_loss, real(3, 4), real(3, 4)),
    Case("l1_loss", ops.l1_loss, functional.l1_loss, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("huber_loss", *with_settings("huber_loss", delta=0.8),
         distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("smooth_l1_loss", *with_settings("smooth_l1_loss", beta=0.8),
         distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("poisson_nll_loss", ops.poisson_nll_loss, functional.poisson_nll_loss,
         real(3, 4), positive(3, 4)),
    Case("poisson_nll_loss of rates", *with_settings("poisson_nll_loss", log_input=False,
                                                     full=True),
         positive(4), given([1.5, 2.5, 0.5, 4.0])),
    Case("gaussian_nll_loss", *with_settings("gaussian_nll_loss", full=True),
         real(3, 4), real(3, 4), positive(3, 4)),
    Case("at_least", lambda x: ops.at_least(x, bound=0.2), torch.clone,
         positive(3, 4)),
    Case("binary_cross_entropy", ops.binary_cross_entropy, None,
         given([0.2, 0.5, 0.9]), given([0.3, 0.6, 0.2])),
    Case("bernoulli_nll", ops.bernoulli_nll,
         lambda p, t: -t * p.log() - (1 - t) * (1 - p).log(),
         given([0.2, 0.5, 0.9]), given([0.3, 0.6, 0.2])),
    *losses("binary_cross_entropy_with_logits",
            *with_settings("binary_cross_entropy_with_logits", weight=[1.5, 0.5, 2.0, 1.0],
                           pos_weight=[0.5, 2.0, 3.0, 1.0]), real(3, 4), positive(3, 4)),
    Case("kl_div", *with_settings("kl_div", reduction="batchmean"), real(3, 4), positive(3, 4)),
    Case("kl_div of logarithms", *with_settings("kl_div", reduction="none", log_target=True),
         real(3, 4), real(3, 4)),
    Case("hinge_embedding_loss", ops.hinge_embedding_loss, functional.hinge_embedding_loss,
         away_from([1], 4), fixed([1, -1, -1, 1])),
    Case("soft_margin_loss", ops.soft_margin_loss, functional.soft_margin_loss,
         real(4), fixed([1, -1, -1, 1])),
    Case("multi_margin_loss", *with_settings("multi_margin_loss", None, p=2, margin=0.7),
         distinct(4, 3), fixed([2, 0, 0, 1])),
    Case("multilabel_margin_loss", ops.multilabel_margin_loss, None,
         given([[0.1, 0.4, -0.3], [0.7, -0.2, 0.3]]), fixed([[2, 0, -1], [1, -1, 0]])),
    Case("multilabel_soft_margin_loss",
         *with_settings("multilabel_soft_margin_loss", weight=[0.5, 2.0, 1.5, 1.0]),
         real(3, 4), positive(3, 4)),
    Case("margin_ranking_loss", *with_settings("margin_ranking_loss", margin=0.1),
         distinct(4), distinct(4, shift=0.25), fixed([1, -1, -1, 1])),
    Case("cosine_embedding_loss", *with_settings("cosine_embedding_loss", margin=-0.9),
         real(4, 3), real(4, 3), fixed([1, -1, -1, 1])),
    Case("triplet_margin_loss", *with_settings("triplet_margin_loss", margin=3.0),
         real(2, 3), real(2, 3), real(2, 3)),
    Case("triplet_margin_loss swapped", *with_settings("triplet_margin_loss", p=3.0, swap=True),
         real(2, 3), real(2, 3), real(2, 3)),
    Case("triplet_margin_with_distance_loss",
         lambda *xs: ops.triplet_margin_with_distance_loss(*xs, margin=3.0),
         lambda *xs: torch.nn.functional.triplet_margin_with_distance_loss(*xs, margin=3.0),
         real(3, 4), real(3, 4), real(3, 4)),
    Case("triplet_margin_with_distance_loss swap",
         lambda *xs: ops.triplet_margin_with_distance_loss(
             *xs, distance_function=lambda a, b: ops.sum((a - b) ** 2, axis=-1), swap=True),
         lambda *xs: torch.nn.functional.triplet_margin_with_distance_loss(
             *xs, distance_function=lambda a, b: ((a - b) ** 2).sum(-1), swap=True),
         real(3, 4), real(3, 4), real(3, 4)),
    Case("ctc_loss", lambda x, t: ops.ctc_loss(x, t, (4, 3), (2, 1)), None,
         real(4, 2, 3), fixed([[1, 2], [2, 0]])),
    Case("ctc_log_likelihood", likelihood, None, real(4, 1, 3)),
]
# fmt: on
