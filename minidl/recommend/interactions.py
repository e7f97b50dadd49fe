"""Interactions: which user met which item, how it was rated, and when."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from minidl.data.interaction_files import USUAL_NAMES as _COLUMNS
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.recommend.ids import Ids

DUPLICATES = "error", "keep", "first", "last", "mean", "sum", "max"


class Interactions:
    """n interactions of users with items.

    users, items                the ids, `Ids`
    user_codes, item_codes      (n,), int32: the codes of the ids
    ratings                     (n,), float32, or None: then each interaction counts as 1
    times                       (n,), float64, or None: any numbers that grow with time

    A pair of user and item that occurs more than once is kept where there are no ratings, since
    then the interactions are events, which are counted; with ratings it is an ArgumentError.
    `duplicates` says what to do instead: "keep" all, keep the "first" or the "last" in time (in
    place, where there are no times), or one with the "mean", "sum" or "max" of the ratings.

    >>> from minidl.recommend import Interactions
    >>> data = Interactions(["ann", "ben", "ann"], ["tea", "tea", "rum"], [5, 3, 1])
    >>> data
    Interactions(3 of 2 users with 2 items, ratings from 1 to 5)
    >>> data.matrix.toarray()
    array([[5., 1.],
           [3., 0.]], dtype=float32)
    """

    def __init__(
        self, users: Any, items: Any, ratings: Any = None, times: Any = None, *,
        duplicates: str | None = None,
    ) -> None:  # fmt: skip
        self.users, self.user_codes = Ids.encode(users, "user")
        self.items, self.item_codes = Ids.encode(items, "item")
        n = self.user_codes.size
        if self.item_codes.size != n:
            raise ShapeError(
                f"Interactions: needs as many items as users; got {self.item_codes.size} and {n}"
            )
        self.ratings = None if ratings is None else _numbers("ratings", ratings, n, np.float32)
        self.times = None if times is None else _numbers("times", times, n, np.float64)
        self._resolve(duplicates)

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        columns: Mapping[str, str] | None = None,
        duplicates: str | None = None,
    ) -> "Interactions":
        """Interactions from what programs have them in.

        data        Interactions; a tuple (users, items[, ratings[, times]]); a SciPy sparse matrix
                    (users, items), whose ids are the numbers of rows and columns, and whose stored
                    values are ratings; a DataFrame
        columns     of a DataFrame: the names of its "user", "item", "rating" and "time"; found by
                    their usual names where they are not given

        >>> from scipy.sparse import csr_array
        >>> from minidl.recommend import Interactions
        >>> Interactions.of(csr_array([[0, 4], [5, 0]]))
        Interactions(2 of 2 users with 2 items, ratings from 4 to 5)
        """
        if isinstance(data, Interactions):
            return data
        if isinstance(data, tuple | list) and 2 <= len(data) <= 4:
            return cls(*data, duplicates=duplicates)
        if sparse.issparse(data):
            return cls._of_matrix(data)
        if hasattr(data, "columns") and hasattr(data, "iloc"):
            names = _column_names(list(data.columns), columns or {})
            return cls(*(None if name is None else data[name] for name in names),
                       duplicates=duplicates)  # fmt: skip
        raise DTypeError(
            "Interactions: needs (users, items[, ratings[, times]]), a SciPy sparse matrix or a "
            f"DataFrame; got {describe(data)}"
        )

    @classmethod
    def _of_matrix(cls, matrix: Any) -> "Interactions":
        """The stored entries of a sparse matrix; rows and columns without any are ids too."""
        entries = matrix.tocoo(copy=True)
        entries.sum_duplicates()
        new = cls.__new__(cls)
        new.users, new.items = (
            Ids(range(matrix.shape[0]), "user"),
            Ids(range(matrix.shape[1]), "item"),
        )
        new.user_codes = entries.row.astype(np.int32)
        new.item_codes = entries.col.astype(np.int32)
        new.ratings = _numbers("ratings", entries.data, entries.nnz, np.float32)
        new.times = None
        return new

    def _resolve(self, duplicates: str | None) -> None:
        """Treat pairs that occur more than once as is asked."""
        how = duplicates or ("keep" if self.ratings is None else "error")
        if how not in DUPLICATES:
            raise ArgumentError(
                f"Interactions: duplicates is one of {', '.join(DUPLICATES)}; got {how!r:.40}"
            )
        if how == "keep":
            return
        pairs = self.user_codes.astype(np.int64) * len(self.items) + self.item_codes
        distinct, groups = np.unique(pairs, return_inverse=True)
        if distinct.size == pairs.size:
            return
        if how == "error":
            self._refuse_duplicates(groups)
        if how in ("mean", "sum", "max"):
            self._merge(how, groups, distinct.size)
        self._keep(_last_of_each(groups, self._order() if how != "first" else self._order()[::-1]))

    def _refuse_duplicates(self, groups: np.ndarray) -> None:
        group = np.bincount(groups).argmax()
        place = np.flatnonzero(groups == group)[0]
        user, item = self.users[self.user_codes[place]], self.items[self.item_codes[place]]
        raise ArgumentError(
            f"Interactions: user {user!r} rated item {item!r} {np.count_nonzero(groups == group)} "
            "times; say with duplicates= which to keep: "
            + ", ".join(repr(name) for name in DUPLICATES[1:])
        )

    def _merge(self, how: str, groups: np.ndarray, count: int) -> None:
        """Give all interactions of a group the same rating."""
        ratings = np.ones(groups.size, np.float32) if self.ratings is None else self.ratings
        if how == "max":
            total: np.ndarray = np.full(count, -np.inf, np.float32)
            np.maximum.at(total, groups, ratings)
        else:
            sums = np.bincount(groups, ratings, count)
            total = sums / np.bincount(groups, minlength=count) if how == "mean" else sums
        self.ratings = total.astype(np.float32)[groups]

    def _order(self) -> np.ndarray:
        """The places of the interactions, ordered by time."""
        if self.times is None:
            return np.arange(len(self))
        return np.argsort(self.times, kind="stable")

    def _keep(self, places: np.ndarray) -> None:
        self.user_codes, self.item_codes = self.user_codes[places], self.item_codes[places]
        self.ratings = None if self.ratings is None else self.ratings[places]
        self.times = None if self.times is None else self.times[places]

    def take(self, places: Any) -> "Interactions":
        """Some of the interactions, by number or by a mask, with the ids of all.

        >>> from minidl.recommend import Interactions
        >>> Interactions([1, 2, 3], [7, 7, 8]).take([0, 2])
        Interactions(2 of 3 users with 2 items)
        """
        new = self.replaced()
        chosen = np.asarray(places)
        new._keep(chosen if chosen.size else chosen.astype(np.int64))
        return new

    def replaced(self, **parts: Any) -> "Interactions":
        """The same interactions but for some parts: ids, codes, ratings or times."""
        names = "users", "items", "user_codes", "item_codes", "ratings", "times"
        new = type(self).__new__(type(self))
        new.__dict__.update({name: parts.get(name, getattr(self, name)) for name in names})
        return new

    def joined(self, new: "Interactions") -> tuple["Interactions", "Interactions"]:
        """These interactions with new ones, and the new ones alone, with the ids of both.

        Of a rated pair that both have, the new rating replaces the old one.
        """
        if (self.ratings is None) != (new.ratings is None):
            raise ArgumentError("Interactions: either all have ratings or none")
        users, user_codes = self.users.extended(list(new.users))
        items, item_codes = self.items.extended(list(new.items))
        part = new.replaced(
            users=users,
            items=items,
            user_codes=user_codes[new.user_codes],
            item_codes=item_codes[new.item_codes],
        )
        both = part.replaced()
        for name in ("user_codes", "item_codes", "ratings", "times"):
            old, added = getattr(self, name), getattr(part, name)
            joined = None if old is None or added is None else np.concatenate([old, added])
            setattr(both, name, joined)
        both._resolve("keep" if self.ratings is None else "last")
        return both, part

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """(users, items), float32: the ratings, of pairs that occur more than once their sum."""
        values = np.ones(len(self), np.float32) if self.ratings is None else self.ratings
        shape = len(self.users), len(self.items)
        result = sparse.csr_array((values, (self.user_codes, self.item_codes)), shape=shape)
        result.sort_indices()
        return result

    def __len__(self) -> int:
        return self.user_codes.size

    def __repr__(self) -> str:
        text = f"{len(self)} of {len(self.users)} users with {len(self.items)} items"
        if self.ratings is not None and len(self):
            text += f", ratings from {self.ratings.min():g} to {self.ratings.max():g}"
        return f"Interactions({text})"


def _numbers(what: str, values: Any, n: int, dtype: Any) -> np.ndarray:
    """n finite numbers as an array of this dtype; times may be datetimes."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "M":
            array = array.astype("datetime64[ns]").astype(np.int64) / 1e9
        array = array.astype(dtype)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"Interactions: {what} are numbers ({error})") from None
    if array.shape != (n,):
        raise ShapeError(f"Interactions: needs {n} {what}, one for each user; got {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        place = int(np.flatnonzero(~finite)[0])
        raise ArgumentError(
            f"Interactions: {what}[{place}] is {array[place]}; needs finite numbers"
        )
    return array


def _column_names(present: list[str], given: Mapping[str, str]) -> list[str | None]:
    """The columns of users, items, ratings and times in a table; None for what it has not."""
    unknown = set(given) - set(_COLUMNS) or set(given.values()) - set(present)
    if unknown:
        raise ArgumentError(
            f"Interactions: columns has {sorted(unknown)[0]!r}; it says which of "
            f"{', '.join(map(repr, present))} are {', '.join(map(repr, _COLUMNS))}"
        )
    names = [
        given.get(part) or next((name for name in usual if name in present), None)
        for part, usual in _COLUMNS.items()
    ]
    for name, part in zip(names[:2], _COLUMNS, strict=False):
        if name is None:
            raise ArgumentError(
                f"Interactions: which of the columns {', '.join(map(repr, present))} is the "
                f'{part}? Say so with columns={{"{part}": …}}'
            )
    return names


def _last_of_each(groups: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Of each group the last place in this order, ascending."""
    last = np.empty(groups.max() + 1, np.int64)
    last[groups[order]] = order  # of repeated indices, NumPy keeps the last
    return np.sort(last)
