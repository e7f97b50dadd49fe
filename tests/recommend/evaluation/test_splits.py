"""Splits: each interaction is in one part, and in the right one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import ArgumentError
from minidl.recommend import Interactions
from minidl.recommend.evaluation import k_fold, leave_last_out, random_split, time_split

PAIRS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 5), st.integers(0, 9)),
    min_size=2,
    max_size=30,
    unique_by=lambda row: row[:2],
)
DATA = PAIRS.map(lambda rows: Interactions(*(np.array(c) for c in zip(*rows, strict=True))))


def rows(data):
    """The interactions as tuples of codes, rating and time."""
    columns = data.user_codes, data.item_codes, data.ratings, data.times
    return list(zip(*(column.tolist() for column in columns), strict=True))


def assert_parts(data, train, test):
    """The parts have all interactions, in their order, and the ids of all."""
    assert sorted(rows(train) + rows(test)) == sorted(rows(data))
    for part in (train, test):
        assert part.users is data.users
        assert part.items is data.items
        assert rows(part) == [row for row in rows(data) if row in set(rows(part))]


@given(data=DATA, fraction=st.floats(0, 1), seed=st.integers(0, 5))
def test_random_parts_are_as_large_as_wanted(data, fraction, seed):
    train, test = random_split(data, fraction, seed=seed)
    assert_parts(data, train, test)
    assert len(test) == min(max(round(fraction * len(data)), 1), len(data) - 1)
    assert rows(random_split(data, fraction, seed=seed).test) == rows(test)


@given(data=DATA, fraction=st.floats(0, 1))
def test_random_parts_of_each_user(data, fraction):
    train, test = random_split(data, fraction, per_user=True)
    assert_parts(data, train, test)
    for user in range(len(data.users)):
        n = np.count_nonzero(data.user_codes == user)
        expected = min(round(fraction * n), n - 1)
        assert np.count_nonzero(test.user_codes == user) == expected


def test_other_seeds_give_other_parts():
    data = Interactions(np.repeat(range(10), 10), np.tile(range(10), 10))
    tests = [random_split(data, 0.5, seed=seed).test for seed in (0, 1)]
    assert (tests[0].user_codes != tests[1].user_codes).any()
    counts = [
        np.count_nonzero(random_split(data, 0.3, seed=seed, per_user=True).test.item_codes == 9)
        for seed in range(50)
    ]
    assert 2 < np.mean(counts) < 4  # no item is favoured: 3 of 10 users on average


@given(data=DATA, n=st.integers(1, 3))
def test_the_last_of_each_user_are_for_testing(data, n):
    counts = np.bincount(data.user_codes)
    if counts.max() <= n:
        with pytest.raises(ArgumentError, match=f"no user has more than {n}"):
            leave_last_out(data, n)
        return
    train, test = leave_last_out(data, n)
    assert_parts(data, train, test)
    for user in range(len(data.users)):
        mine = [row for row in rows(data) if row[0] == user]
        last = sorted(mine, key=lambda row: row[3])[-n:] if len(mine) > n else []
        assert sorted(row for row in rows(test) if row[0] == user) == sorted(last)


def test_without_times_the_last_in_place():
    data = Interactions([1, 2, 1, 1, 2], [7, 7, 8, 9, 8])
    test = leave_last_out(data).test
    assert test.user_codes.tolist() == [0, 1]
    assert test.items.decode(test.item_codes) == [9, 8]


@given(data=DATA, quantile=st.floats(0, 1))
def test_what_is_later_is_for_testing(data, quantile):
    if np.quantile(data.times, quantile, method="lower") == data.times.max():
        with pytest.raises(ArgumentError, match="nothing is later"):
            time_split(data, quantile)
        return
    train, test = time_split(data, quantile)
    assert_parts(data, train, test)
    assert len(train)
    assert train.times.max() < test.times.min()
    share = np.mean(data.times <= train.times.max())
    assert share >= quantile - 1 / len(data)


@given(data=DATA, folds=st.integers(2, 5))
def test_each_interaction_is_tested_once(data, folds):
    if folds > len(data):
        with pytest.raises(ArgumentError, match="folds"):
            k_fold(data, folds)
        return
    parts = list(k_fold(data, folds, seed=3))
    for train, test in parts:
        assert_parts(data, train, test)
    assert sorted(row for part in parts for row in rows(part.test)) == sorted(rows(data))
    sizes = [len(test) for _, test in parts]
    assert max(sizes) - min(sizes) <= 1


BAD = [
    (lambda d: random_split(d, 1.5), "test is a number from 0 to 1"),
    (lambda d: random_split(d, float("nan")), "test is a number"),
    (lambda d: random_split(d, seed=-1), "seed is an integer ≥ 0"),
    (lambda d: random_split(d, per_user=2), "per_user is True or False"),
    (lambda d: leave_last_out(d, 0), "n is an integer ≥ 1"),
    (lambda d: time_split(d), "have no times"),
    (lambda d: time_split(d, 2), "quantile is a number from 0 to 1"),
    (lambda d: k_fold(d, 1), "folds is an integer from 2 to 3"),
    (lambda d: k_fold(d, 2, seed="a"), "seed is an integer"),
    (lambda d: random_split(d.take([0])), "needs two interactions or more; got 1"),
    (lambda d: leave_last_out(d.take([])), "needs two interactions or more; got 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_splits_are_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(Interactions([1, 1, 2], [7, 8, 7]))
