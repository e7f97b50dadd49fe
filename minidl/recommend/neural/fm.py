"""Factorisation machines, with features of users and of items."""

from typing import Any

import numpy as np

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.ops import arange, zeros
from minidl.recommend.factorization.factors import cosines
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.featured import Pointwise
from minidl.recommend.neural.fields import Fields


class FMModule(nn.Module):
    """start + w₀ + Σ_j w_j·x_j + Σ_{j<k} ⟨v_j, v_k⟩·x_j·x_k, where x is that of a user and an item.

    A row of a table is (w_j, v_j).
    """

    def __init__(self, users: Fields, items: Fields, factors: int, start: float) -> None:
        self.start, self.bias = start, nn.Parameter(zeros(()))
        self.users = nn.Embedding(users.width, 1 + factors, sparse=True)
        self.items = nn.Embedding(items.width, 1 + factors, sparse=True)
        self.fields = users.count, items.count
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, 0, 0.05)
            nn.init.zeros_(table.weight[:, 0])

    def forward(self, *bags: Tensor) -> Tensor:
        """The bags of users, and those of items → scores, (B,)."""
        user, item = self.of_users(*bags[:3]), self.of_items(*bags[3:])
        products = (user[:, 1:] * item[:, 1:]).sum(axis=1)
        return self.start + self.bias + user[:, 0] + item[:, 0] + products

    def of_users(self, *bags: Tensor) -> Tensor:
        """(B, 1 + factors)."""
        return _halves(self.users, self.fields[0], *bags)

    def of_items(self, *bags: Tensor) -> Tensor:
        """(B, 1 + factors)."""
        return _halves(self.items, self.fields[1], *bags)


def _halves(
    table: nn.Embedding, fields: int, axes: Tensor, starts: Tensor, values: Tensor
) -> Tensor:
    """(b, p), where b = Σ_j w_j·x_j + (|p|² − Σ_j x_j²·|v_j|²) / 2 and p = Σ_j x_j·v_j.

    The sum runs over the user's part of x, or the item's: Σ_{j<k} within it is what b has, and
    between the two it is ⟨p_u, p_i⟩.
    """
    rows = table(axes) * values.reshape((-1, 1))
    starts = starts[::fields]
    sums = _summed(rows, starts)
    own = _summed((rows[:, 1:] ** 2).sum(axis=1, keepdims=True), starts)
    linear, p = sums[:, :1], sums[:, 1:]
    both = (p * p).sum(axis=1, keepdims=True)
    return ops.concat([linear + 0.5 * (both - own), p], axis=1)


def _summed(rows: Tensor, starts: Tensor) -> Tensor:
    """The sums of the rows between starts."""
    return ops.embedding_bag(rows, arange(rows.shape[0]), starts, mode="sum")


class FactorizationMachine(Pointwise):
    """ŷ(x) = w₀ + Σ_j w_j·x_j + Σ_{j<k} ⟨v_j, v_k⟩·x_j·x_k.

    x has the id of the user and of the item, one axis each, and their features; every pair of axes
    interacts by factors.  Without features that is matrix factorisation with biases.  With p_u the
    sum of x_j·v_j over the axes of the user, and p_i over those of the item, it is
    ŷ = w₀ + b_u + b_i + ⟨p_u, p_i⟩ with all the rest in b, so that the scores of all items are one
    matrix product.  S. Rendle.  Factorization machines.  ICDM 2010.

    user_features, item_features    what is known of them: `minidl.data.Features`, (ids, vectors)
    objective    "squared" for ratings, "logistic" for whether they met, with `negatives` others
                 for each; None for the first where there are ratings, else the second

    Of an unknown user or item, x is 0; of one that met nothing, all but its features.
    `similar_items` and `similar_users` compare p by the cosine; `add_items` takes in new items.

    >>> from minidl.recommend import FactorizationMachine
    >>> ages = minidl.data.Features(["ann", "ben", "cat"], {"age": [20, 60, 25]})
    >>> ratings = ["ann", "ann", "ben", "ben"], ["pop", "jazz", "pop", "jazz"], [5, 1, 2, 4]
    >>> model = FactorizationMachine(ages, epochs=80, weight_decay=0).fit(ratings)
    >>> [scored.id for scored in model.recommend("cat")]  # who rated nothing
    ['pop', 'jazz']
    """

    FITTED = Pointwise.FITTED
    module: FMModule

    def __init__(
        self,
        user_features: Any = None,
        item_features: Any = None,
        factors: int = 32,
        objective: str | None = None,
        negatives: int = 4,
        epochs: int = 30,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-1,
        seed: int = 0,
    ) -> None:
        self._take_features(user_features, item_features)
        self.factors, self.objective, self.negatives = factors, objective, negatives
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._check(factors=factors, negatives=negatives)
        self._check_objective()

    def _network(self, data: Interactions) -> nn.Module:
        return FMModule(self._users, self._items, self.factors, self._start(data))

    def _prepare(self) -> None:
        self._user_halves = self._of_all(self._users, self.module.of_users)
        self._item_halves = self._of_all(self._items, self.module.of_items)

    def _scores(self, users: np.ndarray) -> np.ndarray:
        user, item = self._user_halves[users], self._item_halves[:-1]
        rest = self._constant() + user[:, :1] + item[:, 0]
        return np.asarray(user[:, 1:] @ item[:, 1:].T + rest, np.float32)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        user, item = self._user_halves[users], self._item_halves[items]  # −1: the last, unknown
        products = np.einsum("nk,nk->n", user[:, 1:], item[:, 1:])
        return np.asarray(self._constant() + user[:, 0] + item[:, 0] + products, np.float32)

    def _constant(self) -> float:
        """w₀, with the mean that it started from."""
        return self.module.start + float(self.module.bias.detach())

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return cosines(self._item_halves[:-1, 1:], items)

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        return cosines(self._user_halves[:-1, 1:], users)
