"""Compile CUDA sources and launch their kernels, here and nowhere else.

    _module = Module("softmax.cu")
    _forward = _module.kernel("softmax_forward_f32")
    _forward(grid, block, (x, y, np.int32(rows), np.float32(eps)), shared=0)

A source is compiled by NVRTC when one of its kernels is first launched, once for each device.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cupy
import numpy as np

FOLDER = Path(__file__).parent / "kernels"
OPTIONS = ("-std=c++17", f"-I{FOLDER}")

Shape = int | Sequence[int]


class Module:
    """A CUDA source in minidl_cuda/kernels."""

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
        if 0 in grid:
            return
        function = _function(self.file, self.name, cupy.cuda.runtime.getDevice())
        values = tuple([_NULL if value is None else value for value in arguments])
        function(grid, block, values, shared_mem=shared)


_NULL = np.uintp(0)


def _dimensions(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


@cache
def _module(file: str, device: int) -> Any:
    return cupy.RawModule(code=(FOLDER / file).read_text(encoding="utf-8"), options=OPTIONS)


@cache
def _function(file: str, name: str, device: int) -> Any:
    return _module(file, device).get_function(name)


_deterministic = False


def deterministic() -> bool:
    """Whether kernels must give the same bits in every run, at the cost of speed."""
    return _deterministic
