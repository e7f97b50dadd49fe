"""Claims: which process writes the files of a run.

A lock on a file beside them, which the operating system releases when its process ends, however
that happens.  The file holds the number of the process, for the message.
"""

import os
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from minidl.train.errors import TrainingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # there are no such locks


class Claim:
    """The claim of this process, until the last reference to it is gone."""

    _held = False

    def __init__(self, path: Path) -> None:
        self._path = path
        while not self._held:
            self._file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  closed with the claim
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):  # it was removed before it was locked: once more
                self._held = os.path.samestat(os.fstat(self._file.fileno()), path.stat())
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __del__(self) -> None:
        if self._held:
            with suppress(OSError):
                self._path.unlink()
            self._file.close()


_own: WeakValueDictionary[str, Claim] = WeakValueDictionary()  # of this process


def claim(path: Path) -> Claim:
    """Claim the run that is saved at `path`; TrainingError if another process has."""
    lock = Path(os.path.realpath(path)).with_name(f".{path.name}.lock")
    key = f"{os.getpid()} {lock}"  # a forked process claims for itself
    found = _own.get(key)
    if found is None:
        try:
            found = _own[key] = Claim(lock)
        except BlockingIOError:
            raise TrainingError(
                f"Checkpoint: process {_owner(lock)} is training the run of {path}; wait for its "
                "end, or save this run elsewhere"
            ) from None
    return found


def _owner(lock: Path) -> str:
    """The number of the process that has the lock, as far as it can be read."""
    try:
        return lock.read_text(encoding="utf-8") or "another"
    except OSError:
        return "another"
