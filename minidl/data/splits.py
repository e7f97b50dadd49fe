"""Splits of a dataset: random splits and k-fold cross-validation."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from minidl.checks import check_flags
from minidl.data.checks import check_dataset
from minidl.data.dataset import DatasetLike, Subset, T
from minidl.errors import ArgumentError, DTypeError, ShapeError, listed
from minidl.ops.random import Generator, check_generator, permutation


def random_split(
    dataset: DatasetLike[T], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[T]]:
    """A random partition of a dataset.

    lengths    the number of samples of each part, which sum to the total; or fractions, which sum
               to 1: a part has ⌊fraction · n⌋ samples, and the remainder is distributed to the
               first parts, one each, as in PyTorch

    >>> from minidl.data import random_split
    >>> [len(part) for part in random_split(range(11), [0.5, 0.3, 0.2])]
    [6, 3, 2]
    >>> train, test = random_split(range(4), [3, 1], minidl.random.Generator(0))
    >>> sorted([*(train[i] for i in range(3)), test[0]])
    [0, 1, 2, 3]
    """
    check_dataset("random_split", dataset)
    check_generator("random_split", generator)
    given = listed("random_split", "a list of lengths", lengths)
    counts = _counts(len(dataset), given)
    order = permutation(len(dataset), device="cpu", generator=generator).numpy()
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def _counts(n: int, lengths: list[float]) -> list[int]:
    """The number of samples of each part."""
    numbers = all(isinstance(x, int | float | np.number) and x >= 0 for x in lengths)
    whole = numbers and all(x == int(x) for x in lengths if math.isfinite(x))
    if numbers and whole and sum(lengths) == n:
        return [int(x) for x in lengths]
    if not numbers or not lengths or not math.isclose(sum(lengths), 1):
        raise ArgumentError(
            f"random_split: lengths add up to the {n} samples there are, or fractions to 1; "
            f"got {lengths}"
        )
    counts = [math.floor(n * fraction) for fraction in lengths]
    for i in range(n - sum(counts)):
        counts[i % len(counts)] += 1
    return counts


@overload
def k_fold(
    dataset: int,
    k: int,
    shuffle: bool = False,
    generator: Generator | None = None,
    *,
    labels: Any = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]: ...
@overload
def k_fold(
    dataset: DatasetLike[T],
    k: int,
    shuffle: bool = False,
    generator: Generator | None = None,
    *,
    labels: Any = None,
) -> Iterator[tuple[Subset[T], Subset[T]]]: ...
def k_fold(
    dataset: Any,
    k: int,
    shuffle: bool = False,
    generator: Generator | None = None,
    *,
    labels: Any = None,
) -> Iterator[tuple[Any, Any]]:
    """The k folds of cross-validation: pairs of a training and a validation part.

    Each sample is in one validation part, whose sizes differ by at most one.  Stone:
    Cross-validatory choice and assessment of statistical predictions, Journal of the Royal
    Statistical Society B 36, 1974.

    dataset    anything with a length and indexing, for Subsets; or a number of samples, for arrays
               of indices
    shuffle    shuffle before splitting; otherwise each validation part is contiguous
    labels     the class of each sample, for stratified folds: the counts of a class differ by at
               most one between validation parts

    >>> for train, validation in minidl.data.k_fold(5, 2):
    ...     print(train, validation)
    [3 4] [0 1 2]
    [0 1 2] [3 4]
    """
    if not isinstance(dataset, int | np.integer):
        check_dataset("k_fold", dataset)
    check_flags("k_fold", shuffle=shuffle)
    check_generator("k_fold", generator)
    n = int(dataset) if isinstance(dataset, int | np.integer) else len(dataset)
    if not isinstance(k, int | np.integer) or not 2 <= k <= n:
        raise ArgumentError(f"k_fold: k is a number from 2 to the {n} samples; got {k!r}")
    order = permutation(n, device="cpu", generator=generator).numpy() if shuffle else np.arange(n)
    fold = np.empty(n, np.int64)
    if labels is None:
        fold[order] = np.sort(np.arange(n) % k)
    else:
        labels = np.asarray(labels)
        if labels.shape != (n,):
            raise ShapeError(f"k_fold: needs a label for each of {n} samples; got {labels.shape}")
        if labels.dtype.kind not in "biuUS":
            raise DTypeError(f"k_fold: labels are class numbers or texts; got {labels.dtype}")
        fold[order[np.argsort(labels[order], kind="stable")]] = np.arange(n) % k
    return _folds(dataset, fold, k)


def _folds(dataset: Any, fold: np.ndarray, k: int) -> Iterator[tuple[Any, Any]]:
    """For each fold, the samples outside it and those in it."""
    for number in range(k):
        parts = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if isinstance(dataset, int | np.integer):
            yield parts
        else:
            yield Subset(dataset, parts[0]), Subset(dataset, parts[1])
