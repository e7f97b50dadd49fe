"""A recurrent language model: it predicts the next token, and so it writes."""

from collections.abc import Sequence
from typing import Any

from minidl import nn
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags, check_integers, check_numbers
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.models.text_classifier import CELLS, checked_ids
from minidl.nn import init
from minidl.nn.precision import beside
from minidl.ops import asarray, moveaxis, softmax, sort, where
from minidl.ops.random import Generator, check_generator, multinomial
from minidl.train.evaluation import evaluation_mode


class LanguageModel(nn.Module):
    """Tokens → vectors → LSTM or GRU → the next token, at each step.

    vocabulary_size    the number of tokens, characters for instance
    embedding_dim      the length of a token's vector
    hidden_size        of the recurrent layers
    num_layers         recurrent layers
    cell               "lstm" or "gru"
    dropout            the fraction of elements that is dropped in training, between recurrent
                       layers and after the last
    tied               whether the last layer has the vectors of the tokens as its weights, which
                       then need embedding_dim = hidden_size.  Press, Wolf 2017, arXiv:1608.05859

    It is called with ids (N, T), and the state after the tokens before them, if there were any;
    `Trainer(…, carry_state=True)` does that for the batches of a `StreamBatches`.

    >>> model = minidl.models.LanguageModel(vocabulary_size=30, hidden_size=16)
    >>> logits, state = model(minidl.tensor([[5, 8, 2], [7, 0, 0]]))
    >>> logits.shape, [part.shape for part in state]
    ((2, 30, 3), [(1, 2, 16), (1, 2, 16)])
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding_dim: int = 64,
        hidden_size: int = 512,
        num_layers: int = 1,
        cell: str = "lstm",
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        check_integers(self, 1, vocabulary_size=vocabulary_size)
        check_choice(self, CELLS, cell=cell)
        check_flags(self, tied=tied)
        if tied and embedding_dim != hidden_size:
            raise ArgumentError(
                "LanguageModel: tied weights need embedding_dim = hidden_size; got "
                f"{embedding_dim} and {hidden_size}"
            )
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        self.recurrent = CELLS[cell](
            embedding_dim, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.next = nn.Linear(hidden_size, vocabulary_size)
        if tied:
            init.normal_(self.embedding.weight, std=hidden_size**-0.5)
            self.next.weight = self.embedding.weight

    def forward(self, ids: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Ids (N, T) → logits of the next tokens (N, vocabulary_size, T), and the state."""
        ids = checked_ids("LanguageModel", ids, self.embedding.weight)
        y, state = self.recurrent(self.embedding(ids.T), state)
        logits = self.next(self.dropout(y))  # (T, N, vocabulary_size)
        return moveaxis(logits, (1, 2), (0, 1)), state

    @no_grad()
    def generate(
        self,
        prompt: Sequence[int] | Tensor,
        length: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: Generator | None = None,
    ) -> list[int]:
        """The ids of `length` tokens that continue a prompt, each drawn from the predictions.

        prompt         at least one id
        temperature    the logits are divided by it: below 1, likely tokens become more likely; at
                       0, the likeliest is taken
        top_k          draw among so many of the likeliest tokens only
        generator      the source of randomness; minidl's default one if left out

        The model runs in evaluation mode; its mode is restored.

        >>> model = minidl.models.LanguageModel(5, hidden_size=8)
        >>> len(model.generate([0, 3], 10, temperature=0.8, top_k=3))
        10
        """
        check_integers("generate", 0, length=length)
        check_numbers("generate", 0, finite=True, temperature=temperature)
        if top_k is not None:
            check_integers("generate", 1, top_k=top_k)
        check_generator("generate", generator)
        if isinstance(prompt, str):
            raise DTypeError(
                "generate: the prompt is a list of ids, as Vocabulary.encode gives; got "
                f"{prompt!r:.60}"
            )
        ids = beside(self.embedding.weight, prompt)
        if ids.ndim != 1 or not ids.size:
            raise ShapeError(f"generate: needs a prompt of at least one id; got {ids.shape}")
        with evaluation_mode(self):
            return self._continued(ids, length, temperature, top_k, generator)

    def _continued(
        self,
        ids: Tensor,
        length: int,
        temperature: float,
        top_k: int | None,
        generator: Generator | None,
    ) -> list[int]:
        """Feed the prompt, then what was drawn, token by token."""
        written: list[int] = []
        state = None
        while len(written) < length:
            logits, state = self(ids.reshape((1, -1)), state)
            drawn = _draw(logits[0, :, -1], temperature, top_k, generator)
            written.append(drawn)
            ids = asarray([drawn], device=ids.device)
        return written


def _draw(
    logits: Tensor, temperature: float, top_k: int | None, generator: Generator | None
) -> int:
    """A token, drawn with the probabilities softmax(logits / temperature)."""
    logits = (logits - logits.max()).astype("float64")  # float32 has 0 for a small temperature
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None and top_k < logits.size:
        least = sort(logits)[-top_k]
        logits = where(logits >= least, logits, float("-inf"))
    logits = logits.astype("float64")  # a tiny temperature would be 0 in float32, and 0 / 0 NaN
    return int(multinomial(softmax(logits / temperature, axis=0), generator=generator))
