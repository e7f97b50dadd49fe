"""PureSVD: the singular value decomposition of the matrix of ratings, with zeros for the others."""

from typing import Any, Self

import numpy as np
from scipy.sparse.linalg import svds

from minidl.backends.products import precise_matmul
from minidl.checks import check_integers
from minidl.recommend.factorization.factors import Factors, check_finite, cosines
from minidl.recommend.interactions import Interactions
from minidl.recommend.ranking import Scored
from minidl.recommend.recommender import Explanation

_DENSE = 2**20  # elements of a matrix that is decomposed whole


class PureSVD(Factors):
    """r̂_u = r_u·V·Vᵀ: the ratings of a user, projected to the `factors` first singular directions.

    R ≈ U·Σ·Vᵀ is the best approximation of the matrix of ratings, in which pairs that did not meet
    are 0, of this rank.  So scores are no ratings: they say in which order to recommend.

    item_factors       V, (items, factors); fewer columns if R has a lower rank
    user_factors       R·V
    singular_values    Σ, descending

    P. Cremonesi, Y. Koren, R. Turrin.  Performance of recommender algorithms on top-N
    recommendation tasks.  RecSys 2010.  Items are similar by the cosine of V·Σ: that of the columns
    of the approximation.

    Cost: some multiples of n·f for n interactions, by the Lanczos algorithm with restarts (R.
    Lehoucq, D. Sorensen, C. Yang.  ARPACK users' guide.  1998).

    `fold_in` and `partial_fit` project the new ratings, with the directions as they are: new items
    have none until `fit`.  A score is the sum of what each of the user's items contributes, which
    is what `explain` gives.

    >>> from minidl.recommend import PureSVD
    >>> met = ["ann", "ann", "ben", "ben", "cat"], ["tea", "milk", "tea", "milk", "tea"]
    >>> PureSVD(factors=1).fit(met).recommend("cat")[0].id
    'milk'
    """

    FITTED = (*Factors.FITTED, "singular_values")
    RATES = False
    singular_values: np.ndarray

    def __init__(self, factors: int = 50, seed: int = 0) -> None:
        check_integers(self, 1, factors=factors)
        check_integers(self, 0, seed=seed)
        self.factors, self.seed = factors, seed

    def _fit(self, data: Interactions) -> None:
        matrix = data.matrix.astype(np.float64)
        values, directions = _largest(matrix, self.factors, np.random.default_rng(self.seed))
        signs = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(0)[None], 0))
        self.singular_values = values.astype(np.float32)
        self.item_factors = np.ascontiguousarray(directions * signs, np.float32)
        self.item_factors[np.bincount(data.item_codes, minlength=len(data.items)) == 0] = 0
        self.user_factors = self._projected(data)
        remedy = "scale the ratings to a smaller range"
        check_finite(self, remedy, self.item_factors, self.user_factors)

    def _projected(self, data: Interactions) -> np.ndarray:
        """R·V."""
        product: np.ndarray = data.matrix @ self.item_factors.astype(np.float64)
        return product.astype(np.float32)

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return cosines(self.item_factors * self.singular_values, items)

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        data = self._fitted()
        own = data.matrix[[user]]
        weights = precise_matmul(self.item_factors[own.indices], self.item_factors[item])
        terms = own.data * weights
        order = np.argsort(-terms, kind="stable")[:n]
        best = [Scored(data.items[own.indices[k]], float(terms[k])) for k in order]
        return Explanation("liked", [scored for scored in best if scored.score > 0])

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        folded.singular_values, folded.item_factors = self.singular_values, self.item_factors
        folded.user_factors = folded._projected(data)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        more = len(data.items) - len(self.item_factors)
        zeros = np.zeros((more, self.item_factors.shape[1]), np.float32)
        self.item_factors = np.concatenate([self.item_factors, zeros])
        self.user_factors = self._projected(data)


def _largest(matrix: Any, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular values, descending, and their right singular vectors, as columns."""
    smaller = min(matrix.shape)
    if smaller <= 2 or np.prod(matrix.shape) <= _DENSE:
        _, values, rows = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        count, start = min(count, smaller - 1), rng.normal(size=smaller)
        _, values, rows = svds(matrix, count, v0=start, return_singular_vectors="vh")
    order = np.argsort(-values)[:count]
    values = values[order]
    kept = values > max(matrix.shape) * np.finfo(np.float64).eps * values[0]
    return values[kept], rows[order[kept]].T
