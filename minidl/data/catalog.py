"""Which datasets there are, and whether they are here: what `minidl data` shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from minidl.data.remote_datasets import DATASETS
from minidl.data.download import Dataset, data_folder, files_of, find
from minidl.errors import ArgumentError


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue.

    name       as in the code, with a hyphen for a space
    samples    to train with and to test with, together
    size       bytes on disk; of what is not here, what it will take
    licence    under which it is published
    here       whether every file is on this machine; their content is checked when it is used
    folder     where the files are, or will be
    sources    who has them, in the order in which they are asked
    """

    name: str
    samples: int
    size: int
    licence: str
    here: bool
    folder: Path
    sources: tuple[str, ...]


def catalog() -> list[Entry]:
    """Every dataset that minidl knows; nothing is fetched."""
    return [_digits(), *map(_entry, DATASETS.values())]


def fetch(names: Iterable[str]) -> Iterator[Entry]:
    """See that the datasets of these names are here and as published; each, once that is done.

    ArgumentError for a name that is not in the catalogue, before anything is fetched; DataError if
    one cannot be had.
    """
    names, known = list(names), [entry.name for entry in catalog()]
    for name in names:
        if name not in known:
            raise ArgumentError(f"data: there is no {name!r}; there are {', '.join(known)}")
    return _fetched(names)


def _fetched(names: list[str]) -> Iterator[Entry]:
    for name in names:
        if name in DATASETS:
            files_of(DATASETS[name])
            yield _entry(DATASETS[name])
        else:
            yield _digits()


def _entry(dataset: Dataset) -> Entry:
    folder = data_folder() / dataset.name
    found = [find(folder, file) for file in dataset.files]
    sizes = [
        file.size if path is None else path.stat().st_size
        for file, path in zip(dataset.files, found, strict=True)
    ]
    sources = tuple(map(str, dataset.sources))
    facts = dataset.name, dataset.samples, sum(sizes), dataset.licence
    return Entry(*facts, None not in found, folder, sources)


def _digits() -> Entry:
    """The one that needs no fetching."""
    folder = Path(__file__).parent / "files"
    size = (folder / "digits.npz").stat().st_size
    return Entry("digits", 1797, size, "CC BY 4.0", True, folder, ("shipped with minidl",))
