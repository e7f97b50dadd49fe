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

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime import machine_code, thread_pool
from minidl.backends.kernels.runtime import signature as signatures
from minidl.backends.kernels.runtime.functions import (
    FLAGS,
    bare,
    carray,
    chunk_bounds,
    inlined,
    inner,
    intrinsic,
    name_of,
    outlined,
    reassociating,
    scalar_function,
)

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

_OF_THE_POOL = [f"runtime.scheduling:{name}" for name in ("run", "spin", "work", "stop")]


class Kernel:
    """An entry point of machine code, for the declared signatures and any others it is called for.

    Machine code is looked for when the kernel is called for the first time (`machine_code`).
    """

    options = FLAGS
    all: ClassVar[dict[str, "Kernel"]] = {}

    def __init__(
        self,
        function: Callable[..., Any],
        declared: Sequence[str],
        parallel: bool,
        followers: Sequence[str],
        wide: bool = False,
    ) -> None:
        self.function, self.parallel, self.name = function, parallel, name_of(function)
        self.followers, self.wide = followers, wide
        self.signatures = signatures.parse_all(declared)
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self._entries: dict[signatures.Signature, Callable[..., Any]] = {}
        self.all[self.name] = self

    def __call__(self, *arguments: Any) -> Any:
        """Run; of a parallel kernel the last argument is the number of chunks."""
        if self.parallel:
            pool = thread_pool.control(arguments[-1]) if arguments[-1] > 1 else 0
            arguments = *arguments, pool
        for entry in self._entries.values():
            result = entry(*arguments)
            if result is not NotImplemented:
                return result
        return self._run_new(arguments)

    def _run_new(self, arguments: Sequence[Any]) -> Any:
        """Run for arguments that no entry takes so far."""
        arguments = tuple(map(signatures.plain, arguments))
        own = arguments[:-2] if self.parallel else arguments
        signature = signatures.of_arguments(own)
        if signature is None:
            given = ", ".join(map(signatures.described, own))
            raise TypeError(f"the kernel {self.name} cannot take these arguments: {given}")
        fitting = (own for own in self.signatures if signatures.takes(own, signature))
        signature = next(fitting, signature)
        with machine_code.lock:
            if signature not in self._entries:
                entry = machine_code.entry(self, signature, self._following(signature))
                self._entries = {**self._entries, signature: entry}
        result = self._entries[signature](*arguments)
        if result is NotImplemented:  # it must not pass for a result
            raise TypeError(f"the kernel {self.name} was compiled for other arguments")
        return result

    def _following(self, signature: signatures.Signature) -> list[machine_code.Item]:
        """What is probably needed after this kernel: of its followers, the same signature."""
        place = self.signatures.index(signature) if signature in self.signatures else 0
        module = self.name.partition(":")[0]
        names = [name if ":" in name else f"{module}:{name}" for name in self.followers]
        if threads.get_num_threads() > 1:
            names += _OF_THE_POOL
        return [
            (found, found.signatures[place] if isinstance(found, Kernel) else None)
            for found in map(find, names)
        ]


def compiled(*signatures: str, then: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel for one thread."""
    return lambda function: Kernel(function, signatures, parallel=False, followers=then)


def parallel(
    *signatures: str, then: Sequence[str] = (), wide: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel that does one chunk of the work: its last arguments are `chunk, chunks`.

    then    kernels that are needed after this one, as those of its gradient, and outlined functions
            that it calls: where it has to be compiled, they are compiled in the background
    wide    loops use vectors of the full width where LLVM would prefer half of it, since wide ones
            may lower the processor's clock, also for what follows: for kernels that run long
    """
    return lambda function: Kernel(function, signatures, True, then, wide)


def as_contiguous(x: np.ndarray) -> np.ndarray:
    """The array in the layout that kernels are compiled for, C-contiguous and writeable."""
    return x if x.flags.carray else np.array(x, order="C")


def prepare(names: Sequence[str]) -> None:
    """Have the first signature of these kernels compiled in the background, if it has to be."""
    found = map(find, names)
    machine_code.prepare(
        [(item, item.signatures[0] if isinstance(item, Kernel) else None) for item in found]
    )


def find(name: str) -> Any:
    """The kernel or the outlined function of this name."""
    module = name.partition(":")[0]
    import_module(f"minidl.backends.kernels.{module}")
    return Kernel.all.get(name) or machine_code.outlined[name]
