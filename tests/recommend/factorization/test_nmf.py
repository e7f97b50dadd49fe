"""NMF against its formula in NumPy."""

import numpy as np
import pytest

import minidl
from minidl import recommend
from minidl.backends.kernels.recommend.nmf import update_rows
from minidl.errors import ArgumentError
from minidl.recommend import NMF, Interactions
from tests.recommend.factorization.helpers import random_ratings


def small(**settings):
    return NMF(**{"factors": 4, "epochs": 40, **settings})


@pytest.mark.parametrize("width", [1, 5, 16, 40])
def test_an_update_is_the_formula(width):
    matrix = Interactions.of(random_ratings(30, 20)).matrix
    rng = np.random.default_rng(0)
    x, y = (rng.random((n, width)).astype("f4") for n in (30, 20))
    ratings, met = matrix.toarray().astype("f8"), matrix.toarray() > 0
    scores = np.where(met, x.astype("f8") @ y.T, 0)
    expected = x * (ratings @ y) / (scores @ y + 0.3 * met.sum(1, keepdims=True) * x)
    entries = matrix.indptr.astype("i8"), matrix.indices.astype("i4"), matrix.data
    results = []
    before = minidl.get_num_threads()
    for threads in (1, 2, 5):
        minidl.set_num_threads(threads)
        results.append(x.copy())
        update_rows(*entries, y, 0.3, results[-1])
    minidl.set_num_threads(before)
    np.testing.assert_allclose(results[0], expected, rtol=1e-5)
    assert all(np.array_equal(results[0], result) for result in results)


def objective(model, u, i, r):
    p, q = model.user_factors.astype("f8")[u], model.item_factors.astype("f8")[i]
    squares = (p**2).sum(1) + (q**2).sum(1)
    return ((r - (p * q).sum(1)) ** 2 + model.regularization * squares).sum()


def test_each_epoch_lowers_the_objective_and_nothing_is_negative():
    data = Interactions.of(random_ratings())
    codes = data.user_codes, data.item_codes, data.ratings
    models = [small(epochs=epochs).fit(data) for epochs in range(1, 12)]
    values = np.array([objective(model, *codes) for model in models])
    assert np.all(np.diff(values) <= 1e-6 * values[:-1])
    assert all(m.user_factors.min() >= 0 and m.item_factors.min() >= 0 for m in models)


def test_it_finds_factors_that_are_there():
    rng = np.random.default_rng(0)
    table = rng.random((20, 2)) @ rng.random((2, 15))
    u, i = np.nonzero(np.ones_like(table))
    model = NMF(factors=2, regularization=0, epochs=3000).fit((u, i, table[u, i]))
    np.testing.assert_allclose(model._scores(np.arange(20)), table, atol=0.02)


def test_new_users_and_new_ratings():
    u, i, r = random_ratings()
    model = small(epochs=200).fit((u, i, r))
    folded = model.fold_in((u + 100, i, r))
    np.testing.assert_allclose(folded.predict(u + 100, i), model.predict(u, i), rtol=0.1, atol=0.1)
    untouched = model.user_factors[5].copy()
    model.partial_fit(([100, 100], [0, 50], [5.0, 1.0]))
    assert model.predict(100, 50) < model.predict(100, 0)
    assert np.array_equal(model.user_factors[5], untouched)


def test_zero_ratings_and_users_without_any():
    model = small().fit(([1, 1, 2, 3], ["tea", "rum", "tea", "rum"], [0.0, 0.0, 4.0, 0.0]))
    scores = model._scores(np.arange(3))
    assert np.isfinite(scores).all()
    assert abs(model.predict(2, "tea") - 4) < 0.5
    data = Interactions.of(random_ratings())
    model = small().fit(data.take((data.user_codes != 3) & (data.item_codes != 2)))
    assert not model.user_factors[3].any()
    mean = model.data.ratings.mean()
    assert model.predict(data.users[3], data.items[0]) == pytest.approx(mean)
    assert model.predict("new", data.items[0], unknown="default") == pytest.approx(mean)


def test_seeds_files_and_one_of_each(tmp_path):
    first, second, other = (small(seed=s).fit(random_ratings()) for s in (1, 1, 2))
    assert np.array_equal(first.user_factors, second.user_factors)
    assert not np.array_equal(first.user_factors, other.user_factors)
    first.save(tmp_path / "model")
    loaded = recommend.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(0, list(first.items)), first.predict(0, list(first.items)))
    assert loaded.fold_in(([7], [0], [3.0])).user_factors.any()
    assert small().fit(([1], ["tea"], [3.0])).predict(1, "tea") == 3


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match=r"NMF: needs ratings ≥ 0.*got -1"):
        NMF().fit(([1], [2], [-1.0]))
    with pytest.raises(ArgumentError, match="NMF: needs ratings, and"):
        NMF().fit(([1], [2]))
    with pytest.raises(ArgumentError, match="NMF: factors"):
        NMF(factors=0)
