"""SVDpp: its kernel beside the autograd engine, step by step."""

import numpy as np
import pytest

import minidl
from minidl import ops, recommend
from minidl.backends.kernels.recommend.least_squares import padded
from minidl.backends.kernels.recommend.svdpp import svdpp_epoch
from minidl.errors import ArgumentError
from minidl.recommend import Interactions, SVDpp
from tests.recommend.factorization.helpers import random_ratings

MEAN, RATE, REGULARIZATION = 3.1, 0.1, 0.4


def small(**settings):
    return SVDpp(**{"factors": 5, "epochs": 30, "learning_rate": 0.02, **settings})


def steps_of_autograd(order, indptr, items, ratings, parameters):
    """Each rating's step against the gradient of ½·(r − r̂)² + ½·λ·Σ squares, in float64."""
    p, q, y, b_u, b_i = (np.float64(x) for x in parameters)
    for user in order:
        rated = items[indptr[user] : indptr[user + 1]]
        for k in range(indptr[user], indptr[user + 1]):
            item = items[k]
            own = p[user], q[item], y[rated], b_u[user], b_i[item]
            tensors = [minidl.tensor(x, requires_grad=True) for x in own]
            implicit = tensors[2].sum(axis=0) / np.sqrt(rated.size)
            score = MEAN + tensors[3] + tensors[4] + (tensors[1] * (tensors[0] + implicit)).sum()
            squares = sum(ops.square(x).sum() for x in tensors)
            loss = 0.5 * ops.square(float(ratings[k]) - score) + 0.5 * REGULARIZATION * squares
            loss.backward()
            gradients = [RATE * x.grad.numpy() for x in tensors]
            p[user] -= gradients[0]
            q[item] -= gradients[1]
            y[rated] -= gradients[2]
            b_u[user] -= gradients[3]
            b_i[item] -= gradients[4]
    return p, q, y, b_u, b_i


@pytest.mark.parametrize("factors", [1, 5, 33])
def test_an_epoch_is_the_steps_that_update_every_y_at_each_rating(factors):
    matrix = Interactions.of(random_ratings()).matrix.copy()
    rng = np.random.default_rng(0)
    tables = [np.zeros((n, padded(factors)), "f4") for n in (12, 9, 9)]
    for table in tables:
        table[:, :factors] = rng.normal(size=(len(table), factors)) * 0.3
    biases = [rng.normal(size=n).astype("f4") * 0.3 for n in (12, 9)]
    before = [x.copy() for x in (*(t[:, :factors] for t in tables), *biases)]
    order, indptr = rng.permutation(12), matrix.indptr.astype("i8")
    items, ratings = matrix.indices.astype("i4"), matrix.data
    width = padded(factors)
    vectors = np.empty(width, "f4"), np.empty(width, "f4"), np.empty(width)
    settings = tuple(map(np.float32, (MEAN, RATE, REGULARIZATION)))
    place = np.uint64(5), np.uint64(0)
    svdpp_epoch(
        order, indptr, items, ratings, tuple(tables), tuple(biases), vectors, settings, place
    )
    assert not np.array_equal(items, matrix.indices)  # shuffled
    expected = steps_of_autograd(order, indptr, items, ratings, before)
    for found, values in zip((*tables, *biases), expected, strict=True):
        found = found[:, :factors] if found.ndim == 2 else found
        np.testing.assert_allclose(found, values, rtol=2e-4, atol=2e-5)
    assert not tables[2][:, factors:].any()


def test_scores_are_the_formula():
    data = Interactions.of(random_ratings())
    model = small().fit(data)
    sums = np.zeros((12, 5))
    for user in range(12):
        rated = data.item_codes[data.user_codes == user]
        sums[user] = model.implicit_factors[rated].sum(0) / np.sqrt(rated.size)
    p = model.user_factors - sums
    scores = model.mean + model.user_biases[:, None] + model.item_biases
    scores = scores + (p + sums) @ model.item_factors.T
    np.testing.assert_allclose(model._scores(np.arange(12)), scores, rtol=1e-5)
    assert np.abs(sums).max() > 0.01


def test_ratings_of_the_data_stay_in_place():
    data = Interactions.of(random_ratings())
    before = data.matrix.toarray()
    small().fit(data)
    assert np.array_equal(data.matrix.toarray(), before)


def test_new_users_and_new_ratings():
    u, i, r = random_ratings()
    model = small(epochs=200).fit((u, i, r))
    folded = model.fold_in((u + 1000, i, r))
    errors = [np.abs(m.predict(n, i) - r).mean() for m, n in ((model, u), (folded, u + 1000))]
    assert errors[1] < errors[0] + 0.05
    untouched = model.user_factors[5].copy()
    model.partial_fit(([77, 77], [0, 77], [5.0, 1.0]))
    assert model.predict(77, 77) < model.predict(77, 0)
    assert np.array_equal(model.user_factors[5], untouched)
    assert model.implicit_factors.shape == model.item_factors.shape


def test_explanations_add_up_to_the_score():
    u, i, r = random_ratings()
    model = small().fit((u, i, r)).fold_in((u, i, r))
    user, item = model.users.codes([3])[0], model.items.codes([0])[0]
    terms = model._terms(model._entries(model.data.matrix[[user]]), item)
    score = model._scores(np.array([user]))[0, item] - model.mean - model.item_biases[item]
    assert terms.sum() == pytest.approx(score, rel=1e-4, abs=1e-5)
    assert model.explain(3, 0, n=2) == sorted(model.explain(3, 0, n=9), key=lambda s: -s.score)[:2]


def test_cold_users_and_items_have_no_factors():
    data = Interactions.of(random_ratings())
    model = small().fit(data.take((data.user_codes != 3) & (data.item_codes != 2)))
    assert not model.user_factors[3].any()
    assert not model.item_factors[2].any()
    assert not model.implicit_factors[2].any()
    assert model.predict(data.users[3], data.items[2]) == np.float32(model.mean)


def test_a_seed_gives_the_same_bits_and_another_others():
    first, second, other = (small(seed=s).fit(random_ratings()) for s in (1, 1, 2))
    assert np.array_equal(first.user_factors, second.user_factors)
    assert not np.array_equal(first.user_factors, other.user_factors)


def test_divergence_is_an_error_and_changes_nothing():
    model = small().fit(random_ratings())
    before = model.user_factors
    model.learning_rate = 20.0
    with pytest.raises(ArgumentError, match="infinite; lower the learning_rate"):
        model.fit(random_ratings(20, 10))
    assert model.user_factors is before


@pytest.mark.parametrize("data", [([1], ["tea"], [3.0]), ([1, 2], ["tea", "tea"], [1.0, 5.0])])
def test_one_user_or_one_item(data):
    assert 1 <= small().fit(data).predict(1, "tea") <= 5


def test_saved_and_loaded(tmp_path):
    model = small().fit(random_ratings())
    model.save(tmp_path / "model")
    loaded = recommend.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    assert np.array_equal(loaded._scores(np.arange(12)), model._scores(np.arange(12)))
    assert np.array_equal(loaded.implicit_factors, model.implicit_factors)


@pytest.mark.parametrize(
    "bad", [{"factors": 0}, {"epochs": 0}, {"learning_rate": 0}, {"regularization": -1}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ArgumentError, match=f"SVDpp: {next(iter(bad))}"):
        SVDpp(**bad)
    with pytest.raises(ArgumentError, match="needs ratings"):
        SVDpp().fit(([1], [2]))
