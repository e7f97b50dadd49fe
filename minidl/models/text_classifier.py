"""A recurrent classifier of texts."""

from typing import Any

from minidl import dtypes, nn
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags, check_integers
from minidl.errors import DTypeError, ShapeError, describe
from minidl.nn import init
from minidl.nn.precision import beside
from minidl.ops import arange, concat, expand_dims, where

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
_POOLINGS = "max and mean", "max", "mean", "last"


class TextClassifier(nn.Module):
    """Words → vectors → LSTM or GRU → one vector for each text → classes.

    vocabulary_size    the number of tokens
    classes            the number of logits
    embedding_dim      the length of a word's vector
    hidden_size        of the recurrent layer, in each direction
    num_layers         recurrent layers
    cell               "lstm" or "gru"
    bidirectional      whether it reads from both ends
    pooling            the vector of a text: the "max", the "mean", or both, of the states after its
                       words; or the "last" state, of both ends
    dropout            the fraction of each text's vector that is dropped in training; also between
                       recurrent layers
    word_dropout       the fraction of the elements of words' vectors that are dropped
    padding_idx        the id of padding, which has no influence

    The output is the logits, without softmax, as of all classifiers here.  Hochreiter, Schmidhuber
    1997; Schuster, Paliwal 1997.

    >>> model = minidl.models.TextClassifier(vocabulary_size=30, classes=2)
    >>> model(minidl.tensor([[5, 8, 2], [7, 0, 0]]), lengths=[3, 1]).shape
    (2, 2)
    """

    def __init__(
        self,
        vocabulary_size: int,
        classes: int = 2,
        *,
        embedding_dim: int = 100,
        hidden_size: int = 64,
        num_layers: int = 1,
        cell: str = "lstm",
        bidirectional: bool = True,
        pooling: str = "max and mean",
        dropout: float = 0.5,
        word_dropout: float = 0.5,
        padding_idx: int = 0,
    ) -> None:
        check_integers(self, 1, vocabulary_size=vocabulary_size, classes=classes)
        check_choice(self, CELLS, cell=cell)
        check_choice(self, _POOLINGS, pooling=pooling)
        check_flags(self, bidirectional=bidirectional)
        self.pooling = pooling
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim, padding_idx)
        init.normal_(self.embedding.weight, std=0.1)  # small beside the recurrent layer's weights
        with no_grad():
            self.embedding.weight[self.embedding.padding_idx] = 0
        self.word_dropout = nn.Dropout(word_dropout)
        self.recurrent = CELLS[cell](
            embedding_dim,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        parts = (1 + bidirectional) * (2 if pooling == "max and mean" else 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(parts * hidden_size, classes)

    def forward(self, ids: Any, lengths: Any) -> Tensor:
        """Ids (N, T), padded on the right, and the lengths (N,) of the texts → (N, classes)."""
        ids = checked_ids("TextClassifier", ids, self.embedding.weight)
        words = self.word_dropout(self.embedding(ids.T))  # (T, N, embedding_dim)
        y, state = self.recurrent(words, lengths=lengths)
        counts = beside(self.embedding.weight, lengths).reshape((-1,))  # of one text: a number
        return self.classifier(self.dropout(self._pooled(y, state, counts)))

    def _pooled(self, y: Tensor, state: Any, lengths: Tensor) -> Tensor:
        """One vector for each text, from y (T, N, H), which is 0 beyond its length."""
        if self.pooling == "last":
            h_n = state[0] if isinstance(state, tuple) else state
            ends = 1 + self.recurrent.bidirectional
            return concat([h_n[-end] for end in range(ends, 0, -1)], axis=-1)
        parts = []
        if "max" in self.pooling:
            there = expand_dims(arange(y.shape[0], device=y.device), axis=1) < lengths
            y_there = where(expand_dims(there, axis=2), y, -1)  # all states are above −1
            parts.append(y_there.max(axis=0))
        if "mean" in self.pooling:
            parts.append(y.sum(axis=0) / expand_dims(lengths.astype(y.dtype), axis=1))
        return concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def checked_ids(who: str, ids: Any, table: Tensor) -> Tensor:
    """Ids as a tensor, on the device of the table; errors unless they are integers, (N, T)."""
    ids = beside(table, ids)
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{who}: needs ids, integers (N, T); got {describe(ids)}")
    if ids.ndim != 2 or not ids.size:
        raise ShapeError(f"{who}: needs ids (N, T), N and T above 0; got {ids.shape}")
    return ids if ids.dtype == dtypes.int64 else ids.astype(dtypes.int64)
