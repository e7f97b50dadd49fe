"""The pool of threads, and processes that are forked."""

import _imp
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from llvmlite import ir

from minidl.backends.kernels.runtime import thread_pool
from minidl.backends.kernels.runtime.functions import intrinsic, outlined
from minidl.backends.kernels.runtime.scheduling import (
    CHUNKS,
    LEFT,
)
from tests.backends.kernels.runtime.pool_support import (
    WORD,
    all_meet,
    count,
    count_slowly,
    restart,
    run,
    wait_until,
    workers,
)

pytestmark = pytest.mark.usefixtures("pool")


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
@pytest.mark.parametrize("times", [40, pytest.param(200, marks=pytest.mark.full)])
def test_forks_while_other_threads_compute(times):
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
        assert all(in_child(all_meet) for _ in range(times))
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
    fork = ctypes.PYFUNCTYPE(WORD)(fork_in_c.address)
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
