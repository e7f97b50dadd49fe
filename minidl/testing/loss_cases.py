"""How cases are drawn of losses and of linear algebra."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from minidl.testing.drawing import Drawing, Recipe
from minidl.testing.values import INSIDE, NONZERO, POSITIVE, PROBABILITIES, REAL, SIGNS

REDUCTIONS = ("mean", "sum", "none")
MARGIN = 15 / 16  # no difference of elements, which are eighths, is at the corner
WHOLE = tuple(v for v in REAL if v % 1 == 0)
BETWEEN = tuple(v for v in REAL if v % 1 == 0.5)
SHARES = (0.0, 1.0, 0.5, 0.25)


def pair(
    names: Sequence[str], first: Sequence[float], second: Sequence[float], **settings: Sequence
) -> Recipe:
    """A loss of two arrays of one shape; signs are not differentiated."""

    def recipe(d: Drawing) -> None:
        for name, choices in {**settings, "reduction": REDUCTIONS}.items():
            d.setting(name, choices)
        shape = d.shape(d.integer(1, 2))
        d.array(names[0], shape, first)
        d.array(names[1], shape, second, constant=second is SIGNS)

    return recipe


def binary(first: str, values: Sequence[float]) -> Recipe:
    """Binary cross-entropy: (p or logits, target, weight)."""

    def recipe(d: Drawing) -> None:
        d.setting("reduction", REDUCTIONS)
        shape = d.shape(d.integer(1, 2))
        d.array(first, shape, values)
        d.array("target", shape, SHARES)
        d.array("weight", shape, POSITIVE, optional=True, constant=True)

    return recipe


def classes(first: str, values: Sequence[float], **settings: Sequence) -> Recipe:
    """Scores (N, C) or (N, C, L), the classes (N) or (N, L), and weights (C)."""

    def recipe(d: Drawing) -> None:
        for name, choices in {**settings, "reduction": REDUCTIONS}.items():
            d.setting(name, choices)
        n, c, *rest = d.shape(d.integer(2, 3), 3)
        d.array(first, (n, c, *rest), values)
        d.indices("target", (n, *rest), c)
        d.array("weight", (c,), POSITIVE, optional=True, constant=True)

    return recipe


def multi_margin(d: Drawing) -> None:
    """x (N, C), the classes (N)."""
    d.setting("margin", (MARGIN,))
    d.setting("p", (1, 2))
    d.setting("reduction", REDUCTIONS)
    n, c = d.shape(2, 3)
    d.array("x", (n, c))
    d.indices("target", (n,), c)


def ranking(d: Drawing) -> None:
    """x1, x2, and which is to be larger."""
    d.setting("margin", (MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(1)
    d.array("x1", shape)
    d.array("x2", shape)
    d.array("target", shape, SIGNS, constant=True)


def triplet(d: Drawing) -> None:
    """Anchor, positive, negative (N, D): no two of them are at one place."""
    d.setting("margin", (MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("anchor", shape, WHOLE)
    d.array("positive", shape, BETWEEN)
    d.array("negative", shape, BETWEEN)


def multilabel_soft_margin(d: Drawing) -> None:
    """x (N, C), targets 0 or 1."""
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("x", shape)
    d.array("target", shape, (0.0, 1.0), constant=True)


def gaussian(d: Drawing) -> None:
    """Prediction, target, variance of one shape."""
    d.setting("full", (False, True))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("prediction", shape)
    d.array("target", shape)
    d.array("var", shape, POSITIVE)


def matmul(d: Drawing) -> None:
    """Vectors and matrices, and batches of them that broadcast."""
    kind = d.draw(st.sampled_from(["mm", "vm", "mv", "vv", "batch", "broadcast"]))
    m, k, n, batch = d.shape(4, 3)
    shapes = {
        "mm": ((m, k), (k, n)),
        "vm": ((k,), (k, n)),
        "mv": ((m, k), (k,)),
        "vv": ((k,), (k,)),
        "batch": ((batch, m, k), (batch, k, n)),
        "broadcast": ((batch, 1, m, k), (2, k, n)),
    }
    one, other = shapes[kind]
    d.array("x1", one)
    d.array("x2", other)


def outer(d: Drawing) -> None:
    """Two vectors."""
    d.array("x1", d.shape(1))
    d.array("x2", d.shape(1))


def vecdot(d: Drawing) -> None:
    """Two arrays of one shape."""
    shape = d.shape(d.integer(1, 3), 3)
    d.array("x1", shape)
    d.array("x2", shape)


def vector_norm(d: Drawing) -> None:
    """Norms along an axis of vectors that are not 0."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.setting("keepdims", st.booleans())
    d.setting("ord", (2, 3, 1))
    d.array("x", shape, NONZERO)


def _matrices(d: Drawing) -> tuple[np.ndarray, tuple[int, ...]]:
    """Batches of square matrices of eighths, n ≤ 3."""
    batch, n = d.shape(d.integer(0, 1), 2), d.integer(1, 3)
    return d.elements((*batch, n, n), INSIDE), (*batch, n)


def _dominant(d: Drawing) -> tuple[np.ndarray, tuple[int, ...]]:
    """Matrices with a diagonal that outweighs the rest of each row."""
    array, shape = _matrices(d)
    return array + 3 * np.eye(shape[-1], dtype=d.dtype), shape


def square(d: Drawing) -> None:
    """x (…, n, n), far from singular."""
    d.given("x", _dominant(d)[0])


def definite(d: Drawing) -> None:
    """x (…, n, n), symmetric and positive definite."""
    array, shape = _matrices(d)
    d.given("x", array @ array.swapaxes(-1, -2) + np.eye(shape[-1], dtype=d.dtype))


def trace(d: Drawing) -> None:
    """x (…, n, m)."""
    d.setting("offset", st.integers(-1, 1))
    d.array("x", d.shape(d.integer(2, 3), 3))


def solve(d: Drawing) -> None:
    """x1 (…, n, n), x2 (…, n, k)."""
    matrices, shape = _dominant(d)
    d.given("x1", matrices)
    d.array("x2", (*shape, d.integer(1, 2)))


def solve_triangular(d: Drawing) -> None:
    """x1 (…, n, n), of which one half counts, x2 (…, n, k)."""
    d.setting("upper", (False, True))
    solve(d)


RECIPES: dict[str, Recipe] = {
    "mse_loss": pair(("prediction", "target"), REAL, REAL),
    "l1_loss": pair(("prediction", "target"), WHOLE, BETWEEN),
    "smooth_l1_loss": pair(("prediction", "target"), WHOLE, BETWEEN, beta=(1.0, 0.75)),
    "huber_loss": pair(("prediction", "target"), WHOLE, BETWEEN, delta=(1.0, 0.75)),
    "soft_margin_loss": pair(("x", "target"), REAL, SIGNS),
    "hinge_embedding_loss": pair(("x", "target"), tuple(v + 1 / 16 for v in REAL), SIGNS),
    "poisson_nll_loss": pair(
        ("prediction", "target"), POSITIVE, SHARES[:2], log_input=(True, False)
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
    "matmul": matmul,
    "outer": outer,
    "vecdot": vecdot,
    "trace": trace,
    "vector_norm": vector_norm,
    "inv": square,
    "det": square,
    "cholesky": definite,
    "solve": solve,
    "solve_triangular": solve_triangular,
}
