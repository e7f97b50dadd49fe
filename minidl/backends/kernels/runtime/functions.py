"""Functions that only kernels call: what `runtime.kernel` offers for writing them.

Numba compiles them, but is not asked before: each object knows the type by which Numba can call it
(`_numba_type_`), and finds it out when a kernel that calls it is compiled.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from minidl.backends.kernels.runtime import machine_code
from minidl.backends.kernels.runtime import signature as signatures

# By the class of an object here: from the object to its type for Numba.  The compiler fills it in.
numba_types: dict[type, Callable[[Any], Any]] = {}

FLAGS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


class _Callable:
    """What kernels can call."""

    @cached_property
    def _numba_type_(self) -> Any:
        return numba_types[type(self)](self)


class Inner(_Callable):
    """A function that only kernels call, with the settings it is compiled with."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.py_func, self.targetoptions = function, options  # Numba inlines by these names
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        """Run in Python, slowly."""
        return self.py_func(*arguments)


def _inner(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    return lambda function: Inner(function, options)


inner = _inner(**FLAGS)
inlined = _inner(inline="always")
scalar_function = _inner(forceinline=True)
reassociating = _inner(fastmath={"reassoc", "contract"}, nogil=True)
bare = _inner()


class Intrinsic(_Callable):
    """A generator of LLVM instructions that kernels call like a function."""

    def __init__(self, generate: Callable[..., Any], signature: str) -> None:
        self.generate, self.signature = generate, signatures.parse(signature)
        self.__name__, self.__doc__ = generate.__name__, generate.__doc__


def intrinsic(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Let kernels call a function (builder, *values) → value that generates instructions."""
    return lambda generate: Intrinsic(generate, signature)


class Outlined(_Callable):
    """A function with machine code of its own, which kernels call by its symbol."""

    options = FLAGS
    wide = False

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function, self.signature = function, signatures.parse(signature)
        self.name = name_of(function)
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self._address: int | None = None
        machine_code.outlined[self.name] = self

    @property
    def address(self) -> int:
        """Where its machine code lies."""
        # Not a cached_property: before Python 3.12 it holds a lock, also in a forked child.
        if self._address is None:
            self._address = machine_code.address_of(self.name)
        return self._address


def outlined(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function once, for kernels to call; inlined, it would be compiled in each."""
    return lambda function: Outlined(function, signature)


@inlined
def chunk_bounds(n: Any, chunk: Any, chunks: Any) -> Any:
    """Where a chunk of 0 … n − 1 starts and stops; chunks differ in size by at most 1."""
    return n * chunk // chunks, n * (chunk + 1) // chunks


def name_of(function: Callable[..., Any]) -> str:
    """The name of a kernel: its file in this package, and its own in that file."""
    module = function.__module__.removeprefix("minidl.backends.kernels.")
    return f"{module}:{function.__qualname__}"


class ArrayAt(_Callable):
    """carray(address, shape): the numbers from an address on, as a C-contiguous array."""

    __name__ = "carray"


carray: Any = ArrayAt()
