"""Atomic operations, and calls of C functions, for machine code that threads share.

Words are int64, addressed by a pointer and an index.  Loads and stores are *sequentially
consistent*: all threads see all of them, and those that exchange or add, in one order, and what a
thread wrote before a store is seen by whoever has read what it stored.

    L. Lamport, How to make a multiprocessor computer that correctly executes multiprocess programs,
    1979; H.-J. Boehm and S. Adve, Foundations of the C++ concurrency memory model, 2008.
"""

import sys
from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.functions import intrinsic
from minidl.backends.kernels.runtime.level import level

__all__ = [
    "UNKNOWN",
    "acquire_lock",
    "add",
    "address_of",
    "call_task",
    "clear_bits",
    "compare_exchange",
    "core",
    "load",
    "lowest_bit",
    "pause",
    "release_lock",
    "set_bits",
    "store",
]

UNKNOWN = -1  # core

_ORDER = "seq_cst"
_INT, _C_INT, _BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
_ALIGNMENT = 8

# What lets another thread of this core run while one waits in a loop.  `yield`, the hint of Arm's
# manual, does nothing on most of its processors; `isb` takes as long as x86's `pause`.
_PAUSES = {"x86_64": ("llvm.x86.sse2.pause", []), "aarch64": ("llvm.aarch64.isb", [_C_INT(15)])}


@intrinsic("i64* i64 -> i64")
def load(builder: Any, words: Any, index: Any) -> Any:
    """The value of a word."""
    return builder.load_atomic(builder.gep(words, [index]), _ORDER, _ALIGNMENT)


@intrinsic("i64* i64 i64")
def store(builder: Any, words: Any, index: Any, value: Any) -> None:
    """Set a word."""
    builder.store_atomic(value, builder.gep(words, [index]), _ORDER, _ALIGNMENT)


@intrinsic("i64* i64 i64 -> i64")
def add(builder: Any, words: Any, index: Any, value: Any) -> Any:
    """Add to a word; the value that it had before."""
    return builder.atomic_rmw("add", builder.gep(words, [index]), value, _ORDER)


@intrinsic("i64* i64 i64 -> i64")
def set_bits(builder: Any, words: Any, index: Any, bits: Any) -> Any:
    """Make these bits of a word 1; the value that it had before."""
    return builder.atomic_rmw("or", builder.gep(words, [index]), bits, _ORDER)


@intrinsic("i64* i64 i64 -> i64")
def clear_bits(builder: Any, words: Any, index: Any, bits: Any) -> Any:
    """Make these bits of a word 0; the value that it had before."""
    return builder.atomic_rmw("and", builder.gep(words, [index]), builder.not_(bits), _ORDER)


@intrinsic("i64* i64 i64 i64 -> i64")
def compare_exchange(builder: Any, words: Any, index: Any, expected: Any, value: Any) -> Any:
    """Set a word if it has the expected value; the value that it had before."""
    word = builder.gep(words, [index])
    return builder.extract_value(builder.cmpxchg(word, expected, value, _ORDER), 0)


@intrinsic("")
def pause(builder: Any) -> None:
    """Wait for some nanoseconds, in a loop that waits for another thread."""
    if level().architecture in _PAUSES:
        name, arguments = _PAUSES[level().architecture]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(_extern(builder, name, kind), arguments)


@intrinsic("-> i64")
def core(builder: Any) -> Any:
    """The number of the core that this thread runs on; UNKNOWN except on Linux."""
    if sys.platform != "linux":
        return _INT(UNKNOWN)
    number = builder.call(_extern(builder, "sched_getcpu", ir.FunctionType(_C_INT, [])), [])
    return builder.sext(number, _INT)


@intrinsic("i64 -> i64")
def lowest_bit(builder: Any, bits: Any) -> Any:
    """The position of the lowest bit that is 1; there is one."""
    return builder.cttz(bits, ir.IntType(1)(1))


# Addresses and calls.


@intrinsic("T* -> i64")
def address_of(builder: Any, pointer: Any) -> Any:
    """A pointer as an integer."""
    return builder.ptrtoint(pointer, _INT)


@intrinsic("i64 i64 i64")
def call_task(builder: Any, task: Any, data: Any, chunk: Any) -> None:
    """Call the C function `void task(char *data, long long chunk)`, from its address."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, _INT])
    task = builder.inttoptr(task, kind.as_pointer())
    builder.call(task, [builder.inttoptr(data, _BYTES), chunk])


# Python's locks: to lock is to wait until somebody has released, whichever thread that is.  They
# are part of Python's stable interface, and need no interpreter lock.


@intrinsic("i64")
def acquire_lock(builder: Any, lock: Any) -> None:
    """Sleep until the lock is free, and lock it."""
    acquire = _extern(builder, "PyThread_acquire_lock", ir.FunctionType(_C_INT, [_BYTES, _C_INT]))
    builder.call(acquire, [builder.inttoptr(lock, _BYTES), _C_INT(1)])


@intrinsic("i64")
def release_lock(builder: Any, lock: Any) -> None:
    """Free a lock that is locked, which wakes a thread that waits for it."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTES])
    builder.call(_extern(builder, "PyThread_release_lock", kind), [builder.inttoptr(lock, _BYTES)])


def _extern(builder: Any, name: str, kind: Any) -> Any:
    """A C function, by its symbol."""
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
