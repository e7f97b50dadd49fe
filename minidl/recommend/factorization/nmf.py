"""Non-negative matrix factorisation of ratings."""

from typing import Self

import numpy as np

from minidl.backends.kernels.recommend.least_squares import padded
from minidl.backends.kernels.recommend.nmf import update_rows
from minidl.checks import check_integers, check_numbers, name_of
from minidl.errors import ArgumentError
from minidl.recommend.factorization.alternating import Entries
from minidl.recommend.factorization.factors import (
    BiasedFactors,
    check_finite,
    range_of,
    ratings_of,
)
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track


class NMF(BiasedFactors):
    """Non-negative matrix factorisation: r̂ = p_u·q_i with p, q ≥ 0, of ratings ≥ 0.

    It minimises Σ ((r − r̂)² + λ·(|p_u|² + |q_i|²)) over the pairs that were rated, by
    multiplicative updates, of users with the items fixed and of items with the users fixed:

        p_uf ← p_uf · Σ_i r·q_if / (Σ_i r̂·q_if + n_u·λ·p_uf)

    Factors that are not negative add up, so they can be read: as a share in each of some tastes.

    factors           uniform in [0, 1) at the start, scaled to the mean of the ratings
    regularization    λ

    X. Luo, M. Zhou, Y. Xia, Q. Zhu.  An efficient non-negative matrix-factorization-based approach
    to collaborative filtering for recommender systems.  IEEE TII 10(2), 2014.  D. Lee, H. Seung.
    Algorithms for non-negative matrix factorization.  NeurIPS 2000.

    Cost of an epoch for n ratings: 12·n·f flops.

    `fold_in` updates the new users only, `partial_fit` the users and items that have new ratings,
    as many times as there are epochs.

    >>> from minidl.recommend import NMF
    >>> ratings = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [5, 1, 4, 1, 5]
    >>> model = NMF(factors=2).fit(ratings)
    >>> bool(model.item_factors.min() >= 0), bool(model.predict(3, "rum") < 2)
    (True, True)
    """

    FITTED = (*BiasedFactors.FITTED, "scale")
    biases = False
    mean = 0.0
    scale: float  # of the factors at the start

    def __init__(
        self, factors: int = 15, regularization: float = 0.1, epochs: int = 50, seed: int = 0
    ) -> None:
        check_integers(self, 1, factors=factors, epochs=epochs)
        check_integers(self, 0, seed=seed)
        check_numbers(self, 0, finite=True, regularization=regularization)
        self.factors, self.regularization, self.epochs = factors, regularization, epochs
        self.seed = seed

    def _fit(self, data: Interactions) -> None:
        of_users, of_items = self._entries(data)
        self._prepare(data)
        mean = data.matrix.data.mean(dtype=np.float64)
        self.scale = float(np.sqrt(4 * mean / self.factors))
        p, q = self._start(0, of_users), self._start(1, of_items)
        for _ in track(range(self.epochs), name_of(self)):
            self._update(of_users, q, p)
            self._update(of_items, p, q)
        self._keep(p, q)

    def _prepare(self, data: Interactions) -> None:
        """Set what does not need learning."""
        self.rating_range = range_of(ratings_of(self, data))
        self.user_biases = np.zeros(len(data.users), np.float32)
        self.item_biases = np.zeros(len(data.items), np.float32)

    def _entries(self, data: Interactions) -> tuple[Entries, Entries]:
        """The ratings of users, and of items."""
        ratings = ratings_of(self, data)
        if ratings.min() < 0:
            raise ArgumentError(
                f"{name_of(self)}: needs ratings ≥ 0, of which it makes factors ≥ 0; got "
                f"{ratings.min():g}; shift them first"
            )
        by_user, by_item = data.matrix, data.matrix.T.tocsr()
        return (
            Entries.of_matrix(by_user, by_user.data, by_user.data),
            Entries.of_matrix(by_item, by_item.data, by_item.data),
        )

    def _start(self, side: int, entries: Entries, begin: int = 0) -> np.ndarray:
        """The factors of rows from `begin` on before the first update, padded to full vectors."""
        counts = np.diff(entries.indptr)[begin:]
        rng = np.random.default_rng([self.seed, side, begin])
        table = np.zeros((counts.size, padded(self.factors)), np.float32)
        table[:, : self.factors] = rng.uniform(0, self.scale, (counts.size, self.factors))
        table[counts == 0] = 0
        return table

    def _update(self, entries: Entries, others: np.ndarray, x: np.ndarray) -> None:
        """Update the rows of x, with the others fixed."""
        problem = entries.indptr, entries.indices, entries.targets
        update_rows(*problem, others, self.regularization, x)

    def _keep(self, p: np.ndarray, q: np.ndarray) -> None:
        check_finite(self, "scale the ratings to a smaller range", p, q)
        self.user_factors, self.item_factors = (t[:, : self.factors].copy() for t in (p, q))

    def _extended(self, factors: np.ndarray, side: int, entries: Entries) -> np.ndarray:
        """These factors, padded, with the start of rows that are new."""
        old = np.zeros((len(factors), padded(self.factors)), np.float32)
        old[:, : self.factors] = factors
        return np.concatenate([old, self._start(side, entries, len(factors))])

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        of_users, of_items = folded._entries(data)
        folded._prepare(data)
        folded.rating_range, folded.scale = self.rating_range, self.scale
        p, q = folded._start(0, of_users), self._extended(self.item_factors, 1, of_items)
        for _ in range(self.epochs):
            folded._update(of_users, q, p)
        folded._keep(p, q)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        of_users, of_items = self._entries(data)
        self._prepare(data)
        p = self._extended(self.user_factors, 0, of_users)
        q = self._extended(self.item_factors, 1, of_items)
        users, items = np.unique(new.user_codes), np.unique(new.item_codes)
        of_users, of_items = of_users.of(users), of_items.of(items)
        own_p, own_q = p[users], q[items]
        for _ in range(self.epochs):
            self._update(of_users, q, own_p)
            p[users] = own_p
            self._update(of_items, p, own_q)
            q[items] = own_q
        self._keep(p, q)
