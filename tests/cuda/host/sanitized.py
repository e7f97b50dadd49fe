"""The executors `asan` and `tsan`: kernels in a process of their own, under gcc's sanitizers.

asan    AddressSanitizer and UndefinedBehaviorSanitizer
tsan    ThreadSanitizer, which takes the fibres for threads

The arrays of a launch are copied into memory of exactly their size, and back.  What a sanitizer
finds ends the process, and is a SanitizerError here, with the kernel, the block and the thread.
"""

import atexit
import ctypes
import os
import struct
import subprocess
import tempfile
from typing import Any

import numpy as np

from tests.cuda.host import gcc
from tests.cuda.host.build import program
from tests.cuda.stand_in import devices

_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:history_size=1",
}


class SanitizerError(AssertionError):
    """What a sanitizer found."""


class Region:
    """Memory that a launch can reach: an array, or several that overlap."""

    def __init__(self, begin: int, end: int, array: np.ndarray) -> None:
        self.begin, self.end, self.arrays = begin, end, [array]

    def content(self) -> bytes:
        """Its bytes."""
        return bytes(_bytes_at(self.begin, self.end))

    def update(self, content: bytes) -> None:
        """What the kernel left there."""
        ctypes.memmove(self.begin, content, len(content))


def _bytes_at(begin: int, end: int) -> Any:
    return (ctypes.c_uint8 * (end - begin)).from_address(begin)


class Module:
    """A compiled source; `launch` runs one of its kernels in the other process."""

    def __init__(self, code: str, include: tuple[str, ...], mode: str) -> None:
        self._plain = gcc.Module(code, include)
        self._program, self._kernels = program(code, include, mode)
        self._process: subprocess.Popen | None = None

    def launch(self, name: str, grid: Any, block: Any, arguments: Any, shared: int) -> None:
        """Run the kernel; a SanitizerError if a sanitizer has something to say."""
        values = gcc.packed(name, self._plain.parameters(name), arguments)
        kinds = self._plain.parameters(name)
        regions = _regions(arguments, values)
        request = [_numbers(self._kernels.index(name), *grid, *block, shared, len(regions))]
        for region in regions:
            content = region.content()
            request += [_numbers(region.begin % 16, len(content)), content]
        request.append(_numbers(len(values)))
        for kind, value in zip(kinds, values, strict=True):
            content = value.tobytes()
            pointers = _pointers(kind, content, regions)
            request += [_numbers(len(content)), content, _numbers(len(pointers))]
            request += [_numbers(*pointer) for pointer in pointers]
        self._run(b"".join(request), regions)

    def _run(self, request: bytes, regions: list[Region]) -> None:
        process = self._started()
        try:
            process.stdin.write(request)
            process.stdin.flush()
        except BrokenPipeError:
            self._raise()
        for region in regions:
            content = process.stdout.read(region.end - region.begin)
            if len(content) < region.end - region.begin:
                self._raise()
            region.update(content)
        if process.stdout.read(1) != b".":
            self._raise()

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            self._report = tempfile.TemporaryFile()  # noqa: SIM115 - while the process lives
            self._process = subprocess.Popen(
                [str(self._program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._report,
                env={**os.environ, **_OPTIONS},
            )
            atexit.register(self._end)
        return self._process

    def _end(self) -> str:
        """End the process; what it reported."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.kill()
        process.communicate()
        self._report.seek(0)
        text = self._report.read().decode(errors="replace")
        self._report.close()
        return text

    def _raise(self) -> None:
        raise SanitizerError(self._end() or "the process ended without a word")


def _numbers(*values: int) -> bytes:
    return struct.pack(f"{len(values)}Q", *map(int, values))


def _regions(arguments: Any, values: list[np.ndarray]) -> list[Region]:
    """What the arguments point at; arrays that overlap are one region."""
    found = []
    for argument, value in zip(arguments, values, strict=True):
        if isinstance(argument, np.ndarray):
            found.append(Region(*_extent(argument), argument))
        elif isinstance(argument, np.void):
            for address in np.frombuffer(value.tobytes()[: value.nbytes // 8 * 8], np.uint64):
                memory = devices.memory_at(int(address))
                if memory is not None:
                    begin = memory.array.ctypes.data
                    found.append(Region(begin, begin + memory.array.nbytes, memory.array))
    return _joined(found)


def _extent(array: np.ndarray) -> tuple[int, int]:
    """Where the memory begins and ends that a kernel may reach with the strides of an array."""
    begin = end = array.ctypes.data
    if array.size:
        steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        begin += sum(step for step in steps if step < 0)
        end += sum(step for step in steps if step > 0) + array.itemsize
    return begin, end


def _joined(found: list[Region]) -> list[Region]:
    joined: list[Region] = []
    for region in sorted(found, key=lambda region: (region.begin, -region.end)):
        if joined and region.begin < joined[-1].end:
            joined[-1].end = max(joined[-1].end, region.end)
            joined[-1].arrays += region.arrays
        else:
            joined.append(region)
    return joined


def _pointers(kind: str, content: bytes, regions: list[Region]) -> list[tuple[int, int, int]]:
    """The pointers in an argument: at which byte, to which region, how far into it."""
    if kind[0] not in "*S":
        return []
    found = []
    for at in range(0, len(content) // 8 * 8, 8):
        address = struct.unpack_from("Q", content, at)[0]
        for i, region in enumerate(regions):
            if region.begin <= address < region.end or (address == region.begin and kind[0] == "*"):
                found.append((at, i, address - region.begin))
                break
    return found


def load(code: str, include: tuple[str, ...] = (), mode: str = "asan") -> Module:
    """Compile a source with the sanitizers of a mode."""
    return Module(code, include, mode)
