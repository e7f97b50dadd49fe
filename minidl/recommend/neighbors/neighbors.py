"""What user-based and item-based nearest neighbours have in common."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from minidl.backends.kernels.recommend import neighbors as kernels
from minidl.backends.kernels.recommend.neighbors import Problem, Sparse
from minidl.checks import check_choice, check_integers, check_numbers, name_of
from minidl.errors import ArgumentError
from minidl.recommend.baselines import Biases
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import group_means, row_numbers, transposed, with_values
from minidl.recommend.neighbors.centering import Centering
from minidl.recommend.neighbors.similarity import (
    OF_RATINGS,
    SIMILARITIES,
    Compared,
    Settings,
)
from minidl.recommend.ranking import Scored
from minidl.recommend.recommender import Recommender

PREDICTIONS = "mean", "mean_centered", "z_score", "baseline", "sum"
_NOTHING = sparse.csr_array((1, 1), dtype=np.float32)
_SHRINKAGE = 100.0  # of "pearson_baseline": Koren 2010, section 2.2


class Neighbors(Recommender):
    """What user-based and item-based nearest neighbours have in common.

    Rows are the users, or the items, that are compared; columns are the others.  Fitted are:

    used            the similarity and the prediction that were chosen
    centering       what is predicted without neighbours
    column_means    for "adjusted_cosine"
    rows            (rows, columns): the training data as the measure of similarity sees them
    queries         (new rows, columns): rows that were folded in; None without fold-in
    ratings         what neighbours say: of "sum" (users, items), else by column, and centered
    nearest         (rows, rows): the similarities that are kept; None if all are computed
    known           the ids of `rows`, if they are not those of `data`
    """

    FITTED = (
        *("RATES", "used", "centering", "column_means", "rows", "queries", "ratings", "nearest"),
        "known",
    )
    by_user: ClassVar[bool]
    used: tuple[str, str]
    rows: sparse.csr_array
    queries: sparse.csr_array | None
    nearest: Any
    known: Ids | None

    def __init__(
        self,
        k: int = 40,
        similarity: str = "auto",
        prediction: str = "auto",
        *,
        shrinkage: float | None = None,
        min_support: int = 1,
        min_k: int = 1,
        kept: int | None = None,
    ) -> None:
        check_integers(self, 1, k=k, min_support=min_support, min_k=min_k)
        check_choice(self, ("auto", *SIMILARITIES), similarity=similarity)
        check_choice(self, ("auto", *PREDICTIONS), prediction=prediction)
        if shrinkage is not None:
            check_numbers(self, 0, finite=True, shrinkage=shrinkage)
        if kept is not None:
            check_integers(self, k, kept=kept)
        self.k, self.similarity, self.prediction = k, similarity, prediction
        self.shrinkage, self.min_support, self.min_k = shrinkage, min_support, min_k
        self.kept = kept

    # Learning.

    def _fit(self, data: Interactions) -> None:
        self._learn(data)
        kept = self._number_kept
        self.nearest = None if kept is None else self._compared.nearest(kept)

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        if self.known is not None:
            raise ArgumentError(f"{name_of(self)}: a model from fold_in learns nothing more")
        before, nearest, used = self.rows, self.nearest, self.used
        self._learn(data)
        kept = self._number_kept
        if nearest is None or kept is None or used != self.used:
            self.nearest = None if kept is None else self._compared.nearest(kept)
        else:
            self.nearest = self._compared.nearest_again(kept, before, nearest)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        for name in self.FITTED:
            folded.restore(name, getattr(self, name))
        if self.known is None:
            folded.known = self.users if self.by_user else self.items
        biases = self.centering.biases
        folded._take(data, None if biases is None else biases._fold_in(data))
        return folded

    @abstractmethod
    def _take(self, data: Interactions, biases: Biases | None) -> None:
        """Let these data be those of the users, of whom the biases are."""

    def _learn(self, data: Interactions) -> None:
        """All but the nearest."""
        similarity, prediction = self.used = self._chosen(data)
        self.RATES = prediction != "sum"
        matrix, biases = data.matrix, None
        if similarity == "pearson_baseline" or prediction == "baseline":
            biases = Biases()
            biases._fit(data)
        rows = matrix if self.by_user else transposed(matrix)
        self.centering = Centering.of(prediction, self.by_user, rows, biases)
        self.column_means = group_means(rows.indices, rows.data, rows.shape[1], self.centering.mean)
        self.restore("rows", self._seen(self._weighted(rows), biases))
        self.restore("queries", None)
        self.known = None
        self.ratings = self._said(matrix)

    def _chosen(self, data: Interactions) -> tuple[str, str]:
        """The similarity and the prediction for these data."""
        rated = data.ratings is not None
        prediction = self.prediction
        if prediction == "auto":
            prediction = "baseline" if rated else "sum"
        similarity = self.similarity
        if similarity == "auto":
            similarity = "pearson_baseline" if rated and prediction != "sum" else "cosine"
        for name, value, needing in (
            ("prediction", prediction, PREDICTIONS[:-1]),
            ("similarity", similarity, OF_RATINGS),
        ):
            if not rated and value in needing:
                raise ArgumentError(
                    f'{name_of(self)}: {name}="{value}" needs ratings, and these interactions have '
                    f'none; leave {name}="auto"'
                )
        return similarity, prediction

    def _seen(self, rows: sparse.csr_array, biases: Biases | None) -> sparse.csr_array:
        """Rows as the measure of similarity sees them."""
        similarity, values = self.used[0], rows.data
        if similarity == "jaccard":
            values = np.ones_like(values)
        elif similarity == "pearson":
            values = values - np.rint(self.centering.mean)  # for the rounding of large ratings
        elif similarity == "adjusted_cosine":
            values = values - self.column_means[rows.indices]
        elif similarity == "pearson_baseline":
            assert biases is not None
            pair = row_numbers(rows), rows.indices
            values = values - biases._pairs(*(pair if self.by_user else pair[::-1]))
        return with_values(rows, values)

    def _weighted(self, rows: sparse.csr_array) -> sparse.csr_array:
        """Rows as they are compared."""
        return rows

    def _said(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """What neighbours say."""
        if self.used[1] == "sum":
            return matrix
        centered = with_values(matrix, self.centering.centered(matrix))
        return transposed(centered) if self.by_user else centered

    @property
    def _number_kept(self) -> int | None:
        return self.k if self.used[1] == "sum" else self.kept

    def restore(self, name: str, value: Any) -> None:
        """Set what `fit` learned."""
        if name == "centering":
            value = Centering(*value)
        if name == "used":
            value = tuple(value)
        setattr(self, name, value)
        if name == "rows":
            shrinkage = self.shrinkage
            if shrinkage is None:
                shrinkage = _SHRINKAGE if self.used[0] == "pearson_baseline" else 0.0
            self._compared = Compared(value, Settings(self.used[0], self.min_support, shrinkage))
        if name in ("rows", "queries"):
            self._asked: Problem | None = None

    @property
    def _problem(self) -> Problem:
        """The comparison of the rows that are asked for."""
        if self._asked is None:
            self._asked = self._compared.problem(self.queries)
        return self._asked

    # Predicting.

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        known = (users >= 0) & (items >= 0)
        if self.used[1] == "sum":
            result = np.zeros(users.size, np.float32)
            result[known] = super()._pairs(users[known], items[known])
            return result
        result = self.centering.center(users, items)
        users, items = users[known].astype(np.int64), items[known].astype(np.int64)
        xs, ys = (users, items) if self.by_user else (items, users)
        order = np.argsort(xs, kind="stable")
        distinct, starts = np.unique(xs[order], return_index=True)
        means = np.empty(order.size, np.float32)
        means[order] = self._means(distinct, np.append(starts, order.size), ys[order])
        result[known] += means * self.centering.spread(users, items)
        return result.astype(np.float32)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        if self.used[1] == "sum":
            return self._sums(users)
        items = np.arange(len(self.items))
        users = users.astype(np.int64)
        xs, ys = (users, items) if self.by_user else (items, users)
        starts = np.arange(xs.size + 1) * ys.size
        means = self._means(xs, starts, np.tile(ys, xs.size)).reshape(xs.size, ys.size)
        pair = users[:, None], items[None]
        means = means if self.by_user else means.T
        scores = self.centering.center(*pair) + means * self.centering.spread(*pair)
        return scores.astype(np.float32)

    @abstractmethod
    def _sums(self, users: np.ndarray) -> np.ndarray:
        """The scores of prediction "sum"."""

    def _means(self, xs: np.ndarray, starts: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """The weighted means of the centered ratings of neighbours, for pairs grouped by x."""
        otherwise = self.centering.mean if self.used[1] == "mean" else 0.0
        kept = Sparse.of(_NOTHING if self.nearest is None else self.nearest)
        by_column = Sparse.of(self.ratings)
        groups, k = (xs, starts, ys), min(self.k, self.rows.shape[0])
        return kernels.weighted_means(
            self._problem, kept, by_column, groups, k, self.min_k, otherwise
        )

    def _row(self, x: int) -> np.ndarray:
        """The similarities of a row with all rows that are its neighbours."""
        if self.nearest is not None:
            return self.nearest[[x]].toarray()[0]
        row = kernels.similarities(self._problem, np.array([x]))[0]
        if self.queries is None:
            row[x] = 0
        return np.maximum(row, 0)

    def _speaking(self, x: int, y: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n neighbours whose ratings raise the prediction most, and by how much."""
        ratings = self.ratings
        entries = slice(ratings.indptr[y], ratings.indptr[y + 1])
        rows, said = ratings.indices[entries], ratings.data[entries].astype(np.float64)
        weights = self._row(x)[rows].astype(np.float64)
        best = np.argsort(-weights, kind="stable")[: self.k]
        best = best[weights[best] > 0]
        parts = weights[best] * said[best] / max(weights[best].sum(), 1e-300)
        return largest(rows[best], parts, n)


def largest(codes: np.ndarray, parts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest positive parts, and their codes, descending."""
    order = np.argsort(-parts, kind="stable")[:n]
    order = order[parts[order] > 0]
    return codes[order], parts[order]


def scored(ids: Ids, parts: tuple[np.ndarray, np.ndarray]) -> list[Scored]:
    """Codes and their scores with ids."""
    return [Scored(ids[code], float(part)) for code, part in zip(*parts, strict=True)]
