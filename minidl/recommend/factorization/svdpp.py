"""SVD++: matrix factorisation that also looks at which items a user has rated."""

import numpy as np
from scipy import sparse

from minidl.backends.kernels.recommend.svdpp import svdpp_epoch
from minidl.checks import name_of
from minidl.recommend.factorization.alternating import Entries
from minidl.recommend.factorization.factors import check_finite, random_table
from minidl.recommend.factorization.rating_factors import Descent
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track


class SVDpp(Descent):
    """SVD++: r̂ = μ + b_u + b_i + q_i·(p_u + |N(u)|^−½·Σ_{j∈N(u)} y_j).

    N(u) are the items that u has rated: which these are says something about the user, whatever the
    ratings.  For each rating, user by user in a shuffled order, there is a step of gradient descent
    with the learning rate η on ½·(r − r̂)² + ½·λ·(b_u² + b_i² + |p_u|² + |q_i|² + Σ_j |y_j|²).

    user_factors        what is multiplied with q_i: p_u and the sum
    implicit_factors    y, (items, factors)
    factors             normal at the start, N(0, start_deviation²), the y_j too

    Y. Koren.  Factorization meets the neighborhood: A multifaceted collaborative filtering model.
    KDD 2008.

    Cost of an epoch for n ratings: 18·n·f flops on one thread: all y_j of a user get the same
    increment, so they are written once for all of his ratings.

    `fold_in` sums the y_j and solves for p_u and b_u; `partial_fit` does so for the users that have
    new ratings, and solves for the items; the y_j of new items are 0.

    >>> from minidl.recommend import SVDpp
    >>> ratings = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [5, 1, 4, 1, 5]
    >>> model = SVDpp(factors=4).fit(ratings)
    >>> bool(model.predict(3, "rum") < model.predict(3, "tea"))
    True
    """

    FITTED = (*Descent.FITTED, "implicit_factors")
    implicit_factors: np.ndarray

    def __init__(
        self,
        factors: int = 20,
        regularization: float = 0.08,
        epochs: int = 40,
        learning_rate: float = 0.007,
        start_deviation: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.factors, self.regularization, self.epochs = factors, regularization, epochs
        self.learning_rate, self.start_deviation = learning_rate, start_deviation
        self.seed = seed
        self._check_descent()

    def _fit(self, data: Interactions) -> None:
        self._check_ratings(data)
        self._prepare(data)
        matrix = data.matrix.copy()  # whose entries are shuffled
        rng = np.random.default_rng(self.seed)
        p, q, y = (
            random_table(codes, size, self.factors, self.start_deviation, rng)
            for codes, size in (
                (data.user_codes, len(data.users)),
                (data.item_codes, len(data.items)),
                (data.item_codes, len(data.items)),
            )
        )
        biases = self.user_biases, self.item_biases
        width = p.shape[1]
        vectors = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width)
        rates = self.mean, self.learning_rate, self.regularization
        settings = tuple(map(np.float32, rates))
        entries = Entries.of_matrix(matrix, matrix.data, matrix.data)
        for epoch in track(range(self.epochs), name_of(self)):
            place = np.uint64(self.seed), np.uint64(epoch * len(data))
            svdpp_epoch(
                rng.permutation(len(data.users)), *entries[:3], (p, q, y), biases, vectors,
                settings, place,
            )  # fmt: skip
            check_finite(self, self.REMEDY, *biases, p, q, y)
        p, q, self.implicit_factors = (table[:, : self.factors].copy() for table in (p, q, y))
        self.user_factors, self.item_factors = p + self._sums(entries), q

    def _sums(self, entries: Entries) -> np.ndarray:
        """|N|^−½·Σ y_j of users, float32."""
        counts = np.diff(entries.indptr)
        shares = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
        shape = counts.size, len(self.implicit_factors)
        matrix = sparse.csr_array((shares, entries.indices, entries.indptr), shape=shape)
        sums: np.ndarray = (matrix @ self.implicit_factors.astype(np.float64)).astype(np.float32)
        return sums

    def _solve_users(self, entries: Entries, items: np.ndarray, x: np.ndarray) -> None:
        """p_u and b_u by least squares, with what the sums explain taken from the targets."""
        sums = self._sums(entries)
        self._half_step(self._without(entries, items, sums), items, x, None)
        x[:, : self.factors] += sums

    def _without(self, entries: Entries, items: np.ndarray, sums: np.ndarray) -> Entries:
        """The entries, with q·z taken from their targets."""
        users = np.repeat(np.arange(len(sums)), np.diff(entries.indptr))
        explained = (items[entries.indices, : self.factors] * sums[users]).sum(axis=1)
        return entries._replace(targets=entries.targets - explained)

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        more = len(data.items) - len(self.implicit_factors)
        zeros = np.zeros((more, self.factors), np.float32)
        self.implicit_factors = np.concatenate([self.implicit_factors, zeros])
        super()._partial_fit(data, new)

    def _terms(self, entries: Entries, item: int) -> np.ndarray:
        """Of each item that was rated, what its rating contributes, and that it was rated."""
        items = self._tables()[1]
        by_ratings = super()._terms(self._without(entries, items, self._sums(entries)), item)
        share = 1 / np.sqrt(max(entries.indices.size, 1))
        met = self.implicit_factors[entries.indices].astype(np.float64)
        terms: np.ndarray = by_ratings + share * (met @ self.item_factors[item])
        return terms
