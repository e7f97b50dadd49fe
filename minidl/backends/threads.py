"""Thread count, and splitting work into chunks for threads.

Numba's and BLAS's thread pools are independent: when both are active, each waits for cores on which
the other spins, and a matrix product takes ten times as long.  So kernels run in one pool only,
Numba's, with the number of chunks from here; they call BLAS only for products so small that it uses
no threads.  The chunks depend on the sizes and the number of threads alone, so that the same
program gives the same bits.
"""

import os

from minidl.errors import ArgumentError

_WORTH = 10_000  # nanoseconds of work that justify waking a thread


def _default() -> int:
    """OMP_NUM_THREADS, else every core that this process may use."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    if requested.isdecimal() and int(requested):
        return int(requested)
    return cores()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _default()


def get_num_threads() -> int:
    """The maximum number of threads that a kernel uses.

    >>> minidl.get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Use at most n threads in kernels; the default is OMP_NUM_THREADS, else every core.

    >>> before = minidl.get_num_threads()
    >>> minidl.set_num_threads(1)  # leave the other cores to other programs
    >>> minidl.get_num_threads()
    1
    >>> minidl.set_num_threads(before)
    """
    global _threads
    if type(n) is not int or n < 1:
        raise ArgumentError(f"set_num_threads: needs an integer ≥ 1; got {n!r}")
    _threads = n


def chunks(nanoseconds: float) -> int:
    """The number of chunks into which to split work that takes one thread about this long."""
    return max(1, min(_threads, int(nanoseconds) // _WORTH))
