"""Alternating least squares: what its explicit and its implicit form share."""

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from minidl.backends.kernels.recommend.least_squares import padded, solve_rows
from minidl.checks import check_choice, check_integers, check_numbers, name_of
from minidl.recommend.factorization.factors import Factors, check_finite
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track
from minidl.recommend.ranking import Scored
from minidl.recommend.recommender import Explanation

SOLVERS = "cholesky", "cg"
_START = 0.01  # the size of the first factors of items


class Entries(NamedTuple):
    """The ratings of users, or of items: a sparse matrix by rows, with w and t for each entry."""

    indptr: np.ndarray  # int64
    indices: np.ndarray  # int32
    weights: np.ndarray  # float32
    targets: np.ndarray  # float32

    @classmethod
    def of_matrix(cls, matrix: Any, weights: np.ndarray, targets: np.ndarray) -> "Entries":
        """The entries of a sparse matrix, with their weights and targets."""
        indices = matrix.indices.astype(np.int32, copy=False)
        return cls(matrix.indptr.astype(np.int64), indices, weights, targets)

    def of(self, rows: np.ndarray) -> "Entries":
        """Those of some rows."""
        counts = np.diff(self.indptr)[rows]
        indptr = np.append(0, np.cumsum(counts))
        places = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], counts)
        return Entries(indptr, self.indices[places], self.weights[places], self.targets[places])


class Alternating(Factors):
    """Users are solved for with the items fixed, then items with the users fixed, and so on.

    A *table* holds what is known of users, or of items, a row for each: the factors, a bias where
    there are any, and zeros up to full vectors.  What a subclass writes says which problem a row
    is: minimise Σ w·(t − x·y)² + xᵀ·G·x + λ·|x|² over the row x, with the features y of the other
    side.
    """

    REMEDY: ClassVar[str] = "scale the ratings to a smaller range"
    factors: int
    epochs: int
    regularization: float
    solver: str
    cg_steps: int
    seed: int

    def _check(self) -> None:
        """Check the arguments that both forms have."""
        check_integers(self, 1, factors=self.factors, epochs=self.epochs, cg_steps=self.cg_steps)
        check_integers(self, 0, seed=self.seed)
        check_numbers(self, above=0, finite=True, regularization=self.regularization)
        check_choice(self, SOLVERS, solver=self.solver)

    # What a subclass writes.

    def _check_ratings(self, data: Interactions) -> None:
        """Raise ArgumentError if one cannot learn from these ratings."""
        raise NotImplementedError

    def _prepare(self, data: Interactions) -> None:
        """Set what is known before the first half-step."""

    def _entries(self, matrix: Any) -> Entries:
        """The entries of a sparse matrix of ratings."""
        raise NotImplementedError

    def _features(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The features of a table's rows, and what of the targets they explain by themselves."""
        return table, None

    def _gram(self, features: np.ndarray) -> np.ndarray:
        """G."""
        return np.zeros((features.shape[1],) * 2, np.float32)

    def _ridges(self, counts: np.ndarray) -> np.ndarray:
        """λ of rows with so many entries."""
        return np.full(counts.size, self.regularization, np.float64)

    def _table(self, factors: np.ndarray, biases: np.ndarray | None) -> np.ndarray:
        """The table of these factors."""
        width = factors.shape[1]
        table = np.zeros((len(factors), padded(width + (biases is not None))), np.float32)
        table[:, :width] = factors
        if biases is not None:
            table[:, width] = biases
        return table

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """The tables of users and items, as they were learned."""
        return self._table(self.user_factors, None), self._table(self.item_factors, None)

    def _keep(self, users: np.ndarray, items: np.ndarray) -> None:
        """Keep what was learned: tables of users and items."""
        check_finite(self, self.REMEDY, users, items)
        self.user_factors = users[:, : self.factors].copy()
        self.item_factors = items[:, : self.factors].copy()

    # What they share.

    def _half_step(
        self, entries: Entries, others: np.ndarray, x: np.ndarray, steps: int | None
    ) -> None:
        """Solve for the rows of x, with the table of the others fixed."""
        features, explained = self._features(others)
        targets = entries.targets
        if explained is not None:
            targets = targets - explained[entries.indices]
        problem = entries.indptr, entries.indices, entries.weights, targets
        ridges = self._ridges(np.diff(entries.indptr))
        solve_rows(problem, features, self._gram(features), ridges, x, steps)

    def _steps(self) -> int | None:
        return self.cg_steps if self.solver == "cg" else None

    def _new_items(self, count: int, begin: int = 0) -> np.ndarray:
        """Factors of items before the first half-step: normal, and small."""
        rng = np.random.default_rng([self.seed, begin])
        scale = _START / np.sqrt(self.factors)
        return rng.normal(0, scale, (count, self.factors)).astype(np.float32)

    def _fit(self, data: Interactions) -> None:
        self._check_ratings(data)
        self._prepare(data)
        ratings = data.matrix
        of_users, of_items = self._entries(ratings), self._entries(ratings.T.tocsr())
        self.item_factors = self._new_items(ratings.shape[1])
        self.user_factors = np.zeros((ratings.shape[0], self.factors), np.float32)
        users, items = self._tables()
        for _ in track(range(self.epochs), name_of(self)):
            self._half_step(of_users, items, users, self._steps())
            self._half_step(of_items, users, items, self._steps())
        self._keep(users, items)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        folded._check_ratings(data)
        folded.__dict__.update({name: getattr(self, name) for name in self.FITTED})
        _, items = self._tables()
        users = np.zeros((len(data.users), items.shape[1]), np.float32)
        folded._solve_users(folded._entries(data.matrix), items, users)
        folded._keep(users, items)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        """Solve for the users and items that have new ratings: users, items, and users again."""
        self._check_ratings(data)
        old_users, old_items = self._tables()
        ratings = data.matrix
        users = np.zeros((ratings.shape[0], old_users.shape[1]), np.float32)
        items = np.zeros((ratings.shape[1], old_items.shape[1]), np.float32)
        users[: len(old_users)], items[: len(old_items)] = old_users, old_items
        fresh = self._new_items(len(items) - len(old_items), len(old_items))
        items[len(old_items) :, : self.factors] = fresh
        of_users, of_items = self._entries(ratings), self._entries(ratings.T.tocsr())
        changed_users, changed_items = np.unique(new.user_codes), np.unique(new.item_codes)
        for solve, entries, rows, others, table in (
            (self._solve_users, of_users, changed_users, items, users),
            (self._solve_items, of_items, changed_items, users, items),
            (self._solve_users, of_users, changed_users, items, users),
        ):
            solved = np.zeros((rows.size, table.shape[1]), np.float32)
            solve(entries.of(rows), others, solved)
            table[rows] = solved
        self._keep(users, items)

    def _solve_users(self, entries: Entries, items: np.ndarray, x: np.ndarray) -> None:
        """Solve for users exactly."""
        self._half_step(entries, items, x, None)

    def _solve_items(self, entries: Entries, users: np.ndarray, x: np.ndarray) -> None:
        """Solve for items exactly."""
        self._half_step(entries, users, x, None)

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        """What the user's items contribute to the score; those that speak most for it."""
        data = self._fitted()
        entries = self._entries(data.matrix[[user]])
        terms = self._terms(entries, item)
        order = np.argsort(-terms, kind="stable")[:n]
        best = [Scored(data.items[entries.indices[k]], float(terms[k])) for k in order]
        return Explanation("liked", [scored for scored in best if scored.score > 0])

    def _terms(self, entries: Entries, item: int) -> np.ndarray:
        """What each item of a user contributes to the score of an item.

        x = A⁻¹·Σ tₖ·yₖ, so the score is Σ tₖ·(yᵀ·A⁻¹·yₖ): a term for each item that was met.  Hu,
        Koren, Volinsky 2008, section 5.
        """
        features, explained = self._features(self._tables()[1])
        targets = entries.targets.astype(np.float64)
        if explained is not None:
            targets -= explained[entries.indices]
        met = features[entries.indices].astype(np.float64)
        normal = self._gram(features) + (met.T * entries.weights) @ met
        normal += self._ridges(np.array([entries.indices.size])) * np.eye(len(normal))
        return targets * (met @ np.linalg.solve(normal, features[item].astype(np.float64)))
