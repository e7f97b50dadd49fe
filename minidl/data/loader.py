"""DataLoader: a dataset in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from types import TracebackType
from typing import Any, Self

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.data.checks import check_dataset, check_generator
from minidl.data.collate import collate, samples_of
from minidl.data.epoch_state import EpochState
from minidl.data.seeding import BatchKey, current
from minidl.data.samplers import RandomSampler, Sampler, SequentialSampler
from minidl.errors import ArgumentError, DTypeError, MinidlError, check_flags, describe, explain
from minidl.ops import asarray
from minidl.ops.random import Generator, default_generator


class DataLoader:
    """The samples of a dataset in batches, once for each time it is iterated over.

    dataset             anything with a length and indices; one with `batch(indices)` gives whole
                        batches
    batch_size          samples in a batch; the last one may have fewer
    shuffle             in a new random order each time
    sampler             instead of shuffle: the indices, any iterable
    batch_sampler       instead of batch_size, shuffle, sampler and drop_last: the indices of each
                        batch, any iterable of lists
    drop_last           without an incomplete last batch
    collate_fn          makes a batch of a list of samples; stacks them if left out
    generator           where the order comes from; minidl's default one if left out
    num_workers         how many workers make batches ahead of time; 0: none, each batch is made
                        when it is asked for
    workers             "threads", for data that is read, or made by NumPy; "processes", for work in
                        Python: they are spawned, and get a copy of the dataset, by pickle
    prefetch_factor     how many batches each worker is ahead
    persistent_workers  keep the processes, and their copy of the dataset, from one epoch to the
                        next, until `close`

    Batches and their order are the same with any workers, if the dataset takes its randomness from
    `sample_generator()`.  Where an epoch stands is in `position` and `state_dict()`; a loader that
    has loaded that goes on there.  An exception in a worker is raised where its batch is due; a
    worker that dies is a DataError.

    >>> from minidl.data import DataLoader, TensorDataset
    >>> pairs = TensorDataset(minidl.zeros((5, 3)), minidl.arange(5))
    >>> [(x.shape, y.tolist()) for x, y in DataLoader(pairs, batch_size=2)]
    [((2, 3), [0, 1]), ((2, 3), [2, 3]), ((1, 3), [4])]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
        num_workers: int = 0,
        workers: str = "threads",
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
    ) -> None:
        check_dataset("DataLoader", dataset)
        check_generator("DataLoader", generator)
        check_flags("DataLoader: ", shuffle=shuffle, drop_last=drop_last)
        check_flags("DataLoader: ", persistent_workers=persistent_workers)
        if collate_fn is not None and not callable(collate_fn):
            raise DTypeError(f"DataLoader: collate_fn is a function; got {describe(collate_fn)}")
        for indices in (sampler, batch_sampler):
            _check_gives_indices(indices)
        _check_numbers(batch_size=(batch_size, 1), num_workers=(num_workers, 0))
        _check_numbers(prefetch_factor=(prefetch_factor, 1))
        if workers not in ("threads", "processes"):
            raise ArgumentError(f'DataLoader: workers is "threads" or "processes"; got {workers!r}')
        other = batch_size != 1 or shuffle or sampler is not None or drop_last
        if batch_sampler is not None and other:
            raise ArgumentError(
                "DataLoader: a batch_sampler takes the place of batch_size, shuffle, sampler and "
                "drop_last"
            )
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: a sampler takes the place of shuffle")
        self.dataset, self.batch_size, self.shuffle = dataset, int(batch_size), shuffle
        self.drop_last, self.collate_fn = drop_last, collate_fn
        self.num_workers, self.workers = int(num_workers), workers
        self.prefetch_factor, self.persistent_workers = int(prefetch_factor), persistent_workers
        self.batch_sampler = batch_sampler
        if batch_sampler is None and sampler is None:
            sampler = (RandomSampler if shuffle else SequentialSampler)(dataset, generator)
        self.sampler = sampler
        own = sampler.generator if isinstance(sampler, Sampler) else generator
        self.generator = own or default_generator
        self._epochs = 0  # begun so far
        self._at: Position | None = None
        self._resumed: Position | None = None
        self._pool: Any = None

    def __len__(self) -> int:
        indices = self.sampler if self.batch_sampler is None else self.batch_sampler
        try:
            n = len(indices)
        except TypeError:
            raise DTypeError(f"DataLoader: {describe(indices)} has no length") from None
        if self.batch_sampler is not None:
            return n
        whole, rest = divmod(n, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        at, again = self._resumed, self._resumed is not None
        if at is None:
            state = self.generator.seed, self.generator.offset
            at = Position(self._epochs, *state, sampler=self._sampler_state())
            self._epochs += 1
        self._at, self._resumed = at, None
        return self._epoch(at, enumerate(self._indices(at, again)))

    @property
    def epoch(self) -> int:
        """The number, from 0 on, of the epoch under way; between epochs that of the next."""
        at = self._resumed or self._at
        return self._epochs if at is None else at.epoch

    @property
    def position(self) -> int:
        """How many batches of the epoch under way have been delivered; 0 between epochs."""
        at = self._resumed or self._at
        return 0 if at is None else at.batch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, in whole numbers and text: to go on there, to the bit.

        Called while batch i is in use, the next one is i + 1.  An epoch that was left early counts
        as under way until another begins.
        """
        at = self._resumed or self._at
        return {
            "epoch": self.epoch,
            "under_way": at is not None,
            **(at.state_dict(self._kind()) if at else {}),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called: the next iteration has the rest of that epoch.

        The dataset, the sampler and the batch size must be those of the state if it is from the
        middle of an epoch; ArgumentError if they are not, or if it is no such state.  A sampler of
        one's own must give the same indices again, or have `state_dict` and `load_state_dict`.
        """
        epoch, at = Position.from_state_dict(state, self._kind())
        self.generator.set_state(state["generator"])
        self._epochs, self._at, self._resumed = epoch + (at is not None), None, at

    def close(self) -> None:
        """Stop processes that were kept for the next epoch."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _epoch(self, at: Position, numbered: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """The batches of an epoch from its position on, which moves along."""
        jobs = (
            (BatchKey(at.seed, at.offset, at.epoch, number), indices)
            for number, indices in islice(numbered, at.batch, None)
        )
        make = BatchMaker(self.dataset, self.collate_fn)
        if not self.num_workers:
            for job in jobs:
                batch = make(*job)
                at.batch += 1
                yield batch
        else:
            with closing(self._prefetched(make, jobs)) as batches:
                for batch in batches:
                    at.batch += 1
                    yield batch
        if self._at is at:
            self._at = None

    def _prefetched(self, make: "BatchMaker", jobs: Iterator[Any]) -> Iterator[Any]:
        """Batches that workers make ahead of time."""
        from minidl.data import workers  # threads and processes: spared to `import minidl`

        pool, self._pool = self._pool, None
        if pool is None:
            pool = workers.KINDS[self.workers](make, self.num_workers)
        ahead = self.num_workers * self.prefetch_factor
        try:
            yield from workers.in_order(pool, jobs, ahead)
            if self.persistent_workers and self._pool is None:
                self._pool, pool = pool, None
        finally:
            if pool is not None:
                pool.stop()

    def _indices(self, at: Position, again: bool) -> Iterator[Any]:
        """The indices of each batch; those of an epoch that is resumed are drawn again."""
        source = self.sampler if self.batch_sampler is None else self.batch_sampler
        if again and at.sampler is not None:
            source.load_state_dict(at.sampler)
        if self.batch_sampler is not None:
            return iter(source)
        size = self.batch_size
        if not isinstance(source, Sampler):
            return _chunks(iter(source), size, self.drop_last)
        generator = at.generator() if again else self.generator
        order = source.order(generator)
        end = len(order) - len(order) % size if self.drop_last else len(order)
        return (order[i : i + size] for i in range(0, end, size))

    def _sampler_state(self) -> Any:
        """The state of a sampler that has one of its own."""
        source = self.sampler if self.batch_sampler is None else self.batch_sampler
        return source.state_dict() if hasattr(source, "load_state_dict") else None

    def _kind(self) -> dict[str, Any]:
        """What must be alike for an epoch to go on."""
        source = self.sampler if self.batch_sampler is None else self.batch_sampler
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "sampler": type(source).__name__,
        }


class BatchMaker:
    """A dataset and how samples are joined: makes the batch of a key and its indices."""

    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn

    def __call__(self, key: BatchKey, indices: Any) -> Any:
        """The batch; an error says of which one it is."""
        token = current.set(key)
        try:
            if self.collate_fn is None and hasattr(self.dataset, "batch"):
                return self.dataset.batch(_tensor(indices))
            return (self.collate_fn or collate)(samples_of(self.dataset, _plain(indices)))
        except Exception as error:
            error.add_note(self._place(key, _plain(indices)))
            raise
        finally:
            current.reset(token)

    def _place(self, key: BatchKey, indices: list[Any]) -> str:
        """Where something went wrong, in words."""
        some = ", ".join(map(repr, indices[:5])) + (", …" if len(indices) > 5 else "")
        return (
            f"DataLoader: this is batch {key.batch} of epoch {key.epoch}, of the samples {some} "
            f"among {len(self.dataset)}"
        )


def _plain(indices: Any) -> list[Any]:
    return indices.tolist() if hasattr(indices, "tolist") else list(indices)


def _tensor(indices: Any) -> Tensor:
    """The indices of a batch, int64 where a sampler gave numbers."""
    if isinstance(indices, np.ndarray) and indices.size:
        return Tensor(indices)
    try:
        indices = asarray(indices)
    except MinidlError as error:
        raise explain("DataLoader", [indices], error) from error
    if not indices.size or indices.dtype.kind not in "iu":
        raise DTypeError(f"DataLoader: a batch needs whole numbers as indices; got {indices!r}")
    return indices


def _chunks(indices: Iterator[Any], size: int, whole: bool) -> Iterator[list[Any]]:
    """Lists of so many indices, as they come; the last may be shorter, unless only whole ones."""
    while chunk := list(islice(indices, size)):
        if len(chunk) == size or not whole:
            yield chunk


def _check_gives_indices(sampler: Any) -> None:
    """Raise for what cannot be gone through, if anything is there."""
    if sampler is not None and not hasattr(sampler, "__iter__"):
        raise DTypeError(f"DataLoader: a sampler gives indices; got {describe(sampler)}")


def _check_numbers(**numbers: tuple[Any, int]) -> None:
    """Raise for what is no whole number from the least on."""
    for name, (given, least) in numbers.items():
        if not isinstance(given, int | np.integer) or given < least:
            raise ArgumentError(f"DataLoader: {name} is a number from {least} on; got {given!r}")
