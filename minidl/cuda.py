"""GPUs by NVIDIA: which there are, their memory, and their streams, under PyTorch's names.

Tensors get there by `device="cuda"`, `x.to("cuda")` and `model.to("cuda")`; nothing here is needed
for that.  A GPU works while the program goes on: an operation returns before it is done, and what
reads a value (`item`, `numpy`, `print`) waits for it.  What a GPU finds wrong, as an index outside
a table, is therefore raised by the next call that waits, and says which operation it was.

All threads share the default stream of a GPU, where work is done in order; that CuPy gives each
thread one of its own (CUPY_CUDA_PER_THREAD_DEFAULT_STREAM) is a DeviceError.

Everything but `is_available` and `device_count` raises DeviceError where there is no GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from minidl.backends import device as _device
from minidl.backends.registry import device_backend, find, on
from minidl.errors import DeviceError

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "max_memory_allocated",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
    "versions",
]

Device = int | str | None  # an index, a name, or None: the current one


def is_available() -> bool:
    """Whether there is a GPU that minidl can use.

    >>> device = "cuda" if minidl.cuda.is_available() else "cpu"
    """
    return device_count() > 0


def device_count() -> int:
    """The number of GPUs; 0 also where CuPy or the driver is missing."""
    try:
        return len(device_backend("cuda").devices())
    except DeviceError:
        return 0


def current_device() -> int:
    """The index of the current GPU of this thread, which "cuda" means."""
    return _index(None)


def set_device(device: int | str) -> None:
    """Make a GPU the current one of this thread."""
    backend, name = _found(device, "set_device")
    backend.set_device(name)


@contextmanager
def device(device: Device) -> Iterator[None]:
    """A block in which a GPU is the current one: `with minidl.cuda.device(1):`."""
    with on(_found(device, "device")[1]):
        yield


def synchronize(device: Device = None) -> None:
    """Wait until a GPU has done all that it was told; errors that it found are raised here."""
    backend, name = _found(device, "synchronize")
    backend.synchronize(name)


# Memory.  Freed arrays stay in a pool, from which new ones are made without waiting.


def memory_allocated(device: Device = None) -> int:
    """The bytes of all arrays on a GPU."""
    return _memory(device, "allocated")


def max_memory_allocated(device: Device = None) -> int:
    """The most bytes that all arrays had together, since `reset_peak_memory_stats`."""
    return _memory(device, "peak")


def memory_reserved(device: Device = None) -> int:
    """The bytes of the pool: of arrays, and freed ones kept for new arrays."""
    return _memory(device, "reserved")


def mem_get_info(device: Device = None) -> tuple[int, int]:
    """The bytes of a GPU that are free, and all it has; other programs use it too."""
    return _memory(device, "free"), _memory(device, "total")


def reset_peak_memory_stats(device: Device = None) -> None:
    """Let `max_memory_allocated` start from what is allocated now."""
    backend, name = _found(device, "reset_peak_memory_stats")
    backend.reset_peak_memory(name)


def empty_cache() -> None:
    """Give the freed blocks of the pool back to the driver, for other programs."""
    _cupy().get_default_memory_pool().free_all_blocks()


def _memory(device: Device, what: str) -> int:
    backend, name = _found(device, "memory")
    return int(backend.memory(name)[what])


# What they are.


def get_device_name(device: Device = None) -> str:
    """The name of a GPU, such as "Tesla T4"."""
    return get_device_properties(device)["name"]


def get_device_capability(device: Device = None) -> tuple[int, int]:
    """The compute capability of a GPU: (7, 5) of a T4."""
    properties = get_device_properties(device)
    return properties["major"], properties["minor"]


def get_device_properties(device: Device = None) -> dict[str, Any]:
    """What the driver says of a GPU: name, major, minor, totalGlobalMem, multiProcessorCount …."""
    found = dict(_cupy().cuda.runtime.getDeviceProperties(_index(device)))
    return found | {"name": found["name"].decode()}


def versions() -> dict[str, str]:
    """The versions of the driver, as the newest CUDA that it knows, of the runtime, and of CuPy."""
    cupy = _cupy()
    numbers = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
    driver, runtime = (f"{n // 1000}.{n % 1000 // 10}" for n in numbers)
    return {"CUDA driver": driver, "CUDA runtime": runtime, "CuPy": cupy.__version__}


# Streams: work that is told to different ones may be done at once.


class Stream:
    """A queue of work of a GPU; `with minidl.cuda.stream(s):` puts work there.

    device      the GPU, by default the current one
    cupy        the same as a `cupy.cuda.Stream`

    Work in one stream is done in order.  Between streams there is no order, except by
    `wait_stream`: a tensor that one stream computes must not be used in another before that.  Its
    memory goes back to the stream where it was made, for later work there: before the tensor is
    deleted, that stream has to wait for those that use it.
    """

    def __init__(self, device: Device = None) -> None:
        self.device = _found(device, "Stream")[1]
        with on(self.device):
            self.cupy: Any = _cupy().cuda.Stream(non_blocking=True)

    def synchronize(self) -> None:
        """Wait until all work in it is done."""
        self.cupy.synchronize()

    def wait_stream(self, other: "Stream") -> None:
        """Do later work of this stream after all that the other one has been told so far."""
        with on(other.device):
            event = other.cupy.record()
        with on(self.device):
            self.cupy.wait_event(event)

    def wait_event(self, event: "Event") -> None:
        """Do later work of this stream after what an event marks."""
        self.cupy.wait_event(event.cupy)


class Event:
    """A mark in a stream, to wait for, or to measure time with.

    enable_timing    whether `elapsed_time` can be asked
    """

    def __init__(self, enable_timing: bool = False) -> None:
        _found(None, "Event")
        self._enable_timing = enable_timing
        self.cupy: Any = _cupy().cuda.Event(disable_timing=not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Mark the end of what a stream, by default the current one, has been told so far."""
        stream = current_stream() if stream is None else stream
        with on(stream.device):  # CUDA's events are of the GPU where they are made
            self.cupy = _cupy().cuda.Event(disable_timing=not self._enable_timing)
            self.cupy.record(stream.cupy)

    def synchronize(self) -> None:
        """Wait until what was marked is done."""
        self.cupy.synchronize()

    def elapsed_time(self, end: "Event") -> float:
        """The milliseconds from this mark to another."""
        return float(_cupy().cuda.get_elapsed_time(self.cupy, end.cupy))


@contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A block whose work goes to a stream, of whose GPU it is; None changes nothing."""
    if stream is None:
        yield
    else:
        with on(stream.device), stream.cupy:
            yield


def current_stream(device: Device = None) -> Stream:
    """The stream that work of this thread goes to."""
    name = _found(device, "current_stream")[1]
    result = Stream.__new__(Stream)
    with on(name):
        result.device, result.cupy = name, _cupy().cuda.get_current_stream()
    return result


def _found(device: Device, name: str) -> tuple[Any, _device]:
    """The backend, and the name of a GPU."""
    return find(_device.of_index("cuda", device, name))


def _index(device: Device) -> int:
    """The index of a GPU."""
    return _found(device, "device")[1].index or 0


def _cupy() -> Any:
    """CuPy, whose place the backend's arrays say."""
    device_backend("cuda")  # an error that says what is missing
    return import_module("cupy")
