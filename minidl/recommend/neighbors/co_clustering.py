"""Co-clustering: users and items in clusters, and a mean rating for each pair of clusters."""

from typing import NamedTuple, Self

import numpy as np
from scipy import sparse

from minidl.checks import check_integers
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import group_means, row_numbers
from minidl.recommend.progress import track
from minidl.recommend.recommender import Recommender


class _Ratings(NamedTuple):
    """n ratings: by whom, of what, and how many users and items there are."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Self:
        values = matrix.data.astype(np.float64)
        return cls(row_numbers(matrix), matrix.indices, values, matrix.shape)


class CoClustering(Recommender):
    """r̂_ui = C_gh + (μ_u − C_g) + (μ_i − C_h), with u in user cluster g and i in item cluster h.

    C_gh is the mean rating of users of g and items of h, C_g and C_h are those of all of their
    ratings, and μ_u, μ_i the means of user and item.  Clusters begin at random.  In each epoch,
    each user moves to the cluster where the sum of squared errors of its ratings is least, then
    each item, with means of clusters that are those of the epoch's beginning; of equal clusters the
    first.

    Of an unknown user it is the mean of the item, and the other way round.  `fold_in` moves each
    new user to its best cluster; `partial_fit` goes on from the clusters there are, with new users
    and items in their best ones.

    user_clusters, item_clusters, epochs    as in Surprise, 3, 3 and 20
    seed                                    of the clusters to begin with

    Cost: epochs × ratings × clusters.  T. George, S. Merugu: A scalable collaborative filtering
    framework based on co-clustering, ICDM 2005.

    >>> from minidl.recommend import CoClustering
    >>> users, items = [1, 1, 2, 2, 3, 3], ["tea", "rum", "tea", "rum", "tea", "ale"]
    >>> model = CoClustering(1, 1).fit((users, items, [5, 1, 4, 2, 5, 3]))
    >>> round(float(model.predict(3, "rum")), 3)  # 4 + 1.5 − 10/3
    2.167
    """

    FITTED = (
        *("mean", "user_means", "item_means", "clusters_of_users", "clusters_of_items"),
        *("means_of_user_clusters", "means_of_item_clusters", "means"),
    )
    clusters_of_users: np.ndarray
    clusters_of_items: np.ndarray

    def __init__(
        self, user_clusters: int = 3, item_clusters: int = 3, epochs: int = 20, seed: int = 0
    ) -> None:
        check_integers(self, 1, user_clusters=user_clusters, item_clusters=item_clusters)
        check_integers(self, 0, epochs=epochs, seed=seed)
        self.user_clusters, self.item_clusters = user_clusters, item_clusters
        self.epochs, self.seed = epochs, seed

    def _fit(self, data: Interactions) -> None:
        ratings = _Ratings.of(data.matrix)
        generator = np.random.default_rng(self.seed)
        self.clusters_of_users = generator.integers(self.user_clusters, size=ratings.shape[0])
        self.clusters_of_items = generator.integers(self.item_clusters, size=ratings.shape[1])
        self._learn(ratings)

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        ratings = _Ratings.of(data.matrix)
        known = self.clusters_of_users.size, self.clusters_of_items.size
        self._take_means(ratings)
        more = [count - old for count, old in zip(ratings.shape, known, strict=True)]
        self.clusters_of_users = np.append(self.clusters_of_users, np.zeros(more[0], np.int64))
        self.clusters_of_items = np.append(self.clusters_of_items, np.zeros(more[1], np.int64))
        self.clusters_of_users[known[0] :] = self._best_of_users(ratings)[known[0] :]
        self.clusters_of_items[known[1] :] = self._best_of_items(ratings)[known[1] :]
        self._learn(ratings)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        for name in self.FITTED:
            setattr(folded, name, getattr(self, name))
        ratings = _Ratings.of(data.matrix)
        folded.user_means = group_means(ratings.users, ratings.values, ratings.shape[0], self.mean)
        folded.clusters_of_users = folded._best_of_users(ratings)
        return folded

    def _learn(self, ratings: _Ratings) -> None:
        """Run the epochs from the clusters there are."""
        self._take_means(ratings)
        for _ in track(range(self.epochs), "co-clustering"):
            self._take_cluster_means(ratings)
            self.clusters_of_users = self._best_of_users(ratings)
            self.clusters_of_items = self._best_of_items(ratings)
        self._take_cluster_means(ratings)

    def _take_means(self, ratings: _Ratings) -> None:
        users, items, values, shape = ratings
        self.mean = float(values.mean())
        self.user_means = group_means(users, values, shape[0], self.mean)
        self.item_means = group_means(items, values, shape[1], self.mean)

    def _take_cluster_means(self, ratings: _Ratings) -> None:
        """The means of clusters, and of pairs of them; where there is no rating, that of all."""
        values, count = ratings.values, self.item_clusters
        g, h = self.clusters_of_users[ratings.users], self.clusters_of_items[ratings.items]
        self.means_of_user_clusters = group_means(g, values, self.user_clusters, self.mean)
        self.means_of_item_clusters = group_means(h, values, count, self.mean)
        pairs = group_means(g * count + h, values, self.user_clusters * count, self.mean)
        self.means = pairs.reshape(-1, count)

    def _best_of_users(self, ratings: _Ratings) -> np.ndarray:
        """For each user the cluster in which its ratings are predicted best."""
        h = self.clusters_of_items[ratings.items]
        offsets = self.means - self.means_of_user_clusters[:, None]
        rest = ratings.values - self.user_means[ratings.users]
        rest -= self.item_means[ratings.items] - self.means_of_item_clusters[h]
        return _best(rest, offsets[:, h], ratings.users, ratings.shape[0])

    def _best_of_items(self, ratings: _Ratings) -> np.ndarray:
        """For each item the cluster in which its ratings are predicted best."""
        g = self.clusters_of_users[ratings.users]
        offsets = self.means.T - self.means_of_item_clusters[:, None]
        rest = ratings.values - self.item_means[ratings.items]
        rest -= self.user_means[ratings.users] - self.means_of_user_clusters[g]
        return _best(rest, offsets[:, g], ratings.items, ratings.shape[1])

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return self._predicted(users[:, None], np.arange(len(self.items))[None])

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        result = np.full(users.size, self.mean, np.float32)
        for codes, means in ((items, self.item_means), (users, self.user_means)):
            result[codes >= 0] = means[codes[codes >= 0]]
        known = (users >= 0) & (items >= 0)
        result[known] = self._predicted(users[known], items[known])
        return result

    def _predicted(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        g, h = self.clusters_of_users[users], self.clusters_of_items[items]
        of_users = self.user_means[users] - self.means_of_user_clusters[g]
        of_items = self.item_means[items] - self.means_of_item_clusters[h]
        return (self.means[g, h] + of_users + of_items).astype(np.float32)


def _best(rest: np.ndarray, offsets: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """For each group the row of offsets, (clusters, n), from which the rest differs least."""
    errors = [np.bincount(groups, (rest - offset) ** 2, count) for offset in offsets]
    return np.argmin(errors, axis=0)
