"""PTX, ready to run: translated to C, compiled by gcc, loaded."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Fault, LaunchError, NotUnderstood, Place
from .generator import RUNTIME, Generator, Kernel
from .nvrtc import cache_folder
from .parser import parse

ORDERS = ("forward", "reversed", "drawn")
_FLAGS = ("-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-math-errno", "-w")


class _Launch(ctypes.Structure):
    _fields_ = (
        ("entry", ctypes.c_uint32),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("dynamic_shared", ctypes.c_uint32),
        ("how", ctypes.c_uint32),
        ("range_count", ctypes.c_uint32),
        ("seed", ctypes.c_uint64),
        ("parameters", ctypes.c_void_p),
        ("ranges", ctypes.c_void_p),
    )


class Outcome(ctypes.Structure):
    """What a launch did; all but nothing of it is counted only where the program is checked.

    bytes_read, bytes_written      of global memory, as requested
    unique_read, unique_written    different bytes: what a cache of any size cannot save
    operations                     floating-point operations, a multiply-add being two
    matrix_operations              the same, on tensor cores
    """

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("bytes_read", "bytes_written", "unique_read", "unique_written"),
            *("operations", "matrix_operations"),
        )
    )

    @property
    def work(self) -> int:
        """Operations and bytes: how long it took to execute."""
        return sum(getattr(self, name) for name, _ in self._fields_ if "unique" not in name)


@dataclass(frozen=True)
class Memory:
    """An array that kernels may touch; `fresh` if nothing has been written to it yet."""

    address: int
    size: int
    fresh: bool = False


@cache
def _machine_flags() -> tuple[str, ...]:
    if platform.machine() != "x86_64":
        return ()
    known = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return tuple(f"-m{flag}" for flag in ("fma", "f16c") if f" {flag}" in known)


@cache
def _runtime_digest() -> str:
    texts = [path.read_bytes() for path in sorted(RUNTIME.glob("*.h"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _build(text: str, checked: bool) -> Path:
    flags = (*_FLAGS, *_machine_flags(), *(("-DCHECKED",) if checked else ()))
    key = hashlib.sha256("\0".join((text, _runtime_digest(), *flags)).encode()).hexdigest()[:24]
    target = cache_folder() / f"{key}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source, made = Path(folder) / "program.c", Path(folder) / "program.so"
        source.write_text(text)
        command = ["gcc", "-std=gnu11", "-shared", "-fPIC", *flags, f"-I{RUNTIME}"]
        done = subprocess.run(
            [*command, "-o", str(made), str(source), "-lm"], capture_output=True, text=True
        )
        if done.returncode:
            raise NotUnderstood(f"gcc refuses the translation:\n{done.stderr[:3000]}")
        made.replace(target)
    return target


class Program:
    """The kernels of a PTX text.

    checked    also report uninitialised reads and races, and count bytes and operations; slower
    """

    def __init__(self, ptx: str, checked: bool = False) -> None:
        self.checked = checked
        self._module = parse(ptx)
        self._generated = Generator(self._module)
        self.kernels: dict[str, Kernel] = {k.name: k for k in self._generated.kernels}
        self._numbers = {k.name: i for i, k in enumerate(self._generated.kernels)}

    @property
    def text(self) -> str:
        """The C text."""
        return self._generated.text

    @property
    def _library(self) -> ctypes.CDLL:
        library = self.__dict__.get("_loaded")
        if library is None:
            library = self.__dict__["_loaded"] = ctypes.CDLL(str(_build(self.text, self.checked)))
        return library

    def launch(
        self,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        *,
        shared: int = 0,
        memory: Iterable[Memory] = (),
        order: str = "forward",
        seed: int = 0,
    ) -> Outcome:
        """Run a kernel.

        arguments    NumPy arrays (as pointers), NumPy scalars, bytes, None (a null pointer)
        memory       arrays that kernels may reach by other ways than these
        order        of threads and blocks: forward, reversed, drawn

        Raises LaunchError for what CUDA refuses, Fault for what a kernel may not do.
        """
        if name not in self.kernels:
            raise LaunchError(f"there is no kernel {name}; there are {', '.join(self.kernels)}")
        kernel = self.kernels[name]
        _check_shape(kernel, grid, block, shared)
        parameters = ctypes.create_string_buffer(
            _parameters(kernel, arguments), kernel.parameter_size + 16
        )
        ranges = _ranges(arguments, memory)
        launch = _Launch(
            self._numbers[name],
            _three(grid),
            _three(block),
            shared,
            ORDERS.index(order),
            len(ranges),
            seed,
            ctypes.addressof(parameters),
            ranges.ctypes.data,
        )
        outcome = Outcome()
        if self._library.run_launch(ctypes.byref(launch), ctypes.byref(outcome)):
            raise self._fault(name)
        return outcome

    def _fault(self, name: str) -> Fault:
        numbers, text = (ctypes.c_int * 8)(), ctypes.create_string_buffer(512)
        self._library.read_report(numbers, text)
        kind, line, *places = numbers
        file, cuda_line = self._generated.sources.get(line, (0, 0))
        source = f"{self._module.files[file]}:{cuda_line}" if file in self._module.files else ""
        place = Place(name, tuple(places[:3]), tuple(places[3:]), line, source)
        return Fault(Fault.KINDS[kind - 1], text.value.decode(), place)


def _three(numbers: Sequence[int]) -> Any:
    return (ctypes.c_uint32 * 3)(*(*numbers, 1, 1)[:3])


def _check_shape(kernel: Kernel, grid: Sequence[int], block: Sequence[int], shared: int) -> None:
    threads = int(np.prod([int(n) for n in block]))
    most = min(1024, kernel.max_threads or 1024)
    if not 0 < threads <= most:
        raise LaunchError(f"{kernel.name}: {threads} threads a block, of at most {most}")
    if kernel.required_threads and tuple(_three(block)) != (*kernel.required_threads, 1, 1)[:3]:
        raise LaunchError(
            f"{kernel.name}: blocks of {block}, {kernel.required_threads} are required"
        )
    if min(grid) < 1:
        raise LaunchError(f"{kernel.name}: a grid of {grid}")
    if kernel.static_shared > 48 << 10 or kernel.static_shared + shared > 163 << 10:
        raise LaunchError(
            f"{kernel.name}: {kernel.static_shared} + {shared} bytes of shared memory"
        )


def _bytes(value: Any) -> bytes:
    if value is None:
        return bytes(8)
    if isinstance(value, bytes):
        return value
    if isinstance(value, np.ndarray):
        return value.__array_interface__["data"][0].to_bytes(8, "little")
    return value.tobytes()


def _parameters(kernel: Kernel, arguments: Sequence[Any]) -> bytes:
    if len(arguments) != len(kernel.parameters):
        raise LaunchError(
            f"{kernel.name}: {len(arguments)} arguments, {len(kernel.parameters)} are needed"
        )
    block = bytearray(kernel.parameter_size)
    for i, ((offset, size), value) in enumerate(zip(kernel.parameters, arguments, strict=True)):
        given = _bytes(value)
        if len(given) != size:
            raise LaunchError(f"{kernel.name}: argument {i} has {len(given)} bytes, {size} needed")
        block[offset : offset + size] = given
    return bytes(block)


def _owner(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _ranges(arguments: Sequence[Any], memory: Iterable[Memory]) -> np.ndarray:
    """Rows of low, high, fresh: of all arrays, sorted."""
    known = {(m.address, m.address + m.size): m.fresh for m in memory if m.size}
    for value in arguments:
        if isinstance(value, np.ndarray) and value.size:
            owner = _owner(value)
            low = owner.__array_interface__["data"][0]
            known.setdefault((low, low + owner.nbytes), False)
    rows = [(low, high, int(fresh)) for (low, high), fresh in sorted(known.items())]
    return np.array(rows or [(0, 0, 0)], np.uint64)[: len(rows)].copy()
