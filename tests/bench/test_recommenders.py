"""The bench of recommenders, on a few made-up ratings."""

import numpy as np
import pytest

from bench import recommenders
from minidl.data import synthetic_interactions


@pytest.fixture
def ratings(tmp_path):
    made = synthetic_interactions(2000, 60, 50)
    path = tmp_path / "ratings.csv"
    np.savetxt(path, np.stack(made[:3], axis=1), "%d", ",")
    return str(path)


def test_a_line_for_each_case(ratings, capsys):
    recommenders.main(["--data", ratings, "--only", "GlobalMean", "--folds", "2"])
    head, columns, line = capsys.readouterr().out.splitlines()
    assert head.startswith("Interactions(2000 of 60 users with 50 items, ratings from 1 to 5), 2 f")
    assert columns.split()[0] == "RMSE"
    assert line.split()[0] == "GlobalMean"
    assert 0.8 < float(line.split()[1]) < 1.3


def test_both_sides_find_the_same_biases(ratings, capsys):
    pytest.importorskip("surprise", reason="scikit-surprise, the peer, is not installed")
    recommenders.main(["--data", ratings, "--only", "Biases", "--folds", "1"])
    _, ours, theirs, published, *_ = capsys.readouterr().out.splitlines()[-1].split()
    assert abs(float(ours) - float(theirs)) < 2e-4
    assert published == "0.944"


def test_what_is_not_there_is_said(ratings, capsys, monkeypatch):
    case = recommenders.Case(lambda module: module.Oracle())
    monkeypatch.setitem(recommenders.CASES, "Oracle", case)
    recommenders.main(["--data", ratings, "--only", "Oracle"])
    assert "has no attribute 'Oracle'" in capsys.readouterr().out
