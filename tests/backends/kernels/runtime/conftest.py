"""The pool of threads as tests of it need it."""

import pytest

from minidl.backends.kernels.runtime import thread_pool
from minidl.backends.kernels.runtime.scheduling import MOST_WORKERS
from tests.backends.kernels.runtime.pool_support import restart


@pytest.fixture
def pool(monkeypatch):
    """A pool without workers, which may have more of them than there are cores."""
    monkeypatch.setattr(thread_pool, "_most_workers", lambda: MOST_WORKERS)
    monkeypatch.setattr(thread_pool, "_has_warned", False)
    restart()
    yield
    restart()
