"""What trainings on texts have in common: the file with the vocabulary."""

from pathlib import Path

from minidl.data import FormatError
from minidl.data.text import Vocabulary
from minidl.errors import ArgumentError

_FILE = "vocabulary.json"
_MOST_TOKENS = 1 << 17  # networks grow with them


def keep(vocabulary: Vocabulary, folder: Path) -> None:
    """Write a vocabulary into the folder of a run."""
    vocabulary.save(folder / _FILE)


def kept(folder: Path) -> Vocabulary:
    """The vocabulary in the folder of a run."""
    try:
        vocabulary = Vocabulary.load(folder / _FILE)
    except FileNotFoundError:
        raise ArgumentError(f"{folder} has no {_FILE}, which a run on texts needs") from None
    if not 0 < len(vocabulary) <= _MOST_TOKENS:
        raise FormatError(f"{folder / _FILE}: has {len(vocabulary):,} tokens, which cannot be")
    return vocabulary
