"""The compiler as processes of their own, beside the program that needs a kernel.

Numba takes 0.7 seconds and 150 MB to load, and its settings are those of a whole process.  So
kernels are compiled by another Python: by one that the program waits for, and by others in the
background, which compile what it will need next (`prefetch`).  What they compile, they leave in the
cache; they end when their program ends.

Where no process can be started, and for kernels from outside minidl, Numba is imported here.
"""

import atexit
import json
import multiprocessing.spawn
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from minidl.backends import threads
from minidl.backends.kernels.runtime import cache as object_files
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.runtime.progress import shown
from minidl.backends.kernels.runtime.signature import Signature
from minidl.errors import ArgumentError

_STARTED = "MINIDL_COMPILER_PROCESS"  # set in the environment of one
_BACKGROUND = 3  # processes at most, besides the one that is waited for

# The program that such a process runs.  Its arguments: the search path of this one, the level of
# processors to compile for, the digest of the sources that are meant, and "background" if nobody
# reads its answers.
_PROGRAM = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the program, which decides
sys.path[:] = json.loads(sys.argv[1])
from minidl.backends.kernels.runtime import level
level.compile_for(sys.argv[2])
from minidl.backends.kernels.runtime import cache
if cache.source_digest() != sys.argv[3]:
    sys.exit("these are other sources")
from minidl.backends.kernels.compiler import worker
worker.main(answering=len(sys.argv) == 4)
"""


ANSWER = b"minidl: "  # what an answer begins with


class CompilerError(RuntimeError):
    """A kernel cannot be compiled."""


class Process:
    """A process that compiles what it is asked for, for a level, one after the other."""

    def __init__(self, target: str, *, background: bool = False) -> None:
        executable = multiprocessing.spawn.get_executable() or sys.executable
        sources = object_files.source_digest()
        # A program that is its own Python would start itself, and that itself again.
        own_python = getattr(sys, "frozen", False) or _STARTED in os.environ
        if not executable or not sources or own_python:
            raise OSError("there is no Python to compile with")
        # Where it runs, and what the environment sets of Numba, must not change machine code.
        settings = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        settings[_STARTED] = "1"
        with suppress(ArgumentError):
            settings["MINIDL_CACHE"] = str(object_files.cache_folder())
        own = Path(__file__).parents[4]  # the folder of this minidl comes first
        path = json.dumps([os.path.abspath(str(folder)) for folder in (own, *sys.path)])
        role = ["background"] if background else []
        self._process = subprocess.Popen(
            [os.fsdecode(executable), "-P", "-c", _PROGRAM, path, target, sources, *role],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if background else subprocess.PIPE,
            env=settings,
            cwd=os.path.abspath(os.sep),
        )

    def ask(self, name: str, signature: Signature | None) -> None:
        """Ask for the object file of a kernel, or of an outlined function."""
        request = {"name": name, "signature": None if signature is None else str(signature)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> bytes:
        """What was asked for; CompilerError with the compiler's words if it failed."""
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, b"")
        # Before it starts, others may print, such as a `sitecustomize`.
        header = next((line for line in lines if line.startswith(ANSWER)), None)
        if header is None:
            raise OSError(f"the compiler ended with status {self._process.wait()}")
        reply = json.loads(header.removeprefix(ANSWER))
        content = self._process.stdout.read(reply["size"])
        if len(content) < reply["size"]:
            raise OSError("the compiler ended while it answered")
        if reply["error"]:
            raise CompilerError(content.decode())
        return content

    def runs(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it now: who was interrupted does not know what it would answer."""
        self._process.terminate()  # so that it removes a file that it has half written
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.3)
        self._process.kill()
        with suppress(OSError):  # of a pipe that it no longer reads
            self._process.communicate()


_lock = RLock()
_waits = False  # whether a thread, which has the lock, waits for an answer
_foreground: list[Process] = []
_background: list[Process] = []
_asked: set[tuple[str, Signature | None]] = set()  # in the background


def compile(item: Any, signature: Signature | None) -> bytes:
    """The object file of a kernel for these arguments, or of an outlined function."""
    if not object_files.covers(item.function) or not object_files.sources_are_unchanged():
        return _compile_here(item, signature)
    with _lock, shown(item.name):
        # In a handler of a signal, the process is in the middle of another answer.
        for _ in range(0 if _waits else 2):  # it may just have ended, having been idle
            with suppress(OSError):
                return _compile_there(item, signature)
    return _compile_here(item, signature)  # no process can be started here


def prefetch(items: Sequence[tuple[Any, Signature | None]]) -> None:
    """Compile kernels in the background, which will be needed; nobody waits for them."""
    if not items or not object_files.sources_are_unchanged():
        return
    with _lock:
        for item, signature in items:
            if (item.name, signature) not in _asked:
                _asked.add((item.name, signature))
                try:
                    _next_background().ask(item.name, signature)
                except OSError:
                    return


def _compile_there(item: Any, signature: Signature | None) -> bytes:
    if _foreground and not _foreground[0].runs():
        _foreground.pop().end()
    if not _foreground:
        _foreground.append(Process(level().name))
    global _waits
    (process,) = _foreground
    _waits = True
    try:
        process.ask(item.name, signature)
        return process.answer()
    except CompilerError:
        raise
    except BaseException:
        _foreground.clear()
        process.end()
        raise
    finally:
        _waits = False


def _next_background() -> Process:
    """The processes take turns."""
    for ended in [process for process in _background if not process.runs()]:
        _background.remove(ended)
        ended.end()
    if len(_background) < min(_BACKGROUND, max(1, threads.cores() - 1)):
        _background.append(Process(level().name, background=True))
    _background.append(_background.pop(0))
    return _background[-1]


def _compile_here(item: Any, signature: Signature | None) -> bytes:
    try:
        emit = import_module("minidl.backends.kernels.compiler.emit")
        return emit.object_file(item, signature)
    except Exception as error:  # whatever Numba raises
        raise CompilerError(f"{item.name}: {error}") from error


@atexit.register
def _end() -> None:
    for process in (*_foreground, *_background):
        process.end()


def _after_fork() -> None:
    """The parent's processes are not the child's."""
    global _lock, _waits
    _lock, _waits = RLock(), False
    for processes in (_foreground, _background):
        _alive.extend(processes)  # whose pipes stay open: closing one would change nothing
        processes.clear()


_alive: list[Process] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
