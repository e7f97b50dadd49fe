"""Batches of sequences of different lengths: padded, and with similar lengths together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers
from minidl.data.collate import collate
from minidl.data.samplers import BatchSampler
from minidl.data.transfer import on_host
from minidl.errors import ArgumentError, MinidlError, ShapeError, describe, listed, raise_explained
from minidl.ops.random import Generator, permutation


class PadCollate:
    """Collates samples that begin with a sequence: it is padded on the right, and its length added.

    (sequence, …) becomes (padded, lengths, …): sequences (Tᵢ,) or (Tᵢ, features) are joined to
    (N, T) or (N, T, features), T the longest, filled up with padding; lengths are int64, (N,); what
    else a sample has is collated as usual.  A sample may also be a sequence alone.

    padding    the number that fills short sequences: the id of the padding token

    >>> from minidl.data import DataLoader
    >>> from minidl.data.text import PadCollate
    >>> samples = [([5, 6, 7], 1), ([8], 0)]
    >>> for ids, lengths, labels in DataLoader(samples, 2, collate_fn=PadCollate()):
    ...     print(ids.tolist(), lengths.tolist(), labels.tolist())
    [[5, 6, 7], [8, 0, 0]] [3, 1] [1, 0]
    """

    def __init__(self, padding: float = 0) -> None:
        if isinstance(padding, bool) or not isinstance(padding, int | float | np.number):
            raise ArgumentError(f"PadCollate: padding is a number; got {describe(padding)}")
        self.padding = padding

    def __call__(self, samples: Sequence[Any]) -> tuple[Any, ...]:
        """The batch of these samples."""
        samples = listed("PadCollate", "a list of samples", samples)
        if not samples:
            raise ShapeError("PadCollate: a batch needs at least one sample; got none")
        rest: list[Any] = []
        if all(isinstance(sample, tuple) and sample for sample in samples):
            rest = [sample[1:] for sample in samples]
            samples = [sample[0] for sample in samples]
        padded, lengths = pad(samples, self.padding)
        return (padded, lengths, *collate(rest)) if rest and rest[0] else (padded, lengths)


def pad(sequences: Sequence[Any], padding: float = 0) -> tuple[Tensor, Tensor]:
    """Sequences (Tᵢ, …) joined to (N, T, …), filled up with padding; and their lengths, (N,)."""
    try:
        arrays = [on_host(sequence).numpy() for sequence in sequences]
    except MinidlError as error:
        raise_explained("PadCollate", [], error)
    for number, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
            raise ShapeError(
                f"PadCollate: sequences are of shape (T, …), alike but for T; number {number} is "
                f"{array.shape}, the first {arrays[0].shape}"
            )
    lengths = np.array([len(array) for array in arrays], np.int64)
    filled = [array for array in arrays if array.size] or arrays  # an empty list is of floats
    dtype = np.result_type(*{array.dtype for array in filled})
    if not _fits(padding, dtype):
        raise ArgumentError(f"PadCollate: padding {padding} is no {dtype}, as the sequences are")
    padded = np.full((len(arrays), lengths.max(), *arrays[0].shape[1:]), padding, dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return on_host(padded), on_host(lengths)


def _fits(padding: float, dtype: np.dtype) -> bool:
    """Whether a number is one of this dtype, but for rounding."""
    if not np.can_cast(np.min_scalar_type(padding), dtype, "same_kind"):
        return False
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min) <= padding <= int(np.iinfo(dtype).max)
    return not abs(padding) < np.inf or abs(padding) <= float(np.finfo(dtype).max)


class BucketBatchSampler(BatchSampler):
    """Batches of samples with similar lengths, so that little padding is needed.

    lengths       the length of each sample
    batch_size    samples per batch; the last one drawn may have fewer
    pool          the number of batches that are sorted together
    shuffle       whether each epoch has new random batches; else the shortest come first
    drop_last     whether to leave out the incomplete batch
    generator     the random generator; by default minidl's default generator

    The samples are shuffled and cut into pools of pool · batch_size; each pool is sorted by length
    and cut into batches; then the order of all batches is shuffled.  A larger pool gives less
    padding, a smaller one more variety.

    >>> from minidl.data.text import BucketBatchSampler
    >>> lengths = [3, 9, 4, 8, 2, 7]
    >>> sampler = BucketBatchSampler(lengths, 2, generator=minidl.random.Generator(0))
    >>> for batch in sampler:
    ...     print([lengths[i] for i in batch])
    [4, 7]
    [2, 3]
    [8, 9]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        *,
        pool: int = 50,
        shuffle: bool = True,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(generator)
        check_integers("BucketBatchSampler", 1, batch_size=batch_size, pool=pool)
        check_flags("BucketBatchSampler", shuffle=shuffle, drop_last=drop_last)
        try:
            given = on_host(lengths).numpy()
        except MinidlError:
            given = np.empty(0)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iu" or given.min() < 0:
            raise ArgumentError(
                "BucketBatchSampler: lengths are integers ≥ 0, one for each sample; got "
                f"{describe(lengths)}"
            )
        self.lengths, self.batch_size, self.pool = given, int(batch_size), int(pool)
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        full, rest = divmod(len(self.lengths), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def batches(self, generator: Generator) -> list[np.ndarray]:
        """The indices of each batch of an epoch."""
        n, size = len(self.lengths), self.batch_size
        if not self.shuffle:
            return self._cut(np.argsort(self.lengths, kind="stable"))
        order = permutation(n, device="cpu", generator=generator).numpy()
        pools = [order[i : i + size * self.pool] for i in range(0, n, size * self.pool)]
        batches = [
            batch
            for pool in pools
            for batch in self._cut(pool[np.argsort(self.lengths[pool], kind="stable")])
        ]
        shuffled = permutation(len(batches), device="cpu", generator=generator)
        return [batches[i] for i in shuffled.tolist()]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        """Indices cut into batches, the incomplete one as it should be."""
        size = self.batch_size
        end = len(order) - len(order) % size if self.drop_last else len(order)
        return [order[i : i + size] for i in range(0, end, size)]
