"""Random numbers for the samples of a loader: the same whoever makes a batch, and when.

A batch has a key: the state of the loader's generator at the start of the epoch, the number of the
epoch, and that of the batch.  A generator of this key, and nothing else, serves the samples of the
batch, so that they do not depend on how many workers there are, or where training was resumed.
"""

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass

from minidl.ops.random import Generator, default_generator


@dataclass(slots=True)
class BatchKey:
    """Which batch of which epoch, and its generator once somebody has asked for it."""

    seed: int
    offset: int
    epoch: int
    batch: int
    generator: Generator | None = None

    def draw(self) -> Generator:
        """The generator of this key, further on with every number taken."""
        if self.generator is None:
            numbers = self.seed, self.offset, self.epoch, self.batch
            text = ",".join(map(str, numbers)).encode()
            digest = hashlib.blake2b(text, digest_size=8, person=b"minidl batch")
            self.generator = Generator(int.from_bytes(digest.digest(), "little"))
        return self.generator


current: ContextVar[BatchKey | None] = ContextVar("current", default=None)


def sample_generator() -> Generator:
    """Where a dataset, or a `collate_fn`, takes its random numbers from.

    While a DataLoader makes a batch it is that batch's own, a function of the epoch and the number
    of the batch; otherwise minidl's default generator.  Samples of one batch share it, in order.

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
    >>> for workers in [0, 2]:  # the same numbers, whoever makes the batches
    ...     seed = minidl.random.Generator(0)
    ...     loader = DataLoader(Noise(), 2, generator=seed, num_workers=workers)
    ...     runs.append([batch.tolist() for batch in loader])
    >>> runs[0] == runs[1]
    True
    """
    key = current.get()
    return default_generator if key is None else key.draw()
