"""Metrics: cases worked by hand, and other libraries."""

import json
import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import ArgumentError, ShapeError
from minidl.recommend.evaluation import metrics

# Worked by hand: three of five are relevant, one relevant item is not in the list.
LIST, RELEVANT = ["a", "b", "c", "d", "e"], {"b": 3.0, "c": 1.0, "e": 2.0, "x": 1.0}
LOG3, LOG5, LOG6 = math.log2(3), 2.321928094887362, 2.584962500721156
BY_HAND = {
    "hr": {1: 0, 2: 1, 5: 1},
    "precision": {1: 0, 2: 1 / 2, 3: 2 / 3, 5: 3 / 5},
    "recall": {1: 0, 2: 1 / 4, 3: 2 / 4, 5: 3 / 4},
    "mrr": {1: 0, 2: 1 / 2, 5: 1 / 2},
    "map": {1: 0, 2: (1 / 2) / 2, 3: (1 / 2 + 2 / 3) / 3, 5: (1 / 2 + 2 / 3 + 3 / 5) / 4},
    "ndcg": {
        1: 0,
        2: (3 / LOG3) / (3 + 2 / LOG3),
        3: (3 / LOG3 + 1 / 2) / (3 + 2 / LOG3 + 1 / 2),
        5: (3 / LOG3 + 1 / 2 + 2 / LOG6) / (3 + 2 / LOG3 + 1 / 2 + 1 / LOG5),
    },
}
CASES = [(name, k, value) for name, values in BY_HAND.items() for k, value in values.items()]


@pytest.mark.parametrize(("name", "k", "value"), CASES)
def test_a_list_judged_by_hand(name, k, value):
    judged = metrics.judge([LIST], [RELEVANT], k=5)
    assert metrics.OF_LISTS[name](judged, k).tolist() == pytest.approx([value], abs=1e-15)
    (alone,) = metrics.OF_LISTS[name](metrics.judge([LIST], [RELEVANT], k=k), k)
    assert alone == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("name", metrics.OF_LISTS)
def test_the_best_list_has_one_and_an_empty_one_nothing(name):
    judged = metrics.judge([["a", "b"], [], ["c"]], [{"a", "b", "x"}, {"a"}, {}], k=2)
    expected = [2 / 3 if name == "recall" else 1, 0, 0]
    assert metrics.OF_LISTS[name](judged, 2).tolist() == pytest.approx(expected)


def test_errors_by_hand():
    assert metrics.rmse([1, 2, 4], [2, 2, 2]) == pytest.approx(math.sqrt(5 / 3))
    assert metrics.mae([1, 2, 4], [2, 2, 2]) == 1
    for metric in (metrics.rmse, metrics.mae):
        with pytest.raises(ShapeError, match="as many predictions as ratings"):
            metric([1, 2], [1])
        with pytest.raises(ShapeError, match="one or more"):
            metric([], [])


def test_the_catalogue_by_hand():
    ranked = np.array([[0, 1], [0, 2], [0, -1]], np.int32)
    assert metrics.coverage(ranked, 6) == 3 / 6
    # lists of items 0, 1, 2: 3, 1, 1; the mean difference over twice the mean
    assert metrics.gini(ranked[:, :], 3) == pytest.approx((0 + 2 * (2 + 2 + 0)) / (2 * 9 * 5 / 3))
    assert metrics.gini(np.array([[0], [1], [2]]), 3) == 0
    assert metrics.gini(np.full((1, 2), -1), 3) == 0
    counts = np.array([4, 1, 0])
    assert metrics.novelty(ranked, counts, 8) == pytest.approx((3 * 1 + 3 + 3) / 5)
    assert metrics.novelty(np.full((1, 2), -1), counts, 8) == 0


def test_bad_lists_are_refused():
    with pytest.raises(ShapeError, match="got 1 lists and 2 sets"):
        metrics.judge([[1]], [{1}, {2}])
    with pytest.raises(ArgumentError, match="list 0 has an id twice"):
        metrics.judge([[1, 1]], [{1}])


# Other libraries.

RANX = """
import json, sys
import numpy as np
from ranx.metrics.average_precision import _average_precision
from ranx.metrics.hit_rate import _hit_rate
from ranx.metrics.ndcg import _ndcg
from ranx.metrics.precision import _precision
from ranx.metrics.recall import _recall
from ranx.metrics.reciprocal_rank import _reciprocal_rank
def values(ids, grades, k):
    q = np.array([[float(i), g] for i, g in sorted(grades, key=lambda pair: -pair[1])])
    r = np.array([[float(i), -rank] for rank, i in enumerate(ids)])
    return {
        "hr": _hit_rate(q, r, k),
        "precision": _precision(q, r, k),
        "recall": _recall(q, r, k),
        "mrr": _reciprocal_rank(q, r, k),
        "map": _average_precision(q, r, k),
        "ndcg": _ndcg(q, r, k, True),
    }
print(json.dumps([values(*case) for case in json.load(sys.stdin)]))
"""


def test_lists_judged_by_ranx():
    """In a process of its own, in which Numba does not compile: that would take minutes."""
    pytest.importorskip("ranx", reason="ranx, the oracle of metrics, is not installed")
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(200):
        ids = rng.permutation(16)[: rng.integers(1, 13)].tolist()
        relevant = rng.permutation(16)[: rng.integers(1, 9)].tolist()
        grades = [[i, int(rng.integers(1, 6))] for i in relevant]
        cases.append([ids, grades, int(rng.integers(1, 11))])
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RANX],
        input=json.dumps(cases),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for (ids, grades, k), theirs in zip(cases, json.loads(found.stdout), strict=True):
        judged = metrics.judge([ids], [dict(grades)], k)
        for name, expected in theirs.items():
            (value,) = metrics.OF_LISTS[name](judged, k)
            if name == "map":  # which ranx divides by R, not by min(R, k)
                value *= min(len(grades), k) / len(grades)
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-15), (name, ids, grades, k)


LISTS = st.lists(st.integers(0, 15), min_size=1, max_size=12, unique=True)
GRADES = st.dictionaries(st.integers(0, 15), st.integers(1, 5), min_size=1, max_size=8)
USERS = st.lists(st.tuples(LISTS, GRADES), min_size=1, max_size=4)


@given(users=USERS, k=st.integers(1, 10))
def test_lists_judged_by_lenskit(users, k):
    with warnings.catch_warnings():  # on import
        warnings.simplefilter("ignore")
        reason = "lenskit, an oracle of metrics, is not installed"
        theirs = pytest.importorskip("lenskit.metrics", reason=reason)
        data = pytest.importorskip("lenskit.data", reason=reason)
    for ids, grades in users:
        ids = ids[:k] if len(ids) >= k else [*ids, *range(100, 100 + k - len(ids))]
        recommended = data.ItemList(item_ids=ids, ordered=True)
        gains = np.array([*grades.values()], float)
        truth = data.ItemList(item_ids=[*grades], rating=gains)
        judged = metrics.judge([ids], [grades], k)
        pairs = {
            "hr": theirs.Hit(k),
            "precision": theirs.Precision(k),
            "recall": theirs.Recall(k),
            "mrr": theirs.RecipRank(k),
            "map": theirs.ranking.AveragePrecision(k),
            "ndcg": theirs.NDCG(k, gain="rating", weight=theirs.ranking.LogRankWeight(offset=1)),
        }
        for name, metric in pairs.items():
            expected = metric.measure_list(recommended, truth)
            value = metrics.OF_LISTS[name](judged, k)
            if name == "recall":  # which lenskit divides by min(R, k)
                value = value * judged.sizes / np.minimum(judged.sizes, k)
            assert value.tolist() == pytest.approx([float(expected)], rel=1e-6), name
