"""The bits of every kernel, as digests: whether a change left all of them as they were.

    python -m tests.bits before.json            # on the old code
    python -m tests.bits after.json before.json # on the new: names what differs

Each case runs forward and backward on fixed random numbers, in one chunk and in two.  Together they
call every kernel for every signature that is declared beside it; `unreached` says which they did
not.
"""

import hashlib
from typing import Any

from minidl.backends import cpu
from minidl.backends.kernels.compiler.declared import declared
from minidl.backends.kernels.runtime import cache, machine_code, thread_pool
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.machine_code import ObjectFile, symbol_of
from tests.backends.kernels.conv.algorithms import split_into
from tests.bits import attention, convolutions, layers, neighbors, operations, sequences

__all__ = ["digests", "reached", "unreached"]

PARTS = attention, convolutions, layers, neighbors, operations, sequences


def digests(every: int = 1) -> dict[str, str]:
    """The digest of each case, or of every so many of them, in one chunk and in two."""
    found = {}
    for chunks in (1, 2):
        cases = [case for part in PARTS for case in part.cases()]
        with split_into(chunks), cpu.quiet():
            for name, run in cases[::every]:
                name = f"{name}, chunks={chunks}"
                assert name not in found, f"there are two cases {name}"
                found[name] = _digest(run())
    thread_pool._stop_workers()  # as at the end of a program
    return found


def _digest(values: list[Any]) -> str:
    found = hashlib.sha256()
    for value in values:
        array = value.numpy()
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


def reached() -> set[str]:
    """The kernels that were called so far, for which arguments, and the functions that they call.

    What a kernel calls is written in its object file, in the cache.
    """
    outlined = machine_code.outlined.items()
    called = {name for name, function in outlined if function._address is not None}
    for kernel in Kernel.all.values():
        called.update(symbol_of(kernel, signature) for signature in kernel._entries)
    files = [cache.load(symbol) for symbol in called]
    return called.union(*(ObjectFile.from_bytes(file).needs for file in files if file))


def unreached() -> list[str]:
    """The declared kernels and functions that were not called so far."""
    return sorted({symbol_of(*item) for item in declared()} - reached())
