"""The pool of threads: starting, interrupts, the end."""

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from minidl.backends.kernels.runtime import thread_pool
from minidl.backends.kernels.runtime.scheduling import SPINS
from tests.backends.kernels.runtime.pool_support import (
    all_meet,
    caller_and_workers_do_chunks,
    count,
    count_slowly,
    counts_of_a_run,
    do_every_chunk_once,
    in_python,
    restart,
    run,
    workers,
)

pytestmark = pytest.mark.usefixtures("pool")


# How many workers.


def test_workers_are_started_when_they_are_needed():
    assert thread_pool.control(1) == 0
    for threads, expected in [(2, 1), (8, 7), (3, 7), (64, 63), (1000, 63), (1, 63)]:
        assert thread_pool.control(threads) == thread_pool._address
        assert len(workers()) == expected
        counts = np.zeros(threads, np.int64)
        run(count, counts, threads)
        assert (counts == 1).all()
    assert {thread.daemon for thread in workers()} == {True}
    assert {thread.name for thread in workers()} == {f"minidl-{i}" for i in range(1, 64)}


@pytest.mark.parametrize(("cores", "expected"), [(1, 0), (2, 1), (5, 4), (64, 63), (200, 63)])
def test_there_are_no_more_threads_than_cores(cores, expected, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(thread_pool.threads, "cores", lambda: cores)
    assert (thread_pool.control(1000) != 0) == (expected > 0)
    assert len(workers()) == expected


def test_the_numbers_of_threads_change_from_run_to_run():
    generator = random.Random(1)
    for _ in range(100):
        threads = generator.choice([1, 2, 3, 4, 8, 64])
        if generator.random() < 0.1:
            restart()
        counts = np.zeros(64, np.int64)
        run(count, counts, threads)
        assert (counts == (np.arange(64) < threads)).all()


@pytest.mark.parametrize("possible", [0, 2])
def test_threads_that_cannot_be_started_are_done_without(possible, monkeypatch):
    tried, start = [], threading.Thread.start

    def limited(thread):
        tried.append(thread)
        if len(tried) > possible:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    message = f"only {possible} threads besides this one: can't start"
    with pytest.warns(RuntimeWarning, match=message) as warned:
        everything = [counts_of_a_run(9) for _ in range(10)]
    assert (np.stack(everything) == 1).all()
    assert len(warned) == 1
    assert len(tried) == possible + 1
    assert len(workers()) == possible
    assert (thread_pool.control(9) != 0) == (possible > 0)


def test_the_warning_is_no_error(monkeypatch, recwarn):
    import warnings

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    warnings.simplefilter("error")
    assert thread_pool.control(2) == 0


def test_threads_that_are_none_do_not_serve(monkeypatch):
    """Libraries of green threads let a function run on the thread that starts it."""
    monkeypatch.setattr(threading.Thread, "start", lambda thread: thread.run())
    counts = np.zeros(4, np.int64)
    run(count, counts, 4)
    assert (counts == 1).all()


# Interrupts.


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such signals")
def test_signals_are_for_the_main_thread():
    masks, together = {}, threading.Barrier(3)

    def note(chunk):
        masks[threading.current_thread().name] = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        together.wait(30)

    run(in_python(note), None, 3)
    for name in ("minidl-1", "minidl-2"):
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGALRM} <= masks[name]
        assert not {signal.SIGSEGV, signal.SIGFPE} & masks[name]
    assert signal.SIGINT not in masks[threading.current_thread().name]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers")
def test_an_interrupt_comes_when_all_chunks_are_done():
    per_second = thread_pool._block[SPINS] * 1_000_000_000 // thread_pool._AWAKE
    data = np.array([per_second // 2, 0])
    run(count_slowly, np.array([1, 0]), 3)  # is compiled, and workers are there

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            data[1] = 0
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                run(count_slowly, data, 3)
            assert data[1] == 3
    finally:
        signal.signal(signal.SIGALRM, before)
    caller_and_workers_do_chunks()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers")
def test_an_interrupt_at_any_moment_leaves_the_pool_whole(monkeypatch):
    armed = []

    def interrupt(*_):
        if armed:
            raise KeyboardInterrupt

    # Inside a finaliser, an interrupt is lost.
    monkeypatch.setattr(sys, "unraisablehook", lambda error: None)
    counts, generator = np.zeros(5, np.int64), random.Random(0)
    run(count, counts, 5)
    restart()  # all is compiled
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(400):
            end = time.monotonic() + 0.02
            with suppress(KeyboardInterrupt):
                armed.append(turn)
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(5e-6, 2e-3))
                while time.monotonic() < end:
                    run(count, counts, 5)
                    if turn % 2:
                        restart(spins=1000)
            armed.clear()
            assert not thread_pool._lock.locked()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (counts == counts[0]).all()
    restart()
    assert all_meet()


def test_errors_in_a_task_of_pythons_disturb_nobody(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: seen.append(error.exc_type))

    def fail(chunk):
        raise ZeroDivisionError

    run(in_python(fail), None, 4)
    assert seen == [ZeroDivisionError] * 4
    do_every_chunk_once()


# The end of Python.

PROGRAM = """
import atexit, sys, threading, time
import numpy as np

def compute():
    y = np.asarray(minidl.tanh(x))
    assert y.shape == (300, 300)

if "handler" in sys.argv:
    atexit.register(lambda: compute())
import minidl
from minidl.backends.kernels.runtime import thread_pool

thread_pool._most_workers = lambda: 4
minidl.set_num_threads(3)
x = minidl.ones((300, 300))

def compute_for_ever():
    while True:
        compute()

compute()
assert len(thread_pool._workers) == 2
if "handler" in sys.argv:
    atexit.register(compute)
if "sleeping" in sys.argv:
    time.sleep(0.1)
if "daemons" in sys.argv:
    for _ in range(2):
        threading.Thread(target=compute_for_ever, daemon=True).start()
    time.sleep(0.1)
if "spinning" in sys.argv:
    thread_pool._block[thread_pool.SPINS] = 1 << 24
    compute()
if "thread" in sys.argv:
    threading.Thread(target=lambda: [time.sleep(0.1), compute()]).start()
if "error" in sys.argv:
    sys.exit(3)
print("end")
"""


@pytest.mark.parametrize(
    "how", ["", "sleeping", "spinning", "daemons", "thread", "handler", "error"]
)
@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.full)])
def test_python_ends_in_peace(how, times):
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *how.split()],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (3 if how == "error" else 0, "")
        assert done.stdout == ("" if how == "error" else "end\n")
