"""What all recommenders share: rankings, unknown ids, fold-in, files; by the baselines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import io, recommend
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.recommend import Biases, GlobalMean, Interactions, Popularity, Ranking, Recommender
from minidl.recommend import recommender as module
from minidl.recommend.ranking import top_n

RATINGS = (["ann", "ben", "ben", "eve"], [1, 1, 2, 3], [5.0, 3.0, 1.0, 4.0])
ALL = [GlobalMean, Popularity, Biases]


class OwnScores(Recommender):
    """Scores that are given."""

    FITTED = ("scores",)

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)

    def _fit(self, data):
        pass

    def _scores(self, users):
        return self.scores[users].copy()


def fitted(kind):
    return kind().fit(RATINGS)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, -np.inf, np.inf, np.nan]),
    ),
    st.integers(1, 12),
)
def test_top_n_is_a_stable_sort(scores, n):
    codes, values = top_n(scores, n)
    for row, chosen, value in zip(scores, codes, values, strict=True):
        usable = np.where(np.isnan(row), -np.inf, row)
        expected = [j for j in np.argsort(-usable, kind="stable") if usable[j] > -np.inf][:n]
        assert chosen.tolist() == expected + [-1] * (n - len(expected))
        assert value[: len(expected)].tolist() == usable[expected].tolist()
        assert (value[len(expected) :] == -np.inf).all()


def test_recommendations_leave_out_what_was_seen_and_what_is_barred():
    model = OwnScores([[3, 2, 1], [1, 2, 3], [1, 1, 1]]).fit(RATINGS)
    assert model.recommend("ann", 2) == [(2, 2.0), (3, 1.0)]
    assert model.recommend("ann", 2, exclude_seen=False) == [(1, 3.0), (2, 2.0)]
    assert model.recommend(["ben"], 5).items == [[3]]
    assert model.recommend("ann", candidates=[1, 3]) == [(3, 1.0)]
    assert model.recommend("ann", exclude=[2]) == [(3, 1.0)]
    assert model.recommend("ann", candidates=[3], exclude=[3]) == []
    assert model.recommend().items == [[2, 3], [3], [1, 2]]
    with pytest.raises(BoundsError, match="unknown item 9"):
        model.recommend("ann", candidates=[9])


def test_blocks_give_what_one_block_gives(monkeypatch):
    whole = fitted(Biases).recommend()
    monkeypatch.setattr(module, "_BLOCK", 4)
    blocks = fitted(Biases).recommend()
    np.testing.assert_array_equal(blocks.codes, whole.codes)
    np.testing.assert_array_equal(blocks.scores, whole.scores)


def test_a_ranking_is_a_sequence_of_lists():
    ranking = fitted(Popularity).recommend(["ann", "eve"], 2)
    assert isinstance(ranking, Ranking)
    assert ranking[1][0].id == 1
    assert len(ranking[:1]) == 1
    assert list(ranking) == [ranking[0], ranking[1]]
    assert repr(ranking) == "Ranking(2 lists of up to 2 × item)"


def test_pairs_are_predicted_from_the_scores_in_any_order():
    scores = [[3, 2, 1], [1, 2, 3], [4, 5, 6]]
    model = OwnScores(scores).fit(RATINGS)
    users, items = ["eve", "ann", "eve", "ben"], [3, 2, 1, 1]
    assert model.predict(users, items).tolist() == [6, 2, 4, 1]
    assert model.predict("eve", [1, 2]).tolist() == [4, 5]
    assert model.predict(["ann", "ben"], 3).tolist() == [1, 3]
    assert model.predict("ben", 2) == 2
    with pytest.raises(ShapeError, match="as many items as users; got 1 and 2"):
        model.predict(["ann", "ben"], [1])


def test_unknown_ids_are_an_error_or_the_mean():
    model = OwnScores(np.zeros((3, 3))).fit(RATINGS)
    with pytest.raises(BoundsError, match="unknown user 'zoe'"):
        model.predict(["zoe"], [1])
    unknown = model.predict(["zoe", "ann", "zoe"], [1, 9, 9], unknown="default")
    assert unknown.tolist() == [3.25] * 3
    with pytest.raises(ArgumentError, match="unknown is"):
        model.predict(["ann"], [1], unknown="zero")


def test_biases_minimise_their_objective():
    """By direct solution of the normal equations."""
    rng = np.random.default_rng(0)
    mask = rng.random((7, 5)) < 0.6
    users, items = np.nonzero(mask)
    ratings = rng.integers(1, 6, users.size).astype(float)
    model = Biases(200, 2.0, 3.0).fit((users, items, ratings))
    user_codes, item_codes = model.data.user_codes, model.data.item_codes
    a = np.zeros((users.size, 12))
    a[np.arange(users.size), user_codes] = a[np.arange(users.size), 7 + item_codes] = 1
    penalty = np.diag([2.0] * len(model.users) + [3.0] * len(model.items))
    solved = np.linalg.solve(a.T @ a + penalty, a.T @ (ratings - ratings.mean()))
    np.testing.assert_allclose(np.r_[model.user_biases, model.item_biases], solved, atol=1e-6)
    folded = model.fold_in((["new"] * 2, list(model.items)[:2], [5, 4]))
    known = model.mean + model.item_biases[:2]
    np.testing.assert_allclose(folded.user_biases, ((5 + 4 - known.sum()) / 4), rtol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_files_hold_everything(kind, tmp_path):
    data = ([("a", 1), "b", 3, 2.5], ["x", "y", "x", "z"], [1, 2, 3, 4])
    model = kind().fit(data)
    model.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    assert type(loaded) is kind
    assert loaded.users == model.users
    assert loaded.recommend().items == model.recommend().items
    assert loaded.settings() == model.settings()
    np.testing.assert_array_equal(loaded.predict(data[0], data[1]), model.predict(data[0], data[1]))


def test_what_cannot_be_saved_or_loaded(tmp_path):
    model = Popularity().fit(([frozenset([1])], [2]))
    with pytest.raises(DTypeError, match=r"frozenset.*ids that can be saved"):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
    io.save(tmp_path / "other.safetensors", {"x": 1})
    with pytest.raises(io.CheckpointError, match="holds no recommender"):
        recommend.load(tmp_path / "other.safetensors")
    state = {"format": "minidl recommender", "kind": "Path", "settings": {}}
    io.save(tmp_path / "hostile.safetensors", state)
    with pytest.raises(io.CheckpointError, match="no recommender 'Path'"):
        recommend.load(tmp_path / "hostile.safetensors")


@pytest.mark.parametrize("kind", ALL)
def test_partial_fit_knows_new_users_and_items(kind):
    model = fitted(kind).partial_fit((["zoe", "ann"], [9, 1], [2.0, 1.0]))
    assert list(model.users) == ["ann", "ben", "eve", "zoe"]
    anew = kind().fit((["ann", "ben", "ben", "eve", "zoe"], [1, 1, 2, 3, 9], [1, 3, 1, 4, 2.0]))
    np.testing.assert_allclose(model.predict("zoe", [1, 9]), anew.predict("zoe", [1, 9]))


def test_what_is_asked_too_early_or_not_there():
    with pytest.raises(ArgumentError, match=r"Biases is not fitted; call fit"):
        Biases().recommend([1])
    with pytest.raises(ArgumentError, match="at least one interaction"):
        Biases().fit(([], []))
    for call in ("similar_items", "similar_users"):
        with pytest.raises(ArgumentError, match="Popularity has no similar"):
            getattr(fitted(Popularity), call)(1 if call == "similar_items" else "ann")
    with pytest.raises(ArgumentError, match="has no explanations"):
        fitted(Popularity).explain("ann", 2)
    with pytest.raises(ArgumentError, match="n is an integer"):
        fitted(Popularity).recommend("ann", 0)


def test_one_user_and_one_item():
    model = Biases().fit((["only"], ["one"], [4]))
    assert model.recommend("only") == []
    assert model.recommend("only", exclude_seen=False)[0].id == "one"
    assert Interactions(["only"], ["one"]).matrix.toarray().tolist() == [[1]]
