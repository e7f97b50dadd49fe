"""What neural recommenders share that know features of users and items."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice
from minidl.data import Features
from minidl.errors import ArgumentError
from minidl.ops import asarray
from minidl.recommend.features import columns_like, columns_of
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.fields import Fields, field_encoders
from minidl.recommend.neural.training import Neural, shuffled, with_negatives

_ROWS = 1 << 14  # whose embeddings are computed at a time


class Featured(Neural):
    """A module over the fields of a user and of an item: their ids and their features.

    Users and items with features are known though they met nothing.  `add_items` takes in more.
    What a subclass writes: `_network` for the fields of users and of items, `_prepare` of what
    scores are computed from, the batches, and the loss.

    user_features, item_features    `minidl.data.Features`, a pair (ids, vectors), or None
    """

    FITTED: ClassVar[tuple[str, ...]] = ("RATES", "added", *Neural.FITTED)
    added: Features | None = None  # all items that have features, if more were added
    user_features: Features | None
    item_features: Features | None

    def _take_features(self, user_features: Any, item_features: Any) -> None:
        self.user_features = _features(user_features)
        self.item_features = _features(item_features)
        self._encoders = [field_encoders(user_features), field_encoders(item_features)]

    def _network(self, data: Interactions) -> nn.Module:
        raise NotImplementedError

    def _prepare(self) -> None:
        """Compute what does not depend on the pair."""
        raise NotImplementedError

    def _known(self, data: Interactions) -> Interactions:
        users, items = data.users, data.items
        if self.user_features is not None:
            users, _ = users.extended(list(self.user_features.ids))
        features = self._item_features()
        if features is not None:
            items, _ = items.extended(list(features.ids))
        return data.replaced(users=users, items=items)

    def _module(self, data: Interactions) -> nn.Module:
        users, items = self._encoders
        self._users = Fields(data.users, data.user_codes, users, self.user_features)
        self._items = Fields(data.items, data.item_codes, items, self._item_features())
        return self._network(data)

    def _item_features(self) -> Features | None:
        return self.item_features if self.added is None else self.added

    def _fit(self, data: Interactions) -> None:
        super()._fit(data)
        self._prepare()

    def restore(self, name: str, value: Any) -> None:
        """Set what `fit` learned; the module from its state_dict."""
        super().restore(name, value)
        if name == "module":
            self._prepare()

    def add_items(self, features: Any) -> Self:
        """Take in items that nobody has met, with the columns that the others have.

        Words and categories that no item had before are left out.  An item that has features
        already gets the new ones.
        """
        data = self._fitted()
        known = self._item_features()
        if known is None:
            raise ArgumentError(
                f"add_items: this {type(self).__name__} was made without item_features, and knows "
                "items by their interactions alone"
            )
        ids, columns = columns_like(known, features)
        joined = {name: _joined(known[name], columns[name]) for name in known}
        items, _ = data.items.extended(ids)
        with self._all_or_nothing():
            self.added = Features([*known.ids, *ids], joined)
            self.data = data.replaced(items=items)
            self._items = Fields(items, data.item_codes, self._encoders[1], self.added)
            self._prepare()
        return self

    @no_grad()
    def _of_all(self, fields: Fields, part: Callable[..., Any]) -> np.ndarray:
        """`part` of the fields of all codes, and in the last row that of what is unknown."""
        codes = np.append(np.arange(fields.codes), -1)
        found = [
            part(*map(asarray, fields.bags(codes[start : start + _ROWS]))).numpy()
            for start in range(0, codes.size, _ROWS)
        ]
        return np.concatenate(found)

    def _fields_of(
        self, users: np.ndarray, items: np.ndarray, *more: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """A batch: the bags of users and of items, and what else belongs to it."""
        return (*self._users.bags(users), *self._items.bags(items), *more)


class Pointwise(Featured):
    """A score of a pair, trained on ratings by squared error, or on what was met by cross-entropy.

    objective    "squared" for ratings, "logistic" for whether they met, with `negatives` others
                 for each; None for the first where there are ratings, else the second
    """

    objective: str | None
    negatives: int

    def _fit(self, data: Interactions) -> None:
        if self.objective == "squared" and data.ratings is None:
            raise ArgumentError(
                f'{type(self).__name__}: objective="squared" needs ratings; there are none'
            )
        self.RATES = data.ratings is not None and self.objective != "logistic"
        super()._fit(data)

    def _batches(self, data: Interactions, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        if self.RATES:
            assert data.ratings is not None
            users, items, targets = data.user_codes, data.item_codes, data.ratings
        else:
            users, items, targets = with_negatives(data, self.negatives, rng)
        for part in shuffled(users.size, self.batch_size, rng):
            yield self._fields_of(users[part], items[part], targets[part])

    def _loss(self, *batch: Tensor) -> Tensor:
        scores = self.module(*batch[:-1])
        if self.RATES:
            return ops.mse_loss(scores, batch[-1])
        return ops.binary_cross_entropy_with_logits(scores, batch[-1])

    def _check_objective(self) -> None:
        if self.objective is not None:
            check_choice(self, ("squared", "logistic"), objective=self.objective)

    def _start(self, data: Interactions) -> float:
        """The score before anything is learned: the mean rating, or the logit of how many meet."""
        if self.RATES and data.ratings is not None:
            return float(data.ratings.mean(dtype=np.float64))
        return -float(np.log(self.negatives))


def _features(given: Any) -> Features | None:
    """Features, of a pair (ids, vectors) too."""
    return None if given is None else Features(*columns_of(given))


def _joined(column: Any, more: Sequence[Any]) -> Any:
    """One column after another."""
    if isinstance(column, np.ndarray):
        return np.concatenate([column, np.asarray(more)])
    return [*column, *more]
