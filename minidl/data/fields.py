"""The fields of lines of text, found and parsed for a block of lines at a time.

A field is a part of one array of bytes, from start to stop.  Numbers of a million fields are
computed digit by digit of all of them at once, which takes NumPy as long as Python needs for some
thousands of fields.
"""

from dataclasses import dataclass

import numpy as np

_MOST_DIGITS = 18  # of an integer that surely fits into int64
_EXACT_DIGITS = 15  # of an integer that float64 surely holds
_MINUS, _DOT, _ZERO, _SPACE = b"-"[0], b"."[0], b"0"[0], b" "[0]


@dataclass(frozen=True)
class Fields:
    """n fields of a column: bytes start to stop of a text."""

    text: bytes
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def of(cls, values: list[bytes]) -> "Fields":
        """Fields with these contents."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        stops = np.cumsum(lengths)
        return cls(b"".join(values), stops - lengths, stops)

    @property
    def buffer(self) -> np.ndarray:
        """The text as an array of bytes."""
        return np.frombuffer(self.text, np.uint8)

    def __getitem__(self, i: int) -> bytes:
        return self.text[self.starts[i] : self.stops[i]]

    def contents(self) -> list[bytes]:
        """The bytes of each."""
        text, bounds = self.text, zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [text[start:stop] for start, stop in bounds]

    def stripped(self) -> "Fields":
        """The fields without blanks around them."""
        buffer = np.append(self.buffer, np.uint8(0))
        starts, stops = self.starts.copy(), self.stops.copy()
        while (blank := (starts < stops) & (buffer[starts] == _SPACE)).any():
            starts += blank
        while (blank := (starts < stops) & (buffer[stops - 1] == _SPACE)).any():
            stops -= blank
        return Fields(self.text, starts, stops)


def split_lines(text: bytes, delimiter: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where lines and delimiters are: the starts and stops of lines, the starts of delimiters."""
    buffer = np.frombuffer(text, np.uint8)
    stops = np.flatnonzero(buffer == 10)
    if not text.endswith(b"\n"):
        stops = np.append(stops, buffer.size)
    starts = np.concatenate([[0], stops[:-1] + 1]) if stops.size else stops
    stops = stops - ((stops > starts) & (buffer[np.maximum(stops - 1, 0)] == 13))
    found = buffer[: buffer.size - len(delimiter) + 1] == delimiter[0]
    for offset in range(1, len(delimiter)):
        found = found & (buffer[offset : found.size + offset] == delimiter[offset])
    return starts, stops, np.flatnonzero(found)


def columns_of(
    text: bytes, starts: np.ndarray, stops: np.ndarray, delimiters: np.ndarray, length: int
) -> list[Fields]:
    """The columns of lines with as many delimiters each; `length` is that of a delimiter."""
    inside = delimiters.reshape(starts.size, -1)
    begins = np.concatenate([starts[:, None], inside + length], axis=1)
    ends = np.concatenate([inside, stops[:, None]], axis=1)
    return [Fields(text, begins[:, i], ends[:, i]) for i in range(begins.shape[1])]


def integers(fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    """The fields as int64, and which of them are written as Python would write an integer.

    "7", "-7" and "0" are; "07", "+7", "-0", "7.0" and "" are not, nor are those of 19 digits.
    """
    buffer = fields.buffer
    negative = _first_is(fields, _MINUS)
    starts, lengths = fields.starts + negative, fields.stops - fields.starts - negative
    values = np.zeros(lengths.size, np.int64)
    good = (lengths > 0) & (lengths <= _MOST_DIGITS)
    place = 1
    for i in range(min(int(lengths.max(initial=0)), _MOST_DIGITS)):
        inside = lengths > i
        digits = buffer[np.where(inside, fields.stops - 1 - i, 0)] - np.uint8(_ZERO)
        good &= ~inside | (digits < 10)
        values += np.where(inside, digits, 0) * np.int64(place)
        place *= 10
    first = buffer[np.minimum(starts, buffer.size - 1)] if buffer.size else starts
    good &= (first != _ZERO) | (lengths == 1) & ~negative
    return np.where(negative, -values, values), good


def decimals(fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    """The fields as float64, and which of them are decimal numbers of 15 digits or fewer: "-3.50".

    Correctly rounded, as the quotient of two numbers that float64 holds exactly.  W. Clinger: How
    to read floating point numbers accurately, PLDI 1990.
    """
    buffer = fields.buffer
    negative = _first_is(fields, _MINUS)
    starts, lengths = fields.starts + negative, fields.stops - fields.starts - negative
    values, after = np.zeros(lengths.size), np.zeros(lengths.size, np.int64)
    seen = np.zeros(lengths.size, bool)
    good = (lengths > 0) & (lengths <= _EXACT_DIGITS + 1)
    for i in range(min(int(lengths.max(initial=0)), _EXACT_DIGITS + 1)):
        inside = lengths > i
        characters = buffer[np.where(inside, starts + i, 0)]
        is_dot = inside & (characters == _DOT)
        digits = characters - np.uint8(_ZERO)
        good &= ~inside | (digits < 10) | is_dot & ~seen
        values = np.where(inside & ~is_dot, values * 10 + digits, values)
        after += inside & seen
        seen |= is_dot
    good &= (lengths > seen) & (lengths - seen <= _EXACT_DIGITS)
    values /= 10.0 ** np.minimum(after, _EXACT_DIGITS)
    return np.where(negative, -values, values), good


def _first_is(fields: Fields, character: int) -> np.ndarray:
    """Whether fields begin with a character."""
    if not fields.text:
        return np.zeros(fields.starts.size, bool)
    first = fields.buffer[np.minimum(fields.starts, len(fields.text) - 1)]
    return (fields.starts < fields.stops) & (first == character)
