"""The cache of machine code, which the next process loads in milliseconds.

It is a folder (`$MINIDL_CACHE`, or else `minidl` in `$XDG_CACHE_HOME` or `~/.cache`) and never lies
beside the source: an installation may be read-only, and uninstalling it should leave nothing
behind.  In it is a folder for each *environment*, everything besides the arguments that the
machine code depends on: the sources of the kernels, the versions of what compiles them, and the
level of the processor.  In that is a file for each kernel and signature:

    magic, SHA-256 of (file name, content), content

**What is loaded is executed**, so a file is read only if it belongs to this user or to the
administrator, nobody else may write it, and its digest is right.  It is written under another name
and then renamed, so that an interruption leaves nothing half-written, and processes that write at
once do not disturb each other.  A lock for each file lets one process compile what the others wait
for.

**The cache never stops a program.**  A file that is damaged, missing or not to be trusted is
compiled and written anew.  If it cannot be written (no home, no space, no permission), the process
keeps what it compiled to itself, and warns once.
"""

import hashlib
import os
import platform
import re
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from minidl.backends.folders import kept_in
from minidl.backends.kernels.runtime.level import level
from minidl.errors import ArgumentError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "cache_folder",
    "covers",
    "load",
    "lock",
    "source_digest",
    "sources_are_unchanged",
    "store",
]

_MAGIC = b"minidl kernel 2\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_PREFIX, _SUFFIX = "kernels-", ".code"
_KEPT_ENVIRONMENTS = 8  # the last used: other installations, branches and processors


def cache_folder() -> Path:
    """The folder that compiled kernels are stored in; ArgumentError if there is none."""
    return kept_in("MINIDL_CACHE")


def load(symbol: str) -> bytes | None:
    """What was stored under a name; None if there is nothing, or nothing to be trusted."""
    path = _path(symbol)
    try:
        return None if path is None else _read(path)
    except OSError:
        return None


def store(symbol: str, content: bytes) -> None:
    """Store something under a name, if possible."""
    path = _path(symbol)
    if path is None:
        return
    try:
        _write(path, content)
    except OSError as error:
        _warn_once(f"{path.parent}: {error.strerror or error}")


@contextmanager
def lock(symbol: str) -> Iterator[None]:
    """Only one process at a time is inside, for each name; where that is possible."""
    path = _path(symbol)
    if path is None or fcntl is None:
        yield
        return
    path = path.with_suffix(".lock")
    try:
        file = _locked(path)
    except OSError:  # nothing can be stored there either
        yield
        return
    with file:
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _locked(path: Path) -> BinaryIO:
    """The file, locked; it is deleted by who unlocks it, so another may be there by then."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    while True:
        # Neither follow a link nor wait for a pipe that somebody put in its place.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.fdopen(os.open(path, flags, 0o600), "rb+", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def covers(function: Callable[..., Any]) -> bool:
    """Whether the environment knows the source of a function: it is one of minidl's."""
    return function.__code__.co_filename.startswith(_ROOT + os.sep)


def _path(symbol: str) -> Path | None:
    folder = _environment_folder()
    if folder is None or not sources_are_unchanged():
        return None
    readable = re.sub(r"[^\w.]+", "-", symbol).strip("-")[:60]
    digest = hashlib.sha256(symbol.encode()).hexdigest()[:16]
    return folder / f"{readable}-{digest}{_SUFFIX}"


# Files.


def _read(path: Path) -> bytes | None:
    """The content of a file, if it is whole and may be trusted."""
    # Neither follow a link nor wait for a pipe that somebody put in its place.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        if not _is_trusted(os.fstat(file.fileno())):
            return None
        stored = file.read()
    content = stored[_HEADER:]
    return content if stored[:_HEADER] == _MAGIC + _digest(path, content) else None


def _is_trusted(status: os.stat_result) -> bool:
    """Whether this is a regular file that only this user, or the administrator, can have written.

    It is asked of the open file: who may write the folder can exchange files, but cannot make ours.
    """
    if not hasattr(os, "geteuid"):  # Windows: the user's folders are the user's
        return stat.S_ISREG(status.st_mode)
    others_may_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    trusted = status.st_uid in (0, os.geteuid()) and not others_may_write
    return stat.S_ISREG(status.st_mode) and trusted


def _digest(path: Path, content: bytes) -> bytes:
    """The name belongs to it, so that files do not take each other's places."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def _write(path: Path, content: bytes) -> None:
    """Store a file at once, or not at all."""
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _prune(path.parent)
    temporary = path.with_name(f"{path.stem}.{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = open(os.open(temporary, flags, 0o644), "wb")  # noqa: SIM115 - closed below
    try:
        with file:
            file.write(_MAGIC + _digest(path, content) + content)
            if not _is_trusted(os.fstat(file.fileno())):  # a file system without permissions
                raise PermissionError("others may write the files in it")
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _prune(folder: Path) -> None:
    """Delete the folders of environments that were not used for longest."""
    with suppress(OSError):
        others = [f for f in folder.parent.glob(f"{_PREFIX}*") if f != folder and f.is_dir()]
        others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
        for unused in others[_KEPT_ENVIRONMENTS - 1 :]:
            shutil.rmtree(unused, ignore_errors=True)


_warned = False


def _warn_once(reason: str) -> None:
    global _warned
    if _warned:
        return
    _warned = True
    # A program that makes warnings errors should not fail in its first convolution either.
    with suppress(Warning):
        warnings.warn(
            f"minidl cannot keep compiled kernels: {reason}.  Every process compiles them anew, "
            "which takes seconds, until MINIDL_CACHE is set to a folder that you can write",
            RuntimeWarning,
            stacklevel=2,
        )


# The environment.

_ROOT = str(Path(__file__).parents[2])  # minidl/backends
_Status = tuple[tuple[str, int, int], ...]  # path, time and size of each file


@cache
def _environment_folder() -> Path | None:
    """The folder of this environment, marked as used now; None if there is none."""
    sources = source_digest()
    if sources is None:
        _warn_once("its sources cannot be read")
        return None
    try:
        folder = cache_folder()
    except ArgumentError as error:
        _warn_once(str(error))
        return None
    compilers = map(_version, ("numba", "llvmlite", "numpy"))
    machine = platform.system(), platform.machine(), level().name
    environment = repr((sys.version, *compilers, *machine, sources))
    folder /= _PREFIX + hashlib.sha256(environment.encode()).hexdigest()[:16]
    with suppress(OSError):
        os.utime(folder)
    return folder


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def source_digest() -> str | None:
    """The digest of the sources that kernels are compiled from; None if they cannot be read."""
    sources = _sources()
    return None if sources is None else sources[0]


@cache
def _sources() -> tuple[str, _Status] | None:
    """The digest of the sources that kernels are compiled from, and the status of their files.

    Those are all of `minidl.backends`: functions and constants of one file are copied into the
    machine code of another.  None if they cannot be read, as inside an archive.
    """
    digest = hashlib.sha256()
    try:
        status = _source_status()
        for path, *_ in status:
            content = Path(path).read_bytes()
            digest.update(f"{path.removeprefix(_ROOT)} {len(content)} ".encode() + content)
    except OSError:
        return None
    return (digest.hexdigest(), status) if status else None


def sources_are_unchanged() -> bool:
    """Whether the files are those that were imported.

    After an edit while the process runs nobody knows which state a kernel is of: none is kept.
    """
    sources = _sources()
    try:
        return sources is not None and sources[1] == _source_status()
    except OSError:
        return False


def _source_status() -> _Status:
    return tuple(sorted(_status_below(_ROOT)))


def _status_below(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".py", ".pyc")):  # .pyc here: an installation without sources
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _status_below(entry.path)


_sources()  # those that are imported now: an edit after this is noticed
