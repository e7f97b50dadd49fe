"""A column of a table: its texts, and what they are as numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.errors import FormatError

MISSING = "", "NA", "N/A", "NaN", "nan", "null", "?"  # what stands for nothing, if not told
_LARGEST = float(np.finfo(np.float32).max)
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)


@dataclass(frozen=True)
class Cells:
    """What stands in a column, and where that is."""

    path: str
    name: str
    lines: list[int]
    texts: list[str]
    missing: frozenset[str]

    def wrong(self, i: int, what: str) -> FormatError:
        """An error about cell i."""
        return FormatError(f"{self.path}: line {self.lines[i]}, column {self.name!r}: {what}")


@dataclass(frozen=True)
class Column:
    """The numbers of a column, whether they are whole, and the classes if it was one of texts."""

    values: np.ndarray
    whole: bool
    classes: tuple[str, ...] | None = None


def read_column(
    cells: Cells, is_text: bool, classes: Sequence[str] | None, put: float | str | None
) -> Column:
    """The numbers, or the classes, in a column; `put` stands in for what is missing."""
    present = [text for text in cells.texts if text not in cells.missing]
    is_text = is_text or bool(present) and not any(map(_NUMBER.fullmatch, present))
    suits = isinstance(put, str) if is_text else isinstance(put, int | float | np.number)
    for i, text in enumerate(cells.texts):
        if text in cells.missing and not suits:
            kind = "a text" if is_text else "a number"
            raise cells.wrong(i, f"nothing is there; say with `missing` {kind} to put there")
    filled = [put if text in cells.missing else text for text in cells.texts]
    return _classes(cells, filled, classes) if is_text else _numbers(cells, filled)


def _classes(cells: Cells, texts: list[str], classes: Sequence[str] | None) -> Column:
    """Texts as the numbers of their classes."""
    known = tuple(sorted(set(texts)) if classes is None else classes)
    numbers = {text: number for number, text in enumerate(known)}
    for i, text in enumerate(texts):
        if text not in numbers:
            raise cells.wrong(i, f"{text!r} is none of the classes {', '.join(known)}")
    return Column(np.array([numbers[text] for text in texts], np.int64), True, known)


def _numbers(cells: Cells, texts: list[Any]) -> Column:
    """Texts, and what was put among them, as int64 if all are whole, else float64."""
    for i, text in enumerate(texts):
        if isinstance(text, str) and not _NUMBER.fullmatch(text):
            raise cells.wrong(
                i, f"{text!r} is no number, as others are; `categories` names columns of texts"
            )
    whole = all(_WHOLE.fullmatch(str(text)) for text in texts)
    least, most = (-(2**63), 2**63 - 1) if whole else (-_LARGEST, _LARGEST)
    values = [int(text) if whole else float(text) for text in texts]
    for i, value in enumerate(values):
        if not least <= value <= most and abs(value) != np.inf and value == value:
            raise cells.wrong(i, f"{texts[i]} is too large")
    return Column(np.array(values, np.int64 if whole else np.float64), whole)
