"""User-based and item-based neighbours: predictions beside loops over the formulas."""

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError
from minidl.recommend import ItemKNN, UserKNN
from tests.recommend.neighbors import oracle

KINDS = {"users": UserKNN, "items": ItemKNN}
MEANS = "mean", "mean_centered", "z_score", "baseline"
TABLE = oracle.ratings(15, 11)


def turned(kind, table):
    return table if kind == "users" else table.T


def all_pairs(model):
    """What is predicted for each user and item."""
    users, items = len(model.users), len(model.items)
    grid = np.divmod(np.arange(users * items), items)
    ids = [ids.decode(codes) for ids, codes in zip((model.users, model.items), grid, strict=True)]
    return model.predict(*ids).reshape(users, items)


def all_scores(model):
    return model._scores(np.arange(len(model.users), dtype=np.int32))


def expected(kind, table, measure, prediction, k, kept=None, **settings):
    """The same from the formulas."""
    rows, baselines = turned(kind, table), turned(kind, oracle.biases(table))
    shrinkage = 100.0 if measure == "pearson_baseline" else 0.0
    weights = oracle.similarities(rows, measure, baselines, shrinkage)
    weights = weights.astype(np.float32).astype(float)  # so that what is equal is equal here too
    if kept is not None:
        weights = oracle.nearest(weights, kept)
    return turned(kind, oracle.predictions(rows, weights, prediction, k, baselines, **settings))


@pytest.mark.parametrize(
    "settings", [{"k": 3}, {"k": 99}, {"k": 3, "min_k": 3}, {"k": 2, "kept": 4}], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prediction", MEANS)
def test_predictions_are_those_of_the_formula(prediction, kind, settings):
    for measure in ("cosine", "adjusted_cosine", "pearson_baseline"):
        model = KINDS[kind](similarity=measure, prediction=prediction, **settings)
        model.fit(oracle.interactions(TABLE))
        want = expected(kind, TABLE, measure, prediction, **settings)
        np.testing.assert_allclose(all_pairs(model), want, rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(all_scores(model), want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 99])
def test_scores_of_events_are_sums_of_similarities(kind, k):
    met = ~np.isnan(TABLE) * 1.0
    model = KINDS[kind](k).fit(oracle.interactions(TABLE, rated=False))
    where = np.where(np.isnan(TABLE), np.nan, 1.0)
    kept = oracle.nearest(oracle.similarities(turned(kind, where), "cosine"), k)
    want = kept @ met if kind == "users" else met @ kept
    np.testing.assert_allclose(all_scores(model), want, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(all_pairs(model), want, rtol=1e-6, atol=1e-7)
    assert not model.RATES


def test_normalized_similarities_add_up_to_one():
    data = oracle.interactions(TABLE, rated=False)
    model = ItemKNN(3, normalized=True).fit(data)
    kept = ItemKNN(3).fit(data).nearest.toarray().astype(float)
    totals = kept.sum(axis=1, keepdims=True)
    want = ~np.isnan(TABLE) @ (kept / np.where(totals > 0, totals, 1))
    np.testing.assert_allclose(all_scores(model), want, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prediction", [*MEANS, "sum"])
def test_any_number_of_threads_gives_the_same_bits(kind, prediction, monkeypatch):
    monkeypatch.setattr("minidl.backends.threads._WORTH", 1)
    before, results = minidl.get_num_threads(), []
    for threads in (1, 2, 3):
        minidl.set_num_threads(threads)
        model = KINDS[kind](4, prediction=prediction).fit(oracle.interactions(TABLE))
        results.append((all_scores(model), all_pairs(model)))
    minidl.set_num_threads(before)
    for found in results[1:]:
        np.testing.assert_array_equal(found, results[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [
    {"prediction": "sum", "similarity": "cosine"}, {"prediction": "sum", "similarity": "pearson"},
    {"prediction": "baseline"}, {"prediction": "z_score", "similarity": "msd", "kept": 5},
    {"prediction": "mean", "similarity": "adjusted_cosine", "kept": 5},
], ids=str)  # fmt: skip
def test_partial_fit_gives_the_bits_of_a_fit(kind, settings):
    users, items = np.nonzero(~np.isnan(TABLE))
    values = TABLE[users, items]
    first, rest = slice(0, -12), slice(-12, None)
    parts = [(users[p].tolist(), items[p].tolist(), values[p]) for p in (first, rest)]
    again = (parts[1][0][:2], parts[1][1][:2], [1.0, 4.0])  # rated anew
    model = KINDS[kind](3, **settings).fit(parts[0])
    for part in (parts[1], again):
        model.partial_fit(part)
    anew = KINDS[kind](3, **settings).fit(model.data)
    np.testing.assert_array_equal(all_scores(model), all_scores(anew))
    np.testing.assert_array_equal(all_pairs(model), all_pairs(anew))


def test_partial_fit_compares_anew_only_what_has_changed(monkeypatch):
    apart = [(block, u, i) for block in range(4) for u in range(5) for i in range(3)]
    data = [(f"{block}.{u}", f"{block}.{i}") for block, u, i in apart]
    model = ItemKNN(3).fit(tuple(zip(*data, strict=True)))
    compared = []
    nearest = type(model._compared).nearest
    monkeypatch.setattr(
        type(model._compared),
        "nearest",
        lambda self, k, queries=None, among=None: (
            compared.append(self.rows.shape[0] if among is None else among.size),
            nearest(self, k, queries, among),
        )[1],
    )
    model.partial_fit((["1.0"], ["1.2"]))
    assert compared == [3]
    np.testing.assert_array_equal(all_scores(model), all_scores(ItemKNN(3).fit(model.data)))


def test_ratings_of_zero_change_what_is_kept():
    """A new entry of 0 is no difference between two matrices, and yet a column in common."""
    data = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [0.0, 3.0, 0.0, 1.0, 0.0]
    model = UserKNN(1, "msd", kept=2).fit(data).partial_fit(([3], ["rum"], [0.0]))
    np.testing.assert_array_equal(
        all_scores(model), all_scores(UserKNN(1, "msd", kept=2).fit(model.data))
    )


def test_what_is_said_without_neighbours_is_of_the_training_data():
    model = UserKNN(prediction="mean", similarity="cosine").fit(([1, 2], ["tea", "rum"], [4, 1]))
    assert model.fold_in(([3], ["tea"], [5])).predict(3, "rum") == np.float32(2.5)
    model = UserKNN(prediction="z_score", similarity="cosine").fit(
        ([1, 1, 2, 2], ["tea", "rum", "tea", "ale"], [2, 4, 1, 5])
    )
    folded = model.fold_in(([3, 3], ["tea", "rum"], [3, 3]))  # whose deviation is 0
    assert folded.predict(3, "ale") == pytest.approx(3 + np.std([2, 4, 1, 5]), rel=1e-6)


@pytest.mark.parametrize("prediction", [*MEANS, "sum"])
@pytest.mark.parametrize("kind", KINDS)
def test_users_that_were_fitted_are_folded_in_as_they_were(kind, prediction):
    """An item-based model says the same of them; a user-based one finds each its own neighbour."""
    data = oracle.interactions(TABLE)
    model = KINDS[kind](4, "cosine", prediction).fit(data)
    before = all_scores(model)
    part = data.take(data.user_codes < 5)
    folded = model.fold_in((part.users.decode(part.user_codes),
                            part.items.decode(part.item_codes), part.ratings))  # fmt: skip
    codes = np.array([list(model.users).index(user) for user in folded.users])
    if kind == "items" and prediction != "baseline":
        np.testing.assert_allclose(all_scores(folded), before[codes], rtol=1e-5)
    if kind == "users" and prediction == "mean":
        one = UserKNN(1, "cosine", prediction).fit(data).fold_in(data)
        rated = ~np.isnan(TABLE)
        np.testing.assert_allclose(all_scores(one)[rated], TABLE[rated], rtol=1e-6)
    np.testing.assert_array_equal(all_scores(model), before)
    with pytest.raises(ArgumentError, match="fold_in learns nothing more"):
        folded.partial_fit(data)


@pytest.mark.parametrize("measure", ["cosine", "pearson", "adjusted_cosine", "pearson_baseline"])
@pytest.mark.parametrize("prediction", ["mean_centered", "z_score"])
def test_new_users_are_compared_with_the_old_ones(prediction, measure):
    old, new = TABLE[:10], TABLE[10:]
    model = UserKNN(3, measure, prediction, shrinkage=0.0).fit(oracle.interactions(old))
    folded = model.fold_in(oracle.interactions(new, user=lambda u: f"new {u}"))
    baselines = oracle.biases(old)
    fixed = np.nanmean(old) + oracle.item_biases(old)
    present = ~np.isnan(new)
    own = fixed + (np.nansum(new - fixed, axis=1) / (15 + present.sum(axis=1)))[:, None]
    weights = oracle.similarities_between(new, old, measure, own, baselines)
    weights = weights.astype(np.float32).astype(float)
    want = np.empty_like(new)
    for x in range(len(new)):
        others = np.concatenate([old, np.where(present[[x]], new[[x]], np.nan)])
        for y in range(new.shape[1]):
            want[x, y] = oracle.prediction_of(
                others, -1, y, np.append(weights[x], 0), prediction, 3, None, 1,
                np.nanmean(old), np.nanstd(old),
            )  # fmt: skip
    np.testing.assert_allclose(all_scores(folded), want, rtol=1e-4, atol=1e-4)
