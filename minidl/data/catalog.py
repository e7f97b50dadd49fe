"""The catalogue of datasets, with their local status: the rows of `minidl data`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from minidl.data.download import RemoteDataset, data_folder, files_of, find
from minidl.data.remote_datasets import DATASETS
from minidl.errors import ArgumentError


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue.

    name       the name of its function, with hyphens
    samples    training and test samples together
    size       bytes on disk; for missing files, the bytes they will take
    licence    the licence under which it is published
    here       whether every file is on this machine; contents are verified when they are used
    folder     the folder of the files
    sources    the sources to download from, in order of preference
    kind       what the samples are, in the plural
    """

    name: str
    samples: int
    size: int
    licence: str
    here: bool
    folder: Path
    sources: tuple[str, ...]
    kind: str = "images"


def catalog() -> list[Entry]:
    """All datasets; nothing is downloaded."""
    return [_digits(), *map(_entry, DATASETS.values())]


def fetch(names: Iterable[str]) -> Iterator[Entry]:
    """Download the datasets of these names and verify their files; yields each when it is done.

    ArgumentError for a name that is not in the catalogue, before anything is downloaded; DataError
    if a dataset cannot be downloaded.
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


def _entry(dataset: RemoteDataset) -> Entry:
    folder = data_folder() / dataset.name
    paths = [find(folder, file) for file in dataset.files]
    sizes = [
        file.size if path is None else path.stat().st_size
        for file, path in zip(dataset.files, paths, strict=True)
    ]
    sources = tuple(map(str, dataset.sources))
    facts = dataset.name, dataset.samples, sum(sizes), dataset.licence
    return Entry(*facts, None not in paths, folder, sources, dataset.kind)


def _digits() -> Entry:
    """The dataset that is shipped with the package."""
    folder = Path(__file__).parent / "files"
    size = (folder / "digits.npz").stat().st_size
    return Entry("digits", 1797, size, "CC BY 4.0", True, folder, ("shipped with minidl",))
