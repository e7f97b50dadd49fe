"""The level of the processor that kernels are compiled for, and what its vector registers are.

A *level* is a set of instructions that many processors share: x86-64-v2, v3 and v4 are those of the
x86-64 psABI, aarch64 is 64-bit Arm with NEON.  Machine code of a level is the same bytes on every
processor that has it, so a program gives the same bits on all of them.

    System V Application Binary Interface, AMD64 Architecture Processor Supplement, 3.1.1.

The highest level that this machine has is used, or the one that `MINIDL_LEVEL` names: a lower one,
to compute what a smaller machine would.
"""

import os
import platform
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import NamedTuple

from minidl.errors import ArgumentError

__all__ = ["LEVELS", "Level", "available", "compile_for", "level"]


class Level(NamedTuple):
    """A set of instructions, and the vector registers that it brings."""

    name: str  # as LLVM knows the processor that has just this
    architecture: str
    features: frozenset[str]  # what it needs, as Linux calls it
    lanes: int  # float32 in a vector register
    registers: int
    constraint: str  # of an operand in such a register, in inline assembly


_V2 = frozenset(["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"])
_V3 = _V2 | frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"])
_V4 = _V3 | frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])

# The highest first.
LEVELS = {
    level.name: level
    for level in (
        Level("x86-64-v4", "x86_64", _V4, 16, 32, "v"),
        Level("x86-64-v3", "x86_64", _V3, 8, 16, "v"),
        Level("x86-64-v2", "x86_64", _V2, 4, 16, "v"),
        Level("x86-64", "x86_64", frozenset(), 4, 16, "v"),
        Level("aarch64", "aarch64", frozenset(), 4, 32, "w"),
    )
}
# Others that LLVM compiles for; 4 lanes and 16 registers are what the least of them have.
_GENERIC = Level("generic", "", frozenset(), 4, 16, "w")

# The names of NumPy for features, on systems without /proc/cpuinfo.
_NUMPY_FEATURES = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "SSE41": "sse4_1",
    "SSE42": "cx16 lahf_lm sse4_2",
    "POPCNT": "popcnt",
    "AVX": "avx",
    "F16C": "f16c",
    "FMA3": "fma movbe",
    "AVX2": "avx2 abm bmi1 bmi2",
    "AVX512F": "avx512f",
    "AVX512CD": "avx512cd",
    "AVX512_SKX": "avx512bw avx512dq avx512vl",
}


_compiled_for: list[Level] = []


@cache
def level() -> Level:
    """The level that is used; ArgumentError if MINIDL_LEVEL names one that this machine lacks."""
    if _compiled_for:
        return _compiled_for[0]
    wanted = os.environ.get("MINIDL_LEVEL")
    here = available()
    if not wanted:
        return here[0] if here else _GENERIC
    found = next((level for level in here if level.name == wanted), None)
    if found is None:
        names = ", ".join(level.name for level in here) or "none that has a name"
        raise ArgumentError(f"MINIDL_LEVEL is {wanted!r}; this processor has {names}")
    return found


def compile_for(name: str) -> None:
    """Let this process compile for a level, which this machine need not have; before all else."""
    _compiled_for[:] = [LEVELS.get(name, _GENERIC)]


def available() -> list[Level]:
    """The levels of this machine, the highest first."""
    machine = platform.machine().lower()
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    features = _features() if architecture == "x86_64" else frozenset()
    return [
        level
        for level in LEVELS.values()
        if level.architecture == architecture and level.features <= features
    ]


def _features() -> frozenset[str]:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        flags = next((line for line in file if line.startswith("flags")), ":")
        return frozenset(flags.split(":")[1].split())
    here = import_module("numpy._core._multiarray_umath").__cpu_features__
    known = (names for name, names in _NUMPY_FEATURES.items() if here.get(name))
    return frozenset(" ".join(known).split())
