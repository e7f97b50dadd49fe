"""Measurements in a fresh interpreter: `python -m bench.child <action> <library> …` prints one.

This module imports only light modules, and starts the clock before it imports any other.  With
BENCH_CHECKOUT, `minidl` is the package in that folder, while `bench` stays the one of this module.
"""

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

TURNS = 5  # of a step in one interpreter


def seconds_to_import(library: str) -> float:
    """The seconds that importing a library takes."""
    start = time.perf_counter()
    import_module(library)
    return time.perf_counter() - start


def seconds_to_first_step(library: str, workload: str) -> float:
    """The seconds until the first step of a workload is done, import included."""
    start = time.perf_counter()
    _, step = _prepared(library, workload)
    step()
    return time.perf_counter() - start


def seconds_per_step(library: str, workload: str) -> float:
    """The median seconds of a step, after it has warmed up."""
    _, step = _prepared(library, workload)
    return import_module("bench.measure").by_turns([step], TURNS)[0]


def peak_memory(library: str, workload: str) -> float:
    """The peak of the bytes that three steps allocate on top of the set-up.

    A discarded run comes first, so that the code they need is in memory already.
    """
    _, step = _prepared(library, workload)
    step()
    del step
    _, step = _prepared(library, workload)
    _reset_peak()
    before = _peak()
    for _ in range(3):
        step()
    return _peak() - before


def _prepared(library: str, workload: str) -> tuple[Any, Any]:
    """The library's module, and its step for the workload."""
    work = import_module("bench.workloads").WORKLOADS[workload]
    module = import_module("bench.libraries").load(library)
    return module, getattr(module, work.task)(**work.arguments())


def _reset_peak() -> None:
    """Reset the peak to the memory resident now, if the system allows it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int:
    """The peak resident memory in bytes.

    Not `ru_maxrss`, which in a child starts from the memory its parent had resident at the fork.
    """
    return status_bytes("VmHWM")


def status_bytes(field: str) -> int:
    """A field of /proc/self/status in bytes: VmRSS, resident now; VmHWM, its peak."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


ACTIONS: dict[str, Callable[..., float]] = {
    "import": seconds_to_import,
    "first-step": seconds_to_first_step,
    "step": seconds_per_step,
    "memory": peak_memory,
}

if __name__ == "__main__":
    if "BENCH_CHECKOUT" in os.environ:
        sys.path[0] = os.environ["BENCH_CHECKOUT"]  # instead of the folder of `bench`, now loaded
    action, *arguments = sys.argv[1:]
    print(ACTIONS[action](*arguments))
