"""Checks of values on the device, whose errors are raised when the host next waits for it.

A check launches a small kernel that writes into a slot of device memory if something is wrong; the
host goes on at once, and remembers which error belongs to the slot.  Whatever waits for the device
anyway, `to_numpy` and `synchronize`, then reads the slots.  Thousands of checks without a wait in
between fill the slots: the next one waits.

CUDA_LAUNCH_BLOCKING=1 in the environment, which makes each launch wait, makes each check wait too.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends.call_site import call_site
from minidl.errors import BoundsError
from minidl_cuda.launch import Module

_module = Module("checks.cu")
_THREADS, _MOST_BLOCKS = 256, 1024
_SLOTS = 4096
_FINE = np.uint64(2**64 - 1)  # what a slot holds while nothing is wrong
_EXTREME = 2**31 - 1

_immediate = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") == "1"


class _Pending:
    """The checks of a device that nobody has read yet."""

    def __init__(self) -> None:
        self.slots = cp.full(_SLOTS, _FINE, dtype="uint64")
        self.ready = cp.cuda.get_current_stream().record()  # after which checks may write
        self.errors: list[Callable[[int], Exception]] = []
        self.streams: dict[int, Any] = {}  # in which they are, by their addresses
        self.lock = threading.Lock()

    def join(self, stream: Any) -> None:
        """A check follows in this stream."""
        if stream.ptr not in self.streams:
            stream.wait_event(self.ready)
            self.streams[stream.ptr] = stream


_of_device: dict[int, _Pending] = {}
_creating = threading.Lock()


def check(valid: Any, error: Callable[[], Exception]) -> None:
    """Raise error() at the next wait, unless all of `valid` are true."""
    valid = cp.ascontiguousarray(valid)
    kernel = _module.kernel("all_true")
    with deferred(lambda found: error()) as slot:
        _launch(kernel, valid.size, (valid.view("uint8"), np.int64(valid.size), *slot))


def check_indices(indices: Any, size: int) -> Any:
    """The indices; a BoundsError at the next wait unless all are in 0 … size − 1."""
    _check_within(indices, 0, size, f"is outside 0 … {size - 1}")
    return indices


def check_index(index: Any, shape: Sequence[int]) -> Any:
    """The index; a BoundsError at the next wait if an array of integers in it is outside its axis.

    CuPy would wrap such integers around.
    """
    parts = index if isinstance(index, tuple) else (index,)
    used = sum(_axes_of(part) for part in parts)
    axis = 0
    for part in parts:
        if isinstance(part, cp.ndarray) and part.dtype.kind in "iu" and axis < len(shape):
            size = shape[axis]
            _check_within(part, -size, size, f"is out of bounds for axis {axis} with size {size}")
        axis += len(shape) - used if part is Ellipsis else _axes_of(part)
    return index


def _axes_of(part: Any) -> int:
    """The number of axes that a part of an index takes up."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if getattr(part, "dtype", None) == "bool" else 1


def _check_within(indices: Any, lowest: int, size: int, fault: str) -> None:
    if not indices.size:
        return
    held = cp.ascontiguousarray(indices)
    kernel = _module.kernel(f"within_{held.dtype.kind}{8 * held.dtype.itemsize}")
    numbers = np.int64(held.size), np.int64(lowest), np.int64(size)
    with deferred(_out_of_bounds(fault)) as slot:
        _launch(kernel, held.size, (held, *numbers, *slot))


def _out_of_bounds(fault: str) -> Callable[[int], Exception]:
    """The error of an index, which says where it was checked if it is raised later."""
    where = "" if _immediate else f" (checked by {call_site()})"

    def error(found: int) -> Exception:
        """The slot holds the place of the first wrong index, and that index, within 32 bits."""
        index = (found & 0xFFFFFFFF) - 2**31
        beyond = {_EXTREME: "≥ ", -(2**31): "≤ "}.get(index, "")
        return BoundsError(f"index {beyond}{index} {fault}{where}")

    return error


def _launch(kernel: Any, size: int, arguments: Any) -> None:
    """Launch a check of so many values."""
    kernel(min(_MOST_BLOCKS, -(-size // _THREADS)), _THREADS, arguments)


def outside(size: int) -> Callable[[int], Exception]:
    """For `deferred`: the error of an index outside 0 … size − 1, `packed` (checks.cuh)."""
    return _out_of_bounds(f"is outside 0 … {size - 1}")


@contextmanager
def deferred(*errors: Callable[[int], Exception]) -> Iterator[tuple[Any, ...]]:
    """The slots, and the number of one for each error, for a kernel that is launched here.

    If it writes a number into a slot, the error of that number is raised at the next wait.
    """
    pending = _pending()
    with pending.lock:
        if len(pending.errors) + len(errors) > _SLOTS:
            _read(pending)
        first = len(pending.errors)
        pending.errors.extend(errors)
        pending.join(cp.cuda.get_current_stream())
        yield pending.slots, *(np.int32(first + i) for i in range(len(errors)))
    if _immediate:
        raise_deferred()


def _pending() -> _Pending:
    """The checks of the current device."""
    device = cp.cuda.runtime.getDevice()
    if device not in _of_device:
        with _creating:
            _of_device.setdefault(device, _Pending())
    return _of_device[device]


def raise_deferred() -> None:
    """Wait for the checks of the current device; raise the error of the first that failed."""
    pending = _of_device.get(cp.cuda.runtime.getDevice())
    if pending is not None and pending.errors:
        with pending.lock:
            _read(pending)


def _read(pending: _Pending) -> None:
    used, current = pending.slots[: len(pending.errors)], cp.cuda.get_current_stream()
    errors, pending.errors = pending.errors, []
    streams, pending.streams = pending.streams, {}
    for stream in streams.values():
        if stream.ptr != current.ptr:
            current.wait_event(stream.record())
    found = cp.asnumpy(used)
    wrong = np.flatnonzero(found != _FINE)
    if wrong.size:
        used.fill(_FINE)
        pending.ready = current.record()
        raise errors[wrong[0]](int(found[wrong[0]]))
