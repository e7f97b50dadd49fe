"""ALS and ImplicitALS against half-steps in NumPy."""

from itertools import pairwise

import numpy as np
import pytest

from minidl import recommend
from minidl.errors import ArgumentError, BoundsError
from minidl.recommend import ALS, ImplicitALS, Interactions
from tests.recommend.factorization.helpers import random_ratings

KINDS = [
    lambda **given: ALS(**{"factors": 4, **given}),
    lambda **given: ALS(**{"factors": 4, "biases": False, "weighted": False, **given}),
    lambda **given: ImplicitALS(**{"factors": 4, "regularization": 0.1, **given}),
]
each_kind = pytest.mark.parametrize("make", KINDS, ids=["ALS", "ALS plain", "ImplicitALS"])


def explicit_objective(model, u, i, r):
    """What ALS minimises."""
    p, q, b_u, b_i = (
        np.float64(x)
        for x in (model.user_factors, model.item_factors, model.user_biases, model.item_biases)
    )
    error = r - model.mean - b_u[u] - b_i[i] - (p[u] * q[i]).sum(1)
    counts = [np.bincount(c) if model.weighted else np.ones(c.max() + 1) for c in (u, i)]
    norms = [(x**2).sum(1) + b**2 for x, b in ((p, b_u), (q, b_i))]
    penalty = sum((n * c).sum() for n, c in zip(norms, counts, strict=True))
    return (error**2).sum() + model.regularization * penalty


def implicit_objective(model, u, i, r):
    """What ImplicitALS minimises, over all pairs."""
    p, q = np.float64(model.user_factors), np.float64(model.item_factors)
    ratings = np.zeros((len(p), len(q)))
    ratings[u, i] = r
    loss = (1 + model.alpha * ratings) * ((ratings > 0) - p @ q.T) ** 2
    return loss.sum() + model.regularization * ((p**2).sum() + (q**2).sum())


def objective(model, data):
    u, i, r = data.user_codes, data.item_codes, data.ratings.astype("float64")
    return (implicit_objective if isinstance(model, ImplicitALS) else explicit_objective)(
        model, u, i, r
    )


@each_kind
def test_no_change_of_an_items_vector_lowers_the_objective(make):
    """The last half-step is exact: the gradient with respect to the items is zero."""
    data = Interactions.of(random_ratings())
    model = make(solver="cholesky", epochs=3).fit(data)
    best = objective(model, data)
    rng = np.random.default_rng(0)
    for _ in range(20):
        direction = rng.normal(size=model.item_factors.shape)
        factors, values = model.item_factors, []
        for step in (-1e-3, 1e-3):
            model.item_factors = factors + step * direction
            values.append(objective(model, data))
        model.item_factors = factors
        assert min(values) > best
        assert abs(values[1] - values[0]) < 0.05 * (sum(values) / 2 - best) + 1e-5 * best


@each_kind
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_each_epoch_lowers_the_objective(make, solver):
    data = Interactions.of(random_ratings())
    values = [
        objective(make(epochs=epochs, solver=solver).fit(data), data) for epochs in range(1, 8)
    ]
    assert all(b <= a * (1 + 1e-6) for a, b in pairwise(values))


@each_kind
def test_both_solvers_come_to_the_same_scores(make):
    data = Interactions.of(random_ratings())
    exact, by_steps = (make(epochs=60, solver=s).fit(data) for s in ("cholesky", "cg"))
    difference = objective(exact, data) - objective(by_steps, data)
    assert abs(difference) < 0.01 * objective(exact, data)


@each_kind
def test_the_same_seed_gives_the_same_bits(make):
    first, second, other = (make(seed=s).fit(random_ratings()) for s in (0, 0, 1))
    assert np.array_equal(first.item_factors, second.item_factors)
    assert not np.array_equal(first.item_factors, other.item_factors)


@each_kind
def test_scores_and_predictions_are_the_formula(make):
    u, i, r = random_ratings()
    model = make().fit((u, i, r))
    scores = model.user_factors.astype("float64") @ model.item_factors.T
    if isinstance(model, ALS):
        scores += model.mean + model.user_biases[:, None] + model.item_biases
    np.testing.assert_allclose(model._scores(np.arange(12)), scores, rtol=1e-5, atol=1e-6)
    users, items = model.users.codes(u), model.items.codes(i)
    expected = scores[users, items]
    if isinstance(model, ALS):
        expected = np.clip(expected, 1, 5)
    np.testing.assert_allclose(model.predict(u, i), expected, rtol=1e-5, atol=1e-6)


@each_kind
def test_folding_in_the_users_gives_their_half_step(make):
    u, i, r = random_ratings()
    model = make(epochs=200, solver="cholesky").fit((u, i, r))
    folded = model.fold_in(([f"user {n}" for n in u], i, r))
    assert list(folded.users)[:2] == ["user 0", "user 1"]
    np.testing.assert_allclose(folded.user_factors, model.user_factors, rtol=0.05, atol=0.02)
    assert folded.recommend("user 3", n=3)
    with pytest.raises(BoundsError, match="unknown item 99"):
        model.fold_in(([1], [99], [3.0]))


@each_kind
def test_partial_fit_learns_new_users_and_items(make):
    u, i, r = random_ratings()
    model = make().fit((u, i, r))
    untouched = model.user_factors[5].copy()
    model.partial_fit(([100, 100, 0], [0, 50, 50], [5.0, 4.0, 5.0]))
    assert 100 in model.users
    assert 50 in model.items
    assert np.array_equal(model.user_factors[5], untouched)
    assert np.any(model.user_factors[model.users.codes([100])[0]])
    assert np.any(model.item_factors[model.items.codes([50])[0]])
    assert np.isfinite(model.predict(100, [0, 1, 50])).all()


@each_kind
def test_explanations_add_up_to_the_score(make):
    u, i, r = random_ratings()
    model = make(solver="cholesky", epochs=50).fit((u, i, r))
    folded = model.fold_in((u, i, r))  # users whose factors are exact for these items
    user, item = 3, 0
    explanation = folded.explain(user, item, n=100)
    terms = {scored.id: scored.score for scored in explanation}
    assert set(terms) <= set(i[u == user])
    assert all(score > 0 for score in terms.values())
    data = folded.data
    everything = Interactions(u, i, r)
    assert data.matrix.shape == everything.matrix.shape
    total = folded._scores(folded.users.codes([user]))[0, folded.items.codes([item])[0]]
    if isinstance(model, ALS):
        total -= model.mean + model.item_biases[model.items.codes([item])[0]]
    all_terms = _all_terms(folded, user, item)
    assert sum(t for t in all_terms if t > 0) == pytest.approx(sum(terms.values()), rel=1e-4)
    assert sum(all_terms) == pytest.approx(total, rel=1e-3, abs=1e-4)


def _all_terms(model, user, item):
    """By what the score of an item changes if one rating's target is taken away."""
    code, target = model.users.codes([user])[0], model.items.codes([item])[0]
    entries = model._entries(model.data.matrix[[code]])
    items = model._tables()[1]
    features, explained = model._features(items)
    by_themselves = 0 if explained is None else explained[entries.indices]

    def score(targets):
        x = np.zeros((1, items.shape[1]), np.float32)
        model._half_step(entries._replace(targets=targets), items, x, None)
        return float(x[0].astype("float64") @ features[target])

    terms = []
    for place in range(entries.indices.size):
        less = entries.targets - by_themselves
        less[place] = 0
        terms.append(score(entries.targets) - score(less + by_themselves))
    return terms


@each_kind
def test_similar_items_have_a_small_angle(make):
    model = make().fit(random_ratings())
    q = np.float64(model.item_factors)
    unit = q / np.linalg.norm(q, axis=1)[:, None]
    cosines = unit @ unit[0]
    ranking = model.similar_items(0, n=3)
    order = [code for code in np.argsort(-cosines) if code][:3]
    assert [scored.id for scored in ranking] == [model.items[code] for code in order]
    assert ranking[0].score == pytest.approx(cosines[order[0]], abs=1e-5)
    assert len(model.similar_users(0, n=20)) == 11


@each_kind
def test_users_and_items_without_ratings_are_zero(make):
    data = Interactions.of(random_ratings())
    kept = (data.user_codes != 3) & (data.item_codes != 2)
    model = make().fit(data.take(kept))
    assert not model.user_factors[3].any()
    assert not model.item_factors[2].any()
    scores = model._scores(np.arange(12))
    assert np.isfinite(scores).all()
    if isinstance(model, ALS):
        np.testing.assert_allclose(scores[3], model.mean + model.item_biases, rtol=1e-6)


@each_kind
@pytest.mark.parametrize(
    "ids", [([1], ["tea"]), ([1, 2], ["tea", "tea"]), ([1, 1], ["tea", "rum"])]
)
def test_one_user_or_one_item(make, ids):
    model = make().fit((*ids, [4.0, 5.0][: len(ids[0])]))
    assert np.isfinite(model.predict(1, "tea"))


@each_kind
def test_saved_and_loaded(make, tmp_path):
    u, i, r = random_ratings()
    model = make().fit((u, [f"item {n}" for n in i], r))
    model.save(tmp_path / "model")
    loaded = recommend.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    assert loaded.recommend(n=4).items == model.recommend(n=4).items
    assert np.array_equal(loaded.predict(0, list(model.items)), model.predict(0, list(model.items)))


def test_what_they_refuse():
    with pytest.raises(ArgumentError, match="ALS: needs ratings"):
        ALS().fit(([1], [2]))
    with pytest.raises(ArgumentError, match=r"ratings ≥ 0.*got -1"):
        ImplicitALS().fit(([1], [2], [-1.0]))
    with pytest.raises(ArgumentError, match="ImplicitALS: regularization"):
        ImplicitALS(regularization=0)
    with pytest.raises(ArgumentError, match="ALS: solver"):
        ALS(solver="lu")
    with pytest.raises(ArgumentError, match="factors"):
        ALS(factors=0)


def test_what_overflows_is_an_error_and_changes_nothing():
    model = ALS(factors=2, biases=False).fit(random_ratings())
    before = model.item_factors.copy()
    with pytest.raises(ArgumentError, match="ALS: the factors have become infinite"):
        model.fit(([1, 1, 2], [1, 2, 1], [3e38, 1e38, -3e38]))
    assert np.array_equal(model.item_factors, before)


def test_a_rating_of_zero_is_no_interaction():
    u, i, r = random_ratings()
    with_zero = ImplicitALS(factors=3).fit((np.append(u, 0), np.append(i, 99), np.append(r, 0)))
    assert not with_zero.item_factors[with_zero.items.codes([99])[0]].any()
