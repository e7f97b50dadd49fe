"""Per-batch seeding: random numbers that depend neither on the workers nor on resuming.

A batch has a key: the state of the loader's generator at the start of the epoch, the epoch number
and the batch number.  A generator seeded by this key alone serves the samples of the batch, so that
they do not depend on the number of workers, or on where training was resumed.
"""

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass

from minidl.ops.random import Generator, default_generator


@dataclass(slots=True)
class BatchKey:
    """The key of a batch, and its generator, created on first use."""

    seed: int
    offset: int
    epoch: int
    batch: int
    generator: Generator | None = None

    def draw(self) -> Generator:
        """The generator seeded by this key, which advances with every draw."""
        if self.generator is None:
            numbers = self.seed, self.offset, self.epoch, self.batch
            text = ",".join(map(str, numbers)).encode()
            digest = hashlib.blake2b(text, digest_size=8, person=b"minidl batch")
            self.generator = Generator(int.from_bytes(digest.digest(), "little"))
        return self.generator


current: ContextVar[BatchKey | None] = ContextVar("current", default=None)


def sample_generator() -> Generator:
    """The random generator for datasets and `collate_fn`s.

    While a DataLoader makes a batch, it is the batch's own generator, seeded by the epoch and the
    batch number; otherwise minidl's default generator.  The samples of a batch share it, in order.

        def __getitem__(self, i):
            noise = minidl.random.normal(self.x[i].shape, generator=sample_generator())
            return self.x[i] + noise, self.y[i]

    >>> from minidl.data import DataLoader, Dataset, sample_generator
    >>> class Noise(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, i):
    ...         return minidl.random.normal(2, generator=sample_generator())
    >>> runs = []
    >>> for workers in [0, 2]:  # the same numbers for any number of workers
    ...     seed = minidl.random.Generator(0)
    ...     loader = DataLoader(Noise(), 2, generator=seed, num_workers=workers)
    ...     runs.append([batch.tolist() for batch in loader])
    >>> runs[0] == runs[1]
    True
    """
    key = current.get()
    return default_generator if key is None else key.draw()
