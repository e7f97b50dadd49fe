"""DataLoader: a dataset in batches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.data.dataset import collate
from minidl.errors import ArgumentError
from minidl.ops import arange
from minidl.ops.random import Generator, default_generator, permutation


class DataLoader:
    """The samples of a dataset in batches, once for each time it is iterated over.

    dataset       anything with a length and indices; one with `batch(indices)` gives whole batches
    batch_size    samples in a batch; the last one may have fewer
    shuffle       in a new random order each time
    drop_last     without an incomplete last batch
    collate_fn    makes a batch of a list of samples; stacks them if left out
    generator     where the order comes from; minidl's default one if left out
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ArgumentError(f"DataLoader: batch_size is a number from 1 on; got {batch_size!r}")
        self.dataset, self.batch_size, self.shuffle = dataset, int(batch_size), shuffle
        self.drop_last, self.collate_fn = drop_last, collate_fn
        self.generator = generator or default_generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.dataset)
        order = permutation(n, generator=self.generator) if self.shuffle else arange(n)
        for batch in range(len(self)):
            yield self._batch(order[batch * self.batch_size : (batch + 1) * self.batch_size])

    def _batch(self, indices: Any) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            return self.dataset.batch(indices)
        return (self.collate_fn or collate)([self.dataset[i] for i in indices.tolist()])
