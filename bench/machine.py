"""The machine: thread limits, and its roofline of GEMM throughput and memory bandwidth."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

GEMM_SIZE = 1024
LARGE = 1 << 28  # bytes, more than any cache holds
_POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "BLIS")


def limit_threads(threads: int) -> None:
    """Limit every thread pool to this size, those loaded now and those loaded later.

    The environment variables are for libraries not loaded yet, and for child processes.
    """
    os.environ.update({f"{pool}_NUM_THREADS": str(threads) for pool in _POOLS})
    threadpool_limits(threads)


def blas() -> str:
    """The BLAS libraries that are loaded, and the kernels that they use on this processor."""
    found = [
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return ", ".join(dict.fromkeys(found)) or "none that threadpoolctl knows"


@dataclass(frozen=True)
class Machine:
    """The rates of the machine with this number of threads."""

    threads: int
    gemm: float  # floating-point operations a second
    copy: float  # bytes a second, read and written, outside the caches

    def floor(self, flops: float, nbytes: float) -> float:
        """The roofline: the minimum seconds for these operations and this traffic, overlapped.

        The traffic is timed as a copy of that size, since small arrays live in the caches.
        """
        return max(flops / self.gemm, copy_seconds(nbytes, self.threads))


def measured(threads: int) -> Machine:
    """Measure the rates of the machine."""
    a, b = (np.ones((GEMM_SIZE, GEMM_SIZE), np.float32) for _ in range(2))
    out = np.empty_like(a)
    gemm = 2 * GEMM_SIZE**3 / best(lambda: np.matmul(a, b, out=out), seconds=0.5)
    return Machine(threads, gemm, LARGE / copy_seconds(LARGE, threads))


def copy_seconds(nbytes: float, threads: int) -> float:
    """The minimum seconds to read half of these bytes and write the other half."""
    source, target = (np.ones(max(int(nbytes) // 2, 1), np.uint8) for _ in range(2))
    chunks = np.array_split(target, threads), np.array_split(source, threads)
    alone = best(lambda: np.copyto(target, source))
    if threads == 1:
        return alone
    with ThreadPoolExecutor(threads) as pool:
        return min(alone, best(lambda: list(pool.map(np.copyto, *chunks))))


def best(function: Callable[[], object], seconds: float = 0.1) -> float:
    """The shortest time of at least five calls, and as many as fit into `seconds`."""
    function()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
