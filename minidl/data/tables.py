"""Tables: CSV files as datasets."""

import codecs
import csv
import gzip
import io
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.columns import MISSING, Cells, Column, read_column
from minidl.data.dataset import TensorDataset
from minidl.data.errors import FormatError
from minidl.data.idx import open_plain
from minidl.errors import ArgumentError, check_flags, check_kind, listed, path_of


class Table(TensorDataset):
    r"""The rows of a table: a sample is (features,), or (features, target).

    tensors          features (N, F), float32, and the target, (N,) or, of several columns, (N, T)
    columns          the names of the features
    target_columns   the names in the target
    classes          for each column of texts, its texts: the number of a class is its place there

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
) -> Table:
    r"""A table of numbers and texts, gzipped or not, as a dataset.

    A column of numbers becomes float32, but int64 as a target that is written in whole numbers.
    A column of texts becomes the numbers of their classes, in alphabetical order.

    target           the name or place of a column, or a list of them; they are no features
    columns          the features; all other columns if left out
    header           whether the first line has the names; without, they are "0", "1", …
    categories       columns that are texts although they look like numbers, or partly do
    classes          the classes of columns of texts, as `classes` of the table trained with has
                     them, so that the same text gets the same number
    missing          what to put where nothing is: a number in columns of numbers, a text in columns
                     of texts, or a dict with what to put in each column
    missing_values   what stands for nothing

    FormatError, with the line and the column, for a file that is damaged or no such table, and for
    missing values that nothing is put for; ArgumentError for columns that are not there.

    >>> with open("t.csv", "w") as file:
    ...     _ = file.write("a,b,y\n1,2,0\n3,?,1\n")
    >>> x, y = minidl.data.read_csv("t.csv", target="y", missing=-1).tensors
    >>> x.tolist(), y.tolist()
    ([[1.0, 2.0], [3.0, -1.0]], [0, 1])
    """
    check_flags("read_csv: ", header=header)
    columns = columns if columns is None else _list("columns", columns)
    categories = _list("categories", categories)
    missing_values = frozenset(_list("missing_values", missing_values))
    if classes is not None:
        check_kind("read_csv", "classes", classes, Mapping)
        classes = {name: _list(f"classes of {name!r}", texts) for name, texts in classes.items()}
    rows, lines = _rows_of(path_of("read_csv", path), delimiter, encoding)
    names = rows[0] if header else [str(i) for i in range(len(rows[0]))]
    rows, lines = rows[header:], lines[header:]
    if not rows:
        raise FormatError(f"{path}: there are no rows below the names of the columns")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{path}: two columns have the name {twice!r}")
    several = isinstance(target, Sequence) and not isinstance(target, str)
    targets = list(target) if several else [] if target is None else [target]
    target_places = [_place(names, column) for column in targets]
    places = [i for i in range(len(names)) if i not in target_places]
    if columns is not None:
        places = [_place(names, column) for column in columns]
    if isinstance(missing, Mapping):
        for column in missing:
            _place(names, column)
    texts = {_place(names, column) for column in (*categories, *(classes or ()))}
    read = {
        i: read_column(
            Cells(f"{path}", names[i], lines, [row[i] for row in rows], missing_values),
            i in texts,
            (classes or {}).get(names[i]),
            missing.get(names[i]) if isinstance(missing, Mapping) else missing,
        )
        for i in {*places, *target_places}
    }
    x = [read[i].values.astype(np.float32) for i in places]
    return Table(
        np.stack(x, axis=1) if x else np.empty((len(rows), 0), np.float32),
        _target([read[i] for i in target_places], several),
        [names[i] for i in places],
        [names[i] for i in target_places],
        {names[i]: column.classes for i, column in read.items() if column.classes is not None},
    )


def _rows_of(path: Path, delimiter: str, encoding: str) -> tuple[list[list[str]], list[int]]:
    """The cells of each row, without spaces around, and its line; every row is as long."""
    rows, lines = [], []
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise ArgumentError(f"read_csv: a delimiter is one character; got {delimiter!r}")
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise ArgumentError(f"read_csv: no encoding {encoding!r}; utf-8 is one") from None
    try:
        with open_plain(path) as file, io.TextIOWrapper(file, encoding, newline="") as text:
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
    except (csv.Error, UnicodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"{path}: line {len(rows) + 1} or near: {error}") from None
    if not rows:
        raise FormatError(f"{path}: there is nothing in it")
    return rows, lines


def _place(names: list[str], column: str | int) -> int:
    """Which column is meant by a name, or by a place, where −1 is the last one."""
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and -len(names) <= column < len(names):
        return column % len(names)
    raise ArgumentError(f"read_csv: there is no column {column!r}; there are {names}")


def _list(what: str, value: Any) -> list[Any]:
    """The items of an argument that is a list, of which one name alone is none."""
    return listed("read_csv", f"a list as {what}", None if isinstance(value, str) else value)


def _target(columns: list[Column], several: bool) -> np.ndarray | None:
    """The columns as one array: int64 if all are whole numbers or classes, else float32."""
    if not columns:
        return None
    whole = all(column.whole for column in columns)
    arrays = [column.values.astype(np.int64 if whole else np.float32) for column in columns]
    return np.stack(arrays, axis=1) if several else arrays[0]
