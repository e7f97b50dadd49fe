"""Tables in CSV files, and arrays in NPZ files."""

import contextlib
import csv
import gzip
import io
import math
import os
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import DataLoader, FormatError, TensorDataset, read_csv, read_npz
from minidl.errors import ArgumentError

IRIS = """sepal,petal,kind,count
5.1, 1.4,setosa,3
7.0,4.7,versicolor,-2
6.3,6.0, virginica ,+7

4.9,1.4e0,"setosa",0
"""


@pytest.fixture
def write(tmp_path):
    """Write a file; its path."""

    def written(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


# CSV.


def test_numbers_and_texts(write):
    table = read_csv(write(IRIS), target="kind")
    x, y = table.tensors
    assert isinstance(table, TensorDataset)
    assert (x.dtype, y.dtype) == ("float32", "int64")
    assert table.columns == ("sepal", "petal", "count")
    assert table.target_columns == ("kind",)
    np.testing.assert_array_equal(
        x, np.float32([[5.1, 1.4, 3], [7.0, 4.7, -2], [6.3, 6.0, 7], [4.9, 1.4, 0]])
    )
    assert y.tolist() == [0, 1, 2, 0]
    assert table.classes == {"kind": ("setosa", "versicolor", "virginica")}
    (batch, labels), _ = DataLoader(table, 3)
    assert (batch.shape, labels.tolist()) == ((3, 3), [0, 1, 2])


def test_targets_of_every_kind(write):
    path = write(IRIS)
    assert len(read_csv(path).tensors) == 1
    assert read_csv(path).tensors[0].shape == (4, 4)
    y = read_csv(path, target="count").tensors[1]
    assert (y.dtype, y.tolist()) == ("int64", [3, -2, 7, 0])
    y = read_csv(path, target=["count"]).tensors[1]
    assert (y.dtype, y.tolist()) == ("int64", [[3], [-2], [7], [0]])
    y = read_csv(path, target=0).tensors[1]
    assert (y.dtype, y.tolist()) == ("float32", np.float32([5.1, 7, 6.3, 4.9]).tolist())
    y = read_csv(path, target=["kind", -1]).tensors[1]
    assert (y.dtype, y.tolist()) == ("int64", [[0, 3], [1, -2], [2, 7], [0, 0]])
    table = read_csv(path, target=["sepal", "count"], columns=["petal"])
    assert table.tensors[1].dtype == "float32"
    assert table.columns == ("petal",)
    assert table.tensors[0].shape == (4, 1)
    assert read_csv(path, target="kind", columns=[]).tensors[0].shape == (4, 0)


def test_without_a_header(write):
    table = read_csv(write("1;a\n2;b\n"), target=-1, header=False, delimiter=";")
    assert table.columns == ("0",)
    assert table.tensors[1].tolist() == [0, 1]
    assert table.classes == {"1": ("a", "b")}


def test_gzip_marks_and_encodings(write):
    for content in (gzip.compress(b"a\n1\n"), b"\xef\xbb\xbfa\n1\n", b"a\r\n1\r\n", b"a\n1"):
        table = read_csv(write(content))
        assert (table.columns, table.tensors[0].tolist()) == (("a",), [[1]])
    path = write("größe\n1\n".encode("latin-1"))
    assert read_csv(path, encoding="latin-1").columns == ("größe",)
    with pytest.raises(FormatError, match="codec can't decode"):
        read_csv(path)


def test_classes_of_the_training_table_serve_for_another(write):
    train = read_csv(write("x,y\n1,b\n2,c\n3,a\n"), target="y")
    test = read_csv(write("x,y\n1,c\n"), target="y", classes=train.classes)
    assert test.tensors[1].tolist() == [2]
    assert test.classes == train.classes
    with pytest.raises(
        FormatError, match=r"line 2, column 'y': 'd' is none of the classes a, b, c"
    ):
        read_csv(write("x,y\n1,d\n"), target="y", classes=train.classes)


def test_numbers_may_be_categories(write):
    path = write("zip,x\n0815,1\n4711,2\n0815,3\n")
    table = read_csv(path, categories=["zip"])
    assert table.tensors[0].tolist() == [[0, 1], [1, 2], [0, 3]]
    assert table.classes == {"zip": ("0815", "4711")}


GAPS = "age,town\n3,Rome\n,Oslo\n5,?\n"


def test_what_is_missing_is_an_error_that_says_where(write):
    path = write(GAPS)
    with pytest.raises(
        FormatError, match=r"table.csv: line 3, column 'age': nothing is there; .*a number"
    ):
        read_csv(path)
    with pytest.raises(FormatError, match=r"line 4, column 'town': nothing is there; .*a text"):
        read_csv(path, missing=0)
    with pytest.raises(FormatError, match=r"line 3, column 'age'"):
        read_csv(path, missing="unknown")
    table = read_csv(path, missing={"age": 4.5, "town": "unknown"})
    assert table.tensors[0].tolist() == [[3, 1], [4.5, 0], [5, 2]]
    assert table.classes == {"town": ("Oslo", "Rome", "unknown")}
    table = read_csv(path, columns=["age"], missing=math.nan)
    np.testing.assert_array_equal(table.tensors[0].numpy()[:, 0], [3, np.nan, 5])
    assert read_csv(path, "town", missing=0, missing_values=[""]).classes["town"][0] == "?"


def test_a_column_of_nothing_but_gaps(write):
    with pytest.raises(FormatError, match=r"line 2, column 'a'"):
        read_csv(write("a,b\n,1\n"))
    assert read_csv(write("a,b\n,1\n"), missing=2).tensors[0].tolist() == [[2, 1]]


def test_what_is_written_into_integers(write):
    path = write("x,y\n1,2\n1,\n")
    assert read_csv(path, "y", missing=-1).tensors[1].dtype == "int64"
    assert read_csv(path, "y", missing=0.5).tensors[1].tolist() == [2, 0.5]


BAD = {
    "empty": ("", "there is nothing in it"),
    "only names": ("a,b\n", "there are no rows below"),
    "short row": ("a,b\n1,2\n3\n", "line 3 has 1 cells; the first one has 2"),
    "long row": ("a,b\n1,2,3\n", "line 2 has 3 cells"),
    "twice": ("a,b,a\n1,2,3\n", "two columns have the name 'a'"),
    "one bad number": ("a\n1\n12a\n", r"line 3, column 'a': '12a' is no number, .*`categories`"),
    "underscore": ("a\n1\n1_0\n", "'1_0' is no number"),
    "too large": ("a\n1.5\n1e39\n", "line 3, column 'a': 1e39 is too large"),
    "too whole": ("a\n99999999999999999999\n", "is too large"),
    "open quote": ('a\n"1\n', "unexpected end of data"),
    "cut gzip": (gzip.compress(b"a\n1\n" * 99)[:-9], "."),
    "gzip's trash": (b"\x1f\x8b" + b"\xff" * 40, "."),
    "utf-16": ("a\n1\n".encode("utf-16"), "decode"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_damaged_tables_are_refused_with_a_reason(write, content, words):
    path = write(content)
    with pytest.raises(FormatError, match=words) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("column", ["z", 4, -5, None, 1.0])
def test_columns_that_are_not_there(write, column):
    with pytest.raises(
        ArgumentError, match=r"read_csv: there is no column .*; there are \['sepal'"
    ):
        read_csv(write(IRIS), columns=[column])


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, width=32),
            st.integers(-(2**63), 2**63 - 1),
            st.text("abcäß ,\"';\n", min_size=1).filter(str.strip),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "table"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("real", "whole", "text"), *rows])
    table = read_csv(path, target="whole", categories=["text"])
    assert table.tensors[1].tolist() == [whole for _, whole, _ in rows]
    x, classes = table.tensors[0].numpy(), table.classes["text"]
    np.testing.assert_array_equal(x[:, 0], np.float32([real for real, _, _ in rows]))
    assert [classes[int(i)] for i in x[:, 1]] == [text.strip() for *_, text in rows]


@given(st.binary(max_size=60))
def test_whatever_the_bytes_there_is_a_table_or_a_reason(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "table"
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        assert len(read_csv(path)) > 0


def test_files_that_are_not_there_are_ordinary_errors(tmp_path):
    for read in (read_csv, read_npz):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing")


# NPZ.

ARRAYS = {
    "x": np.arange(12, dtype="float32").reshape(3, 4),
    "y": np.array([1, 2, 3]),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "number": np.array(2.5),
    "nothing": np.zeros((0, 3)),
    "text": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        assert found[name].flags.writeable
    dataset = TensorDataset(found["x"], found["y"])
    assert dataset[1][1].item() == 2


def archive(**files):
    """A ZIP archive of these bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


GOOD = npy(ARRAYS["x"])
LIE = GOOD.replace(b"(3, 4)", b"(3, 9)")
HUGE = GOOD.replace(b"(3, 4), }         ", b"(3000000000, 999)}")
HOSTILE = {
    "empty": (b"", "not a zip file"),
    "a page": (b"<html>", "not a zip file"),
    "an array": (GOOD, "not a zip file"),
    "objects": (archive(x=npy(np.array([{}]), allow_pickle=True)), "x: holds Python objects"),
    "no array": (archive(x=b"text"), "."),
    "cut": (archive(x=GOOD)[:-30], "not a zip file"),
    "cut inside": (archive(x=GOOD[:-1]), r"x: float32 \(3, 4\) takes 48 bytes; it has fewer"),
    "more": (archive(x=GOOD + b"\0"), "takes 48 bytes; it has fewer or more"),
    "a lie": (archive(x=LIE), r"float32 \(3, 9\) takes 108 bytes"),
    "a huge lie": (archive(x=HUGE), r"\(3000000000, 999\) takes"),
    "code": (archive(x=GOOD.replace(b"False", b"print")), "."),
    "another version": (archive(x=b"\x93NUMPY\x09\0" + GOOD[8:]), r"version \(9, 0\)"),
    "wrong sum": (archive(x=GOOD).replace(zlib.crc32(GOOD).to_bytes(4, "little"), b"1234"), "CRC"),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_with_a_reason(tmp_path, content, words):
    assert LIE != GOOD != HUGE
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        read_npz(path)
    assert str(caught.value).startswith(f"{path}: not a sound NPZ file: ")


@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_a_damaged_byte_or_end_is_seen_or_does_no_harm(tmp_path_factory, place, byte, cut):
    content = bytearray(archive(x=GOOD, y=npy(ARRAYS["y"])))
    place %= len(content)
    content[place] = byte
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content[:place] if cut else content)
    with contextlib.suppress(FormatError):
        for array in read_npz(path).values():
            assert array.tolist() in (ARRAYS["x"].tolist(), ARRAYS["y"].tolist())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="measures memory as POSIX tells it")
def test_a_bomb_takes_no_memory(tmp_path):
    """An archive that says it unpacks to 4 GB."""
    content = bytearray(archive(x=HUGE))
    at = content.rindex(b"PK\1\2")
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    path = tmp_path / "bomb.npz"
    path.write_bytes(content)
    code = f"""if True:
        import resource
        from minidl.data import FormatError, read_npz
        resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))
        try:
            read_npz({str(path)!r})
        except FormatError as error:
            print("cannot hold 4294967294" in str(error))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_compressed_bomb_is_refused_unless_asked_for(tmp_path):
    """Some kB of gzip or deflate that hold a thousand times as much."""
    table = tmp_path / "bomb.csv.gz"
    table.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000))
    with pytest.raises(FormatError, match=r"more than 100,000 bytes; .* raise `max_bytes`"):
        read_csv(table, max_bytes=100_000)
    assert read_csv(table, max_bytes=200_004).tensors[0].shape == (50_000, 2)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(50_000), y=np.zeros(50_000))
    with pytest.raises(FormatError, match=r"more than 500,000 bytes; .* raise `max_bytes`"):
        read_npz(tmp_path / "bomb.npz", max_bytes=500_000)
    assert len(read_npz(tmp_path / "bomb.npz", max_bytes=900_000)) == 2
    np.savez(tmp_path / "plain.npz", x=np.zeros(50_000))
    assert len(read_npz(tmp_path / "plain.npz", max_bytes=1)) == 1  # it is as large as it says


@pytest.mark.full
def test_by_default_a_bomb_stops_at_256_mib(tmp_path):
    table = tmp_path / "bomb.csv.gz"
    with gzip.open(table, "wb") as file:
        for _ in range(300):
            file.write(b"1,2" + b" " * (2**20 - 4) + b"\n")
    with pytest.raises(FormatError, match=r"more than 268,435,456 bytes"):
        read_csv(table, header=False)


@pytest.mark.parametrize("cell", ["9" * 5000, "-" + "9" * 5000, "9" * 19, "1e39", "-1e400"])
def test_numbers_too_large_are_refused(write, cell):
    with pytest.raises(FormatError, match=r"line 2, column 'a': .* is too large"):
        read_csv(write(f"a\n{cell}\n"))


@pytest.mark.parametrize("encoding", ["zip", "rot13", "none at all", "a\0b", 3])
def test_what_is_no_encoding_of_texts_is_refused(write, encoding):
    with pytest.raises(ArgumentError, match="no encoding"):
        read_csv(write("a\n1\n"), encoding=encoding)


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "", "ab", 3])
def test_what_cannot_separate_cells_is_refused(write, delimiter):
    with pytest.raises(ArgumentError, match="a delimiter is one character"):
        read_csv(write("a\n1\n"), delimiter=delimiter)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("read", [read_csv, read_npz])
def test_a_pipe_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is no file"):
        read(tmp_path / "pipe")


def test_an_archive_with_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", GOOD)
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("x.npy", GOOD)
    with pytest.raises(FormatError, match="two arrays have the name 'x'"):
        read_npz(path)
