"""The cache of machine code, which the next process loads in milliseconds.

It is a folder (`$MINIDL_CACHE`, or else `minidl` in `$XDG_CACHE_HOME` or `~/.cache`) and never lies
beside the source: an installation may be read-only, and uninstalling it should leave nothing
behind.  In it is a folder for each *environment*, everything besides the arguments that the
machine code depends on: the sources of the kernels, the versions of what compiles them, the
processor, and Numba's settings.  In that is a file for each kernel and each combination of
argument types:

    magic, SHA-256 of (file name, content), content

**What is loaded is executed**, so a file is read only if it belongs to this user or to the
administrator, nobody else may write it, and its digest is right.  It is written under another name
and then renamed, so that processes that write at once do not disturb each other.

**The cache never stops a program.**  A file that is damaged, missing or not to be trusted is
compiled and written anew.  If it cannot be written (no home, no space, no permission), the process
keeps what it compiled to itself, and warns once.
"""

import hashlib
import os
import pickle
import re
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import caching, compiler, config, serialize

from minidl.backends.folders import kept_in
from minidl.backends.kernels.runtime.target import target
from minidl.errors import ArgumentError

__all__ = ["KernelCache", "cache_folder", "is_cacheable"]

_MAGIC = b"minidl kernel 1\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_PREFIX, _SUFFIX = "kernels-", ".code"
_KEPT_ENVIRONMENTS = 8  # the last used: other installations, branches and processors
# Settings of Numba that change the machine code.
_SETTINGS = (
    *("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML", "DISABLE_INTEL_SVML"),
    *("BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS"),
)


def cache_folder() -> Path:
    """The folder that compiled kernels are stored in; ArgumentError if there is none."""
    return kept_in("MINIDL_CACHE")


class KernelCache(caching._Cache):
    """The cached machine code of one kernel, in the form that Numba's dispatchers ask for it.

    `variant` distinguishes what is compiled from the same function in several ways.  Numba calls
    `load_overload` and `save_overload` with its compiler lock held.
    """

    def __init__(self, function: Callable[..., Any], variant: str) -> None:
        self._identity = f"{_identity(function)} {variant}"
        self._stem = re.sub(r"[^\w.]", "", function.__qualname__).strip("_") + f"-{variant}"
        _sources()  # those that are imported now

    @property
    def cache_path(self) -> str | None:
        """The folder, for Numba's statistics."""
        folder = _environment_folder()
        return None if folder is None else str(folder)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled kernel for these argument types; None if it is to be compiled."""
        target_context.refresh()  # Numba's own functions, which it may refer to
        path = self._path(signature)
        try:
            content = None if path is None else _read(path)
        except OSError:
            content = None
        if content is None:
            return None
        # The digest is right, and the environment too.  If Numba fails all the same, it compiles.
        with suppress(Exception):
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(content))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Store a compiled kernel, if possible."""
        if compiled.lifted or compiled.library.has_dynamic_globals:  # holds addresses
            return
        path = self._path(signature)
        if path is None:
            return
        try:
            _write(path, serialize.dumps(compiled._reduce()))
        except OSError as error:
            _warn_once(f"{path.parent}: {error.strerror or error}")

    def _path(self, signature: Any) -> Path | None:
        folder = _environment_folder()
        if folder is None or not _sources_are_unchanged():
            return None
        key = hashlib.sha256(f"{self._identity} {signature}".encode()).hexdigest()[:24]
        return folder / f"{self._stem}-{key}{_SUFFIX}"

    def enable(self) -> None:
        """Nothing: it always is."""

    def disable(self) -> None:
        """Nothing: only its folder decides."""

    def flush(self) -> None:
        """Nothing: what is there is right."""


def is_cacheable(function: Callable[..., Any]) -> bool:
    """Whether the environment covers the source of a function: it is one of minidl's."""
    return function.__code__.co_filename.startswith(_ROOT + os.sep)


def _identity(value: Any) -> Any:
    """What distinguishes a function from all others of these sources, or a value it encloses."""
    function = getattr(value, "py_func", value)  # of a dispatcher
    if not hasattr(function, "__code__"):
        return repr(function)
    code, cells = function.__code__, function.__closure__ or ()
    place = function.__module__, function.__qualname__, code.co_firstlineno, code.co_code.hex()
    return place, [_identity(cell.cell_contents) for cell in cells], function.__defaults__


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
    sources = _sources()
    if sources is None:
        _warn_once("its sources cannot be read")
        return None
    try:
        folder = cache_folder()
    except ArgumentError as error:
        _warn_once(str(error))
        return None
    versions = sys.version, numba.__version__, llvmlite.__version__, np.__version__
    settings = [(name, getattr(config, name, None)) for name in _SETTINGS]
    environment = repr((*versions, target(), settings, sources[0]))
    folder /= _PREFIX + hashlib.sha256(environment.encode()).hexdigest()[:16]
    with suppress(OSError):
        os.utime(folder)
    return folder


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


def _sources_are_unchanged() -> bool:
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
