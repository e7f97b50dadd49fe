"""Neighbours in use: explanations, ids, cold users, bad input, files."""

import numpy as np
import pytest

from minidl.errors import ArgumentError, BoundsError
from minidl.recommend import Ids, Interactions, ItemKNN, UserKNN, load
from tests.recommend.neighbors import oracle
from tests.recommend.neighbors.test_knn import KINDS, MEANS, TABLE, all_pairs, all_scores

EXPLICIT = oracle.interactions(TABLE)


@pytest.mark.parametrize("prediction", [*MEANS, "sum"])
def test_explanations_are_the_parts_of_the_sum(prediction):
    for kind in KINDS.values():
        for kept in (None, 5):
            model = kind(5, "cosine", prediction, kept=kept).fit(EXPLICIT)
            explanation = model.explain("3", 4, n=99)
            assert explanation.because == ("users" if model.by_user else "liked")
            own = np.flatnonzero(~np.isnan(TABLE[:, 4] if model.by_user else TABLE[3]))
            assert {int(scored.id) for scored in explanation} <= set(own.tolist())
            parts = [scored.score for scored in explanation]
            assert parts == sorted(parts, reverse=True)
            assert all(part > 0 for part in parts)
            if prediction in ("mean", "sum"):  # of which no part is negative
                assert sum(parts) == pytest.approx(float(model.predict("3", 4)), rel=1e-5)


def test_explanations_name_what_speaks_for_an_item():
    users = ["ann", "ann", "ben", "ben", "cid", "cid", "cid", "dot"]
    items = ["tea", "cup", "tea", "cup", "tea", "cup", "rum", "tea"]
    liked = ItemKNN(2).fit((users, items)).explain("dot", "cup")
    assert [scored.id for scored in liked] == ["tea"]
    assert str(liked) == "because you liked tea"
    alike = UserKNN(2).fit((users, items)).explain("dot", "cup")
    assert {scored.id for scored in alike} == {"ann", "ben"}
    assert str(ItemKNN().fit((users, items)).explain("dot", "rum", 1)).endswith("tea")


def test_folded_users_are_explained_by_the_old_ones():
    model = UserKNN(2).fit((["ann", "ann", "ben"], ["tea", "rum", "tea"]))
    folded = model.fold_in((["new"], ["tea"]))
    assert [scored.id for scored in folded.explain("new", "rum")] == ["ann"]
    assert folded.recommend("new", 1)[0].id == "rum"
    assert folded.similar_users("new") == []


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("make", [str, int, float, lambda n: ("id", n), lambda n: n - 7, bytes],
                         ids=["str", "int", "float", "tuple", "negative", "bytes"])  # fmt: skip
def test_ids_of_any_type_give_the_same_numbers(kind, make):
    first = kind(3).fit(oracle.interactions(TABLE))
    other = kind(3).fit(oracle.interactions(TABLE, make, make))
    np.testing.assert_array_equal(all_scores(first), all_scores(other))
    assert float(other.predict(make(3), make(4))) == float(first.predict("3", 4))
    assert [s.score for s in other.recommend(make(2))] == [s.score for s in first.recommend("2")]


@pytest.mark.parametrize("rated", [True, False], ids=["ratings", "events"])
@pytest.mark.parametrize("kind", KINDS.values())
def test_cold_users_and_items_get_what_can_be_said_without_them(kind, rated):
    data = oracle.interactions(TABLE, rated=rated)
    cold = data.replaced(
        users=Ids([*data.users, "cold"], "user"), items=Ids([*data.items, "cold"], "item")
    )
    for prediction in (*MEANS, "sum") if rated else ["sum"]:
        model = kind(3, prediction=prediction).fit(cold)
        scores = all_scores(model)
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(all_pairs(model), scores, rtol=1e-6)
        unknown = model.predict(["?", "0", "?"], [0, "?", "?"], unknown="default")
        assert np.isfinite(unknown).all()
        if prediction == "sum":
            assert not scores[-1].any()
            assert not scores[:, -1].any()
            assert not unknown.any()
        elif prediction == "mean":
            np.testing.assert_allclose(scores[-1], np.nanmean(TABLE), rtol=1e-6)
            np.testing.assert_allclose(unknown, np.nanmean(TABLE), rtol=1e-6)
        model.recommend("cold")
        with pytest.raises(BoundsError, match="unknown user"):
            model.predict("?", 0)


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("prediction", [*MEANS, "sum"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_user_or_one_item(kind, prediction, shape):
    table = oracle.ratings(*shape, density=1.0)
    model = kind(2, prediction=prediction).fit(oracle.interactions(table))
    assert np.isfinite(all_scores(model)).all()
    assert model.recommend("0", exclude_seen=True) == []


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("prediction", MEANS)
def test_equal_ratings_are_predicted_as_they_are(kind, prediction):
    constant = np.where(np.isnan(TABLE), np.nan, 4.0)
    for measure in oracle.MEASURES:
        model = kind(3, measure, prediction).fit(oracle.interactions(constant))
        np.testing.assert_allclose(all_scores(model), 4.0, rtol=1e-6)


@pytest.mark.parametrize("settings", [
    {}, {"prediction": "sum", "similarity": "pearson"}, {"prediction": "z_score", "kept": 50},
    {"prediction": "mean", "similarity": "adjusted_cosine"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS.values())
def test_files_hold_the_model_to_the_bit(kind, settings, tmp_path):
    model = kind(4, **settings).fit(EXPLICIT)
    new = oracle.interactions(TABLE[:4], user=lambda u: f"new {u}")
    for name, each in {"fitted": model, "folded": model.fold_in(new)}.items():
        path = tmp_path / f"{name}.safetensors"
        each.save(path)
        again = load(path)
        assert repr(again) == repr(each)
        assert again.RATES == each.RATES
        np.testing.assert_array_equal(all_scores(again), all_scores(each))
        first = each.items[0], each.users[0]
        assert again.explain(*first[::-1]) == each.explain(*first[::-1])
        np.testing.assert_array_equal(all_scores(again.fold_in(new)), all_scores(each.fold_in(new)))
    path = tmp_path / "once more"
    model.save(path)
    more = Interactions(["0", "new"], [3, 4], [1.0, 5.0])
    np.testing.assert_array_equal(
        all_scores(load(path).partial_fit(more)), all_scores(model.partial_fit(more))
    )


def test_settings_that_make_no_sense_are_refused():
    events = [1, 1, 2], [7, 8, 7]
    for settings, message in {
        ("k", 0): "k", ("k", 2.5): "k", ("min_k", 0): "min_k", ("min_support", -1): "min_support",
        ("similarity", "cos"): "similarity", ("prediction", "median"): "prediction",
        ("shrinkage", -1.0): "shrinkage", ("shrinkage", np.inf): "shrinkage", ("kept", 5): "kept",
        ("weighting", "idf"): "weighting", ("normalized", 1): "normalized",
    }.items():  # fmt: skip
        with pytest.raises(ArgumentError, match=f"ItemKNN: {message}"):
            ItemKNN(**dict([settings]))
    with pytest.raises(ArgumentError, match='prediction="mean" needs ratings'):
        UserKNN(prediction="mean").fit(events)
    with pytest.raises(ArgumentError, match='similarity="pearson" needs ratings'):
        UserKNN(similarity="pearson").fit(events)
    with pytest.raises(ArgumentError, match="has no similar items"):
        UserKNN().fit(events).similar_items(7)
    with pytest.raises(ArgumentError, match="has no similar users"):
        ItemKNN().fit(events).similar_users(1)
    with pytest.raises(BoundsError, match="unknown item"):
        ItemKNN().fit(events).fold_in(([3], [9]))
