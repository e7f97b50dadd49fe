"""Two devices with memory of their own, streams and events; MINIDL_STAND_IN_DEVICES=1 is one."""

import ctypes
import os
import threading
import weakref
from typing import Any, Self

from tests.cuda.stand_in.counters import counters

DEVICES = int(os.environ.get("MINIDL_STAND_IN_DEVICES", "2"))
CAPACITY = 16 << 30  # bytes of each device, unless a test sets a limit

_state = threading.local()


def current_device() -> int:
    """The device that this thread uses."""
    return getattr(_state, "device", 0)


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        self._size, self._total, self._limit = size, total, limit
        text = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(text + (f", limit set to: {limit:,} bytes)." if limit else ")."))


class CUDARuntimeError(RuntimeError):
    """cupy.cuda.runtime.CUDARuntimeError."""


class Memory:
    """A block of device memory, returned to its pool when nothing holds it any more."""

    __slots__ = ("__weakref__", "array", "device_id", "size")

    def __init__(self, size: int, device: int) -> None:
        self.size, self.device_id = 0, device
        pools[device].take(size)
        self.size, self.array = size, None
        _alive.add(self)

    def __del__(self) -> None:
        if self.size:
            pools[self.device_id].give(self.size)


class MemoryPool:
    """The pool of one device: what is in use, what is kept, and the limit."""

    def __init__(self) -> None:
        self.used = self.kept = self.limit = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Allocate, or raise OutOfMemoryError."""
        size = -(-size // 512) * 512
        with self._lock:
            limit = self.limit or CAPACITY
            if self.used + size > limit:
                raise OutOfMemoryError(size, self.used + self.kept, self.limit)
            self.used += size
            self.kept = max(0, self.kept - size)

    def give(self, size: int) -> None:
        """Free; the pool keeps it."""
        size = -(-size // 512) * 512
        with self._lock:
            self.used -= size
            self.kept += size


_alive: Any = weakref.WeakSet()


def memory_at(address: int) -> Memory | None:
    """The block of device memory that an address is in, as pointers in structs are."""
    for memory in list(_alive):
        begin = 0 if memory.array is None else memory.array.ctypes.data
        if begin <= address < begin + memory.size:
            return memory
    return None


pools = [MemoryPool() for _ in range(DEVICES)]


class Pool:
    """cupy.cuda.MemoryPool: of whatever device is current."""

    def used_bytes(self) -> int:
        return pools[current_device()].used

    def free_bytes(self) -> int:
        return pools[current_device()].kept

    def total_bytes(self) -> int:
        return self.used_bytes() + self.free_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        pools[current_device()].kept = 0

    def n_free_blocks(self) -> int:
        return int(self.free_bytes() > 0)

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        pool = pools[current_device()]
        pool.limit = int(CAPACITY * fraction) if fraction is not None else size or 0

    def get_limit(self) -> int:
        return pools[current_device()].limit

    def malloc(self, size: int) -> Memory:
        return Memory(size, current_device())


class Device:
    """cupy.cuda.Device."""

    def __init__(self, device: "int | Device | None" = None) -> None:
        self.id = current_device() if device is None else int(device)
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __index__(self) -> int:
        return self.id

    def __enter__(self) -> Self:
        before = current_device()
        self.use()
        self._before.append(before)
        return self

    def __exit__(self, *error: object) -> None:
        _state.device = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _state.device = self.id

    def synchronize(self) -> None:
        counters.count("sync", "Device.synchronize")

    @property
    def mem_info(self) -> tuple[int, int]:
        pool = pools[self.id]
        return CAPACITY - pool.used - pool.kept, CAPACITY

    @property
    def compute_capability(self) -> str:
        return "80"

    @property
    def pci_bus_id(self) -> str:
        return f"0000:{self.id:02x}:00.0"

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "MultiProcessorCount": 108,
            "MaxThreadsPerBlock": 1024,
            "MaxSharedMemoryPerBlock": 49152,
            "MaxSharedMemoryPerBlockOptin": 166912,
            "WarpSize": 32,
        }


class Event:
    """cupy.cuda.Event: what is recorded has happened already."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.done, self.device_id = True, current_device()

    def record(self, stream: Any = None) -> None:
        (stream or current_stream()).record(self)

    def synchronize(self) -> None:
        counters.count("sync", "Event.synchronize")


class Stream:
    """cupy.cuda.Stream; work on any stream is done at once."""

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        self.null, self.device_id = null, current_device()
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        before = current_device(), current_stream()
        self.use()
        self._before.append(before)
        return self

    def __exit__(self, *error: object) -> None:
        device, stream = self._before.pop()
        _streams()[device] = stream

    def use(self) -> Self:
        self._check_device(current_device())
        _streams()[current_device()] = self
        return self

    def _check_device(self, device: int) -> None:
        """The null stream is that of whatever device is current."""
        if not self.null and self.device_id != device:
            raise CUDARuntimeError(
                f"cudaErrorInvalidResourceHandle: a stream of device {self.device_id} on {device}"
            )

    @property
    def ptr(self) -> int:
        return 0 if self.null else id(self)

    @property
    def done(self) -> bool:
        return True

    def synchronize(self) -> None:
        counters.count("sync", "Stream.synchronize")

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        self._check_device(event.device_id)
        return event

    def wait_event(self, event: Event) -> None:
        return None


Stream.null = Stream(null=True)


def _streams() -> dict[int, Stream]:
    """The current stream of each device, in this thread."""
    if not hasattr(_state, "streams"):
        _state.streams = {}
    return _state.streams


def current_stream(device_id: int | None = None) -> Stream:
    """cupy.cuda.get_current_stream."""
    return _streams().get(current_device() if device_id is None else device_id, Stream.null)


def alloc_pinned_memory(size: int) -> Any:
    """cupy.cuda.alloc_pinned_memory: host memory as a buffer."""
    return (ctypes.c_uint8 * size)()


_pool = Pool()
_allocator = _pool.malloc


def allocate(size: int) -> Memory:
    """Memory of the current device, from whatever allocator is set."""
    return _allocator(size)


def get_allocator() -> Any:
    """cupy.cuda.get_allocator."""
    return _allocator


def set_allocator(allocator: Any = None) -> None:
    """cupy.cuda.set_allocator."""
    global _allocator
    _allocator = allocator or _pool.malloc


def default_pool() -> Pool:
    """cupy.get_default_memory_pool."""
    return _pool
