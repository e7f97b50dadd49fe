"""User-based nearest neighbours."""

import numpy as np

from minidl.backends.kernels.recommend import neighbors as kernels
from minidl.backends.kernels.recommend.neighbors import Sparse
from minidl.recommend.baselines import Biases
from minidl.recommend.interactions import Interactions
from minidl.recommend.neighbors.neighbors import Neighbors, largest, scored
from minidl.recommend.neighbors.similarity import Compared
from minidl.recommend.recommender import Explanation


class UserKNN(Neighbors):
    """What the k users that are most like this one say of an item.

    Predictions, with s the similarities of the k users v most similar to u *among those who rated
    i*, as far as they are positive:

        "mean"             Σ s·r_vi / Σ s
        "mean_centered"    μ_u + Σ s·(r_vi − μ_v) / Σ s
        "z_score"          μ_u + σ_u · Σ s·(r_vi − μ_v)/σ_v / Σ s
        "baseline"         b_ui + Σ s·(r_vi − b_vi) / Σ s, with b = μ + b_u + b_i of `Biases`
        "sum"              Σ s·r_vi over the k users most similar to u of all, for implicit data: a
                           score, no rating

    Without `min_k` such users it is what is left without the sum; of "mean", the mean rating.

    Similarities of two rows of ratings p and q, with sums over all ratings where ‖·‖ is written,
    otherwise over the n columns that both have:

        "cosine"           p·q / (‖p‖·‖q‖)
        "dot"              p·q
        "jaccard"          n / (n_p + n_q − n), of who met what, without the ratings
        "common_cosine"    Σpq / √(Σp²·Σq²)
        "adjusted_cosine"  the same, of ratings less the mean of their column
        "pearson"          the same, of ratings less the mean of the n of each row
        "pearson_baseline" the same, of ratings less b_ui
        "msd"              1 / (1 + Σ(p − q)²/n)

    k               neighbours that have a say
    similarity, prediction    "auto": "pearson_baseline" and "baseline" where there are ratings,
                    else "cosine" and "sum"
    shrinkage       λ: similarities are multiplied by (n − 1) / (n − 1 + λ); by default 100 for
                    "pearson_baseline", else 0
    min_support     rows with fewer common columns are not similar
    min_k           fewest neighbours
    kept            keep so many neighbours of each user: only they have a say.  By default all
                    similarities are used, and computed when they are needed: those of a user in
                    the time that it takes to go through the ratings of all items of the user

    What would be 0/0, as the correlation of equal ratings, is 0.  No user is a neighbour of
    itself, so that what is predicted for a rating that is known does not depend on it.

    Memory is that of the ratings and users × kept, never users².  `fold_in` compares new users with
    the old ones; `partial_fit` computes what is kept anew for those users whose similarities
    change, and is as exact as `fit`.

    P. Resnick et al.: GroupLens, CSCW 1994.  J. Herlocker, J. Konstan, J. Riedl: An empirical
    analysis of design choices in neighborhood-based collaborative filtering algorithms, Information
    Retrieval 5, 2002.  Y. Koren: Factor in the neighbors, ACM TKDD 4(1), 2010, for the baselines.

    >>> from minidl.recommend import UserKNN
    >>> ratings = [5, 4, 1, 4, 5, 5, 1, 2, 5]
    >>> users = ["ann", "ann", "ann", "ben", "ben", "cid", "cid", "cid", "cid"]
    >>> items = ["tea", "rum", "gin", "tea", "rum", "ale", "tea", "rum", "gin"]
    >>> model = UserKNN(k=1, similarity="pearson", prediction="mean_centered")
    >>> model = model.fit((users, items, ratings))
    >>> model.similar_users("cid", 1)
    [Scored(id='ben', score=1.0)]
    """

    by_user = True

    def _take(self, data: Interactions, biases: Biases | None) -> None:
        old = self.centering
        self.centering = old.of(old.prediction, True, data.matrix, biases, old.overall)
        queries = self._seen(data.matrix, biases)
        self.restore("queries", queries)
        kept = self._number_kept
        self.nearest = None if kept is None else self._compared.nearest(kept, queries)

    def _sums(self, users: np.ndarray) -> np.ndarray:
        neighbors = Sparse.of(self.nearest[users])
        return kernels.product(neighbors, Sparse.of(self.ratings), len(self.items))

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        problem = self._problem
        if self.queries is not None:
            problem = Compared(self.queries, self._compared.settings).problem()
        return kernels.similarities(problem, users.astype(np.int64))

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        known = self.users if self.known is None else self.known
        if self.used[1] != "sum":
            return Explanation("users", scored(known, self._speaking(user, item, n)))
        row = self.nearest[[user]]
        said = self.ratings[row.indices][:, [item]].toarray()[:, 0]
        return Explanation("users", scored(known, largest(row.indices, row.data * said, n)))
