"""The running mean and variance of batch norm, which take the place of a batch's in evaluation."""

from collections.abc import Sequence
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.checkpoint import before_write
from minidl.autograd.mode import current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.registry import on_device_of
from minidl.dtypes import float64


def track(
    batches: Tensor,
    running: Sequence[Tensor],
    moments: Sequence[Tensor],
    momentum: float | None,
    count: int,
) -> None:
    """Add a batch to the running mean and variance, in place.

    running ← (1 − m)·running + m·moment, where the variance of `count` values, a mean of squares,
    is made unbiased first, times count / (count − 1).  Without values the batch is only counted.

    batches     how many there were, ()
    moments     the mean and the variance of the batch
    momentum    m; None: 1 / the number of batches, for the mean over all of them

    It writes into the arrays directly, as operations would cost as much as a small layer.
    """
    before_write(batches, *running)
    xp: Any = backend_of(batches.data)
    arrays = batches.data, [x.data for x in running], [x.data for x in moments]
    kernel = xp.kernel("track_moments") if current.get().fast and count else None
    with on_device_of(batches.data):
        if kernel is None or kernel(*arrays, momentum, count) is NotImplemented:
            _track(xp, *arrays, momentum, count)
    inplace.mark_written(arrays[0], *arrays[1])


def _track(
    xp: Any,
    batches: Any,
    running: Sequence[Any],
    moments: Sequence[Any],
    momentum: float | None,
    count: int,
) -> None:
    batches += 1
    if not count:
        return
    share: Any = momentum
    if momentum is None:  # on a GPU an array, for reading the number would wait
        share = 1 / int(batches) if xp.name == "cpu" else 1 / xp.astype(batches, float64)
    for old, new, part in zip(running, moments, (share, share * count / (count - 1)), strict=True):
        old *= 1 - share
        old += part * new
