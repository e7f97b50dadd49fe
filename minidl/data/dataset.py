"""Datasets: anything with a length, and a sample for each index."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from operator import index as whole
from typing import Any

import numpy as np

from minidl.autograd import inplace
from minidl.autograd.tensor import Tensor
from minidl.data.checks import check_dataset
from minidl.data.collate import batch_of, concatenated
from minidl.errors import (
    ArgumentError,
    BoundsError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    explain,
    listed,
)
from minidl.ops import asarray


class Dataset(ABC):
    """A base for datasets, which anything with these two methods is without it, too.

    One that can give several samples at once, faster than one by one, also has
    `batch(indices: Tensor)`: those samples as a batch, equal to what `collate` would make of them.
    Randomness comes from `sample_generator()`.

    >>> from minidl.data import DataLoader, Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, i):
    ...         return i, i * i
    >>> [y.tolist() for x, y in DataLoader(Squares(), batch_size=2)]
    [[0, 1], [4, 9]]
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Sample `index`, from 0 to the length − 1; an IndexError beyond."""

    def __add__(self, other: Any) -> "ConcatDataset":
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Tensors of one length: sample i is the tuple of their i-th entries.

    tensors    what is given, as tensors; arrays share their memory

    >>> from minidl.data import TensorDataset
    >>> pairs = TensorDataset(np.zeros((6, 3)), np.arange(6))
    >>> x, y = pairs[4]
    >>> len(pairs), x.shape, y.item()
    (6, (3,), 4)
    """

    def __init__(self, *tensors: Any) -> None:
        try:
            self.tensors = tuple(asarray(x) for x in tensors)
        except MinidlError as error:
            raise explain("TensorDataset", tensors, error) from error
        lengths = [x.shape[:1] for x in self.tensors]
        if not lengths or () in lengths or len(set(lengths)) > 1:
            shapes = [x.shape for x in self.tensors]
            raise ShapeError(f"TensorDataset: needs tensors of one length; got shapes {shapes}")

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def batch(self, indices: Tensor) -> tuple[Tensor, ...]:
        """The samples at these indices, each tensor's in one piece."""
        _check_indices("TensorDataset.batch", indices)
        return tuple([_rows(x, indices) for x in self.tensors])


def _rows(x: Tensor, indices: Tensor) -> Tensor:
    """x[indices]; of a constant on the CPU in a third of the time."""
    array, places = x.data, indices.data
    plain = type(array) is np.ndarray and x.edge is None and not inplace.superseded
    if plain and array.flags.c_contiguous and places.dtype.kind == "i":
        try:
            return Tensor(array.take(places, axis=0))
        except IndexError:
            pass  # x[indices] says what is wrong
    return x[indices]


class Subset(Dataset):
    """The samples of a dataset at some indices: sample i is the dataset's sample indices[i].

    dataset    anything with a length and indices
    indices    whole numbers from 0 on, in any order, also more than once

    >>> from minidl.data import Subset
    >>> part = Subset([10, 11, 12, 13], [1, 3, 1])
    >>> [part[i] for i in range(len(part))]
    [11, 13, 11]
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        check_dataset("Subset", dataset)
        needs, given = "a list of indices", indices
        if not hasattr(indices, "shape"):
            given = listed("Subset", needs, indices)
        try:
            found = np.asarray(given, None if len(given) else np.int64)
        except (TypeError, ValueError) as error:
            raise DTypeError(f"Subset: needs {needs}; got {describe(given)}") from error
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise DTypeError(f"Subset: indices are a list of whole numbers; got {describe(given)}")
        n = len(dataset)
        wrong = found[(found < 0) | (found >= n)]
        if wrong.size:
            raise BoundsError(f"Subset: index {wrong[0]} is outside a dataset of {n} samples")
        self.dataset, self.indices = dataset, found.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[_inside("Subset", index, len(self))].item()]

    def batch(self, indices: Tensor) -> Any:
        """The samples at these indices, in one piece if the dataset can."""
        _check_indices("Subset.batch", indices)
        try:
            places = self.indices[indices.data]
        except IndexError as error:
            raise BoundsError(f"Subset.batch: {error}") from error
        return batch_of(self.dataset, Tensor(places))


class ConcatDataset(Dataset):
    """Datasets one after another: the samples of the first, then those of the second, ….

    datasets    anything with a length and indices; at least one

    >>> from minidl.data import ConcatDataset
    >>> both = ConcatDataset([[10, 11], [20, 21, 22]])
    >>> len(both), both[2], both[-1]
    (5, 20, 22)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = listed("ConcatDataset", "a list of datasets", datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: needs at least one dataset; got none")
        for dataset in self.datasets:
            check_dataset("ConcatDataset", dataset)
        self._ends = np.cumsum([len(dataset) for dataset in self.datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        index = _inside("ConcatDataset", index, len(self))
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.datasets[part][index - self._start(part)]

    def batch(self, indices: Tensor) -> Any:
        """The samples at these indices: from each dataset in one piece, then put in order."""
        _check_indices("ConcatDataset.batch", indices)
        places = indices.data
        if not places.size:
            raise ShapeError("ConcatDataset.batch: needs at least one index; got none")
        for index in (places.min(), places.max()):
            _inside("ConcatDataset", index, len(self))
        places = np.where(places < 0, places + len(self), places)
        parts = np.searchsorted(self._ends, places, side="right")
        order = np.argsort(parts, kind="stable")
        batches = [
            batch_of(self.datasets[part], Tensor(places[parts == part] - self._start(part)))
            for part in np.unique(parts)
        ]
        return batches[0] if len(batches) == 1 else concatenated(batches, asarray(order.argsort()))

    def _start(self, part: int) -> int:
        """The index of a part's first sample."""
        return int(self._ends[part - 1]) if part else 0


def _check_indices(name: str, indices: Any) -> None:
    """Raise for what is no row of whole numbers."""
    fine = isinstance(indices, Tensor) and indices.ndim == 1 and indices.dtype.kind in "iu"
    if not fine:
        raise DTypeError(
            f"{name}: indices are a tensor of whole numbers, (n,); got {describe(indices)}"
        )


def _inside(name: str, index: Any, n: int) -> int:
    """An index as a number from 0 to n − 1; −1 is the last one."""
    try:
        place = whole(index)
    except TypeError:
        raise DTypeError(f"{name}: an index is a whole number; got {describe(index)}") from None
    if not -n <= place < n:
        raise BoundsError(f"{name}: index {place} is outside a dataset of {n} samples")
    return place % n
