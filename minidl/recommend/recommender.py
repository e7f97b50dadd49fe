"""The interface of all recommenders: fit, predict, recommend, similar, explain, save."""

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np

from minidl.checks import check_flags, check_integers, name_of
from minidl.errors import ArgumentError, ShapeError
from minidl.recommend import storage
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.ranking import Ranking, Scored, top_n

_BLOCK = 1 << 23  # scores that are computed at a time: 32 MiB


class Recommender(ABC):
    """What recommends items to users, learned from their interactions.

        model.fit((users, items, ratings))
        model.predict(users, items)         how these users would rate these items
        model.recommend(users, n=10)        the best items that each user has not met
        model.similar_items(items, n=10)    and similar_users, where the method has them
        model.explain(user, item)           what speaks for it, where the method knows
        model.fold_in(interactions)         the same model with more users, not fitted anew
        model.partial_fit(interactions)     learn more interactions
        model.save(path)                    and recommend.load(path)

    What a subclass writes: `_fit`, `_scores` of all items for a block of users, and the names of
    what `_fit` computes in FITTED; where it can, the other methods that begin with an underscore.
    The arguments of its constructor are attributes of the same names.

    data              the interactions that it was fitted to
    users, items      their ids

    >>> from minidl.recommend import Recommender
    >>> class Newest(Recommender):
    ...     def _fit(self, data):
    ...         pass
    ...
    ...     def _scores(self, users):
    ...         return np.tile(np.arange(len(self.items), dtype=np.float32), (users.size, 1))
    >>> Newest().fit((["ann", "ben"], ["tea", "rum"])).recommend("ann")
    [Scored(id='rum', score=1.0)]
    """

    FITTED: ClassVar[tuple[str, ...]] = ()  # attributes that `fit` sets: arrays and numbers
    RATES: bool = True  # whether scores are ratings, so that their error means something
    data: Interactions | None = None

    # What a subclass writes.

    @abstractmethod
    def _fit(self, data: Interactions) -> None:
        """Learn from the interactions."""

    @abstractmethod
    def _scores(self, users: np.ndarray) -> np.ndarray:
        """The scores of all items for users given by codes: (B, items), float32, newly made."""

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The scores of pairs of codes, (n,); −1 stands for an unknown user or item.

        What is unknown gets the mean of the ratings; a method that knows better says so.
        """
        result = np.full(users.size, self._mean(), np.float32)
        known = (users >= 0) & (items >= 0)
        distinct, rows = np.unique(users[known], return_inverse=True)
        places = np.flatnonzero(known)
        for start, block in self._blocks(distinct, len(self.items)):
            scores = self._scores(block)
            inside = (rows >= start) & (rows < start + block.size)
            result[places[inside]] = scores[rows[inside] - start, items[places[inside]]]
        return result

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        """The similarity of each item given by code with all items: (B, items)."""
        raise self._has_no("similar items")

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        """The similarity of each user given by code with all users: (B, users)."""
        raise self._has_no("similar users")

    def _explain(self, user: int, item: int, n: int) -> "Explanation":
        """What speaks most for an item."""
        raise self._has_no("explanations")

    def _fold_in(self, data: Interactions) -> Self:
        """The same model for the users of data, whose codes are those of its users and items."""
        raise self._has_no("fold-in of users")

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        """Learn `new`, which is a part of `data`; the codes are those of data."""
        raise self._has_no("partial_fit")

    def _known(self, data: Interactions) -> Interactions:
        """The interactions, with the ids of what is known without any: items with features."""
        return data

    # What users call.

    def fit(self, interactions: Any) -> Self:
        """Learn from interactions: whatever `Interactions.of` takes; returns the model."""
        data = self._known(Interactions.of(interactions))
        if not len(data):
            raise ArgumentError(f"{name_of(self)}: needs at least one interaction; got none")
        with self._all_or_nothing():
            self._fit(data)
            self.data = data
        return self

    def predict(self, users: Any, items: Any, *, unknown: str = "error") -> np.ndarray:
        """The scores of pairs: how users[i] would rate items[i]; (n,), float32.

        Of a single id, for all of the others; for two, a number.  An unknown id is a BoundsError;
        with unknown="default" its score is what can be said without it, at least the mean rating.
        """
        if unknown not in ("error", "default"):
            raise ArgumentError(f'predict: unknown is "error" or "default"; got {unknown!r:.40}')
        data = self._fitted()
        how = "error" if unknown == "error" else "-1"
        pairs = [
            ids.codes([given] if is_single(given) else given, how)
            for ids, given in ((data.users, users), (data.items, items))
        ]
        single = [is_single(users), is_single(items)]
        if not any(single) and pairs[0].size != pairs[1].size:
            raise ShapeError(
                f"predict: needs as many items as users; got {pairs[1].size} and {pairs[0].size}"
            )
        user_codes, item_codes = np.broadcast_arrays(*pairs)
        scores = self._pairs(np.ascontiguousarray(user_codes), np.ascontiguousarray(item_codes))
        return scores[0] if all(single) else scores

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Any = None,
        exclude: Any = None,
    ) -> Any:
        """The n best items for each user: a `Ranking`, or for a single id its list.

        users           ids, or one; by default all users, in the order of `self.users`
        exclude_seen    leave out what the user has met
        candidates      the only items that may be recommended
        exclude         items that may not

        Scores are computed for blocks of users, so that memory does not grow with their number.
        """
        data = self._fitted()
        check_integers("recommend", 1, n=n)
        check_flags("recommend", exclude_seen=exclude_seen)
        codes = self._codes(data.users, users)
        barred = self._barred(candidates, exclude)
        found = []
        for _, block in self._blocks(codes, len(self.items)):
            scores = self._scores(block)
            if barred is not None:
                scores[:, barred] = -np.inf
            met = data.matrix[block] if exclude_seen else None
            found.append(top_n(scores, n, None if met is None else (met.indptr, met.indices)))
        ranking = _ranking(data.items, found, n)
        return ranking[0] if users is not None and is_single(users) else ranking

    def similar_items(self, items: Any, n: int = 10) -> Any:
        """The n items most similar to each of the items, or to a single one."""
        return self._similar(self._fitted().items, items, n, self._similar_items)

    def similar_users(self, users: Any, n: int = 10) -> Any:
        """The n users most similar to each of the users, or to a single one."""
        return self._similar(self._fitted().users, users, n, self._similar_users)

    def explain(self, user: Hashable, item: Hashable, n: int = 3) -> "Explanation":
        """What speaks most for an item: the user's own items, or other users."""
        data = self._fitted()
        check_integers("explain", 1, n=n)
        return self._explain(data.users.codes([user])[0], data.items.codes([item])[0], n)

    def fold_in(self, interactions: Any) -> Self:
        """A model for the users of these interactions, with the items as they were learned.

        Nothing is fitted anew, and this model does not change.  The new one knows the users of
        `interactions` only; items that were not fitted are a BoundsError.
        """
        known = self._fitted()
        given = Interactions.of(interactions)
        codes = known.items.codes(given.items)
        data = given.replaced(items=known.items, item_codes=codes[given.item_codes])
        folded = self._fold_in(data)
        folded.data = data
        return folded

    def partial_fit(self, interactions: Any) -> Self:
        """Learn more interactions, also of new users and items, from where the model is.

        Without a fit before, it is one.  Of a pair that was rated before, the new rating counts.
        """
        if self.data is None:
            return self.fit(interactions)
        new = Interactions.of(interactions)
        data, part = self.data.joined(self._known(new))
        with self._all_or_nothing():
            self._partial_fit(data, part)
            self.data = data
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with its interactions; `minidl.recommend.load` reads it.

        Ids are numbers, texts, and tuples of them; others are a DTypeError.
        """
        self._fitted()
        storage.write(path, self)

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def restore(self, name: str, value: Any) -> None:
        """Set what `fit` learned from what was saved; of a module, its state_dict is given."""
        setattr(self, name, value)

    @property
    def users(self) -> Ids:
        """The ids of the users."""
        return self._fitted().users

    @property
    def items(self) -> Ids:
        """The ids of the items."""
        return self._fitted().items

    # Parts of these.

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What fails inside leaves the attributes as they were, if it changed no array in place."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fitted(self) -> Interactions:
        if self.data is None:
            raise ArgumentError(f"{name_of(self)} is not fitted; call fit(interactions) first")
        return self.data

    def _mean(self) -> float:
        """The mean of the ratings."""
        ratings = self._fitted().ratings
        return 1.0 if ratings is None else float(ratings.mean(dtype=np.float64))

    def _has_no(self, what: str) -> ArgumentError:
        return ArgumentError(f"{type(self).__name__} has no {what}")

    def _codes(self, ids: Ids, given: Any) -> np.ndarray:
        """The codes of ids, of a single one, or of all."""
        if given is None:
            return np.arange(len(ids), dtype=np.int32)
        return ids.codes([given] if is_single(given) else given)

    def _blocks(self, codes: np.ndarray, width: int) -> Any:
        """Blocks of codes, with their starts, for which all scores can be computed at a time."""
        size = max(1, _BLOCK // width)
        return ((start, codes[start : start + size]) for start in range(0, codes.size, size))

    def _barred(self, candidates: Any, exclude: Any) -> np.ndarray | None:
        """Which items may not be recommended; None if all may."""
        if candidates is None and exclude is None:
            return None
        barred = np.full(len(self.items), candidates is not None)
        if candidates is not None:
            barred[self._codes(self.items, candidates)] = False
        if exclude is not None:
            barred[self._codes(self.items, exclude)] = True
        return barred

    def _similar(self, ids: Ids, given: Any, n: int, similarities: Any) -> Any:
        check_integers("similar", 1, n=n)
        codes = self._codes(ids, given)
        found = []
        for _, block in self._blocks(codes, len(ids)):
            scores = similarities(block)
            scores[np.arange(block.size), block] = -np.inf
            found.append(top_n(scores, n))
        ranking = _ranking(ids, found, n)
        return ranking[0] if given is not None and is_single(given) else ranking

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"


def load(path: str | os.PathLike[str]) -> Recommender:
    """The recommender in a file that `save` wrote; CheckpointError if it is none.

    Its class is one of minidl's, or a subclass of Recommender that the program has defined.

    >>> from minidl import recommend
    >>> recommend.Popularity().fit(([1, 1, 2], [7, 8, 8])).save("popular.safetensors")
    >>> recommend.load("popular.safetensors").recommend(2)
    [Scored(id=7, score=1.0)]
    """
    kinds = {kind.__name__: kind for kind in _subclasses(Recommender)}
    model: Recommender = storage.read(path, kinds)
    return model


def _subclasses(kind: type) -> list[type]:
    own: list[type] = kind.__subclasses__()
    return own + [further for subclass in own for further in _subclasses(subclass)]


class Explanation(list[Scored]):
    """Why an item is recommended: what speaks for it, and how much.

    because    "liked" where these are items of the user, "users" where they are other users

    >>> from minidl.recommend import Explanation, Scored
    >>> print(Explanation("liked", [Scored("tea", 0.5), Scored("rum", 0.2)]))
    because you liked tea, rum
    """

    def __init__(self, because: str, reasons: list[Scored]) -> None:
        super().__init__(reasons)
        self.because = because

    def __str__(self) -> str:
        names = ", ".join(str(scored.id) for scored in self)
        if not self:
            return "nothing that this user has met speaks for it"
        if self.because == "liked":
            return f"because you liked {names}"
        return f"because users like you, {names}, liked it"


def is_single(given: Any) -> bool:
    """Whether this is one id and not several: a number, a text, a tuple, what has no length."""
    is_scalar = getattr(given, "ndim", 1) == 0 or not hasattr(given, "__len__")
    return is_scalar or isinstance(given, str | bytes | tuple)


def _ranking(ids: Ids, found: list[tuple[np.ndarray, np.ndarray]], n: int) -> Ranking:
    """The blocks of a ranking, joined."""
    if not found:
        return Ranking(ids, np.empty((0, n), np.int32), np.empty((0, n), np.float32))
    codes, scores = zip(*found, strict=True)
    return Ranking(ids, np.concatenate(codes), np.concatenate(scores))
