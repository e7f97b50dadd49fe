"""Recommenders of sequences: what comes next, after what a user met in this order."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability
from minidl.errors import ArgumentError
from minidl.ops import asarray
from minidl.recommend.factorization.factors import cosines
from minidl.recommend.interactions import Interactions
from minidl.recommend.neural.training import Neural, on_device, shuffled


class SequenceModule(nn.Module):
    """Embeddings of items, an encoder of sequences, and logits of the item that follows.

    Item 0 is padding, on the left; item i has the row i + 1.  The logits are products with the same
    embeddings, as in the papers.
    """

    def __init__(self, items: int, width: int, encoder: nn.Module, dropout: float) -> None:
        self.items = nn.Embedding(items + 1, width, padding_idx=0)
        nn.init.normal_(self.items.weight, 0, width**-0.5)
        nn.init.zeros_(self.items.weight[0])
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder

    def forward(self, sequences: Tensor) -> Tensor:
        """(B, T) rows of items → (B, T, width), what each step says of the next."""
        found: Tensor = self.encoder(self.dropout(self.items(sequences)), sequences == 0)
        return found

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, width) → (…, items), of the item that follows."""
        return ops.linear(hidden, self.items.weight[1:])


class Sequential(Neural):
    """What recommenders of sequences share: batches, the loss, and the scores of what is next.

    Sequences are in the order of time; without times, in that of the interactions.  Each step
    predicts the next item by cross-entropy over all items, so that no negatives are drawn.
    """

    RATES = False
    module: SequenceModule
    width: int
    length: int
    dropout: float

    def _check_sequences(self) -> None:
        self._check(width=self.width, length=self.length)
        check_probability(self, dropout=self.dropout)

    @abstractmethod
    def _encoder(self) -> nn.Module:
        """(B, T, width), and where padding is (B, T) → (B, T, width)."""

    def _module(self, data: Interactions) -> nn.Module:
        return SequenceModule(len(data.items), self.width, self._encoder(), self.dropout)

    def _batches(self, data: Interactions, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        rows = padded(data, self.length + 1)
        rows = rows[(rows != 0).sum(axis=1) > 1]
        if not len(rows):
            raise ArgumentError(
                f"{type(self).__name__}: needs a user with two interactions at least; there is none"
            )
        for part in shuffled(len(rows), self.batch_size, rng):
            yield rows[part, :-1], rows[part, 1:]

    def _loss(self, *batch: Tensor) -> Tensor:
        sequences, following = batch
        known = ops.nonzero(following.reshape((-1,)))[0]
        hidden = self.module(sequences).reshape((-1, self.width))[known]
        targets = following.reshape((-1,))[known] - 1
        return ops.cross_entropy(self.module.logits(hidden), targets)

    @no_grad()
    def _scores(self, users: np.ndarray) -> np.ndarray:
        sequences = self._sequences()[users]
        found = [
            self.module.logits(self.module(asarray(sequences[k : k + 256]))[:, -1]).numpy()
            for k in range(0, users.size, 256)
        ]
        return np.concatenate([np.empty((0, len(self.items)), np.float32), *found])

    def _sequences(self) -> np.ndarray:
        """The last items of each user."""
        return padded(self._fitted(), self.length)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        result = np.zeros(users.size, np.float32)
        known = (users >= 0) & (items >= 0)
        result[known] = super(Neural, self)._pairs(users[known], items[known])
        return result

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return cosines(self.module.items.weight.detach().numpy()[1:], items)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        folded.module, folded.history = self.module, self.history
        return folded


def padded(data: Interactions, length: int) -> np.ndarray:
    """(users, length): the last items of each user in the order of time, as rows of embeddings.

    Zeros, for padding, come before them.
    """
    order = np.arange(len(data)) if data.times is None else np.argsort(data.times, kind="stable")
    order = order[np.argsort(data.user_codes[order], kind="stable")]
    counts = np.bincount(data.user_codes, minlength=len(data.users))
    ends = np.cumsum(counts)
    users = data.user_codes[order]
    from_end = ends[users] - np.arange(users.size)  # 1 for the last of a user
    kept = from_end <= length
    rows = np.zeros((len(data.users), length), np.int64)
    rows[users[kept], length - from_end[kept]] = data.item_codes[order][kept] + 1
    return rows


class CausalTransformer(nn.Module):
    """Positions, and Transformer layers in which no step sees a later one, or padding."""

    def __init__(self, width: int, heads: int, blocks: int, length: int, dropout: float) -> None:
        self.positions = nn.Embedding(length, width)
        nn.init.normal_(self.positions.weight, 0, width**-0.5)
        self.blocks = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(blocks)
            ]
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, is_padding: Tensor) -> Tensor:
        """(B, T, width) → (B, T, width)."""
        steps = x.shape[1]
        last = self.positions.num_embeddings
        x = x + self.positions(on_device(np.arange(last - steps, last)))  # counted from the end
        later = on_device(np.triu(np.ones((steps, steps), bool), 1))
        for block in self.blocks:
            x = block(x, src_mask=later, src_key_padding_mask=is_padding)
        found: Tensor = self.norm(x)
        return found


class SASRec(Sequential):
    """Self-attention over what a user met, in order: the next item.

    x_t = E[i_t] + P[t], some Transformer layers in which no step sees a later one, and the logits
    h_t·E[j] of all items j that may follow.  The paper draws one negative for a step, and takes the
    binary cross-entropy; here it is the cross-entropy over all items, which is better, and no
    slower for some thousands of them: A. Klenitskiy, A. Vasilev, RecSys 2023, arXiv:2309.07602.

    length      of the sequences: the last items of a user
    heads, blocks    of attention, and of layers

    `fold_in` takes new users with their sequences; nothing is learned.

    W.-C. Kang, J. McAuley.  Self-attentive sequential recommendation.  ICDM 2018, arXiv:1808.09781.

    >>> from minidl.recommend import SASRec
    >>> met = [1, 1, 1, 2, 2, 2], ["a", "b", "c", "a", "b", "d"], None, [1, 2, 3, 1, 2, 3]
    >>> model = SASRec(width=8, heads=1, length=4, epochs=2).fit(met)
    >>> len(model.recommend(1, 1))
    1
    """

    def __init__(
        self,
        width: int = 64,
        heads: int = 2,
        blocks: int = 2,
        length: int = 50,
        dropout: float = 0.2,
        epochs: int = 60,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.width, self.heads, self.blocks, self.length = width, heads, blocks, length
        self.dropout, self.epochs, self.batch_size, self.seed = dropout, epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._check_sequences()

    def _encoder(self) -> nn.Module:
        return CausalTransformer(self.width, self.heads, self.blocks, self.length, self.dropout)


class Recurrent(nn.Module):
    """A GRU without biases, so that the padding before a sequence, zeros, leaves its state zero.

    What all embeddings of items have in common does what the biases would.
    """

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(width, width, layers, bias=False, dropout=between, batch_first=True)

    def forward(self, x: Tensor, is_padding: Tensor) -> Tensor:
        """(B, T, width) → (B, T, width)."""
        found: Tensor = self.gru(x)[0]
        return found


class GRU4Rec(Sequential):
    """A gated recurrent unit over what a user met, in order: the next item.

    The logits of all items are products of the state with their embeddings; the loss is the
    cross-entropy over all items, of which the paper's are approximations.  The other settings are
    those of SASRec.

    B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk.  Session-based recommendations with recurrent
    neural networks.  ICLR 2016, arXiv:1511.06939.

    >>> from minidl.recommend import GRU4Rec
    >>> met = [1, 1, 1, 2, 2, 2], ["a", "b", "c", "a", "b", "d"], None, [1, 2, 3, 1, 2, 3]
    >>> len(GRU4Rec(width=8, length=4, epochs=2).fit(met).recommend(1, 1))
    1
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 1,
        length: int = 50,
        dropout: float = 0.2,
        epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.width, self.layers, self.length, self.dropout = width, layers, length, dropout
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._check_sequences()

    def _encoder(self) -> nn.Module:
        return Recurrent(self.width, self.layers, self.dropout)
