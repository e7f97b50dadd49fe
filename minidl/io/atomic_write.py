"""Atomic file replacement: readers see the old file or the new one, complete, even after a crash.

The new file is written in a temporary folder beside the old one, flushed to disk, and renamed over
it.  A killed process leaves its temporary folder behind, and the next writer removes it: the folder
is stale if its lock is free, since the operating system releases the locks of a dead process.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # there are no such locks

_PREFIX = ".minidl-saving-"
_STALE = 24 * 3600  # seconds after which a folder is stale where there are no locks


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it replaces `path` if the block ends without an error."""
    path = Path(os.path.realpath(path))  # replace the target of a symlink, not the link
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "is no file (but a folder, or a device)")
    _remove_stale(path.parent)
    with _temporary_folder(path.parent) as temporary:
        reference, new = temporary / "plain", temporary / "new"
        reference.touch()
        yield new
        with suppress(PermissionError):  # on file systems without permissions
            new.chmod(reference.stat().st_mode)  # the default mode of new files here
        _sync(new)
        os.replace(new, path)
        if os.name == "posix":
            _sync_folder(path.parent)


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder, locked while it is in use."""
    while True:
        folder = parent / f"{_PREFIX}{os.urandom(8).hex()}"
        folder.mkdir(0o700)
        lock = _lock(folder, wait=True)
        if folder.exists():
            break
        _unlock(lock)  # another process removed it as stale before it was locked
    try:
        yield folder
    finally:
        _remove(folder)
        _unlock(lock)


def _remove_stale(parent: Path) -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if fcntl is None:
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _STALE:
                    _remove(folder)
        elif (lock := _lock(folder, wait=False)) is not None:
            _remove(folder)
            _unlock(lock)


def _remove(folder: Path) -> None:
    """Remove a temporary folder, ignoring errors."""
    with suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def _lock(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder; None if it is locked, gone or no folder, or if there are no locks."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _sync(path: Path) -> None:
    """Flush a file to disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # unsupported by the file system
            raise
    finally:
        os.close(handle)
