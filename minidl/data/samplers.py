"""Samplers: the order in which a loader visits the samples of a dataset."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.checks import check_flags
from minidl.data.checks import check_dataset
from minidl.errors import ArgumentError, describe
from minidl.ops.random import Generator, check_generator, default_generator, permutation, uniform


class Sampler(ABC):
    """An order of indices that is a function of a generator's state, so that it can be redrawn.

    A loader also accepts any other iterable of indices, but can only resume an epoch of one that
    yields the same indices again.

    >>> from minidl.data import DataLoader, Sampler
    >>> class Backwards(Sampler):
    ...     def __len__(self):
    ...         return 4
    ...     def order(self, generator):
    ...         return np.arange(4)[::-1].copy()
    >>> [batch.tolist() for batch in DataLoader([10, 11, 12, 13], 3, sampler=Backwards())]
    [[13, 12, 11], [10]]
    """

    def __init__(self, generator: Generator | None = None) -> None:
        check_generator(type(self).__name__, generator)
        self.generator = generator or default_generator

    @abstractmethod
    def __len__(self) -> int:
        """The number of indices."""

    @abstractmethod
    def order(self, generator: Generator) -> np.ndarray:
        """The indices, int64, random only through this generator."""

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self.generator).tolist())


class BatchSampler(ABC):
    """Batches of indices that are a function of a generator's state, so that they can be redrawn.

    A loader takes one as `batch_sampler`; or any other iterable of lists of indices, of which it
    can only resume an epoch if they are the same again.

    >>> from minidl.data import BatchSampler, DataLoader
    >>> class Halves(BatchSampler):
    ...     def __len__(self):
    ...         return 2
    ...     def batches(self, generator):
    ...         return np.split(minidl.random.permutation(4, generator=generator).numpy(), 2)
    >>> loader = DataLoader([10, 11, 12, 13], batch_sampler=Halves(minidl.random.Generator(0)))
    >>> [batch.tolist() for batch in loader]
    [[10, 13], [11, 12]]
    """

    def __init__(self, generator: Generator | None = None) -> None:
        check_generator(type(self).__name__, generator)
        self.generator = generator or default_generator

    @abstractmethod
    def __len__(self) -> int:
        """The number of batches."""

    @abstractmethod
    def batches(self, generator: Generator) -> Sequence[np.ndarray]:
        """The indices of each batch, int64, random only through this generator."""

    def __iter__(self) -> Iterator[list[int]]:
        return iter([batch.tolist() for batch in self.batches(self.generator)])


class SequentialSampler(Sampler):
    """All samples of a dataset in order: 0, 1, …, n − 1.

    >>> list(minidl.data.SequentialSampler(["a", "b", "c"]))
    [0, 1, 2]
    """

    def __init__(self, dataset: Sized, generator: Generator | None = None) -> None:
        super().__init__(generator)
        check_dataset("SequentialSampler", dataset)
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def order(self, generator: Generator) -> np.ndarray:
        """The indices; the generator is not used."""
        return np.arange(len(self))


class RandomSampler(Sampler):
    """Every sample of a dataset once, in a new random order each time.

    >>> sampler = minidl.data.RandomSampler(range(5), minidl.random.Generator(0))
    >>> list(sampler), list(sampler)  # an order for each epoch
    ([4, 0, 3, 1, 2], [4, 1, 0, 2, 3])
    """

    def __init__(self, dataset: Sized, generator: Generator | None = None) -> None:
        super().__init__(generator)
        check_dataset("RandomSampler", dataset)
        self.dataset = dataset
        if not len(dataset):
            raise ArgumentError("RandomSampler: the dataset is empty: there is nothing to load")

    def __len__(self) -> int:
        return len(self.dataset)

    def order(self, generator: Generator) -> np.ndarray:
        """The indices in a random order."""
        return permutation(len(self), device="cpu", generator=generator).data


class WeightedRandomSampler(Sampler):
    """Samples drawn at random, with probabilities proportional to weights.

    weights        one per sample, non-negative; they need not sum to 1
    num_samples    the number of samples drawn
    replacement    whether a sample may be drawn more than once; without replacement, the samples
                   with the smallest −log u / weight are drawn (Efraimidis, Spirakis: Weighted
                   random sampling with a reservoir, Information Processing Letters 97, 2006)

    >>> sampler = minidl.data.WeightedRandomSampler([0.0, 1.0, 3.0], num_samples=4000)
    >>> counts = np.bincount(list(sampler))
    >>> counts[0].item(), round(counts[2] / counts[1])
    (0, 3)
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(generator)
        check_flags("WeightedRandomSampler", replacement=replacement)
        try:
            given = np.asarray(weights, np.float64)
        except (TypeError, ValueError):
            given = np.zeros(0)  # rejected below
        fine = given.ndim == 1 and np.isfinite(given).all() and (given >= 0).all()
        if not fine or not given.any():
            raise ArgumentError(
                "WeightedRandomSampler: weights are numbers ≥ 0, not all 0, one for each "
                f"sample; got {describe(weights)}"
            )
        if not isinstance(num_samples, int | np.integer) or num_samples < 1:
            raise ArgumentError(
                f"WeightedRandomSampler: num_samples is a number ≥ 1; got {num_samples!r}"
            )
        self.weights = given / given.max()  # prevents overflow of the sum
        self.num_samples, self.replacement = int(num_samples), replacement
        positive = np.count_nonzero(self.weights)
        if not replacement and num_samples > positive:
            raise ArgumentError(
                f"WeightedRandomSampler: {num_samples} different samples cannot be drawn from "
                f"{positive} of a weight above 0; use replacement"
            )

    def __len__(self) -> int:
        return self.num_samples

    def order(self, generator: Generator) -> np.ndarray:
        """The drawn indices, in the order of drawing."""
        n = self.num_samples if self.replacement else len(self.weights)
        u = uniform(n, dtype=dtypes.float64, device="cpu", generator=generator).data
        if self.replacement:
            bounds = np.cumsum(self.weights)
            return np.searchsorted(bounds, u * bounds[-1], side="right")
        keys = np.full(n, np.nan)  # NaN sorts last
        with np.errstate(over="ignore"):
            np.divide(-np.log(1 - u), self.weights, out=keys, where=self.weights > 0)
        return np.argsort(keys, kind="stable")[: self.num_samples]
