"""What models of factors share: scores and similarities from vectors of users and items."""

from typing import Any, ClassVar

import numpy as np

from minidl.backends.kernels.recommend.least_squares import padded
from minidl.backends.products import precise_matmul
from minidl.checks import name_of
from minidl.errors import ArgumentError
from minidl.recommend.interactions import Interactions
from minidl.recommend.recommender import Recommender

_BLOCK = 1 << 16  # pairs that are scored at a time


class Factors(Recommender):
    """r̂ = p_u·q_i: a vector of factors for each user and each item.

    user_factors, item_factors    (users, factors) and (items, factors), float32; zero for who has
                                  no interactions

    Users, or items, are similar by the cosine of their factors.
    """

    FITTED: ClassVar[tuple[str, ...]] = ("user_factors", "item_factors")
    user_factors: np.ndarray
    item_factors: np.ndarray

    def _scores(self, users: np.ndarray) -> np.ndarray:
        scores: np.ndarray = precise_matmul(self.user_factors[users], self.item_factors.T)
        return scores

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        result = np.empty(users.size, np.float32)
        for start in range(0, users.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            u, i = users[block], items[block]
            products = (self.user_factors[u] * self.item_factors[i]).sum(axis=1)
            result[block] = np.where((u >= 0) & (i >= 0), products, np.float32(0))
        return result

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return cosines(self.item_factors, items)

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        return cosines(self.user_factors, users)


class BiasedFactors(Factors):
    """r̂ = μ + b_u + b_i + p_u·q_i, for ratings.

    mean                       μ
    user_biases, item_biases   b_u (users,) and b_i (items,), float32
    rating_range               the smallest and the largest rating

    What `predict` gives is clipped to the range of the ratings, since no user rates beyond it;
    rankings are by r̂ itself, of which fewer are equal.  Without biases, it gives the mean of the
    ratings for users and items that have none.
    """

    FITTED = (*Factors.FITTED, "mean", "user_biases", "item_biases", "rating_range")
    biases: bool = True
    mean: float
    user_biases: np.ndarray
    item_biases: np.ndarray
    rating_range: tuple[float, float]

    def _scores(self, users: np.ndarray) -> np.ndarray:
        scores = super()._scores(users)
        scores += np.float32(self.mean) + self.user_biases[users, None]
        scores += self.item_biases
        return scores

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        b_u = np.where(users >= 0, self.user_biases[users], np.float32(0))
        b_i = np.where(items >= 0, self.item_biases[items], np.float32(0))
        scores = super()._pairs(users, items) + np.float32(self.mean) + b_u + b_i
        if not self.biases:
            has_p, has_q = (np.any(t, axis=1) for t in (self.user_factors, self.item_factors))
            known = has_p[users] & has_q[items] & (users >= 0) & (items >= 0)
            scores = np.where(known, scores, np.float32(self._mean()))
        low, high = map(np.float32, self.rating_range)
        clipped: np.ndarray = np.clip(scores, low, high)
        return clipped


def ratings_of(owner: Any, data: Interactions) -> np.ndarray:
    """The ratings; ArgumentError if there are none."""
    if data.ratings is None:
        raise ArgumentError(
            f"{name_of(owner)}: needs ratings, and these interactions have none; ImplicitALS and "
            "BPR learn from who met what"
        )
    return data.ratings


def range_of(ratings: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest rating."""
    return float(ratings.min()), float(ratings.max())


def cosines(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The cosine of some rows of a table with all of its rows; 0 where a row is zero."""
    norms = np.sqrt(np.square(table, dtype=np.float64).sum(axis=1))
    unit = (table / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
    result: np.ndarray = precise_matmul(unit[rows], unit.T)
    return result


def random_table(
    codes: np.ndarray, size: int, factors: int, deviation: float, rng: np.random.Generator
) -> np.ndarray:
    """Normal factors of those that have ratings, zeros of others, padded to full vectors."""
    table = np.zeros((size, padded(factors)), np.float32)
    table[:, :factors] = rng.normal(0, deviation, (size, factors))
    table[np.bincount(codes, minlength=size) == 0] = 0
    return table


def check_finite(owner: Any, remedy: str, *arrays: np.ndarray) -> None:
    """Raise ArgumentError, before anything is kept, if learning has diverged."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise ArgumentError(f"{name_of(owner)}: the factors have become infinite; {remedy}")
