"""Slope One: ratings of two items differ, on average, by a number."""

from typing import Self

import numpy as np
from scipy import sparse

from minidl.backends.kernels.recommend.neighbors import Sparse
from minidl.backends.kernels.recommend.slope_one import slope_one
from minidl.checks import check_flags
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import group_means, row_numbers, transposed
from minidl.recommend.recommender import Recommender


class SlopeOne(Recommender):
    """r̂_ui = μ_u + the mean of dev_ij over the items j of u that some user has rated beside i.

    dev_ij is the mean of r_vi − r_vj over the n_ij users v who rated both.  With `weighted`,
    r̂_ui = Σ n_ij·(dev_ij + r_uj) / Σ n_ij, so that differences that many users agree on count more.

    Without such an item it is μ_u, the mean of the user's ratings; of an unknown user it is the
    item's.  Differences are computed when they are needed, for one item at a time: memory is that
    of the ratings.  There is nothing to fit, so that `fold_in` and `partial_fit` are exact.

    D. Lemire, A. Maclachlan: Slope one predictors for online rating-based collaborative filtering,
    SIAM Data Mining 2005, sections 3.1 and 3.2.

    >>> from minidl.recommend import SlopeOne
    >>> ratings = ["ann", "ann", "ben"], ["tea", "rum", "tea"], [1, 1.5, 2]
    >>> float(SlopeOne().fit(ratings).predict("ben", "rum"))  # the paper's first example
    2.5
    """

    FITTED = "rated", "ratings", "user_means", "item_means", "mean"
    rated: sparse.csr_array
    ratings: sparse.csr_array

    def __init__(self, weighted: bool = False) -> None:
        check_flags(self, weighted=weighted)
        self.weighted = weighted

    def _fit(self, data: Interactions) -> None:
        self.rated = transposed(data.matrix)
        self.mean = float(data.matrix.data.mean(dtype=np.float64))
        self.item_means = _means(self.rated, self.mean)
        self._take(data.matrix)

    def _take(self, ratings: sparse.csr_array) -> None:
        """Let these be the ratings of the users that predictions are for."""
        self.ratings, self.user_means = ratings, _means(ratings, self.mean)

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(self.weighted)
        for name in self.FITTED:
            setattr(folded, name, getattr(self, name))
        folded._take(data.matrix)
        return folded

    def _scores(self, users: np.ndarray) -> np.ndarray:
        items, count = np.arange(len(self.items)), users.size
        starts = np.arange(items.size + 1) * count
        every = np.tile(users.astype(np.int64), items.size)
        return np.ascontiguousarray(self._predicted(items, starts, every).reshape(-1, count).T)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        result = np.full(users.size, self.mean, np.float32)
        result[users >= 0] = self.user_means[users[users >= 0]]
        only_item = (users < 0) & (items >= 0)
        result[only_item] = self.item_means[items[only_item]]
        known = (users >= 0) & (items >= 0)
        users, items = users[known].astype(np.int64), items[known].astype(np.int64)
        order = np.argsort(items, kind="stable")
        distinct, starts = np.unique(items[order], return_index=True)
        found = np.empty(order.size, np.float32)
        found[order] = self._predicted(distinct, np.append(starts, order.size), users[order])
        result[known] = found
        return result

    def _predicted(self, items: np.ndarray, starts: np.ndarray, users: np.ndarray) -> np.ndarray:
        """For pairs grouped by items."""
        rated, by_user = Sparse.of(self.rated), Sparse.of(transposed(self.rated))
        ratings, groups = Sparse.of(self.ratings), (items, starts, users)
        return slope_one(rated, by_user, ratings, self.user_means, groups, self.weighted)


def _means(rows: sparse.csr_array, otherwise: float) -> np.ndarray:
    return group_means(row_numbers(rows), rows.data, rows.shape[0], otherwise)
