"""Neural recommenders as users meet them: learning, seeds, files, and what is not known."""

import numpy as np
import pytest

import minidl
from minidl import recommend
from minidl.data import Features
from minidl.errors import ArgumentError, BoundsError
from tests.recommend.neural.helpers import FEATURED, ITEMS, RATINGS, SMALL, USERS, two_groups


@pytest.mark.parametrize("name", SMALL)
def test_two_groups_of_users_are_told_apart(name):
    rated = name in ("FactorizationMachine", "DeepFM")
    model = SMALL[name](epochs=40, batch_size=64, learning_rate=0.02, weight_decay=0.0)
    model.fit(two_groups(rated))
    assert model.history[-1] < model.history[0]
    assert (rated, True) == (model.RATES, np.isfinite(model.history).all())
    candidates = np.arange(20)
    scores = model._scores(np.arange(20))[:, model.items.codes(candidates)]
    own = (np.arange(20)[:, None] < 10) == (candidates < 10)
    better = scores[own].reshape(20, 10).mean(axis=1) - scores[~own].reshape(20, 10).mean(axis=1)
    assert (better > 0).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_gives_a_model_and_a_file_keeps_it(name, tmp_path):
    features = {"user_features": USERS, "item_features": ITEMS} if name in FEATURED else {}
    before = minidl.ops.random.default_generator.get_state()
    first, same, other = (
        SMALL[name](epochs=2, seed=seed, **features).fit(RATINGS) for seed in (1, 1, 2)
    )
    after = minidl.ops.random.default_generator.get_state()
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    everyone = np.arange(len(first.users))
    np.testing.assert_array_equal(first._scores(everyone), same._scores(everyone))
    assert not np.array_equal(first._scores(everyone), other._scores(everyone))
    first.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(first._scores(everyone), loaded._scores(everyone))
    assert (loaded.history, loaded.RATES) == (first.history, first.RATES)
    pairs = [u for u in first.users for _ in first.items], [*first.items] * len(first.users)
    np.testing.assert_allclose(
        first.predict(*pairs).reshape(len(everyone), -1), first._scores(everyone), rtol=1e-5,
        atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_what_is_not_known_has_a_score(name):
    data = recommend.Interactions(*RATINGS).take([0, 1, 2])  # of ann and ben; d is cold
    model = SMALL[name](epochs=1).fit(data)
    assert np.isfinite(model._scores(np.arange(2))).all()
    with pytest.raises(BoundsError, match="unknown user 'zoe'"):
        model.predict("zoe", "a")
    assert np.isfinite(model.predict(["zoe", "ann"], ["a", "x"], unknown="default")).all()
    cold = data.take([0, 1])  # ben is cold too
    assert np.isfinite(SMALL[name](epochs=1).fit(cold)._scores(np.arange(2))).all()
    with pytest.raises(ArgumentError, match="not fitted"):
        SMALL[name]().recommend("ann")
    with pytest.raises(ArgumentError, match="partial_fit"):
        model.partial_fit((["ann"], ["c"], [3.0]))


@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("SASRec", "GRU4Rec")])
def test_one_user_with_one_item(name):
    model = SMALL[name](epochs=2).fit(([7], ["tea"], [4.0]))
    assert np.isfinite(model.predict(7, "tea"))
    assert model.recommend(7) == []


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_sequences_of_new_users_and_without_times(name):
    users, items = two_groups()
    times = np.arange(users.size)
    timed = SMALL[name](epochs=2).fit((users, items, None, times))
    plain = SMALL[name](epochs=2).fit((users, items))
    reverse = np.arange(users.size)[::-1]
    turned = SMALL[name](epochs=2).fit((users[reverse], items[reverse], None, times[reverse]))
    everyone = list(range(20))
    expected = timed.predict(everyone, [3] * 20)
    np.testing.assert_array_equal(plain.predict(everyone, [3] * 20), expected)
    assert turned.history == pytest.approx(timed.history, rel=0.2)
    own = items[users == 4]
    folded = timed.fold_in(((["new"] * 6), own, None, np.arange(6)))
    np.testing.assert_allclose(
        folded.predict("new", everyone), timed.predict(4, everyone), rtol=1e-5
    )
    assert len(timed.similar_items(3, 5)) == 5
    with pytest.raises(ArgumentError, match="two interactions"):
        SMALL[name]().fit(([1, 2], [7, 8]))


@pytest.mark.parametrize("name", FEATURED)
def test_new_items_are_known_by_their_features(name, tmp_path):
    model = SMALL[name](item_features=ITEMS, epochs=3).fit(RATINGS)
    before = model._scores(np.arange(2))
    more = Features(["e", "f"], {"kind": [("hot",), ("never seen",)], "year": [1, 3]})
    model.add_items(more)
    assert list(model.items) == ["a", "b", "d", "c", "e", "f"]
    after = model._scores(np.arange(2))
    np.testing.assert_allclose(after[:, :4], before, rtol=1e-5, atol=1e-6)
    assert {"e", "f"} <= {scored.id for scored in model.recommend("ann")}
    model.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded._scores(np.arange(2)), after)
    loaded.add_items(Features(["g"], {"kind": [("hot",)], "year": [1]}))
    new = loaded._scores(np.arange(2))
    np.testing.assert_allclose(new[:, -1], new[:, 4], rtol=1e-5)  # g is like e
    with pytest.raises(ArgumentError, match="no column year"):
        model.add_items(Features(["h"], {"kind": [("hot",)]}))
    with pytest.raises(ArgumentError, match="without item_features"):
        SMALL[name](epochs=1).fit(RATINGS).add_items(more)


@pytest.mark.parametrize("name", ["FactorizationMachine", "DeepFM"])
def test_objectives(name):
    kind = SMALL[name]
    assert kind(epochs=1).fit(RATINGS).RATES
    assert not kind(epochs=1).fit(RATINGS[:2]).RATES
    assert not kind(epochs=1, objective="logistic").fit(RATINGS).RATES
    with pytest.raises(ArgumentError, match="needs ratings"):
        kind(objective="squared").fit(RATINGS[:2])
    with pytest.raises(ArgumentError, match="objective"):
        kind(objective="hinge")


def test_similar_items_and_users_have_similar_features():
    model = SMALL["TwoTower"](user_features=USERS, item_features=ITEMS, epochs=2).fit(RATINGS)
    for found, count in ((model.similar_items("a", 9), 3), (model.similar_users("ann", 9), 2)):
        assert len(found) == count
        assert all(-1.001 <= scored.score <= 1.001 for scored in found)
    machine = SMALL["FactorizationMachine"](epochs=2).fit(RATINGS)
    assert len(machine.similar_items("a")) == 2
    assert len(machine.similar_users("ann")) == 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("NeuMF", {"factors": 0}), ("DeepFM", {"hidden": ()}), ("TwoTower", {"temperature": 0}),
        ("GRU4Rec", {"length": 0}), ("SASRec", {"dropout": 2.0}),
        ("FactorizationMachine", {"negatives": 0}), ("TwoTower", {"learning_rate": -1.0}),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(name, settings):
    with pytest.raises(ArgumentError, match=next(iter(settings))):
        getattr(recommend, name)(**settings)
