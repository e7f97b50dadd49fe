"""Checks of values on the device, whose errors are raised when the host next waits for it.

A check launches a small kernel that writes into a slot of device memory if something is wrong; the
host goes on at once, and remembers which error belongs to the slot.  Whatever waits for the device
anyway, `to_numpy` and `synchronize`, then reads the slots.  Thousands of checks without a wait in
between fill the slots: the next one waits.

CUDA_LAUNCH_BLOCKING=1 in the environment, which makes each launch wait, makes each check wait too.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
        self.errors: list[Callable[[int], Exception]] = []
        self.lock = threading.Lock()


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
    if not indices.size:
        return indices
    held = cp.ascontiguousarray(indices)
    kernel = _module.kernel(f"within_{held.dtype.kind}{8 * held.dtype.itemsize}")
    with deferred_bounds(size) as slot:
        _launch(kernel, held.size, (held, np.int64(held.size), np.int64(size), *slot))
    return indices


def _out_of_bounds(size: int, where: str) -> Callable[[int], Exception]:
    def error(found: int) -> Exception:
        """The slot holds the place of the first wrong index, and that index, within 32 bits."""
        index = (found & 0xFFFFFFFF) - 2**31
        beyond = {_EXTREME: "≥ ", -(2**31): "≤ "}.get(index, "")
        return BoundsError(f"index {beyond}{index} is outside 0 … {size - 1}{where}")

    return error


def _launch(kernel: Any, size: int, arguments: Any) -> None:
    """Launch a check of so many values."""
    kernel(min(_MOST_BLOCKS, -(-size // _THREADS)), _THREADS, arguments)


def deferred_bounds(size: int) -> AbstractContextManager[tuple[Any, Any]]:
    """A slot for a kernel that checks indices itself: it is `packed` there (checks.cuh)."""
    return deferred(_out_of_bounds(size, "" if _immediate else f" (checked by {call_site()})"))


@contextmanager
def deferred(error: Callable[[int], Exception]) -> Iterator[tuple[Any, Any]]:
    """The slots, and the number of one whose error is raised if the kernel launched here fills it."""
    pending = _pending()
    with pending.lock:
        if len(pending.errors) == _SLOTS:
            _read(pending)
        slot = np.int32(len(pending.errors))
        pending.errors.append(error)
        yield pending.slots, slot
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
    used = pending.slots[: len(pending.errors)]
    errors, pending.errors = pending.errors, []
    found = cp.asnumpy(used)
    wrong = np.flatnonzero(found != _FINE)
    if wrong.size:
        used.fill(_FINE)
        raise errors[wrong[0]](int(found[wrong[0]]))
