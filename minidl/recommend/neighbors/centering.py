"""Centering: what is subtracted from ratings before they are averaged, and added again after."""

from typing import NamedTuple, Self

import numpy as np
from scipy import sparse

from minidl.recommend.baselines import Biases
from minidl.recommend.matrices import group_means, row_numbers


class Centering(NamedTuple):
    """How ratings are centered: r̂ = center + spread · (the mean of (r − center) / spread).

    prediction    "mean": not at all; "mean_centered", "z_score": by the mean of each row, and its
                  standard deviation; "baseline": by the biases of user and item
    by_user       whether rows are users
    overall       mean and standard deviation of all ratings: of unknown and empty rows
    centers, spreads    (rows,), float64, for "mean_centered" and "z_score"
    """

    prediction: str
    by_user: bool
    overall: tuple[float, float]
    centers: np.ndarray
    spreads: np.ndarray
    biases: Biases | None

    @classmethod
    def of(
        cls,
        prediction: str,
        by_user: bool,
        rows: sparse.csr_array,
        biases: Biases | None,
        overall: tuple[float, float] | None = None,
    ) -> Self:
        """The centering of rows; of those without ratings, or equal ones, what is overall."""
        if overall is None:
            values = rows.data.astype(np.float64)
            overall = float(values.mean()), float(values.std())
        centers, spreads = _moments(rows, overall[0])
        spreads[spreads == 0] = overall[1] or 1.0
        return cls(prediction, by_user, overall, centers, spreads, biases)

    @property
    def mean(self) -> float:
        """The mean of all ratings."""
        return self.overall[0]

    def center(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """What is predicted without neighbours, float64; −1 stands for an unknown user or item."""
        rows = users if self.by_user else items
        if self.prediction == "baseline":
            assert self.biases is not None
            return np.asarray(self.biases._pairs(users, items), np.float64)
        if self.prediction in ("mean_centered", "z_score"):
            return np.where(rows >= 0, self.centers[rows], self.mean) + 0.0 * (users + items)
        return np.where((users < 0) | (items < 0), self.mean, 0.0)

    def spread(self, users: np.ndarray, items: np.ndarray) -> np.ndarray | float:
        """What a mean of centered ratings is multiplied by."""
        if self.prediction != "z_score":
            return 1.0
        return self.spreads[users if self.by_user else items]

    def centered(self, ratings: sparse.csr_array) -> np.ndarray:
        """The entries of a matrix (users, items), centered, float32."""
        users, items = row_numbers(ratings), ratings.indices
        rest = ratings.data - self.center(users, items)
        return (rest / self.spread(users, items)).astype(np.float32)


def _moments(rows: sparse.csr_array, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each row; `mean` and 0 for an empty one."""
    numbers, count = row_numbers(rows), rows.shape[0]
    means = group_means(numbers, rows.data, count, mean)
    squares = (rows.data - means[numbers]) ** 2
    deviations = np.sqrt(group_means(numbers, squares, count, 0.0))
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lowest, numbers, rows.data)
    np.maximum.at(highest, numbers, rows.data)
    return means, np.where(lowest < highest, deviations, 0.0)
