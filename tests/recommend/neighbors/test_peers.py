"""Neighbours, Slope One and weighting beside scikit-surprise and implicit, where installed."""

import numpy as np
import pytest
from scipy import sparse

from minidl.recommend import Interactions, ItemKNN, SlopeOne, UserKNN
from tests.recommend.neighbors import oracle

TABLE = oracle.ratings(40, 30, 0.3)
DATA = oracle.interactions(TABLE, user=int)
SIMILARITIES = {
    "common_cosine": "cosine", "msd": "msd", "pearson": "pearson",
    "pearson_baseline": "pearson_baseline",
}  # fmt: skip
PREDICTIONS = {
    "mean": "KNNBasic", "mean_centered": "KNNWithMeans", "z_score": "KNNWithZScore",
    "baseline": "KNNBaseline",
}  # fmt: skip


@pytest.fixture(scope="module")
def surprise():
    return pytest.importorskip("surprise", reason="scikit-surprise is not installed")


@pytest.fixture(scope="module")
def implicit():
    return pytest.importorskip("implicit.nearest_neighbours", reason="implicit is not installed")


def trainset(surprise):
    pandas = pytest.importorskip("pandas")
    columns = {"user": DATA.user_codes, "item": DATA.item_codes, "rating": DATA.ratings}
    frame = pandas.DataFrame(columns)
    reader = surprise.Reader(rating_scale=(1, 5))
    return surprise.Dataset.load_from_df(frame, reader).build_full_trainset()


def unrated():
    """Pairs without a rating: where there is one, Surprise takes it for the user's neighbour."""
    return [pair.astype(int).tolist() for pair in np.nonzero(np.isnan(TABLE))]


def predictions(algorithm, trained):
    algorithm.fit(trained)
    return [algorithm.predict(*pair, clip=False).est for pair in zip(*unrated(), strict=True)]


@pytest.mark.parametrize("kind", [UserKNN, ItemKNN])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_predictions_are_those_of_surprise(surprise, similarity, prediction, kind):
    options = {"name": SIMILARITIES[similarity], "user_based": kind is UserKNN, "min_support": 2}
    peer = getattr(surprise, PREDICTIONS[prediction])(k=99, sim_options=options, verbose=False)
    want = predictions(peer, trainset(surprise))
    model = kind(99, similarity, prediction, min_support=2).fit(DATA)
    # All neighbours have a say, so that the order of equal similarities does not matter.
    np.testing.assert_allclose(model.predict(*unrated()), want, rtol=1e-4, atol=1e-4)


def test_slope_one_is_surprises(surprise):
    want = predictions(surprise.SlopeOne(), trainset(surprise))
    np.testing.assert_allclose(SlopeOne().fit(DATA).predict(*unrated()), want, rtol=1e-5)


COUNTS = sparse.csr_array(np.nan_to_num(TABLE) * (1 + np.arange(30) / 100))


@pytest.mark.parametrize(
    ("peer", "weighting", "similarity"),
    [
        ("ItemItemRecommender", None, "dot"),
        ("CosineRecommender", None, "cosine"),
        ("TFIDFRecommender", "tf_idf", "auto"),
        ("BM25Recommender", "bm25", "auto"),
    ],
)
@pytest.mark.filterwarnings("ignore:Method expects CSR input")
def test_items_are_those_of_implicit(implicit, peer, weighting, similarity):
    """Of the K neighbours that implicit keeps, one is the item itself."""
    matrix = sparse.csr_matrix(COUNTS)
    other = getattr(implicit, peer)(K=30, num_threads=1)
    other.fit(matrix, show_progress=False)
    want = other.similarity.toarray()
    np.fill_diagonal(want, 0)
    model = ItemKNN(29, similarity, "sum", weighting=weighting)
    model.fit(Interactions.of(COUNTS))
    found = model.nearest.toarray()
    np.testing.assert_allclose(found, np.maximum(want, 0), rtol=1e-5, atol=1e-6)
    assert [np.argmax(row) for row in found] == [np.argmax(row) for row in want]
