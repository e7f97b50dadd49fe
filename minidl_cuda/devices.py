"""The GPUs: their names, memory, transfers to and from them, and waiting for them."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends.device import device
from minidl.backends.registry import on
from minidl.backends.registry import to_device as by_way_of_the_host
from minidl.errors import DeviceError, DeviceMemoryError
from minidl_cuda.array import Array
from minidl_cuda.checks import raise_deferred

_OF_THREADS = "CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"


@cache
def devices() -> list[device]:
    """All GPUs of this process; none where there is no driver."""
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except cp.cuda.runtime.CUDARuntimeError:
        return []
    return [device("cuda", i) for i in range(count)]


def refuse_streams_of_threads() -> None:
    """Raise where each thread has a default stream of its own, for which CuPy has a setting.

    Work of two threads would have no order then: a batch that one prepares, and another computes
    with; a check of values, and the next call that waits.
    """
    if os.environ.get(_OF_THREADS, "0") not in ("", "0"):
        raise DeviceError(
            f"{_OF_THREADS} is set, which gives each thread a default stream of its own, so that "
            "what one thread computes is not ready for others; minidl needs one for all: unset it, "
            "and use `with minidl.cuda.stream(…):` where work is to run side by side"
        )


def device_of(x: Array) -> device:
    """The GPU that x is on."""
    return devices()[x.data.device_id]


def current_device() -> device:
    """The GPU on which this thread computes."""
    return devices()[cp.cuda.runtime.getDevice()]


def set_device(name: str) -> None:
    """Make a GPU the current one of this thread."""
    cp.cuda.Device(device(name).index).use()


def synchronize(name: str) -> None:
    """Wait for everything that a GPU was told to do; raise the errors of deferred checks."""
    with on(name):
        cp.cuda.Device().synchronize()
        raise_deferred()


# Memory.

_peaks: dict[int, int] = {}


def memory(name: str) -> dict[str, int]:
    """Bytes: in arrays now and at most, kept by the pool, free, and of the whole GPU."""
    with on(name):
        pool, which = cp.get_default_memory_pool(), cp.cuda.runtime.getDevice()
        free, total = cp.cuda.Device().mem_info
        allocated = pool.used_bytes()
        return {
            "allocated": allocated,
            "peak": max(_peaks.get(which, 0), allocated),
            "reserved": pool.total_bytes(),
            "free": free + pool.free_bytes(),
            "total": total,
        }


def reset_peak_memory(name: str) -> None:
    """Let the peak start from what is in arrays now."""
    with on(name):
        which = cp.cuda.runtime.getDevice()
        _peaks[which] = cp.get_default_memory_pool().used_bytes()


def allocator(allocate: Callable[[int], Any]) -> Callable[[int], Any]:
    """The same allocator, whose error says what was asked for and what is free."""
    pool = cp.get_default_memory_pool()

    def allocated(size: int) -> Any:
        try:
            pointer = allocate(size)
        except cp.cuda.memory.OutOfMemoryError:
            raise DeviceMemoryError(_no_room(size)) from None
        which, used = cp.cuda.runtime.getDevice(), pool.used_bytes()
        if used > _peaks.get(which, 0):
            _peaks[which] = used
        return pointer

    return allocated


def _no_room(size: int) -> str:
    name = current_device()
    now = memory(name)
    return (
        f"{name} has no room for {_readable(size)}: of {_readable(now['total'])}, "
        f"{_readable(now['allocated'])} are in arrays, and {_readable(now['free'])} are free, but "
        "not in one piece; smaller batches need less, and so does minidl.checkpoint"
    )


def _readable(size: float) -> str:
    units = "bytes", "KiB", "MiB", "GiB"
    power = min(3, max(0, int(size).bit_length() - 1) // 10)
    return f"{size / 1024**power:.{1 if power else 0}f} {units[power]}"


def location(x: Array) -> Any:
    """The address, the strides, and what else tells arrays apart."""
    return x.data.device_id, x.data.ptr, x.strides, x.shape, x.dtype


def imported(x: Any, copy: bool | None = None) -> Array:
    """The memory of another library's array, by DLPack or `__cuda_array_interface__`.

    It is used after all that its library has told the GPU to do with it.
    """
    if not hasattr(x, "__dlpack__"):
        shared = cp.asarray(x)
        return shared.copy() if copy else shared
    with on(device("cuda", x.__dlpack_device__()[1])):
        shared = _shared(x, copy)
        return shared.copy() if copy else shared  # CuPy's arrays make no copy themselves


def _shared(x: Any, copy: bool | None) -> Array:
    """The memory of another library's array, on the current GPU; BufferError where CuPy cannot."""
    if copy is False:
        try:
            return cp.from_dlpack(x, copy=False)
        except TypeError:
            pass  # an older protocol, without `copy`: nothing was ever copied
    try:
        return cp.from_dlpack(x)
    except TypeError as error:
        raise BufferError(str(error)) from error


# Transfers.


def asarray(values: Any, *, dtype: Any = None) -> Array:
    """An array of the current GPU, from numbers, nested lists or a host array."""
    return cp.asarray(values, dtype)


def to_numpy(x: Array) -> Any:
    """The values as a NumPy array on the host; waits, and raises the errors of deferred checks."""
    with cp.cuda.Device(x.data.device_id):
        raise_deferred()
        return cp.asnumpy(x)


def to_device(x: Array, name: str, *, non_blocking: bool = False) -> Any:
    """A copy on another device; between GPUs, without the host."""
    target = device(name)
    if target.type != "cuda":
        return by_way_of_the_host(x, name)
    with cp.cuda.Device(x.data.device_id):  # what computes x is done first
        x = cp.ascontiguousarray(x).reshape(x.shape)
        there = cp.cuda.get_current_stream()
        done = there.record()
    with on(target):
        here = cp.cuda.get_current_stream()
        here.wait_event(done)
        result = x.copy()
        read = here.record()
    with cp.cuda.Device(x.data.device_id):  # nothing new is put where x was before it is read
        there.wait_event(read)
    return result


def pinned(x: np.ndarray) -> np.ndarray:
    """A copy of a host array in page-locked memory, from which transfers run on their own."""
    memory = cp.cuda.alloc_pinned_memory(max(1, x.nbytes))
    result: np.ndarray = np.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
    result[...] = x
    return result


class _Uploads:
    """A stream for uploads to a GPU, and the buffers that nobody uses, with when they were read."""

    def __init__(self) -> None:
        self.stream = cp.cuda.Stream(non_blocking=True)
        self.idle: list[tuple[Array, Any]] = []
        self.sent: list[tuple[Any, list[Any]]] = []  # what is copied now, and where to
        self.lock = threading.Lock()

    def buffer(self, size: int) -> tuple[Array, Any]:
        """A buffer of at least this size, and the event after which it may be written."""
        with self.lock:
            for i, (buffer, _) in enumerate(self.idle):
                if buffer.size >= size:
                    return self.idle.pop(i)
            current = cp.cuda.get_current_stream()
            for _, read in self.idle:  # too small for what is uploaded now: others get the memory
                current.wait_event(read)
            self.idle.clear()
        return cp.empty(size, "uint8"), current.record()

    def give_back(self, buffer: Array, read: Any) -> None:
        """The buffer may be written after this event."""
        with self.lock:
            self.idle.append((buffer, read))

    def keep(self, arrays: list[Any], arrived: Any) -> None:
        """Memory that is read or written now must not be freed, even if nobody wants the copies."""
        with self.lock:
            self.sent = [(event, x) for event, x in self.sent if not event.done]
            self.sent.append((arrived, arrays))


@cache
def _uploads(which: int) -> _Uploads:
    return _Uploads()


def upload(arrays: Sequence[np.ndarray], name: str) -> Callable[[], Sequence[Array]]:
    """Begin to copy host arrays to a GPU, beside what it computes; a function gives the copies.

    They arrive in a buffer, on a stream of their own; the stream that computes copies them from
    there when they are asked for, and then the buffer is free for others.  So memory that is in use
    is never written, and a batch arrives while the one before it is computed.
    """
    with on(name):
        uploads = _uploads(cp.cuda.runtime.getDevice())
        host = [np.ascontiguousarray(x) for x in arrays]
        buffer, free = uploads.buffer(sum(_aligned(x.nbytes) for x in host))
        views = _places(buffer, host)
        uploads.stream.wait_event(free)
        for view, x in zip(views, host, strict=True):
            view.set(x, uploads.stream)
        arrived = uploads.stream.record()
        uploads.keep([*host, buffer], arrived)

    def copies() -> Sequence[Array]:
        with on(name):
            current = cp.cuda.get_current_stream()
            current.wait_event(arrived)
            result = [view.copy() for view in views]
            uploads.give_back(buffer, current.record())
            return result

    return copies


def _aligned(size: int) -> int:
    return -(-size // 256) * 256


def _places(buffer: Array, arrays: Sequence[np.ndarray]) -> list[Array]:
    """Parts of the buffer with the shapes and dtypes of the arrays."""
    views, begin = [], 0
    for x in arrays:
        part = buffer[begin : begin + x.nbytes]
        views.append(part.view(x.dtype).reshape(x.shape))
        begin += _aligned(x.nbytes)
    return views
