"""Content-based recommenders beside dense computations, and the vectors of features."""

import numpy as np
import pytest

from minidl import recommend
from minidl.data import Features
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.recommend import ContentBased
from minidl.recommend.features import Number, Words, kind_of, unit_rows

GENRES = {"genres": [("Comedy",), ("Crime", "Drama"), ("Crime",), ("Comedy", "Drama"), ()]}
FILMS = Features(["a", "b", "c", "d", "e"], GENRES)
RATINGS = (["ann", "ann", "ben", "ben"], ["a", "b", "b", "d"], [1.0, 5.0, 3.0, 3.0])


def dense():
    """The model's vectors and profiles, from the formulas."""
    axes = ["Comedy", "Crime", "Drama"]
    x = np.array([[axis in own for axis in axes] for own in GENRES["genres"]], float)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    likings = np.array([[-2, 2, 0, 0, 0], [0, 1, 0, 1, 0.0]])  # ben's ratings are equal
    profiles = likings @ x
    return x, profiles / np.linalg.norm(profiles, axis=1, keepdims=True)


def test_scores_are_cosines_with_the_profiles():
    model = ContentBased(FILMS).fit(RATINGS)
    x, profiles = dense()
    found = model.predict(["ann"] * 5 + ["ben"] * 5, list("abcde") * 2).reshape(2, 5)
    np.testing.assert_allclose(found, profiles @ x.T, atol=1e-6)
    assert model.recommend("ann", 1)[0].id == "c"
    similar = dict(model.similar_items("b", 4))
    np.testing.assert_allclose([similar[i] for i in "acd"], (x @ x[1])[[0, 2, 3]], atol=1e-6)
    np.testing.assert_allclose(
        model.similar_users("ann", 1)[0].score, profiles[0] @ profiles[1], atol=1e-6
    )


def test_without_ratings_all_that_was_met_counts_alike():
    model = ContentBased(FILMS).fit((["ann", "ann"], ["b", "c"]))
    assert [scored.id for scored in model.recommend("ann")] == ["d", "a", "e"]


def test_an_explanation_names_what_contributes_most():
    model = ContentBased(FILMS).fit(RATINGS)
    assert str(model.explain("ann", "c")) == "because you liked b"
    assert model.explain("ann", "e") == []
    reasons = model.explain("ben", "c")
    assert [reason.id for reason in reasons] == ["b"]
    assert reasons[0].score == pytest.approx(2**-0.5)


def test_new_items_new_users_and_files(tmp_path):
    model = ContentBased(FILMS).fit(RATINGS)
    model.add_items(Features(["new"], {"genres": [("Drama", "Western")]}))
    assert model.similar_items("new", 1)[0].id in ("b", "d")
    assert "new" in [scored.id for scored in model.recommend("ann")]
    folded = model.fold_in((["zoe"], ["new"], [4]))
    assert [scored.id for scored in folded.recommend("zoe", 2)] == ["b", "d"]
    model.partial_fit((["zoe"], ["a"], [4]))
    assert model.recommend("zoe", 1)[0].id == "d"
    model.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    assert loaded.recommend().items == model.recommend().items
    assert str(loaded.explain("ann", "c")) == "because you liked b"
    more = Features(["newest"], {"genres": [("Drama",)]})
    for each in (model, loaded):  # whose axes must be the same
        each.add_items(more)
    np.testing.assert_array_equal(loaded.table.toarray(), model.table.toarray())
    with pytest.raises(ArgumentError, match="no column genres"):
        model.add_items(Features(["newer"], {"year": [1999]}))
    with pytest.raises(BoundsError, match="unknown item 'newer'"):
        model.similar_items("newer")


def test_items_without_features_and_cold_users_are_never_nan():
    model = ContentBased(FILMS).fit((["ann", "ben"], ["unknown", "e"]))
    assert np.isfinite(model.recommend(exclude_seen=False).scores[:, :5]).all()


def test_words_are_weighed_by_tf_idf():
    words = Words()
    texts = ["red red wine", "white wine", "Wine!"]
    words.learn(texts)
    assert list(words.places) == [*dict.fromkeys(words.places)]
    matrix = words.encode([*texts, "blue wine"]).toarray()
    red, wine = words.places["red"], words.places["wine"]
    assert matrix[0, red] == pytest.approx((1 + np.log(2)) * (1 + np.log(4 / 2)))
    assert matrix[0, wine] == pytest.approx(1 + np.log(4 / 4))
    assert matrix[3].nonzero()[0].tolist() == [wine]


def test_words_agree_with_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    texts = ["the red wine of the valley", "a white wine", "tea of the valley, red tea"]
    theirs = text.TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    expected = theirs.fit_transform(texts).toarray()
    words = Words()
    words.learn(texts)
    own = unit_rows(words.encode(texts)).toarray()
    order = [words.places[word] for word in theirs.get_feature_names_out()]
    np.testing.assert_allclose(own[:, order], expected, rtol=1e-12)


def test_numbers_vectors_and_weights():
    number = Number()
    number.learn([1, 2, 3])
    assert number.encode([2, 3]).toarray() == pytest.approx(np.array([[0, 1], [1.5**0.5, 1]]))
    embeddings = np.eye(3)[[0, 1, 0]]
    model = ContentBased((["a", "b", "c"], embeddings)).fit(([1], ["a"]))
    assert model.recommend(1) == [("c", 1.0), ("b", 0.0)]
    both = Features(["a", "b", "c"], {"kind": ["x", "y", "y"], "vector": embeddings})
    heavy = ContentBased(both, weights={"kind": 3}).fit(([1], ["b"]))
    assert heavy.recommend(1, 1)[0].id == "c"
    assert heavy.recommend(1, 1)[0].score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["Toy Story", "Get Shorty", "Heat"], "text"),
        (["sci fi", "sci fi", "sci fi", "crime"], "categories"),
        ([("a", "b"), ()], "categories"),
        ([1995, 1996], "number"),
        (np.ones((2, 3)), "vector"),
    ],
)
def test_what_a_column_looks_like(column, kind):
    assert kind_of(column) == kind


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ContentBased({"a": 1}), DTypeError, "needs minidl.data.Features"),
        (lambda: ContentBased(([1, 2], np.ones((3, 2)))), ShapeError, "3 values for 2 items"),
        (lambda: ContentBased(FILMS, {"year": "number"}), ArgumentError, "'year' is none of"),
        (lambda: ContentBased(FILMS, {"genres": "tags"}), ArgumentError, "genres is one of"),
        (lambda: ContentBased(([1], [[np.nan]])), ArgumentError, "finite"),
    ],
)
def test_bad_features(make, error, message):
    with pytest.raises(error, match=message):
        make().fit(([1], [1]))
