"""minidl train recommender, and minidl recommend."""

import json
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import cli, recommend
from minidl.cli import recommenders
from minidl.recommend.neural.training import Neural


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs leave their folders where the command is called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ratings(tmp_path):
    """A file of ratings, with texts as the ids of items."""
    users, items, stars, times = minidl.data.synthetic_interactions(600, 30, 25)
    lines = [f"{u},i{i},{r:g},{t:g}" for u, i, r, t in zip(users, items, stars, times, strict=True)]
    (tmp_path / "stars.csv").write_text("\n".join(["user,item,rating,timestamp", *lines]) + "\n")
    return users


def run(capsys, arguments):
    """The exit status, and what the command prints and complains about."""
    try:
        status = cli.main(arguments.split())
    except SystemExit as stopped:
        status = stopped.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def trained(capsys, arguments=""):
    """The line of JSON that a successful run ends with."""
    status, printed, complaints = run(
        capsys, f"train recommender --data stars.csv --json {arguments}"
    )
    assert (status, complaints) == (0, "")
    return json.loads(printed.splitlines()[-1])


def test_training_ends_with_one_line_of_json(capsys, ratings):
    found = trained(capsys, "--epochs 3")
    assert list(found) == ["rmse", "ndcg_at_10", "seconds", "model", "run"]
    assert found["run"] == "runs/recommender-stars-1"
    assert 0 < found["rmse"] < 2
    assert 0 <= found["ndcg_at_10"] <= 1
    assert json.loads(Path(found["run"], "result.json").read_text()) == found


@pytest.mark.parametrize("name", list(recommenders.MODELS))
def test_all_recommenders_can_be_trained_and_asked(capsys, ratings, name):
    kind = getattr(recommend, recommenders.MODELS[name].class_name)
    found = trained(capsys, f"--model {name}{' --epochs 1' if issubclass(kind, Neural) else ''}")
    model = recommend.load(found["model"])
    assert type(model).__name__ == recommenders.MODELS[name].class_name
    assert (found["rmse"] is None) == (not model.RATES)
    user = ratings[0]
    status, printed, _ = run(capsys, f"recommend {found['run']} --user {user} --json")
    own = json.loads(printed)
    assert status == 0
    assert [each["item"] for each in own] == [s.id for s in model.recommend(int(user))]


def test_the_same_seed_gives_the_same_model(capsys, ratings):
    first, second, third = (trained(capsys, f"--epochs 2 --seed {seed}") for seed in (3, 3, 4))
    assert first["rmse"] == second["rmse"] != third["rmse"]


def test_recommendations_say_why_and_name_titles(capsys, ratings, tmp_path):
    folder = trained(capsys, "--model als")["run"]
    titles = [[f"i{k}", f"Film {k}"] for k in range(25)]
    (tmp_path / folder / "names.json").write_text(json.dumps(titles))
    status, printed, _ = run(capsys, f"recommend {folder} --user {ratings[0]} --count 2")
    assert status == 0
    assert len(printed.splitlines()) == 2
    assert "Film" in printed.splitlines()[0]
    assert "because you liked i" in printed
    status, printed, _ = run(capsys, f"recommend {folder}/model.safetensors --item i3 --count 4")
    assert (status, len(printed.splitlines())) == (0, 4)
    assert "i3 " not in printed


def test_titles_of_the_data_are_kept(capsys, monkeypatch):
    users, items, stars, _ = minidl.data.synthetic_interactions(300, 20, 15)
    known = np.unique(items)
    features = minidl.data.Features(known, {"title": [f"Book {i}" for i in known]})
    data = minidl.data.Ratings(users, items, stars, item_features=features)
    monkeypatch.setitem(recommenders.DATA, "movielens-100k", lambda: data)
    status, _, _ = run(capsys, "train recommender --model biases")
    status, printed, _ = run(
        capsys, f"recommend runs/recommender-movielens-100k-1 --user {users[0]}"
    )
    assert status == 0
    assert "Book" in printed


@pytest.mark.parametrize("name", ["fm", "two-tower"])
def test_features_of_the_data_are_used(capsys, monkeypatch, name):
    users, items, stars, _ = minidl.data.synthetic_interactions(300, 20, 15)
    known = [np.unique(users), np.unique(items)]
    ages, years = (
        minidl.data.Features(ids, {column: np.arange(ids.size)})
        for ids, column in zip(known, ("age", "year"), strict=True)
    )
    data = minidl.data.Ratings(users, items, stars, user_features=ages, item_features=years)
    monkeypatch.setitem(recommenders.DATA, "movielens-100k", lambda: data)
    run(capsys, f"train recommender --model {name} --epochs 1")
    model = recommend.load("runs/recommender-movielens-100k-1/model.safetensors")
    assert list(model.user_features) == ["age"]
    assert list(model.item_features) == ["year"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("train recommender --data none.csv", "there is no none.csv"),
        ("train recommender --data stars.csv --lr 1", "recommender has no --lr"),
        (
            "train recommender --data stars.csv --model biases --epochs 0",
            "must be a number above 0",
        ),
        ("train recommender --data stars.csv --model popularity --epochs 3", "has no --epochs"),
        ("train recommender --model best", "invalid choice"),
        ("train cnn --model mf", "cnn has no --model"),
        ("recommend runs --user 1", "runs has no model.safetensors"),
        ("recommend . --user 1 --item 2", "one of the two"),
        ("recommend .", "one of the two"),
        ("recommend stars.csv --user 1", "stars.csv"),
    ],
)
def test_what_cannot_be(capsys, ratings, arguments, complaint):
    status, printed, complaints = run(capsys, arguments)
    assert status in (1, 2)
    assert printed == ""
    assert complaint in complaints


def test_unknown_users_are_named(capsys, ratings):
    folder = trained(capsys, "--model popularity")["run"]
    status, _, complaints = run(capsys, f"recommend {folder} --user nobody")
    assert status == 1
    assert "unknown user 'nobody'" in complaints
