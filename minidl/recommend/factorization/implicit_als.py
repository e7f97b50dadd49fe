"""ALS for implicit feedback: weighted least squares over all pairs of user and item."""

from typing import Any

import numpy as np

from minidl.backends.products import precise_matmul
from minidl.checks import check_numbers, name_of
from minidl.errors import ArgumentError
from minidl.recommend.factorization.alternating import Alternating, Entries
from minidl.recommend.interactions import Interactions

_START = 0.01  # below which the first factors of items are


class ImplicitALS(Alternating):
    """Matrix factorisation of implicit feedback: r̂ = p_u·q_i, how probably u would meet i.

    It minimises Σ_u Σ_i c_ui·(π_ui − p_u·q_i)² + λ·(Σ_u |p_u|² + Σ_i |q_i|²) over *all* pairs: π is
    1 for those that met, 0 for the others; the confidence is

        c_ui = 1 + alpha·r_ui

    where r is how often they met, or the rating, and 0 for pairs that did not.  (The package
    `implicit` has c = alpha·r for those that did: its r = 1 + alpha·r and alpha = 1 is the same.)

    factors   of items, uniform in [0, 0.01) at the start
    solver    "cg": `cg_steps` steps of conjugate gradients from the factors of the epoch before;
              "cholesky": each half-step is solved exactly

    Y. Hu, Y. Koren, C. Volinsky.  Collaborative filtering for implicit feedback datasets.  ICDM
    2008.  G. Takács, I. Pilászy, D. Tikk.  Applications of the conjugate gradient method for
    implicit feedback collaborative filtering.  RecSys 2011.

    Cost of an epoch for n interactions of U users with I items, in multiply-adds: by s steps
    (s + 1)·(4·n·f + (U + I)·f²), by Cholesky 2·n·f² + (U + I)·f³/3.

    `fold_in` is one exact half-step; `partial_fit` solves anew for the users and items that have
    new interactions; `explain` splits a score into what each item of the user contributes.

    >>> from minidl.recommend import ImplicitALS
    >>> met = ["ann", "ann", "ben", "ben", "cat"], ["tea", "milk", "tea", "milk", "tea"]
    >>> model = ImplicitALS(factors=2).fit(met)
    >>> [scored.id for scored in model.recommend("cat")]
    ['milk']
    >>> str(model.explain("cat", "milk"))
    'because you liked tea'
    """

    RATES = False

    def __init__(
        self,
        factors: int = 64,
        alpha: float = 1.0,
        regularization: float = 0.01,
        epochs: int = 15,
        solver: str = "cg",
        cg_steps: int = 3,
        seed: int = 0,
    ) -> None:
        self.factors, self.epochs, self.regularization = factors, epochs, regularization
        self.solver, self.cg_steps, self.seed = solver, cg_steps, seed
        self._check()
        check_numbers(self, above=0, finite=True, alpha=alpha)
        self.alpha = alpha

    def _check_ratings(self, data: Interactions) -> None:
        ratings = data.ratings
        if ratings is not None and ratings.min() < 0:
            raise ArgumentError(
                f"{name_of(self)}: needs counts or ratings ≥ 0, which say how sure it is that a "
                f"user likes an item; got {ratings.min():g}"
            )

    def _new_items(self, count: int, begin: int = 0) -> np.ndarray:
        """Positive factors: the first direction of what is not negative is."""
        rng = np.random.default_rng([self.seed, begin])
        return rng.uniform(0, _START, (count, self.factors)).astype(np.float32)

    def _entries(self, matrix: Any) -> Entries:
        if not matrix.data.all():  # a rating of 0 is no interaction
            matrix = matrix.copy()
            matrix.eliminate_zeros()
        weights = np.float32(self.alpha) * matrix.data
        return Entries.of_matrix(matrix, weights, 1 + weights)

    def _gram(self, features: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(precise_matmul(features.T, features))
