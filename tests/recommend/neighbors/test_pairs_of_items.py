"""Slope One and EASE, beside dense arrays and loops over the formulas."""

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError
from minidl.recommend import EASE, Interactions, SlopeOne, load
from minidl.recommend.neighbors import ease
from tests.recommend.neighbors import oracle
from tests.recommend.neighbors.test_knn import TABLE, all_pairs, all_scores

DATA = oracle.interactions(TABLE)


def slope_one(table, weighted, of=None):
    """From the formula; differences are those of table, predictions for users `of`."""
    of = table if of is None else of
    result = np.empty_like(of)
    for u, i in np.ndindex(of.shape):
        total = weights = 0.0
        for j in np.flatnonzero(~np.isnan(of[u])):
            both = ~np.isnan(table[:, i]) & ~np.isnan(table[:, j])
            if j != i and both.any():
                n = both.sum() if weighted else 1
                deviation = np.mean(table[both, i] - table[both, j])
                total += n * (deviation + (of[u, j] if weighted else 0))
                weights += n
        mean = np.nanmean(of[u])
        result[u, i] = mean if not weights else total / weights + (0 if weighted else mean)
    return result


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_one_is_the_formula(weighted):
    for seed, density in ((0, 0.4), (1, 0.1)):
        table = oracle.ratings(15, 11, density, seed)
        model = SlopeOne(weighted).fit(oracle.interactions(table))
        want = slope_one(table, weighted)
        np.testing.assert_allclose(all_scores(model), want, rtol=1e-6)
        np.testing.assert_allclose(all_pairs(model), want, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_one_knows_new_users(weighted):
    model = SlopeOne(weighted).fit(oracle.interactions(TABLE[:10]))
    new = TABLE[10:]
    folded = model.fold_in(oracle.interactions(new, user=lambda u: f"new {u}"))
    want = slope_one(TABLE[:10], weighted, of=new)
    np.testing.assert_allclose(all_scores(folded), want, rtol=1e-6)
    model.partial_fit(oracle.interactions(new, user=lambda u: f"new {u}"))
    anew = SlopeOne(weighted).fit(model.data)
    np.testing.assert_array_equal(all_scores(model), all_scores(anew))


@pytest.mark.parametrize("make", [SlopeOne, lambda: SlopeOne(weighted=True), EASE])
def test_one_user_one_item_and_equal_ratings(make):
    for shape in ((1, 1), (1, 4), (4, 1)):
        model = make().fit(oracle.interactions(oracle.ratings(*shape, density=1.0)))
        assert np.isfinite(all_scores(model)).all()
    if make is not EASE:
        constant = np.where(np.isnan(TABLE), np.nan, 2.0)
        np.testing.assert_allclose(all_scores(make().fit(oracle.interactions(constant))), 2)


def test_what_is_unknown_to_slope_one_gets_the_mean_of_the_other():
    model = SlopeOne().fit(DATA)
    found = model.predict(["?", "3", "?"], [4, "?", "?"], unknown="default")
    np.testing.assert_allclose(
        found, [np.nanmean(TABLE[:, 4]), np.nanmean(TABLE[3]), np.nanmean(TABLE)], rtol=1e-6
    )


@pytest.mark.parametrize("make", [SlopeOne, lambda: SlopeOne(weighted=True), lambda: EASE(3.0)])
def test_threads_and_files_change_no_bit(make, tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.backends.threads._WORTH", 1)
    model, before = make().fit(DATA), minidl.get_num_threads()
    scores = all_scores(model)
    for threads in (1, 2, 3):
        minidl.set_num_threads(threads)
        np.testing.assert_array_equal(all_scores(make().fit(DATA)), scores)
    minidl.set_num_threads(before)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(all_scores(again), scores)
    new = oracle.interactions(TABLE[:3], user=lambda u: f"new {u}")
    np.testing.assert_array_equal(all_scores(again.fold_in(new)), all_scores(model.fold_in(new)))


@pytest.mark.parametrize("rated", [True, False])
@pytest.mark.parametrize("regularization", [0.5, 200])
def test_ease_minimises_its_objective_column_by_column(regularization, rated):
    """Each column is a ridge regression on all other items, which is solved directly here."""
    model = EASE(regularization).fit(oracle.interactions(TABLE, rated=rated))
    x = np.nan_to_num(TABLE) if rated else ~np.isnan(TABLE) * 1.0
    want = np.zeros((x.shape[1],) * 2)
    for j in range(x.shape[1]):
        others = np.delete(np.arange(x.shape[1]), j)
        gram = x[:, others].T @ x[:, others] + regularization * np.eye(others.size)
        want[others, j] = np.linalg.solve(gram, x[:, others].T @ x[:, j])
    np.testing.assert_allclose(model.weights, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(all_scores(model), x @ want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(all_pairs(model), x @ want, rtol=1e-5, atol=1e-6)
    assert not model.RATES


def test_ease_is_the_same_in_blocks(monkeypatch):
    whole = EASE(2.0).fit(DATA).weights
    monkeypatch.setattr(ease, "_ROWS", 4)
    np.testing.assert_allclose(EASE(2.0).fit(DATA).weights, whole, rtol=1e-6, atol=1e-8)


def test_ease_explains_and_compares():
    model = EASE(2.0).fit(DATA)
    parts = {scored.id: scored.score for scored in model.explain("3", 4, n=99)}
    own = np.nan_to_num(TABLE[3]) * model.weights[:, 4]
    assert parts == pytest.approx({i: own[i] for i in np.flatnonzero(own > 0)})
    first = model.similar_items(4, 1)[0]
    assert first.score == pytest.approx(float(np.delete(model.weights[4], 4).max()))
    more = model.fit(DATA).partial_fit(Interactions(["0", "new"], [3, 4], [1.0, 5.0]))
    np.testing.assert_array_equal(more.weights, EASE(2.0).fit(more.data).weights)


def test_ease_refuses_what_cannot_fit(monkeypatch):
    monkeypatch.setattr(ease, "_free_memory", lambda: 12 * 11**2 - 1)
    with pytest.raises(ArgumentError, match="EASE: 11 items need 1,452 bytes of memory"):
        EASE().fit(DATA)
    monkeypatch.setattr(ease, "_free_memory", lambda: None)  # a system that does not say
    EASE().fit(DATA)
    with pytest.raises(ArgumentError, match="EASE: regularization"):
        EASE(0.0)
