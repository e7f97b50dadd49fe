"""DataLoader: a dataset in batches, optionally shuffled, prefetched by workers, resumable."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Generator as GeneratorIterator
from contextlib import closing
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypedDict, TypeVar, Unpack, overload

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends.device import default_device
from minidl.backends.registry import find
from minidl.checks import check_flags
from minidl.data.checks import check_dataset
from minidl.data.collate import collate, samples_of
from minidl.data.dataset import DatasetLike, T
from minidl.data.epoch_state import EpochState
from minidl.data.samplers import BatchSampler, RandomSampler, Sampler, SequentialSampler
from minidl.data.seeding import BatchKey, current
from minidl.data.transfer import HOST, moved, on_host
from minidl.errors import ArgumentError, DTypeError, MinidlError, describe, raise_explained
from minidl.ops.random import Generator, check_generator, default_generator

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)


class BatchDataset(Protocol[B_co]):
    """A dataset that makes its own batches, which then determine the type of the loader's."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...
    def batch(self, indices: Tensor, /) -> B_co: ...  # noqa: D102  documented in Dataset


class _Settings(TypedDict, total=False):
    """The keyword arguments of a DataLoader that do not affect the type of its batches."""

    sampler: Iterable[Any] | None
    batch_sampler: Iterable[Any] | None
    drop_last: bool
    generator: Generator | None
    num_workers: int
    workers: str
    prefetch_factor: int
    persistent_workers: bool
    pin_memory: bool
    device: str | None


class DataLoader(Generic[B]):
    """Iterates over a dataset in batches; each iteration is one epoch.

    dataset             anything with a length and indexing; one with `batch(indices)` makes its own
                        batches
    batch_size          samples per batch; the last one may have fewer
    shuffle             whether each epoch has a new random order
    sampler             instead of shuffle: any iterable of indices
    batch_sampler       instead of batch_size, shuffle, sampler and drop_last: a BatchSampler, or
                        any iterable of lists of indices, one per batch
    drop_last           whether to drop an incomplete last batch
    collate_fn          makes a batch from a list of samples; `collate` by default
    generator           the random generator of the order; by default minidl's default generator
    num_workers         the number of workers that prefetch batches; 0: each batch is made on demand
    workers             "threads", for data that is read or processed by NumPy; "processes", for
                        work in Python: they are spawned, and receive the dataset by pickle
    prefetch_factor     batches prefetched by each worker
    persistent_workers  whether to keep the processes, and their copy of the dataset, between
                        epochs, until `close`
    pin_memory          whether batches pass through page-locked memory on their way to a GPU
    device              where the batches go; by default to the default device.  With workers, the
                        next one is sent while this one is used.  While the dataset makes a batch,
                        the default device is the CPU

    Batches and their order do not depend on the workers, if the dataset takes its random numbers
    from `sample_generator()`.  `position` and `state_dict()` tell the position in an epoch, and
    `load_state_dict` resumes there.  An exception in a worker is raised when its batch is due; a
    worker that dies is a DataError.

    >>> from minidl.data import DataLoader, TensorDataset
    >>> pairs = TensorDataset(minidl.zeros((5, 3)), minidl.arange(5))
    >>> [(x.shape, y.tolist()) for x, y in DataLoader(pairs, batch_size=2)]
    [((2, 3), [0, 1]), ((2, 3), [2, 3]), ((1, 3), [4])]
    """

    @overload
    def __init__(
        self,
        dataset: DatasetLike[T],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        collate_fn: Callable[[list[T]], B],
        **settings: Unpack[_Settings],
    ) -> None: ...
    @overload
    def __init__(
        self,
        dataset: BatchDataset[B],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        collate_fn: None = None,
        **settings: Unpack[_Settings],
    ) -> None: ...
    @overload
    def __init__(
        self: "DataLoader[Any]",
        dataset: DatasetLike[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        **settings: Unpack[_Settings],
    ) -> None: ...
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
        pin_memory: bool = False,
        device: str | None = None,
    ) -> None:
        check_dataset("DataLoader", dataset)
        check_generator("DataLoader", generator)
        check_flags("DataLoader", shuffle=shuffle, drop_last=drop_last)
        check_flags("DataLoader", persistent_workers=persistent_workers, pin_memory=pin_memory)
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
                "DataLoader: a batch_sampler replaces batch_size, shuffle, sampler and drop_last"
            )
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: a sampler replaces shuffle")
        self.dataset, self.batch_size, self.shuffle = dataset, int(batch_size), shuffle
        self.drop_last, self.collate_fn = drop_last, collate_fn
        self.num_workers, self.workers = int(num_workers), workers
        self.prefetch_factor, self.persistent_workers = int(prefetch_factor), persistent_workers
        self.batch_sampler, self.pin_memory = batch_sampler, pin_memory
        self.device = None if device is None else find(device)[1]
        if batch_sampler is None and sampler is None:
            sampler = (RandomSampler if shuffle else SequentialSampler)(dataset, generator)
        self.sampler = sampler
        source = self._source
        own = source.generator if isinstance(source, Sampler | BatchSampler) else generator
        self.generator = own or default_generator
        self._epochs = 0  # started so far
        self._at: EpochState | None = None
        self._resumed: EpochState | None = None
        self._pool: Any = None

    @property
    def _source(self) -> Any:
        """The iterable of indices: the batch sampler if there is one, otherwise the sampler."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        try:
            n = len(self._source)
        except TypeError:
            raise DTypeError(f"DataLoader: {describe(self._source)} has no length") from None
        if self.batch_sampler is not None:
            return n
        full, rest = divmod(n, self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[B]:
        return self.batches(self.device)

    def batches(self, device: str | None = None) -> Iterator[B]:
        """The batches of an epoch, or of the rest of it, on a device; None: the default one."""
        at, resumed = self._resumed, self._resumed is not None
        if at is None:
            seed, offset = self.generator.seed, self.generator.offset
            at = EpochState(self._epochs, seed, offset, sampler=self._sampler_state())
            self._epochs += 1
        self._at, self._resumed = at, None
        where = device or default_device()
        return self._epoch(at, enumerate(self._indices(at, resumed)), where)

    @property
    def epoch(self) -> int:
        """The number, from 0, of the epoch in progress; between epochs that of the next."""
        at = self._resumed or self._at
        return self._epochs if at is None else at.epoch

    @property
    def position(self) -> int:
        """The number of batches delivered of the epoch in progress; 0 between epochs."""
        at = self._resumed or self._at
        return 0 if at is None else at.batch

    def state_dict(self) -> dict[str, Any]:
        """The loader's position, as integers and strings, from which it can resume exactly.

        Called while batch i is being used, the next one is i + 1.  An epoch that was left early
        counts as in progress until another starts.
        """
        at = self._resumed or self._at
        return {
            "epoch": self.epoch,
            "under_way": at is not None,
            **(at.state_dict(self._configuration()) if at else {}),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned: the next iteration yields the rest of that epoch.

        If the state is from the middle of an epoch, the dataset, the sampler and the batch size
        must match; ArgumentError if they do not, or if the state is invalid.  A custom sampler must
        yield the same indices again, or have `state_dict` and `load_state_dict`.
        """
        epoch, at = EpochState.from_state_dict(state, self._configuration())
        self.generator.set_state(state["generator"])
        self._epochs, self._at, self._resumed = epoch + (at is not None), None, at

    def close(self) -> None:
        """Stop persistent worker processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _epoch(
        self, at: EpochState, numbered: Iterator[tuple[int, Any]], where: str
    ) -> Iterator[B]:
        """The batches of an epoch from its position, which is advanced, on a device."""
        jobs = (
            (BatchKey(at.seed, at.offset, at.epoch, number), indices)
            for number, indices in islice(numbered, at.batch, None)
        )
        make = BatchMaker(self.dataset, self.collate_fn)
        made = self._prefetched(make, jobs) if self.num_workers else (make(*job) for job in jobs)
        with closing(made):
            batches: Iterator[Any] = made
            if where != "cpu" or self.device is not None:
                ahead = 1 if self.num_workers else 0
                batches = moved(made, where, ahead=ahead, pin=self.pin_memory)
            for batch in batches:
                at.batch += 1
                yield batch
        if self._at is at:
            self._at = None

    def _prefetched(
        self, make: "BatchMaker", jobs: Iterator[Any]
    ) -> GeneratorIterator[Any, None, None]:
        """The batches, prefetched by workers."""
        from minidl.data import workers  # lazily, for a fast `import minidl`

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

    def _indices(self, at: EpochState, resumed: bool) -> Iterator[Any]:
        """The indices of each batch; those of a resumed epoch are redrawn."""
        source = self._source
        if resumed and at.sampler is not None:
            source.load_state_dict(at.sampler)
        generator = at.generator() if resumed else self.generator
        if isinstance(source, BatchSampler):
            return iter(source.batches(generator))
        if self.batch_sampler is not None:
            return iter(source)
        size = self.batch_size
        if not isinstance(source, Sampler):
            return _chunks(iter(source), size, self.drop_last)
        order = source.order(generator)
        end = len(order) - len(order) % size if self.drop_last else len(order)
        return (order[i : i + size] for i in range(0, end, size))

    def _sampler_state(self) -> Any:
        """The state of a sampler that has one."""
        source = self._source
        return source.state_dict() if hasattr(source, "load_state_dict") else None

    def _configuration(self) -> dict[str, Any]:
        """What must match for an epoch to be resumed."""
        return {
            "samples": len(self.dataset),
            "batch_size": getattr(self.batch_sampler, "batch_size", self.batch_size),
            "sampler": type(self._source).__name__,
        }


class BatchMaker:
    """Makes a batch from a key and indices, with a dataset and a collate function."""

    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn

    def __call__(self, key: BatchKey, indices: Any) -> Any:
        """The batch; errors name it."""
        token = current.set(key)
        try:
            with HOST:
                if self.collate_fn is None and hasattr(self.dataset, "batch"):
                    return self.dataset.batch(_tensor(indices))
                return (self.collate_fn or collate)(samples_of(self.dataset, _as_list(indices)))
        except Exception as error:
            error.add_note(self._location(key, _as_list(indices)))
            raise
        finally:
            current.reset(token)

    def _location(self, key: BatchKey, indices: list[Any]) -> str:
        """The location of an error, for its note."""
        some = ", ".join(map(repr, indices[:5])) + (", …" if len(indices) > 5 else "")
        return (
            f"DataLoader: this is batch {key.batch} of epoch {key.epoch}, of the samples {some} "
            f"among {len(self.dataset)}"
        )


def _as_list(indices: Any) -> list[Any]:
    return indices.tolist() if hasattr(indices, "tolist") else list(indices)


def _tensor(indices: Any) -> Tensor:
    """The indices of a batch as a tensor of integers, validated."""
    if isinstance(indices, np.ndarray) and indices.size:
        return Tensor(indices)
    try:
        indices = on_host(indices)
    except MinidlError as error:
        raise_explained("DataLoader", [indices], error)
    if not indices.size or indices.dtype.kind not in "iu":
        raise DTypeError(f"DataLoader: a batch needs integers as indices; got {indices!r}")
    return indices


def _chunks(indices: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Lists of `size` indices each; the last one may be shorter, or is dropped."""
    while chunk := list(islice(indices, size)):
        if len(chunk) == size or not drop_last:
            yield chunk


def _check_gives_indices(sampler: Any) -> None:
    """Raise DTypeError unless it is an iterable or None."""
    if sampler is not None and not hasattr(sampler, "__iter__"):
        raise DTypeError(f"DataLoader: a sampler gives indices; got {describe(sampler)}")


def _check_numbers(**numbers: tuple[Any, int]) -> None:
    """Raise ArgumentError unless the values are integers, and at least their minimum."""
    for name, (value, minimum) in numbers.items():
        if not isinstance(value, int | np.integer) or value < minimum:
            raise ArgumentError(f"DataLoader: {name} is a number ≥ {minimum}; got {value!r}")
