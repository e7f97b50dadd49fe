"""Hybrids: the scores of several recommenders, blended."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

import numpy as np

from minidl.checks import check_choice, check_numbers
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.recommend.interactions import Interactions
from minidl.recommend.recommender import Explanation, Recommender

NORMALIZATIONS = "none", "standard", "rank"


class Hybrid(Recommender):
    """Σ_k w_k·s_k, a weighted blend of recommenders: R. Burke, Hybrid recommender systems, 2002.

    models           recommenders, which are fitted to the same interactions
    weights          one for each; by default all alike, with sum 1
    normalization    "none": the scores as they are, for models that all predict ratings;
                     "standard": (s − mean)/standard deviation over all items, for each user;
                     "rank": the fraction of items that are ranked lower.  By default "none" if
                     all models predict ratings, else "rank"

    `similar_items` and `similar_users` blend the similarities of the models that have them.

    >>> from minidl.recommend import Biases, Hybrid, Popularity
    >>> met = ["ann", "ann", "ben"], ["tea", "rum", "tea"], [5, 1, 4]
    >>> model = Hybrid([Biases(), Popularity()], weights=[0.7, 0.3]).fit(met)
    >>> [scored.id for scored in model.recommend("ben")]
    ['rum']
    """

    def __init__(
        self,
        models: Sequence[Recommender],
        weights: Sequence[float] | None = None,
        normalization: str | None = None,
    ) -> None:
        self.models = list(models)
        if not self.models or not all(isinstance(model, Recommender) for model in self.models):
            raise DTypeError(f"Hybrid: models are recommenders; got {describe(models)}")
        self.weights = [1 / len(self.models)] * len(self.models) if weights is None else [*weights]
        if len(self.weights) != len(self.models):
            raise ArgumentError(
                f"Hybrid: needs {len(self.models)} weights, one a model; got {len(self.weights)}"
            )
        for weight in self.weights:
            check_numbers(self, finite=True, weights=weight)
        rates = all(model.RATES for model in self.models)
        self.normalization = normalization or ("none" if rates else "rank")
        check_choice(self, NORMALIZATIONS, normalization=self.normalization)
        self.RATES = rates and self.normalization == "none"

    def _known(self, data: Interactions) -> Interactions:
        for model in self.models:
            data = model._known(data)
        return data

    def _fit(self, data: Interactions) -> None:
        for model in self.models:
            model.fit(data)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return self._blend([model._scores(users) for model in self.models], self.weights)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        if self.normalization != "none":
            return super()._pairs(users, items)
        return self._blend([model._pairs(users, items) for model in self.models], self.weights)

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return self._similarities("_similar_items", items)

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        return self._similarities("_similar_users", users)

    def _similarities(self, method: str, codes: np.ndarray) -> np.ndarray:
        """The similarities by those models that have them, blended."""
        having = [
            (model, weight)
            for model, weight in zip(self.models, self.weights, strict=True)
            if getattr(type(model), method) is not getattr(Recommender, method)
        ]
        if not having:
            raise self._has_no(method.strip("_").replace("_", " "))
        found = [getattr(model, method)(codes) for model, _ in having]
        return self._blend(found, [weight for _, weight in having])

    def _blend(self, parts: list[np.ndarray], weights: list[float]) -> np.ndarray:
        """The weighted sum of what models say, each normalised."""
        total = np.zeros(parts[0].shape, np.float64)
        for part, weight in zip(parts, weights, strict=True):
            total += weight * _NORMALIZED[self.normalization](part)
        return total.astype(np.float32)

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        """By the model that counts most, of those that can."""
        for place in np.argsort(-np.array(self.weights), kind="stable"):
            model = self.models[place]
            if type(model)._explain is not Recommender._explain:
                return model._explain(user, item, n)
        raise self._has_no("explanations")

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(
            [model._fold_in(data) for model in self.models], self.weights, self.normalization
        )
        for model in folded.models:
            model.data = data
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        models = list(map(copy, self.models))  # whole, if one of them fails
        for model in models:
            model._partial_fit(data, new)
            model.data = data
        self.models = models


def _standard(scores: np.ndarray) -> np.ndarray:
    """(s − mean)/standard deviation of each row; 0 where all are equal."""
    wide = scores.astype(np.float64)
    spread = wide.std(axis=-1, keepdims=True)
    rest: np.ndarray = wide - wide.mean(axis=-1, keepdims=True)
    return rest / np.where(spread > 0, spread, 1)


def _rank(scores: np.ndarray) -> np.ndarray:
    """The fraction of the numbers in its row that each is larger than."""
    ranks = [np.searchsorted(np.sort(row), row, "left") for row in scores]
    return np.stack(ranks) / max(1, scores.shape[-1] - 1) if ranks else np.empty(scores.shape)


_NORMALIZED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda scores: scores,
    "standard": _standard,
    "rank": _rank,
}
