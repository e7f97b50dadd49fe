"""Ids and interactions: what goes in, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.recommend import Ids, Interactions

IDS = st.one_of(
    st.integers(), st.text(max_size=3), st.tuples(st.integers(0, 3), st.text(max_size=1))
)


@given(st.lists(IDS))
def test_codes_number_ids_in_the_order_in_which_they_first_occur(values):
    ids, codes = Ids.encode(values)
    assert list(ids) == list(dict.fromkeys(values))
    assert ids.decode(codes) == values
    assert ids.codes(values).tolist() == codes.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("spread", [1, 40])
def test_arrays_of_integers_are_numbered_as_lists_are(dtype, spread):
    info = np.iinfo(dtype)
    drawn = np.random.default_rng(0).integers(0, 4, 50).astype(dtype)
    for first in (info.min, info.max - 3 * spread):
        values = np.array([int(first) + spread * int(x) for x in drawn], dtype)
        ids, codes = Ids.encode(values)
        expected, expected_codes = Ids.encode(list(map(int, values)))
        assert ids == expected
        np.testing.assert_array_equal(codes, expected_codes)
        assert all(type(value) is int for value in ids)


def test_integers_far_apart_and_empty_arrays():
    ids, codes = Ids.encode(np.array([10**18, -(10**18), 10**18]))
    assert list(ids) == [10**18, -(10**18)]
    assert codes.tolist() == [0, 1, 0]
    assert len(Ids.encode(np.array([], np.int64))[0]) == 0
    assert len(Ids.encode([])[0]) == 0


def test_ids_of_mixed_types_stay_different_unless_python_says_they_are_equal():
    ids, codes = Ids.encode(["1", 1, 1.0, np.int64(1), ("a", 1)])
    assert list(ids) == ["1", 1, ("a", 1)]
    assert codes.tolist() == [0, 1, 1, 1, 2]


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), np.datetime64("NaT")])
def test_a_missing_id_is_refused(missing):
    with pytest.raises(ArgumentError, match=r"user: .* is no id"):
        Interactions([1, missing], ["a", "b"])


def test_unhashable_ids_are_refused():
    with pytest.raises(DTypeError, match="item: needs hashable values"):
        Interactions([1, 2], [[1], [2]])


def test_unknown_ids_are_named_with_what_they_should_be():
    ids = Ids([1, 2], "user")
    with pytest.raises(BoundsError, match=r"unknown user '1', .* and 1 more.* of type int"):
        ids.codes(["1", "2", "3", "4", "5", "6"])
    assert ids.codes([2, 9], unknown="-1").tolist() == [1, -1]
    with pytest.raises(ArgumentError, match="3 does twice"):
        Ids([3, 4, 3])


def test_interactions_from_arrays_matrices_and_tables():
    users, items, ratings = ["a", "b", "a"], [7, 7, 8], [1.0, 2.0, 3.0]
    expected = [[1, 3], [2, 0]]
    data = Interactions.of((users, items, ratings))
    assert data.matrix.toarray().tolist() == expected
    assert Interactions.of(data) is data
    for matrix in (sparse.csr_array(expected), sparse.coo_matrix(expected)):
        assert Interactions.of(matrix).matrix.toarray().tolist() == expected


def test_a_table_is_read_by_the_names_of_its_columns():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {"movieId": [7, 7], "userId": ["a", "b"], "stars": [1, 2],
         "date": pandas.to_datetime(["2020-01-02", "2020-01-01"])}
    )  # fmt: skip
    data = Interactions.of(table, columns={"rating": "stars"})
    assert list(data.users) == ["a", "b"]
    assert list(data.items) == [7]
    assert data.ratings.tolist() == [1, 2]
    assert np.diff(data.times).tolist() == [-86400]
    with pytest.raises(ArgumentError, match=r"which of the columns .* is the item"):
        Interactions.of(table.rename(columns={"movieId": "film"}))
    with pytest.raises(ArgumentError, match="columns has 'star'"):
        Interactions.of(table, columns={"rating": "star"})


def test_rows_and_columns_of_a_matrix_without_entries_are_ids_too():
    data = Interactions.of(sparse.csr_array(([5], ([1], [2])), shape=(3, 4)))
    assert list(data.users) == [0, 1, 2]
    assert list(data.items) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("how", "kept"),
    [("first", [5, 4]), ("last", [3, 4]), ("mean", [3, 4]), ("sum", [9, 4]), ("max", [5, 4])],
)
def test_pairs_that_occur_more_than_once(how, kept):
    users, items, ratings = [1, 1, 2, 1], [7, 7, 7, 7], [1, 3, 4, 5]
    times = [5, 9, 0, 1]  # the first rating of user 1 is 5, the last is 3
    data = Interactions(users, items, ratings, times, duplicates=how)
    assert sorted(data.ratings.tolist()) == sorted(kept)
    assert len(data) == 2


def test_duplicates_are_events_without_ratings_and_an_error_with_them():
    assert Interactions([1, 1], [2, 2]).matrix.toarray().tolist() == [[2]]
    with pytest.raises(ArgumentError, match=r"user 'ann' rated item 2 3 times; .* duplicates="):
        Interactions(["ann", "ben", "ann", "ann"], [2, 2, 2, 2], [1, 2, 3, 4])
    assert len(Interactions([1, 1], [2, 2], [3, 4], duplicates="keep")) == 2
    assert len(Interactions([1, 1], [2, 2], duplicates="last")) == 1
    with pytest.raises(ArgumentError, match="duplicates is one of"):
        Interactions([1, 1], [2, 2], duplicates="any")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_ratings_and_times_are_finite(number):
    with pytest.raises(ArgumentError, match=r"ratings\[1\] is"):
        Interactions([1, 2], [3, 4], [1, number])
    with pytest.raises(ArgumentError, match=r"times\[0\] is"):
        Interactions([1, 2], [3, 4], [1, 2], [number, 1])


def test_parts_have_one_length_and_are_numbers():
    with pytest.raises(ShapeError, match="as many items as users; got 1 and 2"):
        Interactions([1, 2], [3])
    with pytest.raises(ShapeError, match="needs 2 ratings"):
        Interactions([1, 2], [3, 4], [1])
    with pytest.raises(DTypeError, match="ratings are numbers"):
        Interactions([1, 2], [3, 4], ["good", "bad"])
    with pytest.raises(DTypeError, match="needs \\(users, items"):
        Interactions.of("ratings.csv")


def test_taking_some_keeps_the_ids_of_all():
    data = Interactions(["a", "b", "c"], [1, 2, 3], [5, 4, 3], [1, 2, 3])
    some = data.take(np.array([False, True, True]))
    assert list(some.users) == ["a", "b", "c"]
    assert some.ratings.tolist() == [4, 3]
    assert some.times.tolist() == [2, 3]
    assert some.matrix.shape == (3, 3)
    assert data.matrix.nnz == 3


def test_joined_interactions_number_the_old_ids_as_before():
    old = Interactions(["a", "b"], [1, 2], [5, 4])
    both, part = old.joined(Interactions(["c", "a"], [2, 1], [1, 2]))
    assert list(both.users) == ["a", "b", "c"]
    assert both.matrix.toarray().tolist() == [[2, 0], [0, 4], [0, 1]]
    assert part.matrix.toarray().tolist() == [[2, 0], [0, 0], [0, 1]]
    with pytest.raises(ArgumentError, match="either all have ratings or none"):
        old.joined(Interactions(["a"], [1]))
