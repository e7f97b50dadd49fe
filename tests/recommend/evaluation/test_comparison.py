"""Cross-validation, comparisons in tables and pictures, and the search for settings."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from minidl.data import synthetic_interactions
from minidl.errors import ArgumentError, DTypeError
from minidl.recommend import (
    Biases,
    GlobalMean,
    Interactions,
    Popularity,
    Recommender,
    compare,
    cross_validate,
    evaluate,
    search,
)
from minidl.recommend.evaluation import k_fold, random_split
from minidl.recommend.evaluation.cross_validation import unfitted

DATA = Interactions.of(synthetic_interactions(400, 30, 25))


def test_cross_validation_is_the_evaluation_of_each_fold():
    model = Biases(epochs=3)
    found = cross_validate(model, DATA, 4, seed=2, k=[2, 5], threshold=4)
    assert model.data is None
    folds = [evaluate(Biases(epochs=3), *s, k=[2, 5], threshold=4) for s in k_fold(DATA, 4, seed=2)]
    assert list(found) == list(folds[0])
    for name, spread in found.items():
        values = [fold[name] for fold in folds]
        assert spread.mean == found.mean[name] == pytest.approx(np.mean(values))
        assert spread.std == found.std[name] == pytest.approx(np.std(values, ddof=1))
    assert repr(cross_validate(model, DATA, 2, metrics=["mae"])).startswith(
        "CrossValidation(2 folds: mae 0."
    )
    assert json.loads(json.dumps(found.to_dict()))["mean"] == found.mean


def test_functions_and_classes_make_models():
    expected = cross_validate(Biases(), DATA, metrics=["mae"]).mean
    assert cross_validate(Biases, DATA, metrics=["mae"]).mean == expected
    fitted = Biases().fit(DATA)
    assert cross_validate(fitted, DATA, metrics=["mae"]).mean == expected
    with pytest.raises(ArgumentError, match="a function that makes a new recommender"):
        cross_validate(lambda: fitted, DATA)
    for wrong in (lambda: 3, "biases"):
        with pytest.raises(DTypeError, match="needs a recommender, or a function"):
            cross_validate(wrong, DATA)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        cross_validate(Biases, DATA, nonsense=1)
    with pytest.raises(ArgumentError, match="folds"):
        cross_validate(Biases, DATA, 1)


class Blend(Recommender):
    """The mean of several."""

    FITTED = ("models",)

    def __init__(self, models):
        self.models = models

    def _fit(self, data):
        for model in self.models.values():
            model.fit(data)

    def _scores(self, users):
        return np.mean([model._scores(users) for model in self.models.values()], axis=0)


def test_models_of_models_are_made_anew():
    blend = Blend({"a": Biases(3).fit(DATA), "b": GlobalMean()})
    new = unfitted(blend)
    assert new.models["a"].data is new.models["b"].data is None
    assert new.models["a"].epochs == 3
    assert blend.models["a"].data is DATA
    cross_validate(blend, DATA, 2, metrics=["mae"])
    assert blend.models["b"].data is None


SPLIT = random_split(DATA)


def compared(**settings):
    models = {"mean": GlobalMean(), "[biases]": Biases(), "popular $": Popularity()}
    return compare(models, *SPLIT, k=3, **settings)


def test_a_comparison_is_a_table():
    found = compared(metrics=["rmse", "ndcg"])
    head, mean, biases, popular = repr(found).splitlines()
    assert head.split() == ["model", "rmse", "ndcg@3", "fit", "s", "predict", "s"]
    assert mean.split()[:3] == ["mean", *(f"{found['mean'][m]:.4f}" for m in found.metrics)]
    assert biases.startswith("[biases] ")
    assert popular.split()[:2] == ["popular", "$"]
    assert found.best("rmse") == min(found, key=lambda name: found[name]["rmse"])
    assert found.best("ndcg@3") == max(found, key=lambda name: found[name]["ndcg@3"])


def test_what_a_model_lacks_is_a_dash():
    found = compared()
    assert found.best("mae") == "[biases]"
    assert "–" in repr(found).splitlines()[3]
    assert json.loads(json.dumps(found.to_dict()))["popular $"]["users"] == len(
        np.unique(SPLIT.test.user_codes)
    )
    with pytest.raises(ArgumentError, match="metric is one of"):
        found.best("auc")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_comparison_is_a_picture(tmp_path, suffix):
    path = compared().plot(tmp_path / f"picture{suffix}")
    assert path.stat().st_size > 5000
    if suffix == ".svg":
        again = compared().plot(tmp_path / f"again{suffix}", ["rmse", "hr@3"])
        assert again.stat().st_size < path.stat().st_size


def test_bad_comparisons_are_refused(tmp_path):
    found = compared(metrics=["mae"])
    with pytest.raises(ArgumentError, match=r"\.png, \.svg, \.pdf"):
        found.plot(tmp_path / "picture.jpeg")
    with pytest.raises(ArgumentError, match="metrics is"):
        found.plot(tmp_path / "picture.png", ["rmse"])
    with pytest.raises(ArgumentError, match="needs a metric to draw"):
        found.plot(tmp_path / "picture.png", [])
    with pytest.raises(ArgumentError, match="needs a model or more"):
        compare({}, *SPLIT)
    with pytest.raises(DTypeError, match="model is a Recommender"):
        compare({"class": Biases}, *SPLIT)
    with pytest.raises(DTypeError, match="models is a Mapping"):
        compare([Biases()], *SPLIT)


def test_a_grid_is_searched():
    space = {"epochs": [1, 5], "user_regularization": [0.0, 3.0, 50.0]}
    found = search(Biases, space, DATA, folds=2, seed=1)
    assert len(found) == 6
    scores = [trial.score.mean for trial in found]
    assert scores == sorted(scores)
    best = cross_validate(Biases(**found.best.settings), DATA, 2, seed=1, metrics=["rmse"])
    assert best["rmse"] == found.best.score
    assert json.loads(json.dumps(found.to_dict()))["metric"] == "rmse"
    assert repr(found).startswith("Search(6 trials by rmse, best Trial(epochs=")


def test_choices_are_drawn_at_random():
    space = {"user_regularization": stats.loguniform(0.1, 100), "epochs": [1, 2, 3]}
    one, two = (search(Biases, space, *SPLIT, metric="ndcg", k=5, trials=4) for _ in range(2))
    assert [t.settings for t in one] == [t.settings for t in two]
    assert len({t.settings["user_regularization"] for t in one}) == 4
    assert all(type(t.settings["user_regularization"]) is float for t in one)
    scores = [trial.score.mean for trial in one]
    assert scores == sorted(scores, reverse=True)
    assert math.isnan(one.best.score.std)
    assert "±" not in repr(one)
    other = search(Biases, space, *SPLIT, trials=4, seed=1)
    assert [t.settings for t in other] != [t.settings for t in one]


class Diverging(Biases):
    """Fails if it has more than three epochs."""

    def _fit(self, data):
        super()._fit(data)
        if self.epochs > 3:
            self.item_biases[:] = np.nan


def test_a_failed_trial_is_kept_with_its_error():
    found = search(Diverging, {"epochs": [5, 2, 9]}, *SPLIT)
    assert [trial.settings["epochs"] for trial in found] == [2, 5, 9]
    assert found[1].error.startswith("ArgumentError: evaluate: Diverging(")
    assert "predicts NaN" in repr(found[1])
    with pytest.raises(ArgumentError, match="predicts NaN"):
        search(Diverging, {"epochs": [5]}, *SPLIT)


@pytest.mark.parametrize(
    ("space", "settings", "error", "message"),
    [
        ({"epochs": [0]}, {}, ArgumentError, "epochs is an integer ≥ 1"),
        ({"epoch": [1]}, {}, TypeError, "unexpected keyword argument 'epoch'"),
        ({"epochs": 3}, {}, ArgumentError, "needs a list of values for epochs; got 3"),
        ({"epochs": []}, {}, ArgumentError, "needs a list of values for epochs"),
        ({"epochs": "12"}, {"trials": 1}, ArgumentError, "a list of values or a distribution"),
        ({"epochs": [1]}, {"trials": 0}, ArgumentError, "trials is an integer ≥ 1"),
        ({"epochs": [1]}, {"metric": "auc"}, ArgumentError, "metric is one of"),
        ([1], {}, DTypeError, "space is a Mapping"),
    ],
)
def test_bad_searches_are_refused(space, settings, error, message):
    with pytest.raises(error, match=message):
        search(Biases, space, DATA, **settings)
