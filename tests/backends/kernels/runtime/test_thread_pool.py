"""The pool of threads: every chunk once, sleep and waking, starting, interrupts, the end."""

import _imp
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from llvmlite import ir

from minidl.backends.kernels.runtime import thread_pool
from minidl.backends.kernels.runtime.atomics import add, load, pause
from minidl.backends.kernels.runtime.functions import intrinsic, outlined
from minidl.backends.kernels.runtime.thread_pool import CHUNKS, LEFT, SLEEPERS, SPINS, work

MOST = thread_pool.MOST_WORKERS
_word, _byte = ctypes.c_int64, ctypes.c_void_p


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool without workers, which may have more of them than there are cores."""
    monkeypatch.setattr(thread_pool, "_most_workers", lambda: MOST)
    monkeypatch.setattr(thread_pool, "_has_warned", False)
    restart()
    yield
    restart()


def restart(spins=None):
    """Stop the workers; others come when they are needed, which look so often before they sleep."""
    with thread_pool._lock:
        thread_pool._stop_workers()
        thread_pool._block[SPINS] = spins or thread_pool._spins()
        if not thread_pool._block[thread_pool.LOCK]:
            thread_pool._block[thread_pool.LOCK] = thread_pool._locked_lock()


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


_run = thread_pool.run


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
    code = ctypes.CFUNCTYPE(None, _byte, _byte, _byte, _word)(thread_pool.run.address)
    code(control, address_of(task), data if data is None else data.ctypes.data, chunks)


def run_in_a_loop(task, data, chunks, times, gap):
    code = ctypes.CFUNCTYPE(None, _byte, _byte, _byte, _word, _word, _word)(run_often.address)
    control = thread_pool.control(chunks)
    code(control, task.address, data.ctypes.data, chunks, times, gap)


def address_of(task):
    return task.address if hasattr(task, "address") else ctypes.cast(task, _byte).value


def counts_of_a_run(chunks):
    """How often each chunk was done."""
    counts = np.zeros(chunks, np.int64)
    run(count, counts, chunks)
    return counts


def in_python(function):
    """A task that calls a function of Python's with the chunk."""
    return ctypes.CFUNCTYPE(None, _byte, _word)(lambda _, chunk: function(chunk))


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


# Every chunk once.


def test_every_chunk_is_done_once():
    generator = random.Random(0)
    for _ in range(500):
        chunks, threads = generator.randint(0, 200), generator.randint(1, 9)
        counts = np.zeros(200, np.int64)
        run(count, counts, chunks, threads)
        assert (counts == (np.arange(200) < chunks)).all()


@pytest.mark.parametrize("spins", [1, 20, 400])
@pytest.mark.parametrize("chunks", [2, 3, 8])
def test_workers_and_callers_sleep_and_wake_at_any_moment(chunks, spins):
    restart(spins)
    generator = random.Random(chunks)
    for _ in range(30):
        counts, times = np.zeros(chunks, np.int64), generator.randint(1, 300)
        run_in_a_loop(count, counts, chunks, times, gap=generator.randint(0, 2 * spins))
        assert (counts == times).all()


@pytest.mark.parametrize("spins", [1, 100])
@pytest.mark.parametrize("threads", [2, 4])
def test_as_many_threads_work_at_once_as_there_are_chunks(threads, spins):
    restart(spins)
    meeting, times = np.array([threads, 0]), 50
    run_in_a_loop(meet, meeting, threads, times, gap=spins)
    assert meeting[1] == threads * times


def test_several_python_threads_run_at_once():
    failed, start = [], threading.Barrier(4)

    def caller(seed):
        generator = random.Random(seed)
        start.wait()
        for _ in range(300):
            chunks = generator.randint(1, 20)
            counts = np.zeros(20, np.int64)
            run(count, counts, chunks, threads=generator.randint(1, 4))
            if not (counts == (np.arange(20) < chunks)).all():
                failed.append(counts)

    callers = [threading.Thread(target=caller, args=(seed,)) for seed in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not failed


def test_the_caller_and_the_workers_do_chunks():
    names, together = [], threading.Barrier(3)

    def note(chunk):
        names.append(threading.current_thread().name)
        together.wait(30)

    run(in_python(note), None, 3)
    assert sorted(names) == sorted([threading.current_thread().name, "minidl-1", "minidl-2"])


def test_without_a_pool_the_caller_does_everything_in_order():
    done = []
    note = in_python(lambda chunk: done.append((chunk, threading.get_ident())))
    run(note, None, 7, control=0)
    assert done == [(chunk, threading.get_ident()) for chunk in range(7)]
    assert not workers()


def test_a_run_inside_a_run_is_done_by_its_thread():
    outside, inside, together = [], [], threading.Barrier(2)

    def nested(chunk):
        here = threading.get_ident()
        outside.append(here)
        together.wait(30)
        run(in_python(lambda _: inside.append(threading.get_ident() == here)), None, 5)

    run(in_python(nested), None, 2)
    assert len(set(outside)) == 2
    assert inside == [True] * 10


def test_who_finds_the_pool_busy_does_everything_alone():
    busy, done, by = threading.Event(), threading.Event(), []

    def wait(chunk):
        busy.set()
        done.wait(30)

    other = threading.Thread(target=run, args=(in_python(wait), None, 2))
    other.start()
    busy.wait(30)
    run(in_python(lambda _: by.append(threading.get_ident())), None, 5)
    assert by == [threading.get_ident()] * 5
    done.set()
    other.join()


def test_a_worker_has_its_place_for_itself():
    thread_pool.control(2)
    wait_until(lambda: thread_pool._block[thread_pool.SERVED] == 1)
    serve = ctypes.CFUNCTYPE(None, _byte, _word)(work.address)
    serve(thread_pool._address, 0)  # returns, since worker 0 is there already
    assert thread_pool._block[thread_pool.SERVED] == 1


# Waiting.


def test_idle_workers_use_no_processor():
    run(count, np.zeros(8, np.int64), 8)
    wait_until(all_sleep)
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.02


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells nobody's core")
def test_on_the_callers_core_nobody_spins():
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # of this thread, and of those that it starts
    try:
        restart(spins=1 << 27)
        run(count, np.zeros(3, np.int64), 3)
        before = time.process_time()
        wait_until(all_sleep)
        assert time.process_time() - before < 0.2
    finally:
        os.sched_setaffinity(0, cores)


def test_all_are_woken_if_there_is_enough_for_all():
    restart(spins=1)
    for threads in (2, 3, 5, 16, 64):
        thread_pool.control(threads)
        wait_until(all_sleep)
        meeting = np.array([threads, 0])
        run(meet, meeting, threads)
        assert meeting[1] == threads


def test_no_more_are_woken_than_there_are_chunks():
    thread_pool.control(8)
    wait_until(all_sleep)
    run(meet, np.array([2, 0]), 2)
    assert bin(thread_pool._block[SLEEPERS]).count("1") >= 6


def test_a_caller_that_waits_long_sleeps():
    chunk_of, mine = {}, threading.get_ident()

    def long_in_a_worker(chunk):
        chunk_of[threading.get_ident()] = chunk
        if threading.get_ident() == mine:
            wait_until(lambda: len(chunk_of) == 2)
        else:
            time.sleep(0.5)

    before = time.thread_time()
    run(in_python(long_in_a_worker), None, 2)
    assert len(chunk_of) == 2
    assert time.thread_time() - before < 0.1


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
    test_the_caller_and_the_workers_do_chunks()


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
    test_every_chunk_is_done_once()


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
def test_python_ends_in_peace(how):
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *how.split()],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (3 if how == "error" else 0, "")
        assert done.stdout == ("" if how == "error" else "end\n")


# Forks.

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_child(function):
    """Whether a function returns True in a forked child."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function() is True else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def all_meet():
    """Three threads work at once, and every chunk is done once."""
    meeting, counts = np.array([3, 0]), np.zeros(50, np.int64)
    run(meet, meeting, 3)
    run(count, counts, 50, threads=4)
    return bool(meeting[1] == 3 and (counts == 1).all())


@needs_fork
def test_a_fork_leaves_parent_and_child_a_pool_each():
    for spins in (1, 1000):
        restart(spins)
        assert all_meet()
        assert in_child(lambda: all_meet() and all_meet() and len(workers()) == 3)
        assert not workers()
        assert all_meet()
        assert in_child(lambda: in_child(all_meet) and all_meet())


@needs_fork
def test_forks_while_other_threads_compute():
    failed, over = [], threading.Event()

    def caller():
        while not over.is_set():
            counts = np.zeros(6, np.int64)
            run(count, counts, 6, threads=4)
            if not (counts == 1).all():
                failed.append(counts)

    callers = [threading.Thread(target=caller) for _ in range(2)]
    for thread in callers:
        thread.start()
    try:
        assert all(in_child(all_meet) for _ in range(200))
    finally:
        over.set()
        for thread in callers:
            thread.join()
    assert not failed
    assert all_meet()


@needs_fork
def test_a_fork_by_another_thread_than_the_main_one():
    long, results = np.array([10_000_000, 0]), []
    caller = threading.Thread(target=run, args=(count_slowly, long, 4))
    caller.start()
    wait_until(lambda: thread_pool._block[CHUNKS] == 4)
    forking = threading.Thread(target=lambda: results.append(in_child(all_meet)))
    forking.start()
    forking.join()
    caller.join()
    assert results == [True]
    assert long[1] == 4


@intrinsic("-> i64")
def fork_and_tell_the_child(builder):
    """Fork, and do in the child what Python asks programs for that embed it."""
    i32 = ir.IntType(32)
    fork = ir.Function(builder.module, ir.FunctionType(i32, []), "fork")
    told = ir.FunctionType(ir.VoidType(), [])
    told = ir.Function(builder.module, told, "PyOS_AfterFork_Child")
    process = builder.call(fork, [])
    with builder.if_then(builder.icmp_signed("==", process, i32(0))):
        builder.call(told, [])
    return builder.sext(process, ir.IntType(64))


@outlined("-> i64")
def fork_in_c():
    return fork_and_tell_the_child()


@needs_fork
def test_a_fork_that_only_the_child_is_told_of():
    """So do servers that embed Python: the workers were there, wherever they were."""
    fork = ctypes.PYFUNCTYPE(_word)(fork_in_c.address)
    assert all_meet()
    for spins in (1, 1 << 20):
        restart(spins)
        over = threading.Event()

        def caller(over=over):
            while not over.is_set():
                run(count, np.zeros(6, np.int64), 6, threads=4)

        other = threading.Thread(target=caller)
        other.start()
        time.sleep(0.05)
        try:
            for _ in range(20):
                _imp.acquire_lock()  # Python ≥ 3.13 releases it in the child
                child = fork()
                if child == 0:
                    try:
                        os._exit(0 if all_meet() else 1)
                    finally:
                        os._exit(2)
                _imp.release_lock()
                assert os.waitpid(child, 0) == (child, 0)
        finally:
            over.set()
            other.join()
        assert thread_pool._block[LEFT] == 0


@needs_fork
def test_a_fork_in_a_handler_of_a_signal_that_interrupts_a_start():
    with thread_pool._lock:
        thread_pool._start_workers(2)
        assert in_child(all_meet)
        assert thread_pool._lock.locked()
    assert all_meet()


@needs_fork
def test_only_one_thread_is_there_when_a_process_is_forked():
    program = (
        "import os, minidl, numpy\n"
        "from minidl.backends.kernels.runtime import thread_pool\n"
        "thread_pool._most_workers = lambda: 4\n"
        "minidl.set_num_threads(5)\n"
        "for _ in range(20):\n"
        "    numpy.asarray(minidl.tanh(minidl.ones((300, 300))))\n"
        "    assert len(thread_pool._workers) == 4\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0) == (child, 0)\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
