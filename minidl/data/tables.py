"""CSV files as datasets."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.checks import check_flags, check_instance, check_integers
from minidl.data.columns import MISSING, Cells, Column, read_column
from minidl.data.compressed import DAMAGED, MAX_TABLE_BYTES, open_decompressed
from minidl.data.dataset import TensorDataset
from minidl.data.errors import FormatError
from minidl.errors import ArgumentError, listed, path_of


class Table(TensorDataset):
    r"""The rows of a table: a sample is (features,), or (features, target).

    tensors          features (N, F), float32, and the target, (N,), or (N, T) for several columns
    columns          the names of the feature columns
    target_columns   the names of the target columns
    classes          for each categorical column its categories, in the order of their labels

    >>> with open("iris.csv", "w") as file:
    ...     _ = file.write("length,kind\n5.1,setosa\n6.2,virginica\n")
    >>> table = minidl.data.read_csv("iris.csv", target="kind")
    >>> table.columns, table.target_columns, table.classes
    (('length',), ('kind',), {'kind': ('setosa', 'virginica')})
    >>> table[1][1].item()
    1
    """

    def __init__(
        self,
        features: Any,
        target: Any,
        columns: Sequence[str],
        target_columns: Sequence[str],
        classes: Mapping[str, tuple[str, ...]],
    ) -> None:
        super().__init__(*((features,) if target is None else (features, target)))
        self.columns, self.target_columns = tuple(columns), tuple(target_columns)
        self.classes = dict(classes)


def read_csv(
    path: str | os.PathLike[str],
    target: str | int | Sequence[str | int] | None = None,
    *,
    columns: Sequence[str | int] | None = None,
    header: bool = True,
    delimiter: str = ",",
    categories: Sequence[str | int] = (),
    classes: Mapping[str, Sequence[str]] | None = None,
    missing: Any = None,
    missing_values: Sequence[str] = MISSING,
    encoding: str = "utf-8-sig",
    max_bytes: int = MAX_TABLE_BYTES,
) -> Table:
    r"""A CSV file with numeric and categorical columns, gzipped or not, as a dataset.

    Numeric columns become float32; an integer target becomes int64.  Columns of strings are
    categorical: they become class labels, numbered in alphabetical order.

    target           the name or index of the target column, or a list of them
    columns          the feature columns; by default all others
    header           whether the first line has the names; otherwise they are "0", "1", …
    categories       columns to treat as categorical although (some of) their values are numbers
    classes          the categories of categorical columns, such as `classes` of the training table,
                     so that the same string gets the same label
    missing          the fill value for missing values: a number for numeric columns, a string for
                     categorical ones, or a dict with one for each column
    missing_values   the markers of missing values
    max_bytes        the most bytes that a gzipped file may decompress to, by default 256 MiB

    FormatError, with the line and the column, for a file that is damaged or not such a table, and
    for missing values without a fill value; ArgumentError for unknown columns.

    >>> with open("t.csv", "w") as file:
    ...     _ = file.write("a,b,y\n1,2,0\n3,?,1\n")
    >>> x, y = minidl.data.read_csv("t.csv", target="y", missing=-1).tensors
    >>> x.tolist(), y.tolist()
    ([[1.0, 2.0], [3.0, -1.0]], [0, 1])
    """
    check_flags("read_csv", header=header)
    check_integers("read_csv", 1, max_bytes=max_bytes)
    columns = columns if columns is None else _list("columns", columns)
    categories = _list("categories", categories)
    markers = frozenset(_list("missing_values", missing_values))
    if classes is not None:
        check_instance("read_csv", Mapping, classes=classes)
        classes = {name: _list(f"classes of {name!r}", texts) for name, texts in classes.items()}
    sheet = _read_sheet(path, delimiter, encoding, header, max_bytes)
    several = isinstance(target, Sequence) and not isinstance(target, str)
    targets: list[Any] = _list("target", target) if several else [target]
    target_indices = [] if target is None else [sheet.index(column) for column in targets]
    indices = [i for i in range(len(sheet.names)) if i not in target_indices]
    if columns is not None:
        indices = [sheet.index(column) for column in columns]
    fills = missing if isinstance(missing, Mapping) else dict.fromkeys(sheet.names, missing)
    for column in fills:
        sheet.index(column)
    categorical = {sheet.index(column) for column in (*categories, *(classes or ()))}
    parsed: dict[int, Column] = {}
    for i in {*indices, *target_indices}:
        name, texts = sheet.names[i], [row[i] for row in sheet.rows]
        cells = Cells(f"{path}", name, sheet.lines, texts, markers)
        own_classes = (classes or {}).get(name)
        parsed[i] = read_column(cells, i in categorical, own_classes, fills.get(name))
    return Table(
        _features([parsed[i] for i in indices], len(sheet.rows)),
        _target([parsed[i] for i in target_indices], several),
        [sheet.names[i] for i in indices],
        [sheet.names[i] for i in target_indices],
        {sheet.names[i]: c.classes for i, c in parsed.items() if c.classes is not None},
    )


@dataclass(frozen=True)
class _Sheet:
    """The cells of a table: the names of its columns, and its rows with their line numbers."""

    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def index(self, column: str | int) -> int:
        """The index of a column from its name, or from its position, where −1 is the last."""
        if isinstance(column, str) and column in self.names:
            return self.names.index(column)
        if isinstance(column, int) and -len(self.names) <= column < len(self.names):
            return column % len(self.names)
        raise ArgumentError(f"read_csv: there is no column {column!r}; there are {self.names}")


def _read_sheet(
    path: str | os.PathLike[str], delimiter: str, encoding: str, header: bool, max_bytes: int
) -> _Sheet:
    """The column names and the rows of a file, validated."""
    rows, lines = _read_rows(path_of("read_csv", path), delimiter, encoding, max_bytes)
    names = rows[0] if header else [str(i) for i in range(len(rows[0]))]
    rows, lines = rows[header:], lines[header:]
    if not rows:
        raise FormatError(f"{path}: there are no rows below the names of the columns")
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{path}: two columns have the name {duplicate!r}")
    return _Sheet(names, rows, lines)


def _read_rows(
    path: Path, delimiter: str, encoding: str, max_bytes: int
) -> tuple[list[list[str]], list[int]]:
    """The cells of each row, stripped, and its line number; all rows have equal lengths."""
    rows: list[list[str]] = []
    lines: list[int] = []
    _check_dialect(delimiter, encoding)
    try:
        with (
            open_decompressed(path, max_bytes) as file,
            io.TextIOWrapper(file, encoding, newline="") as text,
        ):
            reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
            for row in reader:
                if not row:
                    continue
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
                if len(row) != len(rows[0]):
                    raise FormatError(
                        f"{path}: line {reader.line_num} has {len(row)} cells; the first one has "
                        f"{len(rows[0])}"
                    )
    except (csv.Error, UnicodeError, *DAMAGED) as error:
        raise FormatError(f"{path}: line {len(rows) + 1} or near: {error}") from None
    if not rows:
        raise FormatError(f"{path}: there is nothing in it")
    return rows, lines


def _check_dialect(delimiter: str, encoding: str) -> None:
    """Raise unless a text of this encoding can be separated by this delimiter."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise ArgumentError(
            f"read_csv: a delimiter is one character, no quote or line break; got {delimiter!r}"
        )
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)
    except (LookupError, TypeError, ValueError):
        raise ArgumentError(f"read_csv: no encoding {encoding!r}; utf-8 is one") from None


def _list(what: str, value: Any) -> list[Any]:
    """The items of an argument that is a list; DTypeError for a single string."""
    return listed("read_csv", f"a list as {what}", None if isinstance(value, str) else value)


def _features(columns: list[Column], rows: int) -> np.ndarray:
    """The columns as one float32 array (N, F)."""
    arrays = [column.values.astype(np.float32) for column in columns]
    return np.stack(arrays, axis=1) if arrays else np.empty((rows, 0), np.float32)


def _target(columns: list[Column], several: bool) -> np.ndarray | None:
    """The columns as one array: int64 if all are integers or class labels, else float32."""
    if not columns:
        return None
    integral = all(column.integral for column in columns)
    arrays = [column.values.astype(np.int64 if integral else np.float32) for column in columns]
    return np.stack(arrays, axis=1) if several else arrays[0]
