"""NeuMF: matrix factorisation and a network over embeddings, side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers, check_probability
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.training import Neural, layers, shuffled, with_negatives


class NeuMFModule(nn.Module):
    """hᵀ·[p_u ⊙ q_i, MLP([p'_u, q'_i])] of codes of users and items, a logit (B,)."""

    def __init__(
        self, users: int, items: int, factors: int, hidden: Sequence[int], dropout: float
    ) -> None:
        width = hidden[0] // 2
        self.user_factors = nn.Embedding(users, factors, sparse=True)
        self.item_factors = nn.Embedding(items, factors, sparse=True)
        self.user_embeddings = nn.Embedding(users, width, sparse=True)
        self.item_embeddings = nn.Embedding(items, width, sparse=True)
        for table in (
            self.user_factors, self.item_factors, self.user_embeddings, self.item_embeddings
        ):  # fmt: skip
            nn.init.normal_(table.weight, 0, 0.01)
        self.layers = nn.Sequential(*layers([2 * width, *hidden[1:]], dropout))
        self.output = nn.Linear(factors + hidden[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """The logits of pairs."""
        products = self.user_factors(users) * self.item_factors(items)
        both = ops.concat([self.user_embeddings(users), self.item_embeddings(items)], axis=-1)
        return self.output(ops.concat([products, self.layers(both)], axis=-1))[..., 0]


class NeuMF(Neural):
    """ŷ = σ(hᵀ·[p_u ⊙ q_i, MLP([p'_u, q'_i])]), how probably u meets i.

    Generalised matrix factorisation and a multilayer perceptron, each with embeddings of its own,
    trained together by binary cross-entropy on what was met and on `negatives` items for each
    that were not, drawn anew in each epoch.  X. He, L. Liao, H. Zhang, L. Nie, X. Hu, T.-S. Chua.
    Neural collaborative filtering.  WWW 2017, arXiv:1708.05031.

    hidden    the widths of the perceptron's layers; the first is that of both embeddings together

    >>> from minidl.recommend import NeuMF
    >>> met = ["ann", "ann", "ben", "ben", "cat"], ["tea", "milk", "tea", "milk", "tea"]
    >>> model = NeuMF(factors=4, hidden=(8, 4), epochs=2).fit(met)
    >>> [scored.id for scored in model.recommend("cat")]
    ['milk']
    """

    RATES = False

    def __init__(
        self,
        factors: int = 16,
        hidden: Sequence[int] = (64, 32, 16),
        negatives: int = 4,
        epochs: int = 20,
        batch_size: int = 1024,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-3,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.factors, self.hidden, self.negatives = factors, tuple(hidden), negatives
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.dropout = dropout
        self._check(factors=factors, negatives=negatives)
        check_probability(self, dropout=dropout)
        for width in self.hidden:
            check_integers(self, 2, hidden=width)

    def _module(self, data: Interactions) -> nn.Module:
        sizes = len(data.users), len(data.items)
        return NeuMFModule(*sizes, self.factors, self.hidden, self.dropout)

    def _batches(self, data: Interactions, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        users, items, labels = with_negatives(data, self.negatives, rng)
        for part in shuffled(users.size, self.batch_size, rng):
            yield users[part], items[part], labels[part]

    def _loss(self, *batch: Tensor) -> Tensor:
        users, items, labels = batch
        return ops.binary_cross_entropy_with_logits(self.module(users, items), labels)

    def _logits(self, users: Tensor, items: Tensor) -> Tensor:
        found: Tensor = self.module(users, items)
        return found
