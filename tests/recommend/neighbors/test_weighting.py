"""TF-IDF, BM25 and norms, beside the formulas on dense arrays."""

import numpy as np
import pytest
from scipy import sparse

from minidl.errors import ArgumentError, DTypeError
from minidl.recommend import Interactions, ItemKNN, weighting

RNG = np.random.default_rng(0)
COUNTS = (RNG.integers(1, 30, (12, 9)) * (RNG.random((12, 9)) < 0.4)).astype(np.float32)


def tf_idf(rows):
    idf = np.log(len(rows) / (1 + (rows > 0).sum(axis=0)))
    return np.sqrt(rows) * idf


def bm25(rows, k1=1.2, b=0.75):
    idf = np.log(len(rows) / (1 + (rows > 0).sum(axis=0)))
    length = rows.sum(axis=1, keepdims=True)
    norm = 1 - b + b * length / length.mean()
    return idf * rows * (k1 + 1) / (rows + k1 * norm)


def normalize(rows):
    norms = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("documents", ["items", "users"])
@pytest.mark.parametrize("name", ["tf_idf", "bm25", "normalize"])
def test_weights_are_those_of_the_formula(name, documents):
    rows = COUNTS.astype(float) if documents == "users" else COUNTS.T.astype(float)
    want = globals()[name](rows)
    want = want if documents == "users" else want.T
    for given in (sparse.csr_array(COUNTS), sparse.coo_matrix(COUNTS), sparse.csc_array(COUNTS)):
        found = getattr(weighting, name)(given, documents=documents)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.toarray(), want, rtol=1e-6, atol=1e-7)
    data = Interactions.of(sparse.csr_array(COUNTS))
    found = getattr(weighting, name)(data, documents=documents)
    np.testing.assert_allclose(found.matrix.toarray(), want, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(data.matrix.toarray(), COUNTS)  # which is unchanged


def test_events_are_counted():
    data = Interactions(["ann", "ann", "ann", "ben"], ["tea", "tea", "rum", "tea"])
    found = weighting.normalize(data, "users").matrix.toarray()
    np.testing.assert_allclose(found, [[2 / 5**0.5, 1 / 5**0.5], [1, 0]], rtol=1e-6)


def test_settings_of_bm25():
    rows = COUNTS.T.astype(float)
    for k1, b in ((0.0, 0.5), (100.0, 0.8), (2.0, 0.0), (1.0, 1.0)):
        found = weighting.bm25(sparse.csr_array(COUNTS), k1, b).toarray()
        with np.errstate(invalid="ignore"):
            want = np.nan_to_num(bm25(rows, k1, b)).T
        np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


def test_bad_input():
    for call in (weighting.tf_idf, weighting.bm25):
        with pytest.raises(ArgumentError, match="counts are not negative; got -1"):
            call(sparse.csr_array([[1.0, -1.0]]))
    with pytest.raises(ArgumentError, match="bm25: b"):
        weighting.bm25(sparse.csr_array(COUNTS), b=2.0)
    with pytest.raises(ArgumentError, match="tf_idf: documents"):
        weighting.tf_idf(sparse.csr_array(COUNTS), "rows")
    with pytest.raises(DTypeError, match="needs Interactions or a sparse matrix"):
        weighting.normalize(COUNTS)


@pytest.mark.parametrize("name", ["tf_idf", "bm25"])
def test_items_are_compared_by_their_weights(name):
    data = Interactions.of(sparse.csr_array(COUNTS))
    model = ItemKNN(4, weighting=name).fit(data)
    rows = globals()[name](COUNTS.T.astype(float))
    want = (normalize(rows) if name == "tf_idf" else rows) @ (
        normalize(rows) if name == "tf_idf" else rows
    ).T
    found = model._similar_items(np.arange(9, dtype=np.int32))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    scores = model._scores(np.arange(12, dtype=np.int32))
    np.testing.assert_allclose(scores, COUNTS @ model.nearest.toarray(), rtol=1e-5)
