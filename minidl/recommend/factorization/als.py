"""ALS for ratings: regularised least squares over the pairs that were rated."""

from typing import Any

import numpy as np

from minidl.checks import check_flags
from minidl.recommend.factorization.alternating import Alternating, Entries
from minidl.recommend.factorization.factors import BiasedFactors, range_of, ratings_of
from minidl.recommend.interactions import Interactions


class ALS(Alternating, BiasedFactors):
    """Matrix factorisation of ratings by alternating least squares: r̂ = μ + b_u + b_i + p_u·q_i.

    It minimises Σ (r − r̂)² + Σ_u λ_u·(|p_u|² + b_u²) + Σ_i λ_i·(|q_i|² + b_i²) over the pairs that
    were rated.  With the items fixed, p_u and b_u solve a linear problem together, whose features
    are (q_i, 1); then items likewise.

    biases      False: r̂ = p_u·q_i, as in Zhou et al.
    weighted    λ_u = regularization·n_u, for n_u ratings of the user, and λ_i likewise: ALS-WR;
                False: λ = regularization
    solver      "cholesky": each half-step is solved exactly; "cg": by `cg_steps` steps of conjugate
                gradients from the factors of the epoch before

    Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan.  Large-scale parallel collaborative filtering for
    the Netflix Prize.  AAIM 2008.  Y. Koren, R. Bell, C. Volinsky.  Matrix factorization techniques
    for recommender systems.  Computer 42(8), 2009.

    Cost of an epoch for n ratings by U users of I items, in multiply-adds: 2·n·f² + (U + I)·f³/3.

    `predict` clips to the range of the ratings.  `fold_in` is one half-step; `partial_fit` solves
    anew for the users and items that have new ratings, with μ as it is; `explain` splits
    p_u·q_i + b_u into what each rating of the user contributes.

    >>> from minidl.recommend import ALS
    >>> ratings = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [5, 1, 4, 1, 5]
    >>> model = ALS(factors=2).fit(ratings)
    >>> bool(model.predict(3, "rum") < model.predict(3, "tea"))
    True
    """

    def __init__(
        self,
        factors: int = 10,
        regularization: float = 0.1,
        epochs: int = 15,
        biases: bool = True,
        weighted: bool = True,
        solver: str = "cholesky",
        cg_steps: int = 3,
        seed: int = 0,
    ) -> None:
        self.factors, self.epochs, self.regularization = factors, epochs, regularization
        self.solver, self.cg_steps, self.seed = solver, cg_steps, seed
        self._check()
        check_flags(self, biases=biases, weighted=weighted)
        self.biases, self.weighted = biases, weighted

    def _check_ratings(self, data: Interactions) -> None:
        ratings_of(self, data)

    def _prepare(self, data: Interactions) -> None:
        ratings = ratings_of(self, data)
        self.mean = float(ratings.mean(dtype=np.float64)) if self.biases else 0.0
        self.rating_range = range_of(ratings)
        self.user_biases = np.zeros(len(data.users), np.float32)
        self.item_biases = np.zeros(len(data.items), np.float32)

    def _entries(self, matrix: Any) -> Entries:
        targets = (matrix.data - np.float64(self.mean)).astype(np.float32)
        return Entries.of_matrix(matrix, np.ones(targets.size, np.float32), targets)

    def _features(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(q_i, 1), and b_i."""
        if not self.biases:
            return table, None
        features = table.copy()
        features[:, self.factors] = 1
        return features, table[:, self.factors]

    def _ridges(self, counts: np.ndarray) -> np.ndarray:
        return self.regularization * (counts if self.weighted else np.ones(counts.size))

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        b_u, b_i = (self.user_biases, self.item_biases) if self.biases else (None, None)
        return self._table(self.user_factors, b_u), self._table(self.item_factors, b_i)

    def _keep(self, users: np.ndarray, items: np.ndarray) -> None:
        super()._keep(users, items)
        b_u, b_i = (np.zeros(len(table), np.float32) for table in (users, items))
        if self.biases:
            b_u, b_i = users[:, self.factors].copy(), items[:, self.factors].copy()
        self.user_biases, self.item_biases = b_u, b_i

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        super()._partial_fit(data, new)
        self.rating_range = range_of(ratings_of(self, data))
