"""Workers that prefetch batches: threads, or spawned processes.

A pool turns jobs into futures of batches; `in_order` keeps a number of jobs in flight.  Processes
are spawned, not forked: a fork copies locks that other threads of the program hold, and nobody in
the child releases them.  Each has its own pipe: closing either end, for whatever reason, ends the
process.
"""

import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from multiprocessing import connection, get_context
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol

from minidl.backends.threads import get_num_threads, set_num_threads
from minidl.data.errors import DataError
from minidl.ops.random import default_generator

_GRACE = 1.0  # seconds that a process may take to finish its batch when it is stopped

Future = Callable[[], Any]  # waits for a batch, and returns it or raises its error


class Pool(Protocol):
    """A pool of workers."""

    def submit(self, *job: Any) -> Future:
        """Assign a job to a worker; futures must be called in the order of submission."""

    def stop(self) -> None:
        """Stop the workers, and wait for their end."""


def in_order(pool: Pool, jobs: Iterable[Any], ahead: int) -> Iterator[Any]:
    """The results of the jobs, in their order, with up to `ahead` jobs in flight."""
    futures: deque[Future] = deque()
    for job in jobs:
        futures.append(pool.submit(*job))
        if len(futures) > ahead:
            yield futures.popleft()()
    while futures:
        yield futures.popleft()()


class Threads:
    """Threads of this process; each job runs in the context (`no_grad`, …) of its submission."""

    def __init__(self, make: Callable[..., Any], count: int) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="minidl-loader")

    def submit(self, *job: Any) -> Future:
        """Assign a job to a thread."""
        return self._pool.submit(copy_context().run, self._make, *job).result

    def stop(self) -> None:
        """Cancel pending jobs, and wait for running ones."""
        self._pool.shutdown(cancel_futures=True)


class Processes:
    """Spawned processes, each with a copy of the batch maker; jobs are assigned round-robin."""

    def __init__(self, make: Any, count: int) -> None:
        copy = _pickled(make)
        self._workers: list[_Worker] = []
        self._next = 0
        try:
            for _ in range(count):
                self._workers.append(_Worker(copy))
        except BaseException:
            self.stop()
            raise

    def submit(self, *job: Any) -> Future:
        """Assign a job to the next process."""
        worker = self._workers[self._next % len(self._workers)]
        self._next += 1
        with suppress(OSError):  # it has died, which is reported when the result is due
            worker.pipe.send(job)
        return lambda: self._received(worker)

    def _received(self, worker: "_Worker") -> Any:
        """Wait for the oldest result of a process; DataError if any process dies meanwhile."""
        sentinels = [w.process.sentinel for w in self._workers]
        ready = connection.wait([worker.pipe, *sentinels])
        if worker.pipe not in ready:
            raise _death(next(w for w in self._workers if w.process.sentinel in ready))
        succeeded, content = pickle.loads(self._checked(worker, worker.pipe.recv_bytes))
        worker.has_answered = True
        if not succeeded:
            raise content
        return content

    def _checked(self, worker: "_Worker", action: Callable[[], Any]) -> Any:
        try:
            return action()
        except (EOFError, OSError):
            raise _death(worker) from None

    def stop(self) -> None:
        """Close the pipes, which ends idle processes; terminate or kill those that remain."""
        for worker in self._workers:
            worker.pipe.close()
        deadline = monotonic() + _GRACE
        for worker in self._workers:
            worker.process.join(max(0, deadline - monotonic()))
        for end in ("terminate", "kill"):
            late = [worker for worker in self._workers if worker.process.is_alive()]
            for worker in late:
                getattr(worker.process, end)()
            for worker in late:
                worker.process.join(_GRACE)
        self._workers = []


class _Worker:
    """A process, and the parent's end of its pipe."""

    def __init__(self, copy: bytes) -> None:
        spawn = get_context("spawn")
        self.pipe, child_end = spawn.Pipe()
        self.has_answered = False
        self.process = spawn.Process(
            target=_serve,
            args=(child_end, copy, get_num_threads()),
            name="minidl-loader",
            daemon=True,
        )
        try:
            self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            child_end.close()


KINDS = {"threads": Threads, "processes": Processes}


def _pickled(make: Any) -> bytes:
    """The pickled batch maker; DataError that names what cannot be pickled."""
    for name in ("dataset", "collate_fn"):
        part = getattr(make, name)
        try:
            pickle.dumps(part)
        except Exception as error:
            raise DataError(
                f"DataLoader: worker processes get the {name} by pickle, and {_culprit(part)} "
                f"cannot be pickled ({type(error).__name__}: {error}); define what is in it at the "
                'top of a module, open files when they are used, or take workers="threads"'
            ) from error
    return pickle.dumps(make, pickle.HIGHEST_PROTOCOL)


def _culprit(value: Any) -> str:
    """The path of the innermost attribute that cannot be pickled."""
    path, seen = type(value).__name__, set()
    while id(value) not in seen:
        seen.add(id(value))
        for name, inner in getattr(value, "__dict__", {}).items():
            if not _can_be_pickled(inner):
                path, value = f"{path}.{name}", inner
                break
    return path


def _can_be_pickled(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


def _death(worker: _Worker) -> DataError:
    """The error for a process that has died."""
    worker.process.join(_GRACE)
    code = worker.process.exitcode
    how = f"was ended by signal {-code}" if code and code < 0 else f"ended with status {code}"
    advice = "; signal 9 may mean that there was not enough memory" if code == -9 else ""
    if code and code > 0 and not worker.has_answered:
        advice = (
            " before its first batch. Worker processes import the main module: what a script does, "
            'beyond definitions, stands under `if __name__ == "__main__":`'
        )
    return DataError(f"DataLoader: a worker process {how}{advice}")


# In the child process.


def _serve(pipe: connection.Connection, copy: bytes, threads: int) -> None:
    """Make batches until the pipe is closed.

    A thread sends the answers, so that the next batch is started while one waits to be received.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    set_num_threads(threads)
    answers: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_send, args=(pipe, answers), daemon=True).start()
    make = None
    with suppress(EOFError, OSError):
        while True:
            job = pipe.recv()
            try:
                make = make or pickle.loads(copy)
                # Draws from the default generator also differ between batches.
                default_generator.manual_seed(~job[0].draw().seed)
                answers.put(pickle.dumps((True, make(*job)), pickle.HIGHEST_PROTOCOL))
            except BaseException as error:
                answers.put(pickle.dumps((False, _portable(error))))


def _send(pipe: connection.Connection, answers: "SimpleQueue[bytes]") -> None:
    with suppress(OSError):
        while True:
            pipe.send_bytes(answers.get())


def _portable(error: BaseException) -> Exception:
    """An exception that can be pickled, with its traceback as a note."""
    text = "".join(traceback.format_exception(error))
    try:
        if not isinstance(error, Exception) or type(pickle.loads(pickle.dumps(error))) is not type(
            error
        ):
            raise TypeError
    except Exception:
        error = DataError(f"DataLoader: {type(error).__name__} in a worker process: {error}")
    error.__notes__ = [f"in a worker process:\n\n{text}"]
    return error
