"""Compile CUDA sources and launch their kernels, here and nowhere else.

    _module = Module("softmax.cu")
    _forward = _module.kernel("softmax_forward_f32")
    _forward(grid, block, (x, y, np.int32(rows), np.float32(eps)), shared=0)

A source is compiled by NVRTC when one of its kernels is first launched, once for each device; CuPy
keeps the result in its cache on disk.  CuPy adds `-ftz=true`: float32 below 2⁻¹²⁶ count as 0.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import cupy
import numpy as np

FOLDER = Path(__file__).parent / "kernels"
OPTIONS = ("-std=c++17", f"-I{FOLDER}")

Shape = int | Sequence[int]

_NULL = np.uintp(0)
_SHARED = 48 * 1024  # bytes; a kernel that needs more must say so to the driver
_MOST_BLOCKS = 2**31 - 1, 65535, 65535  # along each axis


class Module:
    """A CUDA source in minidl_cuda/kernels."""

    __slots__ = ("file",)

    def __init__(self, file: str) -> None:
        self.file = file

    def kernel(self, name: str) -> "Kernel":
        """The kernel of that name: `extern "C" __global__ void name(…)`."""
        return Kernel(self.file, name)


class Kernel:
    """A kernel; a call launches it on the current device and stream."""

    __slots__ = ("file", "name")

    def __init__(self, file: str, name: str) -> None:
        self.file, self.name = file, name

    def __call__(
        self, grid: Shape, block: Shape, arguments: Sequence[Any], *, shared: int = 0
    ) -> None:
        """Launch it; nothing happens where the grid is empty.

        grid, block    numbers of blocks, and of threads in each: an int, or up to three
        arguments      C-contiguous arrays as pointers, NumPy scalars of the exact C type, None for
                       a null pointer, structured NumPy scalars for structs by value
        shared         bytes of dynamic shared memory
        """
        grid, block = _dimensions(grid), _dimensions(block)
        if 0 in grid:  # CuPy would launch one block
            return
        if any(n > most for n, most in zip(grid, _MOST_BLOCKS, strict=False)):
            raise ValueError(f"{self.name}: a grid has at most {_MOST_BLOCKS} blocks, not {grid}")
        function = _function(self.file, self.name, cupy.cuda.runtime.getDevice())
        if shared > _SHARED and function.max_dynamic_shared_size_bytes < shared:
            function.max_dynamic_shared_size_bytes = shared
        function(grid, block, tuple(map(_argument, arguments)), shared_mem=shared)


def _dimensions(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _argument(value: Any) -> Any:
    """The value as CuPy takes it: a struct as an array of one element."""
    if value is None:
        return _NULL
    return np.asarray(value) if isinstance(value, np.void) else value


@cache
def _module(file: str, device: int) -> Any:
    return cupy.RawModule(code=source(file), options=OPTIONS)


def source(file: str) -> str:
    """A CUDA source as CuPy gets it.

    CuPy's cache on disk knows a source by its text, not by that of the headers it includes: their
    digest is in the last line.  CuPy also writes it into a file in the system's encoding, which may
    not have the symbols of the comments.
    """
    text = (FOLDER / file).read_text(encoding="utf-8")
    return re.sub(r"[^\x00-\x7f]", "~", text) + f"// headers: {_digest_of_headers()}\n"


@cache
def _digest_of_headers() -> str:
    return sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.cuh")))).hexdigest()


@cache
def _function(file: str, name: str, device: int) -> Any:
    return _module(file, device).get_function(name)


# Deterministic mode: where the fastest kernel adds in whatever order its threads arrive, another
# one runs, that gives the same bits each time.

_deterministic: ContextVar[bool] = ContextVar(
    "minidl_cuda deterministic", default=os.environ.get("MINIDL_CUDA_DETERMINISTIC", "0") == "1"
)


def deterministic() -> bool:
    """Whether kernels must give the same bits in every run, at the cost of speed."""
    return _deterministic.get()


@contextmanager
def use_deterministic(enabled: bool = True) -> Iterator[None]:
    """In this block and thread, kernels give the same bits in every run.

    MINIDL_CUDA_DETERMINISTIC=1 in the environment sets it for the process.
    """
    token = _deterministic.set(enabled)
    try:
        yield
    finally:
        _deterministic.reset(token)
