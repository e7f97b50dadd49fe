"""Columns of CSV tables: parsed as numbers, or encoded as categories."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.errors import FormatError

MISSING = "", "NA", "N/A", "NaN", "nan", "null", "?"  # default markers of missing values
_LARGEST = float(np.finfo(np.float32).max)
_MOST_DIGITS = 640  # of integers, leading zeros included: Python converts as many on any machine
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)


@dataclass(frozen=True)
class Cells:
    """The cells of a column, with their line numbers for error messages."""

    path: str
    name: str
    lines: list[int]
    texts: list[str]
    missing: frozenset[str]

    def wrong(self, i: int, what: str) -> FormatError:
        """A FormatError that names the line and the column of cell i."""
        return FormatError(f"{self.path}: line {self.lines[i]}, column {self.name!r}: {what}")


@dataclass(frozen=True)
class Column:
    """The values of a column, whether they are integers, and the classes of a categorical one."""

    values: np.ndarray
    integral: bool
    classes: tuple[str, ...] | None = None


def read_column(
    cells: Cells, categorical: bool, classes: Sequence[str] | None, fill: Any
) -> Column:
    """The numbers, or the class labels, of a column; `fill` replaces missing values."""
    present = [text for text in cells.texts if text not in cells.missing]
    categorical = categorical or bool(present) and not any(map(_NUMBER.fullmatch, present))
    suits = isinstance(fill, str) if categorical else isinstance(fill, int | float | np.number)
    for i, text in enumerate(cells.texts):
        if text in cells.missing and not suits:
            kind = "a text" if categorical else "a number"
            raise cells.wrong(i, f"nothing is there; say with `missing` {kind} to put there")
    filled = [fill if text in cells.missing else text for text in cells.texts]
    return _encoded(cells, filled, classes) if categorical else _parsed(cells, filled)


def _encoded(cells: Cells, texts: list[str], classes: Sequence[str] | None) -> Column:
    """Strings as class labels, by default numbered in alphabetical order."""
    known = tuple(sorted(set(texts)) if classes is None else classes)
    labels = {text: label for label, text in enumerate(known)}
    for i, text in enumerate(texts):
        if text not in labels:
            raise cells.wrong(i, f"{text!r} is none of the classes {', '.join(known)}")
    return Column(np.array([labels[text] for text in texts], np.int64), True, known)


def _parsed(cells: Cells, texts: list[Any]) -> Column:
    """Strings, and fill values among them, as int64 if all are integers, else float64."""
    for i, text in enumerate(texts):
        if isinstance(text, str) and not _NUMBER.fullmatch(text):
            raise cells.wrong(
                i, f"{text!r} is no number, as others are; `categories` names columns of texts"
            )
    integral = all(_INTEGER.fullmatch(str(text)) for text in texts)
    low, high = (-(2**63), 2**63 - 1) if integral else (-_LARGEST, _LARGEST)
    values = []
    for i, text in enumerate(texts):
        value = _integer(text) if integral else float(text)
        if not low <= value <= high and value == value and "inf" not in str(text).lower():
            raise cells.wrong(i, f"{text!s:.40} is too large")
        values.append(value)
    return Column(np.array(values, np.int64 if integral else np.float64), integral)


def _integer(text: Any) -> int:
    """The integer that a text denotes, or one beyond int64 if it has too many digits for that."""
    return int(text) if len(str(text)) < _MOST_DIGITS else 2**64
