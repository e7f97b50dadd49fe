"""Two towers: networks of users and of items whose vectors are near where they meet."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers, check_probability
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.featured import Featured
from minidl.recommend.neural.fields import Fields
from minidl.recommend.neural.training import check_widths, layers, on_device, shuffled


class Tower(nn.Module):
    """Embeddings of fields, side by side, and a network: unit vectors, (B, size)."""

    def __init__(
        self, fields: Fields, width: int, hidden: Sequence[int], size: int, dropout: float
    ) -> None:
        self.table = nn.EmbeddingBag(fields.width, width, mode="sum", sparse=True)
        nn.init.normal_(self.table.weight, 0, width**-0.5)
        sizes = [fields.count * width, *hidden]
        self.layers = nn.Sequential(*layers(sizes, dropout), nn.Linear(sizes[-1], size))
        self.inputs = sizes[0]

    def forward(self, axes: Tensor, starts: Tensor, values: Tensor) -> Tensor:
        """The bags of fields → (B, size)."""
        embedded = self.table(axes, starts, per_sample_weights=values)
        return ops.normalize(self.layers(embedded.reshape((-1, self.inputs))), axis=1)


class TwoTowerModule(nn.Module):
    """The tower of users, and that of items."""

    def __init__(self, users: Tower, items: Tower) -> None:
        self.users, self.items = users, items


class TwoTower(Featured):
    """ŷ = ⟨x_u, y_i⟩, the cosine of unit vectors, each of a network over ids and features.

    Trained by the softmax within a batch of pairs that met, where the items of the others are the
    negatives: −log softmax_c(⟨x_b, y_c⟩/τ − log Q(c))[b].  Q(c) is how often the item of pair c is
    met: popular items are negatives more often, which −log Q(c) makes up for.  Pairs with the same
    item as b are left out of its negatives.  X. Yi et al.  Sampling-bias-corrected neural modeling
    for large corpus item recommendations.  RecSys 2019.  (Q is counted here, not estimated from a
    stream; ratings are not looked at.)

    user_features, item_features    what is known of them: `minidl.data.Features`, (ids, vectors)
    width          of the embedding of each field
    hidden         the widths of the layers between
    size           of the vectors
    temperature    τ

    `similar_items` and `similar_users` are cosines.  `add_items` takes in items that nobody has
    met, by their features.  `user_vectors` and `item_vectors` are ready for an index of neighbours.

    >>> from minidl.recommend import TwoTower
    >>> genres = minidl.data.Features([1, 2, 3], {"genre": ["crime", "comedy", "crime"]})
    >>> met = ["ann", "ann", "ben"], [1, 3, 2]
    >>> model = TwoTower(item_features=genres, width=8, hidden=(16,), size=8, epochs=20).fit(met)
    >>> more = minidl.data.Features([4, 5], {"genre": ["comedy", "crime"]})
    >>> [scored.id for scored in model.add_items(more).recommend("ann", 1)]
    [5]
    """

    RATES = False
    FITTED = Featured.FITTED
    module: TwoTowerModule

    def __init__(
        self,
        user_features: Any = None,
        item_features: Any = None,
        width: int = 32,
        hidden: Sequence[int] = (64,),
        size: int = 32,
        temperature: float = 0.1,
        epochs: int = 20,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._take_features(user_features, item_features)
        self.width, self.hidden, self.size = width, tuple(hidden), size
        self.temperature, self.dropout = temperature, dropout
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._check(width=width, size=size)
        check_numbers(self, above=0, finite=True, temperature=temperature)
        check_probability(self, dropout=dropout)
        check_widths(self, self.hidden)

    def _network(self, data: Interactions) -> nn.Module:
        sizes = self.width, self.hidden, self.size, self.dropout
        return TwoTowerModule(Tower(self._users, *sizes), Tower(self._items, *sizes))

    def _batches(self, data: Interactions, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        users, items = data.user_codes, data.item_codes
        counts = np.bincount(items, minlength=len(data.items))
        log_q = np.log(np.maximum(counts, 1) / items.size).astype(np.float32)
        for part in shuffled(users.size, self.batch_size, rng):
            own = items[part]
            yield self._fields_of(users[part], own, log_q[own], own[:, None] == own)

    def _loss(self, *batch: Tensor) -> Tensor:
        x, y = self.module.users(*batch[:3]), self.module.items(*batch[3:6])
        return batch_softmax_loss(x, y, batch[6], batch[7], self.temperature)

    def _prepare(self) -> None:
        self.user_vectors = self._of_all(self._users, self.module.users)[:-1]
        self.item_vectors = self._of_all(self._items, self.module.items)[:-1]

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self.user_vectors[users] @ self.item_vectors.T)

    def _in_chunks(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nk->n", self.user_vectors[users], self.item_vectors[items])

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return np.asarray(self.item_vectors[items] @ self.item_vectors.T)

    def _similar_users(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self.user_vectors[users] @ self.user_vectors.T)


def batch_softmax_loss(
    x: Tensor, y: Tensor, log_q: Tensor, same: Tensor, temperature: float
) -> Tensor:
    """The mean over b of −log softmax_c(⟨x_b, y_c⟩/τ − log Q_c)[b]; c ≠ b of the same item is out.

    x, y     (B, d), of users and of the items that they met
    log_q    (B,): how often the item of pair c is met
    same     (B, B): whether b and c have the same item
    """
    logits = x @ y.T / temperature - log_q
    count = logits.shape[0]
    others = ops.logical_and(same, on_device(~np.eye(count, dtype=bool)))
    logits = ops.where(others, -float("inf"), logits)
    return ops.cross_entropy(logits, on_device(np.arange(count)))
