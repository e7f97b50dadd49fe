"""Files of interactions: a user, an item, perhaps a rating and a time in each line."""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl.checks import check_flags, check_instance, check_integers, is_integer
from minidl.data.compressed import DAMAGED, MAX_ARRAY_BYTES, open_decompressed
from minidl.data.errors import FormatError
from minidl.data.fields import Fields, columns_of, decimals, integers, split_lines
from minidl.data.ratings import Ratings
from minidl.errors import ArgumentError, path_of

# What the columns of users, items, ratings and times are usually called.
USUAL_NAMES = {
    "user": ("user", "user_id", "userId", "userid", "uid"),
    "item": ("item", "item_id", "itemId", "itemid", "iid", "movie_id", "movieId"),
    "rating": ("rating", "score", "value", "weight", "count"),
    "time": ("time", "timestamp", "date"),
}
_DELIMITERS = "\t", "::", ",", ";", "|", " "
_BLOCK = 1 << 22  # bytes that are parsed at a time; their indices take some twenty times as much
_LONGEST = 1 << 22  # bytes of a line
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def read_interactions(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    columns: Mapping[str, str | int] | None = None,
    encoding: str = "utf-8",
    max_bytes: int = MAX_ARRAY_BYTES,
) -> Ratings:
    r"""Interactions from lines of text, CSV or TSV, gzipped or not.

    delimiter    between fields; by default the first of tab, ::, comma, semicolon, | and blank that
                 is in the first line.  Where it is one character, fields may be in double quotes
    header       whether the first line has the names of columns; by default, whether one of the
                 names there is usual for them
    columns      the name or the number, from 0, of the columns "user" and "item", and of "rating"
                 and "time" where there are any.  By default they are found by their usual names,
                 such as userId or timestamp; without a header they are the first four in this order
    encoding     of ids that are texts, one that extends ASCII
    max_bytes    the most bytes that a gzipped file may decompress to, by default 1 GiB

    Ids are integers if all of the column are, written as Python writes them; otherwise texts, so
    that "007" and "7" remain two.  Ratings are float32, times float64: numbers, or dates as in ISO
    8601, which become seconds since 1970.  Blanks around fields do not count, empty lines neither.

    FormatError, with the line, for a file that is not like that; ArgumentError for columns that it
    does not have.  Ten million lines of four numbers take some seven seconds, and twice the
    memory of the arrays.

    >>> with open("likes.csv", "w") as file:
    ...     _ = file.write("userId,movieId,rating\nann,7,4.5\nben,7,3\n")
    >>> users, items, ratings, times = minidl.data.read_interactions("likes.csv")
    >>> users.tolist(), items.tolist(), ratings.tolist(), times
    (['ann', 'ben'], [7, 7], [4.5, 3.0], None)
    """
    path = path_of("read_interactions", path)
    _check(delimiter, header, columns, encoding, max_bytes)
    try:
        with open_decompressed(path, max_bytes) as file:
            return _Reader(path, delimiter, header, columns or {}, encoding).read(file)
    except DAMAGED as error:
        raise FormatError(f"{path}: {error}") from None


def _check(delimiter: Any, header: Any, columns: Any, encoding: Any, max_bytes: Any) -> None:
    if delimiter is not None and (
        not isinstance(delimiter, str) or not delimiter.isascii() or not 1 <= len(delimiter) <= 8
        or set(delimiter) & set('"\r\n.-0123456789')
    ):  # fmt: skip
        raise ArgumentError(
            "read_interactions: a delimiter is one or a few ASCII characters, none of which is in "
            f"numbers, quotes or ends of lines; got {delimiter!r:.40}"
        )
    if header is not None:
        check_flags("read_interactions", header=header)
    check_integers("read_interactions", 1, max_bytes=max_bytes)
    if columns is not None:
        check_instance("read_interactions", Mapping, columns=columns)
        if unknown := set(columns) - set(USUAL_NAMES):
            raise ArgumentError(
                f"read_interactions: columns are {', '.join(USUAL_NAMES)}; got "
                f"{unknown.pop()!r:.40}"
            )
    try:
        ascii_too = "a1,".encode(encoding) == b"a1,"
    except (LookupError, TypeError):
        ascii_too = False
    if not ascii_too:
        raise ArgumentError(
            f"read_interactions: needs an encoding that extends ASCII, as utf-8; got {encoding!r}"
        )


class _Reader:
    """Reads one file, block by block."""

    def __init__(
        self,
        path: Path,
        delimiter: str | None,
        header: bool | None,
        columns: Mapping[str, str | int],
        encoding: str,
    ) -> None:
        self._path, self._header, self._columns, self._encoding = path, header, columns, encoding
        self._delimiter = None if delimiter is None else delimiter.encode()
        self._line = 1  # the number of the first line of the block
        self._width = 0  # of all lines, in fields
        self._parsers: dict[int, _Column] = {}

    def read(self, file: Any) -> Ratings:
        """All interactions."""
        for text in _blocks(file, self._path):
            self._parse(text)
            self._line += text.count(b"\n")
        if not self._parsers:
            raise FormatError(f"{self._path}: there is nothing in it")
        users, items, ratings, times = (
            None if part is None else self._parsers[part].joined() for part in self._parts
        )
        return Ratings(users, items, ratings, times)

    def _parse(self, text: bytes) -> None:
        """Parse the lines of a block."""
        delimiter = self._delimiter or self._detected(text)
        if not delimiter:
            return  # only empty lines, so far
        self._delimiter = delimiter
        is_quoted = b'"' in text and len(delimiter) == 1
        columns, lines = (self._quoted if is_quoted else self._split)(text, delimiter)
        skipped = 0
        if columns and not self._width:
            self._width = len(columns)
            skipped = self._begin([column[0].strip(b" ") for column in columns])
        for i, parser in self._parsers.items() if columns else ():
            column = columns[i]
            part = Fields(column.text, column.starts[skipped:], column.stops[skipped:])
            parser.add(part.stripped(), lines[skipped:])

    def _detected(self, text: bytes) -> bytes:
        """The delimiter, found in the first line; none if all are empty."""
        line = text.lstrip(b"\r\n").partition(b"\n")[0]
        found = next((d.encode() for d in _DELIMITERS if d.encode() in line), b"")
        if line and not found:
            raise FormatError(
                f"{self._path}: no delimiter in its first line, {line[:40]!r}; say which it is "
                "with delimiter="
            )
        return found

    def _split(self, text: bytes, delimiter: bytes) -> tuple[list[Fields], np.ndarray]:
        """The columns of lines without quotes, and the numbers of the lines."""
        starts, stops, delimiters = split_lines(text, delimiter)
        kept = np.flatnonzero(stops > starts)
        if not kept.size:
            return [], kept
        lines, starts, stops = self._line + kept, starts[kept], stops[kept]
        widths = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) + 1
        self._check_widths(widths, lines)
        return columns_of(text, starts, stops, delimiters, len(delimiter)), lines

    def _quoted(self, text: bytes, delimiter: bytes) -> tuple[list[Fields], np.ndarray]:
        """The columns of lines some of whose fields are in quotes, and the numbers of the lines."""
        rows, lines = [], []
        source = io.StringIO(text.decode("latin-1"), newline="")
        reader = csv.reader(source, delimiter=delimiter.decode(), strict=True)
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(self._line + reader.line_num - 1)
        except csv.Error as error:
            line = self._line + max(reader.line_num, 1) - 1
            raise FormatError(f"{self._path}: line {line}: {error}") from None
        self._check_widths(np.array([len(row) for row in rows]), np.array(lines))
        columns = [[field.encode("latin-1") for field in c] for c in zip(*rows, strict=True)]
        return [Fields.of(column) for column in columns], np.array(lines)

    def _check_widths(self, widths: np.ndarray, lines: np.ndarray) -> None:
        """Raise FormatError unless all lines have as many fields as the first of the file."""
        needed = self._width or widths[0]
        different = np.flatnonzero(widths != needed)
        if different.size:
            line, width = lines[different[0]], widths[different[0]]
            raise FormatError(
                f"{self._path}: line {line} has {width} fields; the first one has {needed}"
            )

    def _begin(self, first: list[bytes]) -> int:
        """Find the columns by the first line; the number of lines, 0 or 1, that names take."""
        names = [field.decode(self._encoding, "replace").partition(":")[0] for field in first]
        names[0] = names[0].removeprefix("\ufeff")
        usual = {name for known in USUAL_NAMES.values() for name in known}
        header = bool(usual & set(names)) if self._header is None else self._header
        self._parts = self._places(names if header else None, len(names))
        kinds: tuple[type[_Column], ...] = (_Ids, _Ids, _Numbers, _Numbers)
        for part, place, kind in zip(USUAL_NAMES, self._parts, kinds, strict=True):
            if place is not None:
                self._parsers[place] = kind(self._path, part, self._encoding)
        return int(header)

    def _places(self, names: list[str] | None, width: int) -> list[int | None]:
        """The numbers of the columns of users, items, ratings and times."""
        places: list[int | None] = []
        for number, (part, usual) in enumerate(USUAL_NAMES.items()):
            given = self._columns.get(part)
            if given is not None:
                places.append(self._place(part, given, names, width))
            elif names is None:
                is_there = not self._columns and number < width
                places.append(number if is_there else None)
            else:
                places.append(next((names.index(name) for name in usual if name in names), None))
        for part, place in zip(("user", "item"), places, strict=False):
            if place is None:
                known = ", ".join(map(repr, names)) if names else f"{width} columns"
                raise ArgumentError(
                    f"read_interactions: {self._path}: which of {known} is the {part}? "
                    f'Say so with columns={{"{part}": …}}'
                )
        used = [place for place in places if place is not None]
        if len(set(used)) < len(used):
            raise ArgumentError(f"read_interactions: {self._path}: a column has two meanings")
        return places

    def _place(self, part: str, given: Any, names: list[str] | None, width: int) -> int:
        if names is not None and given in names:
            return names.index(given)
        if is_integer(given) and 0 <= given < width:
            return int(given)
        known = f"names {', '.join(map(repr, names))}, or " if names else ""
        raise ArgumentError(
            f"read_interactions: {self._path}: no column {given!r:.40} for {part}; it has {known}"
            f"numbers from 0 to {width - 1}"
        )


class _Column:
    """A column, parsed block by block."""

    def __init__(self, path: Path, part: str, encoding: str) -> None:
        self._path, self._part, self._encoding = path, part, encoding
        self._blocks: list[np.ndarray] = []

    def add(self, fields: Fields, lines: np.ndarray) -> None:
        """Parse more of the column."""
        raise NotImplementedError

    def joined(self) -> np.ndarray:
        """All of it."""
        return np.concatenate(self._blocks)


class _Ids(_Column):
    """A column of ids: integers as long as all are."""

    _codes: dict[bytes, int] | None = None  # of texts

    def add(self, fields: Fields, lines: np.ndarray) -> None:
        """Parse ids."""
        empty = np.flatnonzero(fields.starts == fields.stops)
        if empty.size:
            raise FormatError(f"{self._path}: line {lines[empty[0]]}: there is no {self._part}")
        if self._codes is None:
            values, good = integers(fields)
            if good.all():
                self._blocks.append(values)
                return
            self._codes = {}
            before = [[str(v).encode() for v in block.tolist()] for block in self._blocks]
            self._blocks = [self._coded(block) for block in before]
        self._blocks.append(self._coded(fields.contents()))

    def _coded(self, texts: list[bytes]) -> np.ndarray:
        """The numbers of texts in the order of their first occurrence."""
        codes = self._codes
        assert codes is not None
        return np.fromiter((codes.setdefault(t, len(codes)) for t in texts), np.int32, len(texts))

    def joined(self) -> np.ndarray:
        """The ids: int64, or Python's texts, each of them once in memory."""
        if self._codes is None:
            return super().joined()
        try:
            texts = [text.decode(self._encoding) for text in self._codes]
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{self._path}: {self._part} {error.object[:40]!r} is not {self._encoding}; say "
                "with encoding= what it is"
            ) from None
        distinct = np.empty(len(texts), object)
        distinct[:] = texts
        return distinct[super().joined()]


class _Numbers(_Column):
    """A column of ratings, or of times."""

    @property
    def _dtype(self) -> Any:
        return np.float32 if self._part == "rating" else np.float64

    def add(self, fields: Fields, lines: np.ndarray) -> None:
        """Parse numbers."""
        values, good = decimals(fields)
        for i in np.flatnonzero(~good).tolist():
            values[i] = self._parsed(fields[i], lines[i])
        self._blocks.append(values.astype(self._dtype))

    def _parsed(self, field: bytes, line: int) -> float:
        """A number that is written otherwise than most, or a date."""
        if _NUMBER.fullmatch(field) and abs(float(field)) <= float(np.finfo(self._dtype).max):
            return float(field)
        if self._part == "time" and field[:4].isdigit() and b"-" in field:
            try:
                moment = np.datetime64(field.decode().removesuffix("Z"), "us")
                return float(moment.astype(np.int64)) / 1e6
            except (ValueError, UnicodeDecodeError):
                pass
        shown = field[:40].decode("utf-8", "replace")
        needs = "a finite number" + (" or a date" if self._part == "time" else "")
        raise FormatError(f"{self._path}: line {line}: {self._part} is {needs}; got {shown!r}")


def _blocks(file: Any, path: Path) -> Iterator[bytes]:
    """The content in blocks of whole lines, without a byte-order mark."""
    rest = file.read(_BLOCK).removeprefix(b"\xef\xbb\xbf")
    while block := file.read(_BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
        elif len(rest) > _LONGEST:
            raise FormatError(f"{path}: has a line of more than {_LONGEST:,} bytes")
        rest = block[end:] if end else rest + block
    if rest:
        yield rest
