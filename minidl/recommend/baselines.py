"""Baselines: what is known without knowing how users and items fit."""

import numpy as np

from minidl.checks import check_integers, check_numbers
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import row_numbers
from minidl.recommend.recommender import Recommender


class GlobalMean(Recommender):
    """r̂ = μ, the mean of all ratings.

    >>> from minidl.recommend import GlobalMean
    >>> GlobalMean().fit((["ann", "ben"], ["tea", "tea"], [5, 2])).predict("ann", "tea")
    np.float32(3.5)
    """

    FITTED = ("mean",)

    def _fit(self, data: Interactions) -> None:
        self.mean = 1.0 if data.ratings is None else float(data.ratings.mean(dtype=np.float64))

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return np.full((users.size, len(self.items)), self.mean, np.float32)

    def _fold_in(self, data: Interactions) -> "GlobalMean":
        folded = type(self)()
        folded.mean = self.mean
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)


class Popularity(Recommender):
    """The number of interactions of each item: the same recommendations for everyone.

    >>> from minidl.recommend import Popularity
    >>> Popularity().fit(([1, 1, 2, 3], ["tea", "rum", "tea", "tea"])).recommend(2)
    [Scored(id='rum', score=1.0)]
    """

    FITTED = ("counts",)
    RATES = False

    def _fit(self, data: Interactions) -> None:
        self.counts = np.bincount(data.item_codes, minlength=len(data.items)).astype(np.float32)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return np.repeat(self.counts[None], users.size, axis=0)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.where(items >= 0, self.counts[items], np.float32(0))

    def _fold_in(self, data: Interactions) -> "Popularity":
        folded = type(self)()
        folded.counts = self.counts
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)


class Biases(Recommender):
    """r̂ = μ + b_u + b_i: how users rate, and how items are rated.

    b minimises Σ (r − r̂)² + user_regularization·Σ b_u² + item_regularization·Σ b_i², by alternating
    least squares: b_i = Σ (r − μ − b_u) / (n_i + λ), then b_u likewise.  Y. Koren: Factor in the
    neighbors, ACM TKDD 4(1), 2010, section 2.1, whose defaults these are.

    >>> from minidl.recommend import Biases
    >>> model = Biases(user_regularization=0, item_regularization=0)
    >>> model = model.fit(([1, 1, 2], ["tea", "rum", "tea"], [5, 1, 4]))
    >>> round(float(model.predict(2, "rum")), 2)
    0.0
    """

    FITTED = "mean", "user_biases", "item_biases"

    def __init__(
        self,
        epochs: int = 10,
        user_regularization: float = 15.0,
        item_regularization: float = 10.0,
    ) -> None:
        check_integers(self, 1, epochs=epochs)
        check_numbers(
            self, 0, finite=True,
            user_regularization=user_regularization, item_regularization=item_regularization,
        )  # fmt: skip
        self.epochs = epochs
        self.user_regularization = user_regularization
        self.item_regularization = item_regularization

    def _fit(self, data: Interactions) -> None:
        matrix = data.matrix
        ratings = matrix.data.astype(np.float64)
        self.mean = float(ratings.mean())
        items = matrix.indices
        users = row_numbers(matrix)
        b_u, b_i = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
        for _ in range(self.epochs):
            b_i = _shrunk_means(
                ratings - self.mean - b_u[users], items, b_i.size, self.item_regularization
            )
            b_u = _shrunk_means(
                ratings - self.mean - b_i[items], users, b_u.size, self.user_regularization
            )
        self.user_biases, self.item_biases = b_u.astype(np.float32), b_i.astype(np.float32)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return np.float32(self.mean) + self.user_biases[users, None] + self.item_biases

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        b_u = np.where(users >= 0, self.user_biases[users], np.float32(0))
        return self.mean + b_u + np.where(items >= 0, self.item_biases[items], np.float32(0))

    def _fold_in(self, data: Interactions) -> "Biases":
        folded = type(self)(self.epochs, self.user_regularization, self.item_regularization)
        folded.mean, folded.item_biases = self.mean, self.item_biases
        matrix = data.matrix
        users = row_numbers(matrix)
        rest = matrix.data - self.mean - self.item_biases[matrix.indices]
        biases = _shrunk_means(rest, users, matrix.shape[0], self.user_regularization)
        folded.user_biases = biases.astype(np.float32)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)


def _shrunk_means(
    values: np.ndarray, groups: np.ndarray, count: int, regularization: float
) -> np.ndarray:
    """Σ values / (n + λ) of each group; 0 for an empty one."""
    totals = np.bincount(groups, values, count)
    return totals / np.maximum(np.bincount(groups, minlength=count) + regularization, 1e-12)
