"""Blends of recommenders."""

import numpy as np
import pytest
from scipy import stats

from minidl import recommend
from minidl.errors import ArgumentError, DTypeError
from minidl.recommend import ALS, Biases, ContentBased, GlobalMean, Hybrid, ImplicitALS, Popularity

RNG = np.random.default_rng(0)
PAIRS = RNG.choice(120, 60, replace=False)
DATA = (PAIRS // 10, PAIRS % 10, RNG.integers(1, 6, 60).astype(float))


def test_ratings_are_blended_as_they_are():
    model = Hybrid([Biases(), GlobalMean()], [0.25, 0.75]).fit(DATA)
    expected = 0.25 * Biases().fit(DATA).predict(*DATA[:2]) + 0.75 * DATA[2].mean()
    np.testing.assert_allclose(model.predict(*DATA[:2]), expected, rtol=1e-6)
    assert model.RATES
    unknown = model.predict([999], [DATA[1][0]], unknown="default")
    assert np.isfinite(unknown).all()


@pytest.mark.parametrize("normalization", ["standard", "rank"])
def test_scores_are_made_comparable(normalization):
    models = [Popularity(), ImplicitALS(factors=2)]
    model = Hybrid(models, [2, 1], normalization).fit(DATA)
    codes = np.arange(len(model.users))
    parts = [part._scores(codes) for part in models]
    if normalization == "rank":
        parts = [(stats.rankdata(part, "min", axis=1) - 1) / 9 for part in parts]
    else:
        parts = [stats.zscore(part, axis=1) for part in parts]
    np.testing.assert_allclose(model._scores(codes), 2 * parts[0] + parts[1], rtol=1e-4, atol=1e-5)
    assert not model.RATES


def test_items_that_only_some_models_know():
    films = ([*range(10), "new"], np.eye(11)[[*range(10), 3]])
    model = Hybrid([ImplicitALS(factors=2), ContentBased(films)]).fit(DATA)
    assert "new" in model.items
    assert "new" in [s.id for s in model.recommend(int(DATA[0][0]), 11)]
    assert model.similar_items("new", 1)[0].id == 3


def test_fold_in_partial_fit_explanations_and_files(tmp_path):
    model = Hybrid([ALS(factors=2), Biases()], [0.3, 0.7]).fit(DATA)
    folded = model.fold_in((["zoe"], [int(DATA[1][0])], [5.0]))
    parts = [part.fold_in((["zoe"], [int(DATA[1][0])], [5.0])) for part in model.models]
    expected = 0.3 * parts[0].predict("zoe", 1) + 0.7 * parts[1].predict("zoe", 1)
    assert folded.predict("zoe", 1) == pytest.approx(expected)
    assert model.explain(int(DATA[0][0]), 1) == model.models[0].explain(int(DATA[0][0]), 1)
    model.partial_fit((["zoe"], [1], [5.0]))
    assert "zoe" in model.users
    model.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict("zoe", [1, 2]), model.predict("zoe", [1, 2]))
    assert repr(loaded) == repr(model)


def test_what_no_model_has():
    model = Hybrid([Popularity(), GlobalMean()]).fit(DATA)
    with pytest.raises(ArgumentError, match="Hybrid has no similar items"):
        model.similar_items(1)
    with pytest.raises(ArgumentError, match="Hybrid has no explanations"):
        model.explain(int(DATA[0][0]), 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), DTypeError, "models are recommenders"),
        (([Biases],), DTypeError, "models are recommenders"),
        (([Biases()], [1, 2]), ArgumentError, "needs 1 weights, one a model; got 2"),
        (([Biases()], ["much"]), ArgumentError, "weights is a"),
        (([Biases()], None, "softmax"), ArgumentError, "normalization is one of"),
    ],
)
def test_bad_blends(arguments, error, message):
    with pytest.raises(error, match=message):
        Hybrid(*arguments)
