"""cupy.RawModule and cupy.RawKernel: the same CUDA source, run on the CPU by an executor."""

import os
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from tests.cuda.stand_in.arrays import ndarray
from tests.cuda.stand_in.counters import Differs, counters
from tests.cuda.stand_in.devices import current_device

EXECUTORS = {
    "gcc": "tests.cuda.host.gcc",
    "asan": "tests.cuda.host.sanitized",
    "tsan": "tests.cuda.host.sanitized",
    "ptx": "tests.cuda.ptx.executor",
}
_DIMENSIONS = 2**31 - 1, 65535, 65535
_THREADS = 1024, 1024, 64


def executor() -> str:
    """What runs kernels: MINIDL_CUDA_EXECUTOR, else gcc."""
    return os.environ.get("MINIDL_CUDA_EXECUTOR", "gcc")


@cache
def _loaded(code: str, include: tuple[str, ...], which: str) -> Any:
    module = import_module(EXECUTORS[which])
    return module.load(code, include, which) if "san" in which else module.load(code, include)


class RawModule:
    """cupy.RawModule."""

    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Any = None,
        jitify: bool = False,
    ) -> None:
        if code is None:
            raise NotImplementedError("the stand-in compiles source only")
        if not code.isascii():
            raise Differs("CuPy writes the source in the system's encoding, which may be ASCII")
        self.code, self.options = code, tuple(options)
        self.include = tuple(o.removeprefix("-I") for o in self.options if o.startswith("-I"))

    def compile(self, log_stream: Any = None) -> None:
        self._executed()

    def _executed(self) -> Any:
        return _loaded(self.code, self.include, executor())

    def get_function(self, name: str) -> "Function":
        return Function(self, name)


class Function:
    """A kernel of a module."""

    def __init__(self, module: RawModule, name: str) -> None:
        self.module, self.name = module, name
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        grid, block = _three(grid), _three(block)
        _check_shape(self.name, grid, block)
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: {shared_mem} bytes shared")
        for value in args:
            if isinstance(value, ndarray) and value._memory.device_id != current_device():
                raise Differs(f"{self.name}: an array of another device than the current one")
        counters.launch(self.name)
        plain = [_argument(self.name, i, value) for i, value in enumerate(args)]
        self.module._executed().launch(self.name, grid, block, plain, shared_mem)


class RawKernel(Function):
    """cupy.RawKernel."""

    def __init__(
        self,
        code: str,
        name: str,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        *,
        enable_cooperative_groups: bool = False,
        jitify: bool = False,
    ) -> None:
        super().__init__(RawModule(code=code, options=options), name)


def _three(shape: Any) -> tuple[int, int, int]:
    x, y, z = (*shape, 1, 1, 1)[:3]
    return int(x), int(y), int(z)


def _check_shape(name: str, grid: Any, block: Any) -> None:
    """Raise for what the driver refuses."""
    fits = all(0 < n <= most for n, most in zip(grid, _DIMENSIONS, strict=True))
    fits = fits and all(0 < n <= most for n, most in zip(block, _THREADS, strict=True))
    if not fits or int(np.prod(block)) > 1024:
        raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {name}: grid {grid}, block {block}")


def _argument(name: str, i: int, value: Any) -> Any:
    """A NumPy array (a pointer) or a NumPy scalar, of an argument that CuPy takes."""
    if isinstance(value, ndarray):
        return value._a
    if value is None or isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value[()]
    if isinstance(value, bool | int | float | complex):
        raise Differs(f"{name}: argument {i} is {value!r}, which CuPy passes as 8 bytes")
    raise TypeError(f"Unsupported type {type(value)}")
