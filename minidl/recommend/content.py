"""Content-based filtering: items like those that a user liked, by what is known of them."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy import sparse

from minidl.data import Features
from minidl.recommend.features import columns_like, columns_of, encoders_of, table_of, unit_rows
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import row_numbers
from minidl.recommend.ranking import Scored
from minidl.recommend.recommender import Explanation, Recommender


class ContentBased(Recommender):
    """The cosine of an item's vector x_i with the profile of the user, Σ_j (r_uj − r̄_u)·x_j.

    What a user rated above the own mean draws the profile nearer, what was rated below pushes it
    away: J. Rocchio, Relevance feedback in information retrieval, 1971; M. Pazzani, D. Billsus,
    Content-based recommendation systems, 2007.  Without ratings, or if all of a user are equal,
    the profile is Σ_j x_j.

    features    `minidl.data.Features` of items, as MovieLens has them, or a pair (ids, vectors),
                such as embeddings of their texts.  Items that nobody has met are recommended too
    kinds       what a column is, where it is not what it looks like: "text" (TF-IDF), "categories",
                "number", "vector"
    weights     how much each column counts, 1 by default

    Each column of an item is scaled to unit length, times its weight.

    `add_items` takes more items into a fitted model, `explain` names the user's items that
    contribute most, and `similar_items` compares by content alone.

    >>> from minidl.recommend import ContentBased
    >>> films = minidl.data.Features(
    ...     [1, 2, 3], {"genres": [("Comedy",), ("Crime", "Drama"), ("Crime",)]}
    ... )
    >>> model = ContentBased(films).fit((["ann"], [2], [5]))
    >>> [scored.id for scored in model.recommend("ann")]
    [3, 1]
    >>> str(model.explain("ann", 3))
    'because you liked 2'
    """

    RATES = False
    FITTED = "added", "table", "profiles"

    def __init__(
        self,
        features: Any,
        kinds: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        ids, columns = columns_of(features)
        self.features = Features(ids, columns)
        self.kinds, self.weights = dict(kinds or {}), dict(weights or {})
        self._encoders = encoders_of(columns, self.kinds, self.weights)
        self.added: list[Features] = []

    def _known(self, data: Interactions) -> Interactions:
        items = data.items
        for features in (self.features, *self.added):
            items, _ = items.extended(list(features.ids))
        return data.replaced(items=items)

    def _fit(self, data: Interactions) -> None:
        self.table = self._table_for(data.items, [self.features, *self.added])
        self.profiles = self._profiles(data)

    def _table_for(self, items: Ids, parts: list[Features]) -> sparse.csr_array:
        """The vectors of all items; zero for those of which nothing is known."""
        known = [table_of(columns_of(part)[1], self._encoders, self.weights) for part in parts]
        codes = items.codes([id for part in parts for id in part.ids])
        places = sparse.csr_array(
            (np.ones(codes.size, np.float32), (codes, np.arange(codes.size))),
            shape=(len(items), codes.size),
        )
        return sparse.csr_array(places @ sparse.vstack(known, format="csr"))

    def _profiles(self, data: Interactions) -> sparse.csr_array:
        """A unit vector for each user, or zero."""
        return unit_rows(_likings(data) @ self.table).astype(np.float32)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return _dense(self.profiles[users] @ self.table.T)

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return _dense(self.table[items] @ self.table.T)

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        return _dense(self.profiles[users] @ self.profiles.T)

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        liked = _likings(self._fitted())[[user]]
        likeness = _dense(self.table[liked.indices] @ self.table[[item]].T)[:, 0]
        parts = liked.data * likeness
        order = [place for place in np.argsort(-parts, kind="stable")[:n] if parts[place] > 0]
        reasons = [Scored(self.items[liked.indices[k]], float(parts[k])) for k in order]
        return Explanation("liked", reasons)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        folded.added, folded.table = self.added, self.table
        folded.profiles = folded._profiles(data)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)

    def add_items(self, features: Any) -> Self:
        """Take in items that nobody has met, with the columns that the others have.

        Words and categories that no item had before are left out.
        """
        data = self._fitted()
        ids, columns = columns_like(self.features, features)
        added = [*self.added, Features(ids, columns)]
        items, _ = data.items.extended(ids)
        self.table = self._table_for(items, [self.features, *added])
        self.added, self.data = added, data.replaced(items=items)
        return self


def _likings(data: Interactions) -> sparse.csr_array:
    """How much each user likes each item that was met: the rating less the own mean, else 1."""
    matrix = data.matrix.astype(np.float64)
    if data.ratings is None:
        return matrix
    counts = np.diff(matrix.indptr)
    means = matrix.sum(axis=1) / np.maximum(counts, 1)
    rest = matrix.data - np.repeat(means, counts)
    rows = row_numbers(matrix)
    equal = np.bincount(rows, np.abs(rest), len(counts)) < 1e-9 * np.maximum(np.abs(means), 1)
    matrix.data = np.where(equal[rows], 1.0, rest)
    return matrix


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.todense(), np.float32)
