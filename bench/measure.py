"""Interleaved timing of both sides in one process, on the same data."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.libraries import task
from bench.workloads import Workload

Step = Callable[[], Sequence[Any]]

CHECKED_STEPS = 3  # later steps show whether gradients and updates agree too
TOLERANCE = 1e-4  # relative to the largest element
WARM_SECONDS = 0.2
TURN_SECONDS = 0.03
MAX_CALLS = 1000


def prepare(name: str, workload: Workload, libraries: Sequence[ModuleType]) -> list[Step]:
    """The step of each library for a workload, after a check that their results agree."""
    steps = [task(library, workload.task)(**workload.arguments()) for library in libraries]
    for number in range(CHECKED_STEPS):
        results = [
            list(map(library.numpy, step())) for library, step in zip(libraries, steps, strict=True)
        ]
        for position, arrays in enumerate(zip(*results, strict=True)):
            error = _difference(*arrays)
            if not error <= TOLERANCE:
                raise BenchError(
                    f"{name}: result {position} of step {number} differs by {error:.1e}, relative "
                    f"to its largest element; at most {TOLERANCE:.0e} is allowed"
                )
    return steps


def waited_for(step: Step, library: ModuleType) -> Step:
    """A step that ends when the GPU is done."""

    def step_and_wait() -> Sequence[Any]:
        results = step()
        library.synchronize()
        return results

    return step_and_wait


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest element."""
    if one.shape != other.shape:
        return float("inf")
    scale = max(np.abs(other).max(), np.finfo(other.dtype).tiny)
    return float(np.abs(one - other).max() / scale)


def by_turns(steps: Sequence[Step], rounds: int) -> list[float]:
    """The median seconds of each step.

    The steps take turns of a few hundredths of a second.  The first call of a turn is not counted:
    it refills the caches after the other side's turn, and wakes this side's threads.
    """
    turns = [_calls_in_a_turn(step) for step in steps]
    times: list[list[float]] = [[] for _ in steps]
    with _without_collector():
        for _ in range(rounds):
            for step, calls, seconds in zip(steps, turns, times, strict=True):
                gc.collect()
                step()
                seconds += [_timed(step) for _ in range(calls)]
    return [median(seconds) for seconds in times]


def _calls_in_a_turn(step: Step) -> int:
    """Warm a step up; return the number of calls that fit into a turn."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < WARM_SECONDS:
        times.append(_timed(step))
    return min(max(round(TURN_SECONDS / median(times)), 1), MAX_CALLS)


def _timed(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


@contextmanager
def _without_collector() -> Iterator[None]:
    """Collect garbage only on request, and only among objects created from now on.

    Otherwise each side would pay for the other's objects.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
