"""Compiled code: the lock of the thread pool, and what forbids compiling."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from minidl.backends.kernels.runtime.compile import parallel


def test_an_interrupt_at_any_moment_leaves_the_pool_free():
    kernel = parallel(lambda x, chunks: None)
    kernel._team = kernel._alone = lambda x, chunks: x

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    generator = random.Random(0)
    try:
        for _ in range(1000):
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(5e-6, 1e-4))
                while True:
                    kernel(0, 2)
            assert not kernel._pool.locked()
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("operation", ["minidl.exp(x)", "minidl.linear(x, x)"])
def test_numba_forbidden_to_compile_is_said(operation):
    program = f"import minidl; x = minidl.ones((200, 200)); print({operation})"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    run = {"env": environment, "capture_output": True, "text": True}
    failed = subprocess.run([sys.executable, "-c", program], **run)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert "NUMBA_DISABLE_JIT forbids it; unset it, or" in last
    program = program.replace("print", 'with minidl.kernels("reference"): print')
    program = program.replace("; with", "\nwith")
    subprocess.run([sys.executable, "-c", program], check=True, **run)
