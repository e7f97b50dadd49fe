"""Datasets: anything with a length, and a sample for each index."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from operator import index as whole
from typing import Any

import numpy as np

from minidl.autograd import inplace
from minidl.autograd.tensor import Tensor
from minidl.data.collate import batch_of, concatenated
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError, describe
from minidl.ops import asarray


class Dataset(ABC):
    """A base for datasets, which anything with these two methods is without it, too.

    One that can give several samples at once, faster than one by one, also has
    `batch(indices: Tensor)`: those samples as a batch, equal to what `collate` would make of them.
    Randomness comes from `sample_generator()`.
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
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(asarray(x) for x in tensors)
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
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        given = indices if hasattr(indices, "shape") else list(indices)
        found = np.asarray(given, None if len(given) else np.int64)
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
        return batch_of(self.dataset, Tensor(self.indices[indices.data]))


class ConcatDataset(Dataset):
    """Datasets one after another: the samples of the first, then those of the second, ….

    datasets    anything with a length and indices; at least one
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: needs at least one dataset; got none")
        self._ends = np.cumsum([len(dataset) for dataset in self.datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        index = _inside("ConcatDataset", index, len(self))
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.datasets[part][index - self._start(part)]

    def batch(self, indices: Tensor) -> Any:
        """The samples at these indices: from each dataset in one piece, then put in order."""
        places = indices.data
        for index in (places.min(), places.max()) if places.size else ():
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


def _inside(name: str, index: Any, n: int) -> int:
    """An index as a number from 0 to n − 1; −1 is the last one."""
    try:
        place = whole(index)
    except TypeError:
        raise DTypeError(f"{name}: an index is a whole number; got {describe(index)}") from None
    if not -n <= place < n:
        raise BoundsError(f"{name}: index {place} is outside a dataset of {n} samples")
    return place % n
