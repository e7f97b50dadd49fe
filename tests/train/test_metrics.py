"""Metrics: against their definitions, written as loops, and numbers from the literature."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError
from minidl.train import metrics as m
from minidl.train.unread import Unread

NAN = float("nan")


# The definitions, one sample or pair at a time.


def best(scores):
    """The first of the largest; none if one is not a number."""
    return None if any(map(math.isnan, scores)) else scores.index(max(scores))


def taken_for(p):
    return [best(row) for row in p.tolist()]


def table(p, t):
    return [
        [sum(j == a and i == b for a, b in zip(taken_for(p), t, strict=True)) for j in range(3)]
        for i in range(3)
    ]


def divide(a, b):
    return a / b if b else 0.0


def each_class(name, p, t):
    for c in range(p.shape[1]):
        predicted = [a == c for a in taken_for(p)]
        true = [b == c for b in t]
        right = sum(a and b for a, b in zip(predicted, true, strict=True))
        parts = {
            "precision": (right, sum(predicted)),
            "recall": (right, sum(true)),
            "f1": (2 * right, sum(predicted) + sum(true)),
        }
        yield parts[name], sum(true), any(predicted) or any(true)


def averaged(name, average, p, t):
    rows = list(each_class(name, p, t))
    shares = [divide(*parts) for parts, _, _ in rows]
    if average == "micro":
        return divide(*map(sum, zip(*[parts for parts, _, _ in rows], strict=True)))
    if average == "weighted":
        return sum(s * n for s, (_, n, _) in zip(shares, rows, strict=True)) / len(t)
    occurring = [s for s, (_, _, occurs) in zip(shares, rows, strict=True) if occurs]
    return shares if average is None else sum(occurring) / len(occurring)


def top_k(k, p, t):
    key = lambda row: lambda j: (math.isnan(row[j]), row[j], -j)
    first = [sorted(range(len(row)), key=key(row), reverse=True)[:k] for row in p.tolist()]
    right = [c in js and p[i, c] == p[i, c] for i, (c, js) in enumerate(zip(t, first, strict=True))]
    return sum(right) / len(t)


def area(scores, positive):
    pairs = [(a, b) for a, x in zip(scores, positive, strict=True) if x
             for b, y in zip(scores, positive, strict=True) if not y]  # fmt: skip
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs) if pairs else NAN


def mean_area(p, t):
    areas = [area(p[:, c], t == c) for c in range(p.shape[1])]
    return float(np.mean([a for a in areas if a == a] or [NAN]))


def r2(p, t):
    scores = []
    for a, b in zip(p.T.tolist(), t.T.tolist(), strict=True):
        mean = math.fsum(b) / len(b)
        error = math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        scores.append(1 - error / math.fsum((y - mean) ** 2 for y in b))
    return sum(scores) / len(scores)


CLASSIFIED = [
    (m.Accuracy, lambda p, t: sum(a == b for a, b in zip(taken_for(p), t, strict=True)) / len(t)),
    (m.ConfusionMatrix, table),
    *((lambda k=k: m.TopKAccuracy(k), lambda p, t, k=k: top_k(k, p, t)) for k in (1, 2, 3)),
    *(
        (lambda c=c, a=a: c(a), lambda p, t, c=c, a=a: averaged(c.name, a, p, t))
        for c in (m.Precision, m.Recall, m.F1)
        for a in ("macro", "micro", "weighted", None)
    ),
    (m.AUC, mean_area),
]
MEASURED = [
    (m.MeanSquaredError, lambda p, t: np.mean((p - t) ** 2)),
    (m.RootMeanSquaredError, lambda p, t: np.sqrt(np.mean((p - t) ** 2))),
    (m.MeanAbsoluteError, lambda p, t: np.mean(np.abs(p - t))),
    (m.R2Score, r2),
]


def in_batches(metric, p, t, cuts):
    """The value, from batches that end at the cuts; some are empty."""
    edges = [0, *sorted(cuts), len(t)]
    metric.reset()
    for low, high in itertools.pairwise(edges):
        metric.update(minidl.asarray(p[low:high]), minidl.asarray(t[low:high]))
    return metric.compute()


@st.composite
def splits(draw):
    """Where to cut, and a generator of what is cut."""
    n = draw(st.integers(1, 12))
    cuts = draw(st.lists(st.integers(0, n), max_size=4))
    return n, cuts, np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


@pytest.mark.parametrize(("make", "definition"), CLASSIFIED)
@settings(max_examples=60, deadline=None)
@given(split=splits(), nans=st.booleans())
def test_classification_is_as_defined_however_it_is_split(make, definition, split, nans):
    n, cuts, rng = split
    p = rng.integers(0, 4, (n, 3)) / 4  # with ties
    if nans:
        p[rng.random((n, 3)) < 0.1] = NAN
    t = rng.integers(0, 3, n)
    np.testing.assert_allclose(in_batches(make(), p, t, cuts), definition(p, t), rtol=1e-14)


@pytest.mark.parametrize(("make", "definition"), MEASURED)
@settings(max_examples=60, deadline=None)
@given(split=splits(), mean=st.sampled_from([0, 1e3, -1e6]))
def test_regression_is_as_defined_however_it_is_split(make, definition, split, mean):
    n, cuts, rng = split
    t = rng.normal(mean, 1, (n + 1, 2))
    p = t + rng.normal(0, 0.5, t.shape)
    np.testing.assert_allclose(in_batches(make(), p, t, cuts), definition(p, t), rtol=1e-8)


@settings(max_examples=60, deadline=None)
@given(split=splits())
def test_the_area_of_one_score_is_the_fraction_of_pairs_won(split):
    n, cuts, rng = split
    p, t = rng.integers(-3, 4, n).astype("float32"), rng.integers(0, 2, n)
    p[rng.random(n) < 0.1] = NAN
    np.testing.assert_equal(in_batches(m.AUC(), p, t, cuts), area(p, t == 1))


@settings(max_examples=30, deadline=None)
@given(split=splits())
def test_a_mean_is_weighted_by_samples(split):
    _, cuts, rng = split
    counts, metric = np.diff([0, *sorted(cuts), 12]).tolist(), m.Mean()
    values = [rng.random(n) for n in counts]
    for x in values:
        metric.update(minidl.tensor(x.mean() if x.size else NAN, dtype="float64"), x.size)
    np.testing.assert_allclose(metric.compute(), np.concatenate(values).mean(), rtol=1e-14)


# Numbers from the literature.


def test_the_area_of_hanley_and_mcneil():
    """Table I of their paper of 1982: 109 images, rated by one reader from 1 to 5."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.concatenate([np.repeat(range(1, 6), normal), np.repeat(range(1, 6), abnormal)])
    assert round(m.AUC()(ratings, np.arange(109) >= 58), 3) == 0.893


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        *(
            (m.Precision(a), x)
            for a, x in [("macro", 2 / 9), ("micro", 1 / 3), ("weighted", 2 / 9)]
        ),
        *((m.Recall(a), 1 / 3) for a in ("macro", "micro", "weighted")),
        *((m.F1(a), x) for a, x in [("macro", 4 / 15), ("micro", 1 / 3), ("weighted", 4 / 15)]),
        (m.F1(None), [0.8, 0, 0]),
        (m.ConfusionMatrix(), [[2, 0, 0], [1, 0, 1], [0, 2, 0]]),
        (m.ConfusionMatrix(normalize="true"), [[1, 0, 0], [0.5, 0, 0.5], [0, 1, 0]]),
        (m.ConfusionMatrix(normalize="predicted"), [[2 / 3, 0, 0], [1 / 3, 0, 1], [0, 1, 0]]),
        (m.ConfusionMatrix(3, "all"), [[1 / 3, 0, 0], [1 / 6, 0, 1 / 6], [0, 1 / 3, 0]]),
    ],
    ids=repr,
)
def test_the_examples_of_scikit_learn(metric, expected):
    p, t = np.eye(3)[[0, 2, 1, 0, 0, 1]], np.array([0, 1, 2, 0, 1, 2])
    np.testing.assert_allclose(metric(p, t), expected, rtol=1e-14)


def test_more_examples_of_scikit_learn():
    scores = [[0.5, 0.2, 0.2], [0.3, 0.4, 0.2], [0.2, 0.4, 0.3], [0.7, 0.2, 0.1]]
    assert m.TopKAccuracy(2)(scores, [0, 1, 2, 2]) == 0.75
    assert m.AUC()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    p, t = [2.5, 0.0, 2, 8], [3, -0.5, 2, 7]
    assert m.MeanSquaredError()(p, t) == 0.375
    assert m.MeanAbsoluteError()(p, t) == 0.5
    assert m.R2Score()(p, t) == pytest.approx(0.9486081370449679, rel=1e-14)
    p, t = [[0, 2], [-1, 2], [8, -5]], [[0.5, 1], [-1, 1], [7, -6]]
    assert m.R2Score()(p, t) == pytest.approx(0.9368005266622779, rel=1e-14)
    assert m.RootMeanSquaredError()(p, t) == pytest.approx(math.sqrt(0.7083333333333334))


# What predictions and targets may be.


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 1, 1), (2, 1, 3)])
@pytest.mark.parametrize("dtype", ["bool", "int64", "float32"])
def test_one_score_is_held_against_the_threshold(shape, dtype):
    p = np.array([0.1, 0.5, 0.6, 0.9, 0.3, NAN]).reshape(shape)
    t = np.array([0, 1, 1, 0, 1, 0]).astype(dtype)
    without = (shape[0], *shape[2:])
    for target in (t.reshape(shape), t.reshape(without)):
        assert m.Accuracy()(p, target) == 2 / 6
        assert m.Accuracy(threshold=0.25)(p, target) == 4 / 6
        logits = np.log(p / (1 - p))
        assert m.Accuracy(from_logits=True)(logits, target) == 2 / 6
        assert m.Accuracy(from_logits=True, threshold=0.25)(logits, target) == 4 / 6
        assert m.Precision()(p, target) == 1 / 2
        assert m.Recall()(p, target) == 1 / 3
        assert m.F1()(p, target) == 0.4
        # the NaN, a sample of class 0, loses against all of class 1
        assert m.AUC()(p, target) == 3 / 9
        np.testing.assert_array_equal(m.ConfusionMatrix()(p, target), [[1, 1], [2, 1]])


def test_classes_are_along_the_second_axis():
    rng = np.random.default_rng(0)
    p, t = rng.random((4, 3, 5, 2)), rng.integers(0, 3, (4, 5, 2))
    flat = np.moveaxis(p, 1, -1).reshape(-1, 3)
    for make, _ in CLASSIFIED:
        np.testing.assert_equal(make()(p, t), make()(flat, t.ravel()))


def test_a_target_may_be_probabilities():
    rng = np.random.default_rng(0)
    p, t = rng.random((6, 3)), rng.integers(0, 3, 6)
    soft = np.eye(3)[t] * 0.7 + 0.1
    for make, _ in CLASSIFIED:
        for target in (np.eye(3, dtype=int)[t], np.eye(3, dtype=bool)[t], soft):
            np.testing.assert_equal(make()(p, target), make()(p, t))


def test_a_prediction_may_be_class_indices():
    p, t = [0, 1, 1, 3], [0, 1, 2, 2]
    assert m.Accuracy()(p, t) == 0.5
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(m.ConfusionMatrix(4)(p, t), expected)
    np.testing.assert_array_equal(m.Recall(None, classes=4)(p, t), [1, 1, 0, 0])
    with pytest.raises(ArgumentError, match=r"say Recall\(classes=…\)"):
        m.Recall()(p, t)
    with pytest.raises(BoundsError, match="from 0 to 2; got 3"):
        m.ConfusionMatrix(3)(p, t)


def test_small_integers_may_number_many_classes():
    for dtype in ("uint8", "int8", "int16"):
        t = np.arange(100, dtype=dtype)
        assert m.F1()(np.eye(100), t) == m.Accuracy()(np.eye(100), t) == 1
        np.testing.assert_array_equal(m.ConfusionMatrix(100)(t, t), np.eye(100))


def test_two_classes_mean_the_second_is_looked_for():
    p, t = np.eye(2)[[0, 1, 1, 1, 0]], [0, 0, 1, 1, 1]
    assert m.Precision()(p, t) == m.Precision("binary")(p, t) == 2 / 3
    assert m.Precision("macro")(p, t) == (1 / 2 + 2 / 3) / 2
    with pytest.raises(ShapeError, match="needs two classes; there are 3"):
        m.Precision("binary")(np.eye(3), [0, 1, 2])


def test_logits_of_several_classes_are_compared_after_a_softmax():
    rng = np.random.default_rng(1)
    logits, t = rng.normal(0, 3, (20, 3)), rng.integers(0, 3, 20)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert m.AUC(from_logits=True)(logits, t) == m.AUC()(probabilities, t) != mean_area(logits, t)
    assert 0 < m.AUC(from_logits=True)(np.array([[1e4, NAN], [0, -1e4], [0, 1e4]]), [0, 0, 1]) < 1


# Edges.

EVERY = [
    *(make() for make, _ in CLASSIFIED + MEASURED),
    m.F1("auto"),
    m.ConfusionMatrix(3, "all"),
]


@pytest.mark.parametrize("metric", EVERY, ids=repr)
def test_without_samples_there_is_no_number(metric):
    metric = copy.deepcopy(metric)
    nothing = metric.compute()
    metric.update(*(np.zeros((0, 3)),) * 2)
    if isinstance(metric, m.ConfusionMatrix):
        assert not nothing.any()
    else:
        assert np.isnan(nothing).all()
        assert np.isnan(metric.compute()).all()


@pytest.mark.parametrize("metric", [m.Mean(), *EVERY], ids=repr)
def test_a_metric_can_be_reset_copied_pickled_and_called(metric):
    metric, rng = copy.deepcopy(metric), np.random.default_rng(2)
    p, t = np.eye(2)[rng.integers(0, 2, 9)], np.eye(2)[rng.integers(0, 2, 9)]
    if isinstance(metric, m.Mean):
        p, t = 0.25, 4
    if isinstance(metric, m.TopKAccuracy):
        metric.k = 1
    if isinstance(metric, m.ConfusionMatrix):
        metric = m.ConfusionMatrix(2, metric.normalize)
    metric.update(p, t)
    value = metric.compute()
    assert np.isfinite(value).all()
    metric(*((p[:1], t[:1]) if np.ndim(p) else (3.0, 1)))  # leaves it alone
    for other in (metric, copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        np.testing.assert_array_equal(other.compute(), value)
    metric.reset()
    np.testing.assert_array_equal(metric(p, t), value)
    assert isinstance(value, float) or value.ndim


def test_scores_are_kept_though_their_tensor_is_written():
    for p in (minidl.asarray([0.1, 0.9]), minidl.asarray([[0.9, 0.1], [0.1, 0.9]])):
        metric, target = m.AUC(), minidl.asarray([0, 1])
        metric.update(p, target)
        p[...] = 0
        target[...] = 0
        assert metric.compute() == 1


def test_an_area_needs_two_classes():
    assert math.isnan(m.AUC()([0.1, 0.2], [1, 1]))
    assert math.isnan(m.AUC()(np.eye(3)[:2], [1, 1]))
    assert m.AUC()(np.eye(3)[:2], [0, 1]) == 1  # class 2, which does not occur, does not count


def test_classes_that_never_occur_are_not_averaged_over():
    assert m.F1("macro")(np.eye(5)[[0, 1]], [0, 1]) == 1
    np.testing.assert_array_equal(m.F1(None)(np.eye(4)[[0, 1]], [0, 1]), [1, 1, 0, 0])


def test_a_prediction_with_nan_is_of_no_class():
    p, t = [[NAN, 0], [NAN, 1], [0, 1]], [0, 1, 1]
    assert m.Accuracy()(p, t) == 1 / 3
    np.testing.assert_array_equal(m.ConfusionMatrix()(p, t), [[0, 0], [0, 1]])
    np.testing.assert_array_equal(m.ConfusionMatrix(normalize="true")(p, t), [[0, 0], [0, 0.5]])
    assert m.Precision()(p, t) == 1
    assert m.Recall()(p, t) == 0.5


def test_the_variance_explained_loses_no_digits():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(1000, 2))
    p, t = 1e9 + noise[:, :1], 1e9 + noise.sum(axis=1, keepdims=True)
    exact = r2(p - 1e9, t - 1e9)
    assert in_batches(m.R2Score(), p, t, range(0, 1000, 7)) == pytest.approx(exact, rel=1e-6)
    first = np.concatenate([[[-1e9]], t])  # an outlier comes first
    expected = r2(first, np.concatenate([[[-1e9]], p]))
    assert in_batches(m.R2Score(), first, np.concatenate([[[-1e9]], p]), [1, 9]) == expected


def test_the_variance_of_what_is_constant():
    t = np.full(7, 0.1)
    assert in_batches(m.R2Score(), t, t, [3, 6]) == 1
    assert in_batches(m.R2Score(), t + 1, t, [3, 6]) == 0
    assert math.isnan(in_batches(m.R2Score(), t * NAN, t, [3, 6]))
    assert math.isnan(m.R2Score()(t[:1], t[:1]))


@pytest.mark.parametrize("metric", [make() for make, _ in MEASURED], ids=repr)
def test_errors_that_are_not_numbers(metric):
    assert math.isnan(metric([1.0, NAN], [1.0, 2.0]))
    assert math.isnan(metric([1.0, 2.0], [1.0, NAN]))
    assert not math.isfinite(metric([1.0, math.inf], [1.0, 2.0]))
    assert math.isnan(metric([1.0, math.inf], [1.0, math.inf]))


def test_float32_and_integers_are_summed_in_float64():
    p, t = np.full(3, 1e-4, "float32"), np.zeros(3, "float32")
    assert m.MeanSquaredError()(p, t) == float(p[0]) ** 2
    assert m.MeanAbsoluteError()(np.uint8([1, 2]), np.uint8([2, 4])) == 1.5


# Bad input.


@pytest.mark.parametrize(
    ("metric", "p", "t", "error", "message"),
    [
        (m.Accuracy(), np.zeros((3, 4)), [0, 1, 4], BoundsError, "from 0 to 3; got 4"),
        (m.Accuracy(), np.zeros((3, 4)), [0, -1, 4], BoundsError, "from 0 to 3; got -1"),
        (m.F1(), np.zeros((3, 4)), [0, 1], ShapeError, r"of shape \(3,\).*got \(2,\)"),
        (m.Accuracy(), np.zeros((3, 4)), [[0], [1], [2]], ShapeError, r"got \(3, 1\)"),
        (m.TopKAccuracy(2), np.zeros((3, 4)), [0.0, 1, 2], DTypeError, "integers; got float64"),
        (m.TopKAccuracy(5), np.zeros((3, 4)), [0, 1, 2], ShapeError, "k = 5, but there are 4"),
        (m.TopKAccuracy(1), np.zeros(3), [0, 1, 1], ShapeError, r"\(N, C\)"),
        (m.Accuracy(), np.zeros((3, 0)), [0, 1, 1], ShapeError, r"\(N, C\)"),
        (m.Accuracy(), np.float64(1), np.float64(1), ShapeError, r"\(N, C\)"),
        (m.Accuracy(), np.eye(2), np.full((2, 2), NAN), ArgumentError, "a NaN in the target"),
        (m.Accuracy(), [0.2, 0.3], [0, 2], ArgumentError, "targets that are 0 or 1"),
        (m.AUC(), [0.2, 0.3], [0, 0.5], ArgumentError, "targets that are 0 or 1"),
        (m.F1(), [0.2, 0.3], [[0, 1]], ShapeError, r"one score.*shape \(2,\); got \(1, 2\)"),
        (
            m.Accuracy(),
            [-2.0, 0.3],
            [0, 1],
            ArgumentError,
            r"-2 to 0.3.*Accuracy\(from_logits=True",
        ),
        (m.AUC(), [[-2.0, 0.3]], [0], ArgumentError, r"AUC\(from_logits=True"),
        (m.F1(classes=3), np.zeros((3, 4)), [0, 1, 2], ShapeError, "3 classes; now 4"),
        (m.Accuracy(), ["a"], ["b"], DTypeError, "the prediction needs real numbers"),
        (m.R2Score(), [1.0], [1j], DTypeError, "the target needs real numbers"),
        (m.Accuracy(), [[0.1], [0.2, 0.3]], [0, 1], ShapeError, "rows of several lengths"),
        (m.MeanSquaredError(), np.zeros((3, 1)), np.zeros(3), ShapeError, "the same shape"),
        (m.R2Score(), 1.0, 1.0, ShapeError, r"\(N,\)"),
        (m.Mean(), 1.0, -1, ArgumentError, "samples"),
        (m.Mean(), minidl.zeros(2), 1, ShapeError, "one element"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(metric, p, t, error, message):
    before = pickle.dumps(metric)
    with pytest.raises(error, match=message):
        metric.update(p, t)
    assert pickle.dumps(metric) == before


def test_the_number_of_classes_and_outputs_stays():
    for metric in (m.AUC(), m.F1()):
        metric.update(np.eye(3), [0, 1, 2])
        with pytest.raises(ShapeError, match="now 4"):
            metric.update(np.eye(4), [0, 1, 2, 3])
    metric = m.R2Score()
    metric.update(np.eye(3), np.eye(3))
    with pytest.raises(ShapeError, match="3 outputs; now 2"):
        metric.update(np.eye(2), np.eye(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: m.Accuracy(threshold=1),
        lambda: m.F1(threshold=NAN),
        lambda: m.TopKAccuracy(0),
        lambda: m.TopKAccuracy(2.0),
        lambda: m.F1("mean"),
        lambda: m.ConfusionMatrix(0),
        lambda: m.ConfusionMatrix(3, "rows"),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ArgumentError, match="; got"):
        make()


# By name.


def test_metrics_have_names():
    for name in m.registry._METRICS:
        metric = m.metric_for(name)
        assert metric.name == name
        assert m.higher_is_better(f"val_{name}") is metric.higher_is_better
    assert m.metric_for("Accuracy").name == "accuracy"
    assert m.metric_for("top_3_accuracy").k == 3
    assert m.metric_for("top_k_accuracy", k=2).k == 2
    assert m.metric_for("auc", from_logits=True).from_logits
    for metric in (m.F1("macro"), m.Recall("weighted"), m.Precision(None), m.TopKAccuracy(7)):
        again = m.metric_for(metric.name)
        assert vars(again).keys() == vars(metric).keys()
        assert getattr(again, "average", 0) == getattr(metric, "average", 0)
        assert m.higher_is_better(metric.name)
        assert m.metric_for(metric) is metric


def test_which_direction_is_better():
    assert m.higher_is_better("val_loss") is m.higher_is_better("head_loss") is False
    assert m.higher_is_better("rmse") is False
    assert m.higher_is_better("val_accuracy") is m.higher_is_better("r2") is True
    assert m.higher_is_better("lr") is m.higher_is_better("seconds") is None


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(ArgumentError, match=r"did you mean 'accuracy'.*Known are accuracy, acc,"):
        m.metric_for("acuracy")
    with pytest.raises(ArgumentError, match=r"no metric 'zzz'\. Known are"):
        m.metric_for("zzz")
    with pytest.raises(ArgumentError, match="the name of a metric"):
        m.metric_for(3)


def test_a_metric_of_ones_own():
    class Within(m.Metric):
        name = "within"

        def reset(self):
            self.right = self.count = 0

        def update(self, prediction, target):
            self.right += (abs(prediction.numpy() - target.numpy()) < 0.1).sum()
            self.count += target.size

        def compute(self):
            return self.right / self.count

    p, t = minidl.asarray([0.1, 0.5]), minidl.asarray([0.15, 0.7])
    metric = Within()
    assert metric(p, t) == 0.5
    assert repr(metric) == "<Within 'within'>"
    with pytest.raises(TypeError, match="Metric must define reset"):
        m.Metric()


def test_errors_are_those_of_minidl():
    with pytest.raises(MinidlError):
        m.metric_for("nothing")


@pytest.mark.parametrize("metric", [m.Accuracy(), m.TopKAccuracy(1)], ids=["1", "top 1"])
def test_shares_are_floats_of_python(metric):
    assert type(metric(np.eye(3), np.arange(3))) is float


def test_a_subclass_that_overrides_update_alone_gets_the_prediction():
    """On a GPU a Trainer keeps what a metric needs of it, which such a subclass does not know."""
    seen = []

    class Watched(m.Accuracy):
        def update(self, prediction, target):
            seen.append(prediction)
            super().update(prediction, target)

    unread, scores = Unread(), minidl.tensor([[0.9, 0.1], [0.8, 0.2]])
    for metric in (Watched(), m.Accuracy()):
        unread.add_update(metric, scores, minidl.tensor([0, 1]))
        unread.update_metrics()
        assert metric.compute() == 0.5
    assert seen[0] is scores
