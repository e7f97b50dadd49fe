"""Evaluation: against plain Python for each user, and of bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from minidl.errors import ArgumentError, DTypeError
from minidl.recommend import Biases, GlobalMean, Interactions, Popularity, Recommender, evaluate
from minidl.recommend.evaluation import metrics, random_split


class Table(Recommender):
    """Scores given as a table, for the ids 0, 1, … of users and items."""

    def __init__(self, table):
        self.table = table

    def _fit(self, data):
        rows, columns = [int(i) for i in data.users], [int(i) for i in data.items]
        self.scores = np.asarray(self.table, np.float32)[np.ix_(rows, columns)]

    def _scores(self, users):
        return self.scores[users].copy()


def plainly(scores, train, test, k, threshold):
    """The mean of all metrics over users, by the definitions: train and test are sets or dicts."""
    found = {name: [] for name in ("hr", "precision", "recall", "mrr", "map", "ndcg")}
    for user, row in enumerate(scores):
        relevant = {
            i
            for (u, i), rating in test.items()
            if u == user and rating >= threshold and (u, i) not in train
        }
        if not relevant:
            continue
        ids = [i for i in range(len(row)) if (user, i) not in train]
        best = sorted(ids, key=lambda i: (-row[i], i))[:k]
        hits = [i in relevant for i in best]
        found["hr"].append(any(hits))
        found["precision"].append(sum(hits) / k)
        found["recall"].append(sum(hits) / len(relevant))
        found["mrr"].append(1 / (hits.index(True) + 1) if any(hits) else 0)
        precisions = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit]
        found["map"].append(sum(precisions) / min(len(relevant), k))
        dcg = sum(1 / math.log2(r + 2) for r, hit in enumerate(hits) if hit)
        ideal = sum(1 / math.log2(r + 2) for r in range(min(len(relevant), k)))
        found["ndcg"].append(dcg / ideal)
    return {f"{name}@{k}": np.mean(values) for name, values in found.items() if values}


@given(
    seed=st.integers(0, 1000),
    users=st.integers(1, 6),
    items=st.integers(2, 8),
    k=st.integers(1, 9),
    threshold=st.integers(1, 5),
)
def test_metrics_are_those_of_the_definitions(seed, users, items, k, threshold):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (users, items)).astype(np.float32)  # with ties
    ratings = rng.integers(1, 6, (users, items))
    part = rng.integers(0, 3, (users, items))  # 0: neither, 1: train, 2: test
    part[:, 0] = 1  # so that the model knows all users, and items by the first
    part[0, :] = np.where(part[0] == 0, 1, part[0])
    if not (part == 2).any():
        return
    data = Interactions(*np.nonzero(part), ratings[part > 0])
    train, test = data.take(part[part > 0] == 1), data.take(part[part > 0] == 2)
    model = Table(scores)
    model.scores, model.data = scores[np.ix_([*data.users], [*data.items])], train
    assert [*data.items] == list(range(items))  # ties are broken by codes
    seen = {(u, i) for u, i in zip(*np.nonzero(part == 1), strict=True)}
    tested = {(u, i): ratings[u, i] for u, i in zip(*np.nonzero(part == 2), strict=True)}
    expected = plainly(scores, seen, tested, k, threshold)
    test = test.take(rng.permutation(len(test)))
    if not expected:
        with pytest.raises(ArgumentError, match="no user has a relevant item"):
            evaluate(model, train, test, k, threshold=threshold)
        return
    found = evaluate(model, train, test, k, threshold=threshold)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    errors = [np.clip(scores[u, i], *_range(train)) - rating for (u, i), rating in tested.items()]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert found["mae"] == pytest.approx(np.mean(np.abs(errors)))
    for name, values in found.per_user.items():
        assert len(values) == len(found.users)
        assert found[name] == pytest.approx(values.mean())


def _range(train):
    return train.ratings.min(), train.ratings.max()


TRAIN = [1, 1, 2, 2, 3], ["a", "b", "a", "c", "d"], [5, 3, 4, 1, 2]
TEST = [1, 2, 2, 3], ["c", "b", "d", "a"], [2, 5, 3, 4]


def test_catalogue_metrics_of_a_small_case():
    found = evaluate(Popularity(), TRAIN, TEST, k=1)
    # the lists: c for 1; b for 2; a for 3, who are 1, 1 and 2 of 3 users in training
    assert found["coverage@1"] == 3 / 4
    assert found["novelty@1"] == pytest.approx((2 * math.log2(3) + math.log2(1.5)) / 3)
    assert found["gini@1"] == pytest.approx(metrics.gini(np.array([[0], [1], [2]]), 4))
    assert found.users == [1, 2, 3]


def test_several_lengths_at_once():
    both = evaluate(Biases(), TRAIN, TEST, k=[3, 1])
    for k in (1, 3):
        alone = evaluate(Biases(), TRAIN, TEST, k=k)
        assert {name: both[name] for name in alone} == dict(alone)


def test_gains_of_ratings():
    train, test = ([1, 2], [9, 9], [1, 1]), ([1, 1], [7, 8], [3, 1])
    model = Table(None)
    data = Interactions([1, 2, 1, 1], [9, 9, 8, 7])
    model.data, model.scores = data.take([0, 1]), np.array([[0, 2, 1], [0, 0, 0]], np.float32)
    dcg = {"binary": (1, 1), "linear": (1, 3), "exponential": (1, 7)}
    for gains, (first, second) in dcg.items():
        found = evaluate(model, train, test, 2, ["ndcg"], gains=gains)
        ideal = second + first / math.log2(3)
        assert found["ndcg@2"] == pytest.approx((first + second / math.log2(3)) / ideal)
    with pytest.raises(ArgumentError, match="linear gains need ratings ≥ 0; got -1"):
        evaluate(model, train, ([1], [7], [-1]), 2, ["ndcg"], gains="linear")


def test_unknown_users_and_items_count():
    train = [1, 1, 2], ["a", "b", "a"], [5, 3, 4]
    test = [1, 1, 9], ["zzz", "a", "b"], [3, 4, 5]  # (1, a) has been seen
    found = evaluate(GlobalMean(), train, test, k=2)
    assert found.users == [1, 9]
    assert found.per_user["recall@2"].tolist() == [0, 0]
    assert found["mae"] == pytest.approx((1 + 0 + 1) / 3)
    seen = evaluate(Popularity(), train, test, k=2, exclude_seen=False)
    assert seen.per_user["recall@2"].tolist() == [1 / 2, 0]


def test_what_was_seen_is_not_relevant():
    train, test = ([1, 1, 2, 2], ["a", "b", "a", "c"]), ([1, 1, 2], ["a", "c", "a"])
    found = evaluate(Popularity(), train, test, k=1)
    assert found.users == [1]
    assert found["recall@1"] == 1


def test_lists_longer_than_the_catalogue_cost_precision():
    found = evaluate(Popularity(), TRAIN, TEST, k=100)
    assert found["recall@100"] == 1
    assert found["precision@100"] == pytest.approx(4 / 300)


def test_what_is_not_rated_has_no_errors():
    implicit = TRAIN[:2], TEST[:2]
    assert "rmse" not in evaluate(GlobalMean(), *implicit)
    assert "rmse" not in evaluate(Popularity(), TRAIN, TEST)
    assert evaluate(Popularity(), TRAIN, TEST, metrics=["rmse"])["rmse"] > 1
    for setting in ({"metrics": ["hr", "mae"]}, {"threshold": 3}):
        with pytest.raises(ArgumentError, match="needs ratings, and the test data have none"):
            evaluate(GlobalMean(), *implicit, **setting)


def test_predictions_are_clipped_unless_it_is_not_wanted():
    train, test = ([0, 1], [0, 0], [1, 5]), ([0, 1], [0, 0], [5, 5])
    model = Table([[9], [4]])
    assert evaluate(model, train, test, metrics=["mae"])["mae"] == 0.5
    assert evaluate(model, train, test, metrics=["mae"], clip=False)["mae"] == 2.5


def test_a_fitted_model_is_not_fitted_again():
    model = Biases().fit(TRAIN)
    data, biases = model.data, model.item_biases
    found = evaluate(model, ([1], ["a"], [1]), TEST)
    assert model.data is data
    assert model.item_biases is biases
    assert found.fit_seconds is None
    assert evaluate(Biases(), TRAIN, TEST).fit_seconds > 0


def test_an_evaluation_is_a_mapping_that_can_be_written():
    found = evaluate(Biases(), TRAIN, TEST, k=2, metrics=["mae", "hr"])
    assert list(found) == ["mae", "hr@2"]
    assert repr(found) == f"Evaluation(mae {found['mae']:.4f}, hr@2 {found['hr@2']:.4f})"
    values = found.to_dict()
    assert set(values) == {"mae", "hr@2", "users", "fit_seconds", "predict_seconds"}
    assert values["users"] == 3


def test_sparse_matrices_and_many_users():
    rng = np.random.default_rng(0)
    matrix = csr_array(rng.integers(1, 6, (300, 40)) * (rng.random((300, 40)) < 0.3))
    train, test = random_split(matrix)
    whole = evaluate(Biases(), train, test)
    parts = [
        evaluate(Biases().fit(train), train, test.take(test.user_codes % 3 == r)) for r in range(3)
    ]
    users = [user for part in parts for user in part.users]
    order = np.argsort(users)
    for name, values in whole.per_user.items():
        joined = np.concatenate([part.per_user[name] for part in parts])
        np.testing.assert_array_equal(joined[order], values)


BAD = [
    ({"k": 0}, "k is an integer ≥ 1; got 0"),
    ({"k": []}, "needs a metric and a length"),
    ({"k": [5, "a"]}, "k is an integer ≥ 1"),
    ({"metrics": []}, "needs a metric and a length"),
    ({"metrics": ["auc"]}, 'metrics is one of "rmse", "mae", "hr"'),
    ({"threshold": float("nan")}, "threshold is a finite number"),
    ({"threshold": 9}, "no user has a relevant item"),
    ({"gains": "square"}, "gains is one of"),
    ({"clip": None}, "clip is True or False"),
    ({"exclude_seen": "no"}, "exclude_seen is True or False"),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        evaluate(Biases(), TRAIN, TEST, **settings)


def test_bad_data_are_refused():
    with pytest.raises(ArgumentError, match="there are no test interactions"):
        evaluate(Biases(), TRAIN, ([], [], []))
    with pytest.raises(DTypeError, match="model is a Recommender"):
        evaluate(Biases, TRAIN, TEST)
    with pytest.raises(DTypeError, match="list of metrics"):
        evaluate(Biases(), TRAIN, TEST, metrics="rmse")
    table = np.zeros((2, 2))
    table[1, 0] = np.nan
    with pytest.raises(ArgumentError, match=r"predicts NaN for user 1 and item 0"):
        evaluate(Table(table), ([0, 1], [0, 1], [1, 2]), ([1], [0], [3]))
    ranked = evaluate(Table(table), ([0, 1], [0, 1], [1, 2]), ([1], [0], [3]), metrics=["hr"])
    assert ranked["hr@10"] == 0  # what has no score is not recommended
