"""How kernels are compiled, cached and run on threads.

A kernel is a Python function of arrays and scalars that Numba compiles to machine code when it is
first called, once for each combination of argument types.  The decorators here say how; kernels
take everything of Numba's from this file.

Entry points, which Python calls:

    @compiled          one thread
    @parallel          a loop over chunks of the work, on one thread or on several

Functions that only kernels call:

    @inner             compiled by itself; LLVM inlines it where that pays
    @inlined           copied into its caller before types are inferred; floating-point flags are
                       the caller's
    @scalar_function   a formula of scalars, always inlined by LLVM
    @reassociating     sums may be evaluated in any order, so that LLVM vectorises a reduction
    @bare              Numba's defaults

    @intrinsic         a generator of LLVM instructions

and `compile_to_address`, for machine code that kernels call through its address.

**Arithmetic.**  Division follows NumPy's rules (no exception at 0).  A product and a sum may be
contracted to one fused multiply-add, which rounds once.  Nothing else may change the order or the
rounding of operations, except in `reassociating`.

**The cache.**  The machine code of entry points is kept for the next process (`runtime.cache`).

**Threads.**  minidl splits work in one place, `minidl.backends.threads`: it gives the number of
chunks for an amount of work.  A parallel kernel loops over the chunks with `prange`, and
`chunk_bounds` gives the range of each:

    @parallel
    def _twice(x, y, chunks):
        for chunk in prange(chunks):
            start, stop = chunk_bounds(x.size, chunk, chunks)
            for i in range(start, stop):
                y[i] = 2 * x[i]

    _twice(x, y, threads.chunks(0.2 * x.size))

The chunks run on Numba's pool of threads, which is not re-entrant: one Python thread uses it at a
time.  Another one that arrives meanwhile runs its chunks one after the other; the result is the
same.  Kernels release the interpreter lock.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numba
import numba.extending
import numpy as np
from numba.core.ccallback import CFunc

from minidl.backends.kernels.runtime.cache import KernelCache, is_cacheable
from minidl.errors import ArgumentError

__all__ = [
    "as_contiguous",
    "bare",
    "carray",
    "chunk_bounds",
    "compile_to_address",
    "compiled",
    "inlined",
    "inner",
    "intrinsic",
    "parallel",
    "prange",
    "reassociating",
    "scalar_function",
]

# What Numba compiles, Numba types: to Python's type checkers it is Any.
_njit: Any = numba.njit
_config: Any = numba.config
prange: Any = numba.prange
carray: Any = numba.carray
intrinsic: Any = numba.extending.intrinsic

_FLAGS = {
    "error_model": "numpy",
    "fastmath": {"contract"},
    "nogil": True,
    "no_cfunc_wrapper": True,  # nobody calls kernels from C
}
# Of all that Numba could make parallel, only loops over prange.
_IMPLICIT = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
_ONLY_PRANGE = {"prange": True, **dict.fromkeys(_IMPLICIT, False)}

inlined = _njit(inline="always")
reassociating = _njit(fastmath={"reassoc", "contract"}, nogil=True)
bare = _njit
scalar_function: Any = numba.extending.register_jitable(forceinline=True)


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call; its code is cached with theirs."""
    return _njit(**_FLAGS, no_cpython_wrapper=True)(function)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a kernel for one thread."""
    return _cached(_njit(**_FLAGS)(function), function, "alone")


class parallel:  # noqa: N801 - a decorator
    """Compile a loop over chunks twice, each version when it is first needed.

    One version runs on a single thread, the other on the pool of threads.  The last argument of
    the kernel is the number of chunks.
    """

    _pool: Any = Lock()

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__doc__ = function.__doc__
        self._alone = compiled(function)
        team = _njit(**_FLAGS, parallel=_ONLY_PRANGE)(function)
        self._team = _cached(team, function, "team")

    def __call__(self, *arguments: Any) -> Any:
        """Run all chunks: on the pool if there are several, and the pool is free."""
        if arguments[-1] == 1 or self._pool.locked():
            return self._alone(*arguments)
        # Two threads that come here at once wait for each other.  `with` cannot lose the lock to an
        # interrupt, as acquire() before a try statement can.
        with self._pool:
            return self._team(*arguments)


def compile_to_address(function: Callable[..., Any], signature: Any) -> int:
    """Compile a function of pointers and integers for kernels to call; the address of its code."""
    code: Any = CFunc(function, (signature.args, signature.return_type), locals={}, options={})
    _cached(code, function, "address").compile()
    _alive.append(code)
    return code.address


_alive: list[Any] = []  # machine code is freed with the object that owns it


@inlined
def chunk_bounds(n: Any, chunk: Any, chunks: Any) -> Any:
    """Where a chunk of 0 … n − 1 starts and stops; chunks differ in size by at most 1."""
    return n * chunk // chunks, n * (chunk + 1) // chunks


def as_contiguous(x: np.ndarray) -> np.ndarray:
    """The array in the layout that kernels are compiled for, C-contiguous and writeable.

    It is copied if its layout is another one, for which Numba would compile the kernel anew.
    """
    return x if x.flags.carray else np.array(x, order="C")


def _cached(compiler: Any, function: Callable[..., Any], variant: str) -> Any:
    """Let a compiler of Numba's, of this function, keep its machine code in our cache.

    Numba's own takes the folder from a setting of the process, and trusts what it finds there.
    """
    if _config.DISABLE_JIT:
        raise ArgumentError(
            "Numba compiles minidl's kernels, and NUMBA_DISABLE_JIT forbids it; unset it, or "
            'compute without kernels: `with minidl.kernels("reference"):`'
        )
    if is_cacheable(function):
        compiler._cache = KernelCache(function, variant)
    return compiler
