"""What runs in a fresh interpreter: `python -m bench.child <action> <library> …` prints a number.

Only light modules are imported here, and the clock starts before anything else is.
"""

import sys
import time
from importlib import import_module
from typing import Any


def seconds_to_import(library: str) -> float:
    """How long the import of a library takes."""
    start = time.perf_counter()
    import_module(library)
    return time.perf_counter() - start


def seconds_to_first_step(library: str, workload: str) -> float:
    """How long it takes until the first step of a workload is done, the import included."""
    start = time.perf_counter()
    _, step = _prepared(library, workload)
    step()
    return time.perf_counter() - start


def peak_memory(library: str, workload: str) -> float:
    """How many bytes three steps take on top of what the set-up holds, at their peak.

    A run that is thrown away comes first, so that the code they need is in memory already.
    """
    _, step = _prepared(library, workload)
    step()
    del step
    _, step = _prepared(library, workload)
    _forget_peak()
    before = _peak()
    for _ in range(3):
        step()
    return _peak() - before


def _prepared(library: str, workload: str) -> tuple[Any, Any]:
    """The library's file, and its step for the workload."""
    work = import_module("bench.workloads").WORKLOADS[workload]
    module = import_module("bench.libraries").load(library)
    return module, getattr(module, work.task)(**work.arguments())


def _forget_peak() -> None:
    """Let the peak begin anew from what is resident now, if the system allows it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int:
    """The most bytes that have been resident.

    Not `ru_maxrss`: a child's begins with what its parent had resident when it was started.
    """
    return status_bytes("VmHWM")


def status_bytes(field: str) -> int:
    """What the system says of this process: VmRSS is resident now, VmHWM was at most."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


ACTIONS = {
    "import": seconds_to_import,
    "first-step": seconds_to_first_step,
    "memory": peak_memory,
}

if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    print(ACTIONS[action](*arguments))
