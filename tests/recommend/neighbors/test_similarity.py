"""Similarities of users and of items, beside dense loops over the formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.recommend import ItemKNN, UserKNN
from tests.recommend.neighbors import oracle

KINDS = {"users": UserKNN, "items": ItemKNN}


def all_similarities(model):
    """The similarity of each row with all."""
    codes = np.arange(model.rows.shape[0], dtype=np.int32)
    return model._similar_users(codes) if model.by_user else model._similar_items(codes)


def fitted(kind, table, measure, **settings):
    return KINDS[kind](similarity=measure, **settings).fit(oracle.interactions(table))


def expected(kind, table, measure, **settings):
    rows, baselines = table, oracle.biases(table)
    if kind == "items":
        rows, baselines = rows.T, baselines.T
    if measure == "pearson_baseline":
        settings.setdefault("shrinkage", 100.0)
    return oracle.similarities(rows, measure, baselines, **settings)


@pytest.mark.parametrize("settings", [{}, {"shrinkage": 3.0}, {"min_support": 3}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", oracle.MEASURES)
def test_similarities_are_those_of_the_formula(measure, kind, settings):
    table = oracle.ratings(13, 9, seed=len(measure))
    found = all_similarities(fitted(kind, table, measure, **settings))
    # Baselines and means are subtracted in float32: an error of 1e-7 of a rating.
    np.testing.assert_allclose(
        found, expected(kind, table, measure, **settings), rtol=1e-5, atol=2e-6
    )


@pytest.mark.parametrize("measure", oracle.MEASURES)
def test_similarities_are_symmetric_to_the_bit_and_the_same_for_any_number_of_threads(
    measure, monkeypatch
):
    monkeypatch.setattr("minidl.backends.threads._WORTH", 1)
    model = fitted("users", oracle.ratings(40, 30), measure)
    before, results = minidl.get_num_threads(), []
    for threads in (1, 2, 3):
        minidl.set_num_threads(threads)
        results.append((all_similarities(model), model._compared.nearest(7)))
    minidl.set_num_threads(before)
    np.testing.assert_array_equal(results[0][0], results[0][0].T)
    for found, kept in results[1:]:
        np.testing.assert_array_equal(found, results[0][0])
        np.testing.assert_array_equal(kept.indices, results[0][1].indices)
        np.testing.assert_array_equal(kept.data, results[0][1].data)


@pytest.mark.parametrize("density", [0.02, 0.5], ids=["few in common", "many"])
@pytest.mark.parametrize("measure", ["cosine", "jaccard", "pearson", "msd"])
def test_the_nearest_are_the_largest_similarities_and_of_equal_ones_the_first(measure, density):
    model = fitted("users", oracle.ratings(120, 90, density), measure)
    dense = all_similarities(model).astype(float)
    for k in (1, 5, 200):
        found = model._compared.nearest(k).toarray()
        np.testing.assert_array_equal(found, oracle.nearest(dense, k))
    row = model._compared.nearest(200)[[3]].data
    assert (np.diff(row) <= 0).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_equal_ratings_correlate_with_nothing(data):
    rating = data.draw(st.sampled_from([3.0, 3.3, 0.1, 1e6, -7.7]))
    table = oracle.ratings(6, 8, 0.7, data.draw(st.integers(0, 99)))
    table[0, ~np.isnan(table[0])] = rating
    found = all_similarities(fitted("users", table, "pearson"))
    assert not found[0].any()
    assert np.isfinite(found).all()


def test_a_large_offset_leaves_correlations_as_they_are():
    table = oracle.ratings(8, 12, 0.7)
    near = all_similarities(fitted("users", table, "pearson"))
    far = all_similarities(fitted("users", table + 1e6, "pearson"))
    np.testing.assert_allclose(far, near, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("measure", oracle.MEASURES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_one_user_or_one_item(shape, measure):
    for kind in KINDS:
        found = all_similarities(fitted(kind, oracle.ratings(*shape, density=1.0), measure))
        assert np.isfinite(found).all()
