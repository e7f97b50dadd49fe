"""The pool of threads that kernels run on: self-scheduling of chunks, competitive spinning.

    P. Tang and P.-C. Yew, Processor self-scheduling for multiple-nested parallel loops, 1986.
    A. Karlin, K. Li, M. Manasse, S. Owicki, Empirical studies of competitive spinning for a
    shared-memory multiprocessor, 1991.

Machine code calls `run(control, task, data, chunks)`, without the interpreter lock: it calls the C
function `task(data, chunk)` once for each chunk, and returns when all are done.  The threads of the
pool, the *workers*, and the *caller* take the chunks from a counter, one after the other.

**Nothing depends on the workers.**  The caller takes chunks until none is left, and waits only for
those that workers have taken.  So workers may come late, be too few, or be stopped at any time; and
a caller that finds the pool busy with the chunks of another does all of its own.

**Waiting.**  Who waits spins for a while, and then sleeps.  Between the kernels of a training step
workers stay awake, since being woken takes about as long as a small kernel; in an idle process they
sleep, and use no processor.  A worker that the system has put on the caller's core does not spin:
it would keep the caller from what it waits for.

**Sleeping** is locking a lock that is locked already, one for each thread; who releases it wakes
the thread.  A thread first announces that it will sleep, then looks once more for what it waits
for; who provides that does so first, and looks for sleepers then.  All four are sequentially
consistent, so at least one of the two sees the other (Dekker's algorithm).  Each announcement is
taken back once: by the sleeper itself, or by who is going to release its lock.

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
from minidl.backends.kernels.runtime.atomics import (
    UNKNOWN,
    acquire_lock,
    add,
    address_of,
    call_task,
    clear_bits,
    compare_exchange,
    core,
    load,
    lowest_bit,
    pause,
    release_lock,
    set_bits,
    store,
)
from minidl.backends.kernels.runtime.functions import inner, outlined

__all__ = ["control", "run", "work"]

# The words of the control block.  What is written at different times lies on different cache lines;
# processors fetch lines in pairs.
_APART = 16
LEFT, TASK, DATA, CHUNKS = range(4)  # LEFT: chunks that nobody has taken
CORE = CHUNKS + 1  # on which the caller runs
PENDING, ASLEEP = _APART, _APART + 1  # chunks that are not done; whether the caller sleeps
BUSY = 2 * _APART  # whether a thread is in `run`
SLEEPERS = 3 * _APART  # a bit for each worker that sleeps
STOP = 4 * _APART  # whether the workers are to stop
SERVED = STOP + 1  # a bit for each worker that there is
# What a forked process keeps, or makes anew:
SPINS = STOP + 2  # how often one looks before one sleeps
LOCK = STOP + 3  # the lock that the caller sleeps on; then those of the workers
LOCKS = LOCK + 1

MOST_WORKERS = 63  # bits of a word, without the sign


# The caller.


@outlined("i64* i64 u8* i64")
def run(control, task, data, chunks):
    """Call task(data, chunk) for all chunks, on this thread and the workers."""
    data_address = address_of(data)
    alone = chunks < 2 or address_of(control) == 0
    if alone or compare_exchange(control, BUSY, 0, 1) != 0:
        for chunk in range(chunks):
            call_task(task, data_address, chunk)
        return
    control[TASK] = task
    control[DATA] = data_address
    control[CHUNKS] = chunks
    store(control, CORE, core())
    store(control, PENDING, chunks)
    store(control, LEFT, chunks - 1)  # from here on workers take them; the first is this thread's
    _wake(control, min(chunks - 1, 2))
    call_task(task, data_address, 0)
    done = 1 + _do_chunks(control)
    if add(control, PENDING, -done) > done:
        _await_workers(control)
    store(control, BUSY, 0)


@inner
def _do_chunks(control):
    """Do chunks until none is left; how many it were.

    Who has taken a chunk knows that its run lasts, and may read what it is about.
    """
    done = 0
    while True:
        left = load(control, LEFT)
        if left == 0:
            return done
        if compare_exchange(control, LEFT, left, left - 1) == left:
            call_task(control[TASK], control[DATA], control[CHUNKS] - left)
            done += 1


@inner
def _await_workers(control):
    """Wait until the chunks that workers have taken are done."""
    for _ in range(control[SPINS]):
        if load(control, PENDING) == 0:
            return
        pause()
    while load(control, PENDING) > 0:  # a worker that was late for the last run may wake us too
        store(control, ASLEEP, 1)
        if load(control, PENDING) > 0 or compare_exchange(control, ASLEEP, 1, 0) == 0:
            acquire_lock(control[LOCK])


@inner
def _wake(control, count):
    """Wake workers; fewer if fewer sleep."""
    while count > 0:
        sleepers = load(control, SLEEPERS)
        if sleepers == 0:
            return
        others = sleepers & (sleepers - 1)
        if compare_exchange(control, SLEEPERS, sleepers, others) == sleepers:
            release_lock(control[LOCKS + lowest_bit(sleepers)])
            count -= 1


# Workers.


@outlined("i64* i64")
def work(control, worker):
    """The loop of a worker: until it is to stop, do chunks of whatever is run."""
    bit = 1 << worker
    if set_bits(control, SERVED, bit) & bit:  # by another thread, left by an interrupted start
        return
    while load(control, STOP) == 0:
        done = _do_chunks(control)
        if done > 0:
            last = add(control, PENDING, -done) == done
            if last and compare_exchange(control, ASLEEP, 1, 0) == 1:
                release_lock(control[LOCK])
        elif not _finds_work(control):
            _sleep(control, worker)
    clear_bits(control, SERVED, bit)


@inner
def _finds_work(control):
    """Whether there is something to do soon."""
    for _ in range(control[SPINS]):
        if load(control, LEFT) > 0:
            return True
        if core() == load(control, CORE) != UNKNOWN:  # the caller waits for this very core
            break
        pause()
    return False


@inner
def _sleep(control, worker):
    """Sleep until there is something to do.

    Everybody who is woken wakes two others, if there is enough for them: that takes log₂ n steps,
    and not n.
    """
    bit = 1 << worker
    set_bits(control, SLEEPERS, bit)
    idle = load(control, LEFT) == 0 and load(control, STOP) == 0
    if idle or clear_bits(control, SLEEPERS, bit) & bit == 0:
        acquire_lock(control[LOCKS + worker])
        _wake(control, min(load(control, LEFT) - 1, 2))


@outlined("i64*")
def stop(control):
    """Tell all workers to stop."""
    store(control, STOP, 1)
    _wake(control, MOST_WORKERS)


@outlined("i64")
def spin(count):
    """Spin so often, to measure how long it takes."""
    for _ in range(count):
        core()
        pause()


# From here on, Python: which workers there are.

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
