"""StreamBatches: a long text as parallel streams, for truncated back-propagation through time."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends.device import default_device
from minidl.checks import check_integers
from minidl.data.transfer import moved, on_host
from minidl.errors import DTypeError, MinidlError, ShapeError, describe, raise_explained


class StreamBatches:
    """One long sequence of ids, cut into `batch_size` streams that are read side by side.

    ids           (n,): integers
    batch_size    the number of streams N; each has ⌊(n − 1)/N⌋ ids, and the rest is left out
    steps         the number of ids T that a batch has of each stream; the last batch may have less

    A batch is a pair of (N, T): the ids, and for each of them the one that follows, which a
    language model has to predict.  Row i of a batch continues row i of the batch before: a network
    that starts from the state in which it left that one has read its stream from the beginning,
    while gradients go back T steps.  R. Williams, J. Peng: An efficient gradient-based
    algorithm for on-line training of recurrent network trajectories, Neural Computation 2, 1990.

    >>> from minidl.data.text import StreamBatches
    >>> for x, y in StreamBatches(range(11), batch_size=2, steps=3):
    ...     print(x.tolist(), y.tolist())
    [[0, 1, 2], [5, 6, 7]] [[1, 2, 3], [6, 7, 8]]
    [[3, 4], [8, 9]] [[4, 5], [9, 10]]
    """

    def __init__(self, ids: Any, batch_size: int, steps: int) -> None:
        check_integers("StreamBatches", 1, batch_size=batch_size, steps=steps)
        try:
            sequence = on_host(list(ids) if isinstance(ids, range) else ids)
        except MinidlError as error:
            raise_explained("StreamBatches", [ids], error)
        if sequence.ndim != 1 or (sequence.size and sequence.dtype.kind not in "iu"):
            raise DTypeError(f"StreamBatches: ids are integers, (n,); got {describe(sequence)}")
        length = (sequence.size - 1) // batch_size
        if length < 1:
            raise ShapeError(
                f"StreamBatches: {batch_size} streams need at least {batch_size + 1} ids; got "
                f"{sequence.size}"
            )
        self.batch_size, self.steps = int(batch_size), int(steps)
        array = np.ascontiguousarray(sequence.numpy())
        used = self.batch_size * length
        self._ids = array[:used].reshape(self.batch_size, length)
        self._next = array[1 : used + 1].reshape(self.batch_size, length)

    def __len__(self) -> int:
        return -(-self._ids.shape[1] // self.steps)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.batches()

    def batches(self, device: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches on a device; None: the default one."""
        where = device or default_device()
        return self._on_host() if where == "cpu" else moved(self._on_host(), where)

    def _on_host(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self._ids.shape[1], self.steps):
            columns = slice(start, start + self.steps)
            yield Tensor(self._ids[:, columns]), Tensor(self._next[:, columns])
