"""Ratings of items by users, with what is known of both: what recommenders learn from."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class Features(Mapping[str, Any]):
    """What is known of each user or of each item: `features["age"]`, in the order of `ids`.

    A column is an array, (n,), or a list of n tuples where one may have several values.

    >>> features = minidl.data.Features([7, 8], {"year": [1995, 1996]})
    >>> features.ids, features["year"], features
    ([7, 8], [1995, 1996], Features(2 × year))
    """

    def __init__(self, ids: Any, columns: Mapping[str, Any]) -> None:
        self.ids, self.columns = ids, dict(columns)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"Features({len(self.ids)} × {', '.join(self.columns)})"


class _Columns(NamedTuple):
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    times: np.ndarray | None = None


class Ratings(_Columns):
    """n ratings: a tuple (users, items, ratings, times), as recommenders take it, with features.

    users, items     (n,): ids, integers or texts
    ratings, times   (n,), or None where there are none
    user_features    `Features`, or None
    item_features    likewise
    context          what is known of each rating itself: for each name an array (n,)

    >>> ratings = minidl.data.Ratings([1, 2], [7, 7], [5.0, 3.0])
    >>> ratings, ratings.users, ratings.times
    (Ratings(2), [1, 2], None)
    >>> minidl.recommend.Interactions.of(ratings)
    Interactions(2 of 2 users with 1 items, ratings from 3 to 5)
    """

    user_features: Features | None
    item_features: Features | None
    context: dict[str, np.ndarray]

    def __new__(
        cls,
        users: Any,
        items: Any,
        ratings: Any = None,
        times: Any = None,
        *,
        user_features: Features | None = None,
        item_features: Features | None = None,
        context: Mapping[str, np.ndarray] | None = None,
    ) -> "Ratings":
        """The columns as a tuple, with the features as attributes."""
        new = super().__new__(cls, users, items, ratings, times)
        new.user_features, new.item_features = user_features, item_features
        new.context = dict(context or {})
        return new

    def __repr__(self) -> str:
        known = {"users": self.user_features, "items": self.item_features}
        texts = [f"{what}: {', '.join(f)}" for what, f in known.items() if f is not None]
        return f"Ratings({'; '.join([f'{len(self.users)}', *texts])})"
