"""A file that is replaced whole or not at all, whatever happens meanwhile.

The new file is written in a temporary folder beside the old one, and moved over it in one step when
it is on the disk.  A run that is killed leaves its temporary folder behind; the next one removes
it.  It knows that nobody works there any more by a lock, which goes with the process that held it.
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
    fcntl = None

_PREFIX = ".minidl-saving-"
_OLD = 24 * 3600  # seconds after which a folder without locks is nobody's


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Where to write what is to stand at `path`; it goes there if the block ends without error."""
    path = Path(os.path.realpath(path))  # what a link points to, rather than the link
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "is no file (but a folder, or a device)")
    _remove_leftovers(path.parent)
    with _workshop(path.parent) as workshop:
        plain, new = workshop / "plain", workshop / "new"
        plain.touch()
        yield new
        with suppress(PermissionError):  # of file systems without permissions
            new.chmod(plain.stat().st_mode)  # those that new files have here
        _sync(new)
        os.replace(new, path)
        if os.name == "posix":
            _sync_folder(path.parent)


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A temporary folder, locked as long as it is in use."""
    while True:
        workshop = folder / f"{_PREFIX}{os.urandom(8).hex()}"
        workshop.mkdir(0o700)
        lock = _lock(workshop, wait=True)
        if workshop.exists():
            break
        _unlock(lock)  # someone took it for a leftover before it was locked
    try:
        yield workshop
    finally:
        _remove(workshop)
        _unlock(lock)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of runs that were killed."""
    for workshop in folder.glob(f"{_PREFIX}*"):
        if fcntl is None:
            with suppress(OSError):
                if time.time() - workshop.stat().st_mtime > _OLD:
                    _remove(workshop)
        elif (lock := _lock(workshop, wait=False)) is not None:
            _remove(workshop)
            _unlock(lock)


def _remove(workshop: Path) -> None:
    """Remove a temporary folder, as far as that can be done."""
    with suppress(OSError):
        for file in workshop.iterdir():
            file.unlink()
        workshop.rmdir()


def _lock(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder; None where another has it locked, it is gone, or there are no locks."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
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
    """Wait until the file is on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until it is on the disk which files the folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(handle)
