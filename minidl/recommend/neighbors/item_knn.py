"""Item-based nearest neighbours."""

import numpy as np
from scipy import sparse

from minidl.backends.kernels.recommend import neighbors as kernels
from minidl.backends.kernels.recommend.neighbors import Sparse
from minidl.checks import check_choice, check_flags
from minidl.recommend import weighting as weightings
from minidl.recommend.baselines import Biases
from minidl.recommend.interactions import Interactions
from minidl.recommend.neighbors.neighbors import Neighbors, largest, scored
from minidl.recommend.recommender import Explanation

_WEIGHTINGS = {"tf_idf": weightings.tf_idf_rows, "bm25": weightings.bm25_rows}


class ItemKNN(Neighbors):
    """What a user says of the k items that are most like an item.

    Predictions, with s the similarities of the k items j most similar to i *among those that u
    rated*, as far as they are positive:

        "mean"             Σ s·r_uj / Σ s
        "mean_centered"    μ_i + Σ s·(r_uj − μ_j) / Σ s
        "z_score"          μ_i + σ_i · Σ s·(r_uj − μ_j)/σ_j / Σ s
        "baseline"         b_ui + Σ s·(r_uj − b_uj) / Σ s, with b = μ + b_u + b_i of `Biases`
        "sum"              Σ s·r_uj over the items j of u that have i among the k items most similar
                           to them of all, for implicit data: a score, no rating

    The similarities and other settings are those of `UserKNN`, with users and items exchanged; the
    column of a rating, whose mean "adjusted_cosine" subtracts, is its user.  Of its own:

    weighting     "tf_idf" or "bm25": the interactions are weighted (`minidl.recommend.weighting`)
                  before items are compared; the scores use them as they are.  What is "auto" is
                  then "sum", and "cosine" or "dot"
    normalized    of "sum": the similarities of an item to its k neighbours add up to one, so that
                  items with few close neighbours do not count less (Deshpande, Karypis, 4.1)

    Memory is that of the ratings and items × kept, of "sum" items × k; never items².  New users are
    folded in at no cost.

    B. Sarwar et al.: Item-based collaborative filtering recommendation algorithms, WWW 2001.
    M. Deshpande, G. Karypis: Item-based top-N recommendation algorithms, ACM TOIS 22(1), 2004, for
    "sum".  Y. Koren: Factor in the neighbors, ACM TKDD 4(1), 2010, for the baselines.

    >>> from minidl.recommend import ItemKNN
    >>> met = ["tea", "cup", "tea", "cup", "rum", "tea"], ["cup", "rum"]
    >>> model = ItemKNN(k=2).fit((["ann", "ann", "ben", "ben", "ben", "cid"], met[0]))
    >>> model.recommend("cid", 1)
    [Scored(id='cup', score=0.8164966106414795)]
    >>> str(model.explain("cid", "cup"))
    'because you liked tea'
    """

    by_user = False

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
        weighting: str | None = None,
        normalized: bool = False,
    ) -> None:
        super().__init__(
            k, similarity, prediction,
            shrinkage=shrinkage, min_support=min_support, min_k=min_k, kept=kept,
        )  # fmt: skip
        if weighting is not None:
            check_choice(self, tuple(_WEIGHTINGS), weighting=weighting)
        check_flags(self, normalized=normalized)
        self.weighting, self.normalized = weighting, normalized

    def _chosen(self, data: Interactions) -> tuple[str, str]:
        similarity, prediction = super()._chosen(data)
        if self.weighting is None:
            return similarity, prediction
        if self.prediction == "auto":
            prediction = "sum"
        if self.similarity == "auto":
            similarity = "dot" if self.weighting == "bm25" else "cosine"
        return similarity, prediction

    def _weighted(self, rows: sparse.csr_array) -> sparse.csr_array:
        return rows if self.weighting is None else _WEIGHTINGS[self.weighting](rows)

    def _take(self, data: Interactions, biases: Biases | None) -> None:
        self.centering = self.centering._replace(biases=biases)
        self.ratings = self._said(data.matrix)

    def _sums(self, users: np.ndarray) -> np.ndarray:
        own = self.ratings[users]
        if self.normalized:
            own.data *= self._factors()[own.indices]
        return kernels.product(Sparse.of(own), Sparse.of(self.nearest), len(self.items))

    def _factors(self) -> np.ndarray:
        """By what the similarities of each item are multiplied to add up to one."""
        totals = np.asarray(self.nearest.sum(axis=1, dtype=np.float64))
        ones = np.ones_like(totals)
        return np.divide(1, totals, out=ones, where=totals > 0).astype(np.float32)

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return kernels.similarities(self._problem, items.astype(np.int64))

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        if self.used[1] != "sum":
            return Explanation("liked", scored(self.items, self._speaking(item, user, n)))
        row = self.ratings[[user]]
        said = self.nearest[row.indices][:, [item]].toarray()[:, 0] * row.data
        if self.normalized:
            said *= self._factors()[row.indices]
        return Explanation("liked", scored(self.items, largest(row.indices, said, n)))
