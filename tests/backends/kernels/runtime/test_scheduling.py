"""Sharing the chunks of a kernel: every chunk once, sleep and waking."""

import ctypes
import os
import random
import sys
import threading
import time

import numpy as np
import pytest

from minidl.backends.kernels.runtime import thread_pool
from minidl.backends.kernels.runtime.scheduling import SERVED, SLEEPERS, work
from tests.backends.kernels.runtime.pool_support import (
    BYTE,
    WORD,
    all_sleep,
    caller_and_workers_do_chunks,
    count,
    do_every_chunk_once,
    in_python,
    meet,
    restart,
    run,
    run_in_a_loop,
    wait_until,
    workers,
)

pytestmark = pytest.mark.usefixtures("pool")


# Every chunk once.


def test_every_chunk_is_done_once():
    do_every_chunk_once()


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
    caller_and_workers_do_chunks()


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
    wait_until(lambda: thread_pool._block[SERVED] == 1)
    serve = ctypes.CFUNCTYPE(None, BYTE, WORD)(work.address)
    serve(thread_pool._address, 0)  # returns, since worker 0 is there already
    assert thread_pool._block[SERVED] == 1


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
