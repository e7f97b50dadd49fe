"""The objective of ALS and of MatrixFactorization, and what follows from it."""

from typing import Any

import numpy as np

from minidl.checks import check_integers, check_numbers
from minidl.recommend.factorization.alternating import Alternating, Entries
from minidl.recommend.factorization.factors import BiasedFactors, range_of, ratings_of
from minidl.recommend.interactions import Interactions


class RatingFactors(Alternating, BiasedFactors):
    """r̂ = μ + b_u + b_i + p_u·q_i, by regularised least squares.

    It minimises Σ (r − r̂)² + Σ_u λ_u·(|p_u|² + b_u²) + Σ_i λ_i·(|q_i|² + b_i²) over the pairs that
    were rated.  With the items fixed, p_u and b_u solve a linear problem
    together, whose features are (q_i, 1); and items likewise.

    biases      False: r̂ = p_u·q_i
    weighted    λ_u = regularization·n_u, for n_u ratings of the user, and λ_i likewise; False:
                λ = regularization
    """

    weighted: bool = True

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


class Descent(RatingFactors):
    """What stochastic gradient descent on the same objective has for settings."""

    REMEDY = "lower the learning_rate, or scale the ratings to a smaller range"
    learning_rate: float
    start_deviation: float

    def _check_descent(self) -> None:
        """Check the arguments of the constructor."""
        check_integers(self, 1, factors=self.factors, epochs=self.epochs)
        check_integers(self, 0, seed=self.seed)
        check_numbers(
            self, above=0, finite=True,
            regularization=self.regularization, learning_rate=self.learning_rate,
            start_deviation=self.start_deviation,
        )  # fmt: skip
