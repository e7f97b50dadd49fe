"""The executor `gcc`: kernels compiled by gcc, run in this process."""

import ctypes
import threading
from typing import Any

import numpy as np

from tests.cuda.host.build import library

_one_at_a_time = threading.Lock()  # a library has one block at work


class ArgumentsError(TypeError):
    """A launch whose arguments are not those of the kernel's parameters."""


class LaunchError(RuntimeError):
    """What a kernel did that is undefined: a barrier that some threads do not reach."""


class Module:
    """A compiled source; `launch` runs one of its kernels on arrays of NumPy."""

    def __init__(self, code: str, include: tuple[str, ...] = ()) -> None:
        path, self.kernels = library(code, include)
        self._library = ctypes.CDLL(str(path))
        self._parameters: dict[str, list[str]] = {}
        self._text = ctypes.create_string_buffer(512)

    def parameters(self, name: str) -> list[str]:
        """The types of the kernel's parameters: "f4", "*f4" (a pointer), "S40" (a struct)."""
        if name not in self._parameters:
            text = ctypes.create_string_buffer(4096)
            getattr(self._library, f"minidl_describe_{name}")(text)
            self._parameters[name] = text.value.decode().split()
        return self._parameters[name]

    def launch(self, name: str, grid: Any, block: Any, arguments: Any, shared: int) -> None:
        """Run the kernel; each argument is a NumPy array, a NumPy scalar, or None for no array."""
        values = packed(name, self.parameters(name), arguments)
        pointers = (ctypes.c_void_p * max(1, len(values)))(*(v.ctypes.data for v in values))
        shape = (ctypes.c_uint * 6)(*grid, *block)
        with _one_at_a_time:
            function = getattr(self._library, f"minidl_launch_{name}")
            function(shape, ctypes.c_size_t(shared), pointers)
            self._library.minidl_failure(self._text)
        if self._text.value:
            raise LaunchError(self._text.value.decode())


def packed(name: str, parameters: list[str], arguments: Any) -> list[np.ndarray]:
    """The bytes of each argument, after checking it against the parameter's type."""
    if len(parameters) != len(arguments):
        raise ArgumentsError(f"{name} has {len(parameters)} parameters; got {len(arguments)}")
    each = enumerate(zip(parameters, arguments, strict=True))
    return [_packed(f"{name}: argument {i}", kind, value) for i, (kind, value) in each]


def _packed(where: str, kind: str, value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        if not fits(kind, value.dtype):
            raise ArgumentsError(f"{where} is {kind}; got an array of {value.dtype}")
        return np.array(value.ctypes.data, np.uint64)
    if value is None or isinstance(value, np.uintp) and kind.startswith("*") and not value:
        if not kind.startswith("*"):
            raise ArgumentsError(f"{where} is {kind}; got None")
        return np.array(0, np.uint64)
    held = np.asarray(value)
    code = f"{held.dtype.kind}{held.dtype.itemsize}".replace("V", "S")
    if code != kind:
        raise ArgumentsError(f"{where} is {kind}; got {held.dtype}")
    return np.ascontiguousarray(held)


def fits(kind: str, dtype: np.dtype) -> bool:
    """Whether a pointer of this kind may point at elements of the dtype."""
    if not kind.startswith("*"):
        return False
    to, size = kind[1], int(kind[2:])
    if to in "SV":  # vectors of elements, or anything
        return True
    return dtype.itemsize == size and (dtype.kind == to or {dtype.kind, to} <= set("iub"))


load = Module
