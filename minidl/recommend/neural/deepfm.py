"""DeepFM: a factorisation machine and a network over the same embeddings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability
from minidl.ops import asarray, zeros
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.featured import Pointwise
from minidl.recommend.neural.fields import Fields
from minidl.recommend.neural.training import check_widths, layers

_PAIRS = 1 << 14  # that are scored at a time


class DeepFMModule(nn.Module):
    """start + w₀ + Σ_f w_f + Σ_{f<g} ⟨e_f, e_g⟩ + MLP([e_1, …, e_F]) over the fields of a pair.

    Of field f, with the axes j that it has in x: w_f = Σ_j w_j·x_j and e_f = Σ_j v_j·x_j.  A row of
    a table is (w_j, v_j).
    """

    def __init__(
        self, users: Fields, items: Fields, factors: int, hidden: Sequence[int], dropout: float,
        start: float,
    ) -> None:  # fmt: skip
        self.start, self.bias = start, nn.Parameter(zeros(()))
        self.users = nn.EmbeddingBag(users.width, 1 + factors, mode="sum", sparse=True)
        self.items = nn.EmbeddingBag(items.width, 1 + factors, mode="sum", sparse=True)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, 0, 0.05)
            nn.init.zeros_(table.weight[:, 0])
        self.fields = users.count, items.count
        width = (users.count + items.count) * factors
        self.layers = nn.Sequential(*layers([width, *hidden], dropout))
        self.output = nn.Linear(hidden[-1], 1, bias=False)

    def forward(self, *bags: Tensor) -> Tensor:
        """The bags of users, and those of items → scores, (B,)."""
        return self.of_fields(self.of_users(*bags[:3]), self.of_items(*bags[3:]))

    def of_users(self, *bags: Tensor) -> Tensor:
        """(w, e) of each field, (B, fields, 1 + factors)."""
        return _embedded(self.users, self.fields[0], *bags)

    def of_items(self, *bags: Tensor) -> Tensor:
        """(w, e) of each field, (B, fields, 1 + factors)."""
        return _embedded(self.items, self.fields[1], *bags)

    def of_fields(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores from what all fields are, (B,)."""
        both = ops.concat([users, items], axis=1)
        linear, e = both[:, :, 0].sum(axis=1), both[:, :, 1:]
        pairs = 0.5 * ((e.sum(axis=1) ** 2).sum(axis=1) - (e * e).sum(axis=(1, 2)))
        deep = self.output(self.layers(e.reshape((e.shape[0], -1))))[:, 0]
        return self.start + self.bias + linear + pairs + deep


def _embedded(
    table: nn.EmbeddingBag, fields: int, axes: Tensor, starts: Tensor, values: Tensor
) -> Tensor:
    found: Tensor = table(axes, starts, per_sample_weights=values)
    return found.reshape((-1, fields, found.shape[1]))


class DeepFM(Pointwise):
    """ŷ = w₀ + Σ_f w_f + Σ_{f<g} ⟨e_f, e_g⟩ + MLP([e_1, …, e_F]).

    The fields f are the ids and the columns of features of a user and of an item, with embeddings
    e_f; of a column with several values, as genres, e_f is their sum, and they do not interact with
    each other.  The network sees the same embeddings as the factorisation machine.
    H. Guo, R. Tang, Y. Ye, Z. Li, X. He.  DeepFM: a factorization-machine based neural network for
    CTR prediction.  IJCAI 2017, arXiv:1703.04247.

    hidden    the widths of the network's layers; the other settings are those of
              `FactorizationMachine`

    >>> from minidl.recommend import DeepFM
    >>> kinds = minidl.data.Features(["tea", "rum"], {"kind": [("hot",), ("cold", "strong")]})
    >>> met = ["ann", "ben", "cat"], ["tea", "tea", "rum"]
    >>> model = DeepFM(item_features=kinds, factors=4, hidden=(8,), epochs=2).fit(met)
    >>> [scored.id for scored in model.recommend("cat")]
    ['tea']
    """

    FITTED = Pointwise.FITTED
    module: DeepFMModule

    def __init__(
        self,
        user_features: Any = None,
        item_features: Any = None,
        factors: int = 16,
        hidden: Sequence[int] = (64, 32),
        objective: str | None = None,
        negatives: int = 4,
        epochs: int = 20,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-1,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._take_features(user_features, item_features)
        self.factors, self.hidden = factors, tuple(hidden)
        self.objective, self.negatives = objective, negatives
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.dropout = dropout
        self._check(factors=factors, negatives=negatives)
        self._check_objective()
        check_probability(self, dropout=dropout)
        check_widths(self, self.hidden)

    def _network(self, data: Interactions) -> nn.Module:
        sizes = self._users, self._items, self.factors, self.hidden, self.dropout
        return DeepFMModule(*sizes, self._start(data))

    def _prepare(self) -> None:
        self._user_fields = self._of_all(self._users, self.module.of_users)
        self._item_fields = self._of_all(self._items, self.module.of_items)

    @no_grad()
    def _in_chunks(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        found = [np.empty(0, np.float32)]
        for start in range(0, users.size, _PAIRS):
            part = slice(start, start + _PAIRS)
            user, item = self._user_fields[users[part]], self._item_fields[items[part]]
            found.append(self.module.of_fields(asarray(user), asarray(item)).numpy())
        return np.concatenate(found)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self._in_chunks(users, items)  # −1: the last, unknown
