"""PureSVD against NumPy's decomposition."""

import numpy as np
import pytest
from scipy import sparse

from minidl import recommend
from minidl.errors import ArgumentError
from minidl.recommend import Interactions, PureSVD
from minidl.recommend.factorization import pure_svd
from tests.recommend.factorization.helpers import random_ratings


def expected_scores(matrix, rank):
    u, values, v = np.linalg.svd(matrix.astype("float64"), full_matrices=False)
    return (u[:, :rank] * values[:rank]) @ v[:rank]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("shape", [(12, 9), (9, 30), (40, 25)])
@pytest.mark.parametrize("rank", [1, 3, 8, 100])
def test_scores_are_the_best_approximation_of_a_rank(shape, rank, large, monkeypatch):
    monkeypatch.setattr(pure_svd, "_DENSE", 0 if large else 2**20)
    data = Interactions.of(random_ratings(*shape))
    model = PureSVD(factors=rank).fit(data)
    used = min(rank, min(shape) - large)  # of a large matrix one less
    scores = expected_scores(data.matrix.toarray(), used)
    np.testing.assert_allclose(model._scores(np.arange(shape[0])), scores, rtol=1e-4, atol=1e-4)
    assert model.singular_values.size == model.item_factors.shape[1] == used
    assert np.all(np.diff(model.singular_values) <= 0)
    eye = model.item_factors.T @ model.item_factors
    np.testing.assert_allclose(eye, np.eye(used), atol=1e-5)


def test_directions_beyond_the_rank_are_left_out():
    model = PureSVD(factors=5).fit(sparse.csr_array(np.ones((6, 4))))
    assert model.item_factors.shape == (4, 1)


def test_items_are_as_similar_as_columns_of_the_approximation():
    data = Interactions.of(random_ratings())
    model = PureSVD(factors=3).fit(data)
    columns = expected_scores(data.matrix.toarray(), 3)
    unit = columns / np.linalg.norm(columns, axis=0)
    found = model._similar_items(np.arange(9))
    np.testing.assert_allclose(found, unit.T @ unit, atol=1e-5)
    assert len(model.similar_users(0, n=3)) == 3


def test_folding_in_is_a_projection():
    u, i, r = random_ratings()
    model = PureSVD(factors=3).fit((u, i, r))
    folded = model.fold_in((u + 100, i, r))
    np.testing.assert_allclose(folded.user_factors, model.user_factors, rtol=1e-5)
    model.partial_fit(([100, 100], [0, 50], [5.0, 4.0]))
    row = np.zeros(10)
    row[model.items.codes([0, 50])] = 5, 4
    new = model.user_factors[model.users.codes([100])[0]]
    np.testing.assert_allclose(new, row @ model.item_factors, rtol=1e-5)
    assert not model.item_factors[model.items.codes([50])[0]].any()


def test_explanations_add_up_to_the_score():
    u, i, r = random_ratings()
    model = PureSVD(factors=3).fit((u, i, r))
    terms = model.explain(3, 0, n=20)
    v = model.item_factors.astype("float64")
    code = model.items.codes([0])[0]
    rated = {
        a: b * (v[model.items.codes([a])[0]] @ v[code])
        for a, b in zip(i[u == 3], r[u == 3], strict=True)
    }
    assert {s.id: pytest.approx(s.score, rel=1e-4) for s in terms} == {
        a: t for a, t in rated.items() if t > 0
    }
    assert sum(rated.values()) == pytest.approx(model.predict(3, 0), rel=1e-4)


def test_the_same_seed_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(pure_svd, "_DENSE", 0)
    first, second, other = (PureSVD(4, seed=s).fit(random_ratings()) for s in (0, 0, 1))
    assert np.array_equal(first.item_factors, second.item_factors)
    np.testing.assert_allclose(first.item_factors, other.item_factors, atol=1e-5)


def test_events_cold_users_one_of_each_and_files(tmp_path):
    data = Interactions.of(random_ratings())
    model = PureSVD(2).fit(data.take((data.user_codes != 3) & (data.item_codes != 2)))
    assert not model.user_factors[3].any()
    assert not model.item_factors[2].any()
    assert PureSVD(2).fit(([1], ["tea"])).predict(1, "tea") == pytest.approx(1)
    assert PureSVD(2).fit(([1, 1, 2], ["tea", "rum", "tea"])).recommend(2)[0].id == "rum"
    model.save(tmp_path / "model")
    loaded = recommend.load(tmp_path / "model")
    assert np.array_equal(loaded._scores(np.arange(12)), model._scores(np.arange(12)))
    with pytest.raises(ArgumentError, match="PureSVD: factors"):
        PureSVD(0)
