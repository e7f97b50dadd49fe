"""A pool for tests, and tasks for it."""

import ctypes
import random
import threading
import time

import numpy as np
from llvmlite import ir

from minidl.backends.kernels.runtime import scheduling, thread_pool
from minidl.backends.kernels.runtime.atomics import add, load, pause
from minidl.backends.kernels.runtime.functions import intrinsic, outlined
from minidl.backends.kernels.runtime.scheduling import LOCK, SLEEPERS, SPINS

WORD, BYTE = ctypes.c_int64, ctypes.c_void_p


def restart(spins=None):
    """Stop the workers; others come when they are needed, which look so often before they sleep."""
    with thread_pool._lock:
        thread_pool._stop_workers()
        thread_pool._block[SPINS] = spins or thread_pool._spins()
        if not thread_pool._block[LOCK]:
            thread_pool._block[LOCK] = thread_pool._locked_lock()


# Tasks.


@intrinsic("u8* -> i64*")
def words(builder, data):
    return builder.bitcast(data, ir.IntType(64).as_pointer())


@intrinsic("i64* -> u8*")
def characters(builder, data):
    return builder.bitcast(data, ir.IntType(8).as_pointer())


@outlined("u8* i64")
def count(data, chunk):
    """Count the calls for each chunk."""
    add(words(data), chunk, 1)


@outlined("u8* i64")
def meet(data, chunk):
    """Wait until as many threads are here as the first word says, then leave together."""
    add(words(data), 1, 1)
    while load(words(data), 1) % load(words(data), 0) != 0:
        pause()


@outlined("u8* i64")
def count_slowly(data, chunk):
    """Count after as many pauses as the first word says."""
    for _ in range(load(words(data), 0)):
        pause()
    add(words(data), 1, 1)


_run = scheduling.run


@outlined("i64* i64 i64* i64 i64 i64")
def run_often(control, task, data, chunks, times, gap):
    """Run a task again and again, with so many pauses in between."""
    for _ in range(times):
        _run(control, task, characters(data), chunks)
        for _ in range(gap):
            pause()


def run(task, data, chunks, threads=None, control=None):
    """Run a task on the pool, from Python."""
    if control is None:
        control = thread_pool.control(threads or chunks)
    code = ctypes.CFUNCTYPE(None, BYTE, BYTE, BYTE, WORD)(scheduling.run.address)
    code(control, address_of(task), data if data is None else data.ctypes.data, chunks)


def run_in_a_loop(task, data, chunks, times, gap):
    code = ctypes.CFUNCTYPE(None, BYTE, BYTE, BYTE, WORD, WORD, WORD)(run_often.address)
    control = thread_pool.control(chunks)
    code(control, task.address, data.ctypes.data, chunks, times, gap)


def address_of(task):
    return task.address if hasattr(task, "address") else ctypes.cast(task, BYTE).value


def counts_of_a_run(chunks):
    """How often each chunk was done."""
    counts = np.zeros(chunks, np.int64)
    run(count, counts, chunks)
    return counts


def in_python(function):
    """A task that calls a function of Python's with the chunk."""
    return ctypes.CFUNCTYPE(None, BYTE, WORD)(lambda _, chunk: function(chunk))


def workers():
    alive = filter(threading.Thread.is_alive, threading.enumerate())
    return [thread for thread in alive if thread.name.startswith("minidl-")]


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def all_sleep():
    return thread_pool._block[SLEEPERS] == 2 ** len(workers()) - 1


def all_meet():
    """Three threads work at once, and every chunk is done once."""
    meeting, counts = np.array([3, 0]), np.zeros(50, np.int64)
    run(meet, meeting, 3)
    run(count, counts, 50, threads=4)
    return bool(meeting[1] == 3 and (counts == 1).all())


def do_every_chunk_once():
    """Run any numbers of chunks on any numbers of threads."""
    generator = random.Random(0)
    for _ in range(500):
        chunks, threads = generator.randint(0, 200), generator.randint(1, 9)
        counts = np.zeros(200, np.int64)
        run(count, counts, chunks, threads)
        assert (counts == (np.arange(200) < chunks)).all()


def caller_and_workers_do_chunks():
    """Three chunks that wait for each other, on three threads."""
    names, together = [], threading.Barrier(3)

    def note(chunk):
        names.append(threading.current_thread().name)
        together.wait(30)

    run(in_python(note), None, 3)
    assert sorted(names) == sorted([threading.current_thread().name, "minidl-1", "minidl-2"])
