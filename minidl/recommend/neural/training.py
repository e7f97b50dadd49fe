"""What neural recommenders share: a module, a loss of batches, and the loop that trains it."""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from minidl import nn, optim
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.backends.registry import get_default_device
from minidl.checks import check_integers, check_numbers, name_of
from minidl.errors import ArgumentError
from minidl.ops import asarray
from minidl.ops.random import default_generator, manual_seed
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import found_among, row_numbers
from minidl.recommend.progress import track
from minidl.recommend.recommender import Recommender

_PAIRS = 1 << 16  # that are scored at a time


class Neural(Recommender):
    """A module of `minidl.nn`, trained by lazy Adam on the default device.

    Embeddings have sparse gradients, so that a step takes as long for many users as for few.
    What a subclass writes: `_module`, `_batches` of arrays for an epoch, and `_loss` of one.

    module     what was trained
    history    the mean loss of each epoch
    """

    FITTED: ClassVar[tuple[str, ...]] = ("module", "history")
    module: nn.Module
    history: list[float]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    def _check(self, **sizes: int) -> None:
        """Check the arguments that all have, and sizes of layers."""
        check_integers(self, 1, batch_size=self.batch_size, **sizes)
        check_integers(self, 0, epochs=self.epochs, seed=self.seed)
        check_numbers(self, above=0, finite=True, learning_rate=self.learning_rate)
        check_numbers(self, 0, finite=True, weight_decay=self.weight_decay)

    # What a subclass writes.

    @abstractmethod
    def _module(self, data: Interactions) -> nn.Module:
        """The module before training."""

    @abstractmethod
    def _batches(self, data: Interactions, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        """The batches of an epoch, each a tuple of arrays."""

    @abstractmethod
    def _loss(self, *batch: Tensor) -> Tensor:
        """The mean loss of a batch."""

    # What they share.

    def _fit(self, data: Interactions) -> None:
        state = default_generator.get_state()
        manual_seed(self.seed)
        try:
            self.module = self._module(data)
            self.history = self._trained(data)
        finally:
            default_generator.set_state(state)

    def _trained(self, data: Interactions) -> list[float]:
        """Train the module; the mean loss of each epoch."""
        optimizer = optim.AdamW(
            self.module.parameters(), self.learning_rate, weight_decay=self.weight_decay, lazy=True
        )
        self.module.train()
        history = []
        for epoch in track(range(self.epochs), name_of(self)):
            rng = np.random.default_rng([self.seed, epoch])
            losses = [self._step(optimizer, batch) for batch in self._batches(data, rng)]
            history.append(float(np.mean([float(loss) for loss in losses])))
            if not np.isfinite(history[-1]):
                raise ArgumentError(
                    f"{name_of(self)}: the loss has become {history[-1]} in epoch {epoch + 1}; a "
                    "smaller learning_rate helps"
                )
        self.module.eval()
        return history

    def _step(self, optimizer: Any, batch: tuple[Any, ...]) -> Tensor:
        optimizer.zero_grad()
        loss = self._loss(*map(asarray, batch))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def restore(self, name: str, value: Any) -> None:
        """Set what `fit` learned; the module from its state_dict."""
        if name == "module":
            module = self._module(self._fitted())
            module.load_state_dict(value)
            value = module.eval()
        setattr(self, name, value)

    def _in_chunks(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """`_logits` of pairs of codes, some at a time."""
        found = [
            self._logits(asarray(users[k : k + _PAIRS]), asarray(items[k : k + _PAIRS])).numpy()
            for k in range(0, users.size, _PAIRS)
        ]
        return np.concatenate([np.empty(0, np.float32), *found])

    def _logits(self, users: Tensor, items: Tensor) -> Tensor:
        """The scores of pairs of codes, (n,)."""
        raise NotImplementedError

    @no_grad()
    def _scores(self, users: np.ndarray) -> np.ndarray:
        count = len(self.items)
        rows, columns = np.repeat(users, count), np.tile(np.arange(count), users.size)
        return self._in_chunks(rows, columns).reshape(users.size, count)

    @no_grad()
    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        result = np.full(users.size, self._unknown(), np.float32)
        known = (users >= 0) & (items >= 0)
        result[known] = self._in_chunks(users[known], items[known])
        return result

    def _unknown(self) -> float:
        """The score of a pair of which the user or the item is unknown."""
        return self._mean() if self.RATES else 0.0


def shuffled(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers below count in random order, in batches."""
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))


def with_negatives(
    data: Interactions, negatives: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that met, and for each `negatives` others with items drawn uniformly: users, items, y.

    Items are drawn anew where the user has met them, at most ten times; what is left then, of users
    who have met almost all, is left out.
    """
    matrix = data.matrix
    users = row_numbers(matrix).astype(np.int64)
    met = users * matrix.shape[1] + matrix.indices
    others = np.repeat(users, negatives)
    items = rng.integers(0, matrix.shape[1], others.size)
    for _ in range(10):
        wrong = np.flatnonzero(found_among(met, others * matrix.shape[1] + items)[1])
        if not wrong.size:
            break
        items[wrong] = rng.integers(0, matrix.shape[1], wrong.size)
    kept = ~found_among(met, others * matrix.shape[1] + items)[1]
    labels = np.zeros(users.size + int(np.count_nonzero(kept)), np.float32)
    labels[: users.size] = 1
    return (
        np.concatenate([users, others[kept]]),
        np.concatenate([matrix.indices.astype(np.int64), items[kept]]),
        labels,
    )


def on_device(array: np.ndarray) -> Tensor:
    """An array as a tensor on the default device."""
    return asarray(array, device=str(get_default_device()))


def layers(sizes: list[int], dropout: float = 0.0) -> list[nn.Module]:
    """Linear layers with ReLU between these sizes."""
    found: list[nn.Module] = []
    for width, following in pairwise(sizes):
        found += [nn.Linear(width, following), nn.ReLU()]
        if dropout:
            found.append(nn.Dropout(dropout))
    return found


def check_widths(owner: Any, hidden: tuple[int, ...]) -> None:
    """Check the widths of hidden layers, of which there is one at least."""
    if not hidden:
        raise ArgumentError(f"{name_of(owner)}: needs at least one width in hidden")
    for width in hidden:
        check_integers(owner, 1, hidden=width)
