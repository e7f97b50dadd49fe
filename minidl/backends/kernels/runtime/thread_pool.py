"""The pool of threads that kernels run on: which workers there are, and since when.

Workers are threads of Python that never come back to it: each runs the loop `scheduling.work`,
which says how chunks are shared.  They are started when a kernel first has chunks for them.

**Forking.**  Before a fork the workers are stopped, and a child starts its own.  The control block,
an array of words that lives as long as the process, is made anew in place in the child: it does not
matter in which state the fork caught it.
"""

import atexit
import ctypes
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, perf_counter_ns
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.scheduling import (
    LOCK,
    LOCKS,
    MOST_WORKERS,
    SPINS,
    STOP,
    spin,
    stop,
    work,
)

_AWAKE = 200_000  # nanoseconds; longer than from kernel to kernel in a step of training

_block = np.zeros(LOCKS + MOST_WORKERS, np.int64)
# Workers may outlive the modules that are taken down when Python ends, and this one with them.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_block))
_address = _block.ctypes.data

_lock = threading.Lock()  # of what follows; who needs a pool at once does not wait for it
_workers: list[threading.Thread] = []
_served = 0  # for this many chunks there are workers, or there cannot be
_control = 0  # what kernels get: the address of the block, or 0 if there are no workers
_is_over = False


def control(chunks: int) -> int:
    """The control block to run so many chunks with, whose workers are there; 0 without workers."""
    return _control if chunks <= _served else _control_with_workers(chunks)


def _control_with_workers(chunks: int) -> int:
    global _served, _control
    if _lock.locked():  # another thread starts them, which need not be waited for
        return _control
    with _lock:
        failure = _start_workers(0 if _is_over else min(chunks - 1, _most_workers()))
        _control = _address if _workers else 0
        _served = max(chunks, _served) if failure is None else sys.maxsize
    if failure is not None:
        _warn(failure)
    return _control


def _most_workers() -> int:
    """As many as there are other cores: more would wait for each other."""
    return min(threads.cores() - 1, MOST_WORKERS)


def _start_workers(count: int) -> str | None:
    """Let there be so many workers; why there are fewer."""
    if _block[STOP]:  # stopping them was interrupted
        _stop_workers()
    if len(_workers) >= count:
        return None
    if not _block[SPINS]:
        _block[LOCK] = _locked_lock()
        assert stop.address  # it is called before a fork, which is no time to compile it
        _block[SPINS] = _spins()
    loop, here = _callable(work, ctypes.c_void_p, ctypes.c_int64), threading.get_native_id()
    for worker in range(len(_workers), count):
        if not _block[LOCKS + worker]:
            _block[LOCKS + worker] = _locked_lock()
        name, arguments = f"minidl-{worker + 1}", (loop, worker, here)
        thread = threading.Thread(target=_serve, name=name, args=arguments, daemon=True)
        _workers.append(thread)  # first: an interrupt may come while it starts
        try:
            thread.start()
        except RuntimeError as error:
            _workers.pop()
            return str(error)
    return None


def _serve(loop: Callable[..., None], worker: int, starter: int) -> None:
    """What a worker's thread does."""
    if threading.get_native_id() == starter:  # gevent's threads run on the thread that starts them
        return
    if hasattr(signal, "pthread_sigmask"):  # signals are to interrupt the main thread
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    loop(_address, worker)


# Signals that say what a thread itself has done; if they are blocked, nobody reports them.
_FAULTS = {
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
    if hasattr(signal, name)
}


def _stop_workers(seconds: float | None = None) -> None:
    """Stop the workers, and wait for their end, at most for so long."""
    global _served
    _served = 0
    if _workers:
        _callable(stop, ctypes.c_void_p)(_address)
    deadline = None if seconds is None else monotonic() + seconds
    for worker in filter(threading.Thread.is_alive, _workers):
        worker.join(None if deadline is None else max(0, deadline - monotonic()))
    _workers[:] = [worker for worker in _workers if worker.is_alive()]
    if not _workers:
        _block[STOP] = 0


def _spins() -> int:
    """How often one looks in _AWAKE."""
    wait = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(spin.address)  # keeps the interpreter lock
    times = []
    for _ in range(3):
        begin = perf_counter_ns()
        wait(1000)
        times.append(perf_counter_ns() - begin)
    return 1 + _AWAKE * 1000 // min(times)


def _locked_lock() -> int:
    """A lock of Python's, locked; it is never freed."""
    made = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))()
    if made is None:
        raise MemoryError
    acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    acquire(("PyThread_acquire_lock", ctypes.pythonapi))(made, 1)
    return made


def _callable(function: Any, *types: Any) -> Callable[..., None]:
    """Machine code for Python to call, without the interpreter lock."""
    return ctypes.CFUNCTYPE(None, *types)(function.address)


_has_warned = False


def _warn(reason: str) -> None:
    global _has_warned
    if _has_warned or not threading.main_thread().is_alive():  # no threads are started at the end
        return
    _has_warned = True
    # A program that makes warnings errors should not fail in its first convolution either.
    with suppress(Warning):
        warnings.warn(
            f"minidl could start only {len(_workers)} threads besides this one: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )


# The end of Python.


@atexit.register
def _end() -> None:
    """Stop the workers; kernels that run later, in daemon threads, run alone."""
    global _is_over, _control
    _is_over, _control = True, 0
    if _lock.acquire(timeout=1):
        _stop_workers(seconds=1)
        _lock.release()


# Forks.

_is_held = False


def _before_fork() -> None:
    """Stop the workers: to fork a process that has one thread only is safe."""
    global _is_held
    # It is held by this very thread, if that forks in a handler of a signal.
    _is_held = _lock.acquire(timeout=1)
    if _is_held:
        _stop_workers()


def _in_parent() -> None:
    global _is_held
    if _is_held:
        _is_held = False
        _lock.release()


def _in_child() -> None:
    """Begin anew: no other thread has come along."""
    global _lock, _served, _is_held
    _lock, _served, _is_held = threading.Lock(), 0, False
    _workers.clear()
    _block[:SPINS] = 0
    for word in range(LOCK, len(_block)):
        if _block[word]:
            _block[word] = _locked_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
