"""How kernels are written: functions of arrays and scalars that are compiled to machine code.

Entry points, which Python calls:

    @compiled(signature, …)     one thread
    @parallel(signature, …)     one chunk of the work, for a pool of threads to run

Functions that only kernels call:

    @inner              compiled by itself; LLVM inlines it where that pays
    @inlined            copied into its caller before types are inferred; floating-point flags are
                        the caller's
    @scalar_function    a formula of scalars, always inlined by LLVM
    @reassociating      sums may be evaluated in any order, so that LLVM vectorises a reduction
    @bare               Numba's defaults
    @outlined(signature)    compiled once to machine code of its own, which kernels call

    @intrinsic(signature)   a generator of LLVM instructions: from a builder and the values of the
                            arguments (of an array, its address) to the value of the result

**Signatures** (`runtime.signature`) say for which types of arguments a kernel is compiled; its last
arguments, `chunk` and `chunks`, are not in them.

**Arithmetic.**  Division follows NumPy's rules (no exception at 0).  A product and a sum may be
contracted to one fused multiply-add, which rounds once.  Nothing else may change the order or the
rounding of operations, except in `reassociating`.

**Threads.**  minidl splits work in one place, `minidl.backends.threads`: it gives the number of
chunks for an amount of work.  A parallel kernel does one of them, and `chunk_bounds` gives its
range:

    @parallel("f32[n] f32[n]")
    def _twice(x, y, chunk, chunks):
        start, stop = chunk_bounds(x.size, chunk, chunks)
        for i in range(start, stop):
            y[i] = 2 * x[i]

    _twice(x, y, threads.chunks(0.2 * x.size))
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from minidl.backends.kernels.runtime import signature as signatures

__all__ = [
    "as_contiguous",
    "bare",
    "carray",
    "chunk_bounds",
    "compiled",
    "inlined",
    "inner",
    "intrinsic",
    "outlined",
    "parallel",
    "reassociating",
    "scalar_function",
]

FLAGS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


class Inner:
    """A function that only kernels call, with the settings it is compiled with."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.py_func, self.targetoptions = function, options  # Numba inlines by these names
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        """Run in Python, slowly."""
        return self.py_func(*arguments)

    @cached_property
    def _numba_type_(self) -> Any:
        from minidl.backends.kernels.compiler import frontend

        return frontend.type_of_inner(self)


def _inner(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    return lambda function: Inner(function, options)


inner = _inner(**FLAGS)
inlined = _inner(inline="always")
scalar_function = _inner(forceinline=True)
reassociating = _inner(fastmath={"reassoc", "contract"}, nogil=True)
bare = _inner()


class Intrinsic:
    """A generator of LLVM instructions that kernels call like a function."""

    def __init__(self, generate: Callable[..., Any], signature: str) -> None:
        self.generate, self.signature = generate, signatures.parse(signature)
        self.__name__, self.__doc__ = generate.__name__, generate.__doc__

    @cached_property
    def _numba_type_(self) -> Any:
        from minidl.backends.kernels.compiler import frontend

        return frontend.type_of_intrinsic(self)


def intrinsic(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Let kernels call a function (builder, *values) → value that generates instructions."""
    return lambda generate: Intrinsic(generate, signature)


class Outlined:
    """A function with machine code of its own, which kernels call by its symbol."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function, self.signature = function, signatures.parse(signature)
        self.name = _name(function)
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @cached_property
    def _numba_type_(self) -> Any:
        from minidl.backends.kernels.compiler import frontend

        return frontend.type_of_outlined(self)

    @cached_property
    def address(self) -> int:
        """Where its machine code lies."""
        return self._numba_type_ and self.code.address


def outlined(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function once, for kernels to call; inlined, it would be compiled in each of them."""
    return lambda function: Outlined(function, signature)


class Kernel:
    """An entry point."""

    all: list["Kernel"] = []

    def __init__(
        self, function: Callable[..., Any], declared: tuple[str, ...], parallel: bool
    ) -> None:
        self.function, self.parallel, self.name = function, parallel, _name(function)
        self.signatures = tuple(map(signatures.parse, declared))
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.all.append(self)

    @cached_property
    def _interim(self) -> Any:
        from minidl.backends.kernels.compiler import frontend

        return frontend.interim(self)

    def __call__(self, *arguments: Any) -> Any:
        """Run; of a parallel kernel the last argument is the number of chunks."""
        if not self.parallel:
            return self._run(arguments)
        *rest, chunks = arguments
        result = None
        for chunk in range(chunks):
            result = self._run((*rest, chunk, chunks))
        return result

    def _run(self, arguments: tuple[Any, ...]) -> Any:
        given = signatures.of_arguments(arguments[:-2] if self.parallel else arguments)
        if given not in self.signatures:
            import os

            if os.environ.get("MINIDL_STRICT"):
                raise TypeError(f"{self.name} is not declared for {given}")
        return self._interim(*arguments)


def compiled(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel for one thread."""
    return lambda function: Kernel(function, signatures, parallel=False)


def parallel(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel that does one chunk of the work: its last arguments are `chunk, chunks`."""
    return lambda function: Kernel(function, signatures, parallel=True)


@inlined
def chunk_bounds(n: Any, chunk: Any, chunks: Any) -> Any:
    """Where a chunk of 0 … n − 1 starts and stops; chunks differ in size by at most 1."""
    return n * chunk // chunks, n * (chunk + 1) // chunks


def as_contiguous(x: np.ndarray) -> np.ndarray:
    """The array in the layout that kernels are compiled for, C-contiguous and writeable."""
    return x if x.flags.carray else np.array(x, order="C")


def _name(function: Callable[..., Any]) -> str:
    module = function.__module__.removeprefix("minidl.backends.kernels.")
    return f"{module}.{function.__qualname__}"


class _NumbaFunction:
    """A function of Numba's, by its name."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    @cached_property
    def _numba_type_(self) -> Any:
        from minidl.backends.kernels.compiler import frontend

        return frontend.type_of_numba_function(self.__name__)


carray: Any = _NumbaFunction("carray")
