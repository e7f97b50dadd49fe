"""Measurements in fresh interpreters: imports, first steps, and peak memory."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[1]
FRESH_RUNS, COLD_RUNS = 10, 3
# Freed arrays return to the system at once, so that the peak is that of live arrays.
_RETURN_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def median_seconds(
    commands: Sequence[Sequence[str]],
    *,
    cold: bool = False,
    environments: Sequence[dict[str, str]] | None = None,
) -> list[float]:
    """For each command of `bench.child`, the median of its runs, interleaved with the others.

    The first run of each is not counted: it reads the files into memory, and fills the caches of
    bytecode and compiled kernels.  If `cold`, every run has an empty cache of kernels.
    """
    run, count = (_run_cold, COLD_RUNS) if cold else (_run, FRESH_RUNS)
    sides = list(zip(commands, environments or [{}] * len(commands), strict=True))
    runs = [[run(command, environment) for command, environment in sides] for _ in range(1 + count)]
    return [median(seconds) for seconds in zip(*runs[1:], strict=True)]


def median_seconds_of_checkouts(
    command: Sequence[str], checkout: Path, *, cold: bool = False
) -> list[float]:
    """The median seconds of a command in this checkout of minidl and in another, interleaved."""
    with TemporaryDirectory() as cache:  # neither replaces the other's compiled kernels
        other = {"BENCH_CHECKOUT": str(checkout.resolve()), "MINIDL_CACHE": cache}
        return median_seconds([command] * 2, cold=cold, environments=[{}, other])


def _run_cold(command: Sequence[str], environment: dict[str, str]) -> float:
    """Run with empty caches, as after an installation."""
    with TemporaryDirectory() as folder:
        return _run(command, {**environment, "MINIDL_CACHE": folder, "XDG_CACHE_HOME": folder})


def peak_memory(library: str, workload: str) -> float:
    """The peak of the bytes that steps of a workload allocate on top of model and data."""
    return _run(["memory", library, workload], _RETURN_MEMORY)


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    """The number that `bench.child` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", *command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"bench.child {' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])
