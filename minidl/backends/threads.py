"""The one owner of threads.

Numba's pool and BLAS's pool know nothing of each other: when both are awake, each waits for cores
on which the other spins, and a product of matrices takes ten times as long.  So kernels split their
work in one pool only, Numba's, and ask here into how many pieces; they call BLAS for products so
small that it uses no threads.  What is split depends on the sizes and the number of threads alone,
so that the same program gives the same bits.
"""

import os

from minidl.errors import ArgumentError

_WORTH = 10_000  # nanoseconds of work that a thread is woken for


def _at_the_start() -> int:
    """OMP_NUM_THREADS, else every core that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _at_the_start()


def get_num_threads() -> int:
    """How many threads a kernel uses at most.

    >>> minidl.get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Use at most n threads in kernels; at the start it is OMP_NUM_THREADS, else every core.

    >>> before = minidl.get_num_threads()
    >>> minidl.set_num_threads(1)  # leave the other cores to other programs
    >>> minidl.get_num_threads()
    1
    >>> minidl.set_num_threads(before)
    """
    global _threads
    if type(n) is not int or n < 1:
        raise ArgumentError(f"set_num_threads: needs a whole number from 1 on; got {n!r}")
    _threads = n


def pieces(nanoseconds: float) -> int:
    """Into how many pieces to split work that takes one thread about so long."""
    return max(1, min(_threads, int(nanoseconds) // _WORTH))
