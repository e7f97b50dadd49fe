"""`minidl train --mixed-precision`: every network learns, and goes on as if it had not stopped."""

import json
import re

import pytest

from minidl.cli.tasks import NETWORKS
from tests.cli.test_cli import assert_same_weights, elsewhere, run, weights
from tests.cli.test_texts import interrupted_after, result, small

__all__ = ["elsewhere", "small"]  # fixtures that each test uses

FULL = pytest.mark.full
SETTINGS = {
    "mlp": "--epochs 2 --batch-size 200",
    "cnn": "--epochs 2 --batch-size 200",
    "sentiment": "--epochs 2 --batch-size 100",
    "charlm": "--epochs 1 --batch-size 8",
}


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_every_network_is_tested():
    assert SETTINGS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("model", SETTINGS)
def test_a_run_goes_on_as_if_it_had_not_stopped(model, capsys, monkeypatch, tmp_path):
    arguments = f"{model} {SETTINGS[model]} --mixed-precision"
    whole = result(capsys, f"{arguments} --runs whole")
    with monkeypatch.context() as patch:
        interrupted_after(patch, 5)
        assert run(capsys, f"train {arguments} --save-every 2")[0] == 130
    resumed = result(capsys, f"{model} --resume")
    score = next(iter(whole))
    assert resumed[score] == whole[score]
    mixed, again = (tmp_path / found["run"] for found in (whole, resumed))
    assert_same_weights(weights(mixed), weights(again))
    assert history(mixed) == history(again)
    assert {"loss_scale", "skipped_steps"} <= history(mixed)[0].keys()
    assert json.loads((again / "settings.json").read_text())["mixed_precision"] is True
    plain = tmp_path / result(capsys, f"{model} {SETTINGS[model]} --runs plain")["run"]
    for ours, theirs in zip(history(mixed), history(plain), strict=True):
        assert abs(ours["loss"] / theirs["loss"] - 1) < 0.05
        assert ours["loss"] != theirs["loss"]


def test_it_begins_with_a_run(capsys, tmp_path):
    folder = tmp_path / result(capsys, "mlp --epochs 1")["run"]
    status, _, complaint = run(capsys, f"train mlp --mixed-precision --resume {folder}")
    assert status == 1
    assert re.search(r"has mixed-precision False, not True: a run goes on as it began", complaint)
    settings = json.loads((folder / "settings.json").read_text())
    del settings["mixed_precision"]  # as those of older runs
    (folder / "settings.json").write_text(json.dumps(settings))
    assert result(capsys, f"mlp --epochs 2 --resume {folder}")["run"] == str(folder)
    (folder / "settings.json").write_text(json.dumps({**settings, "mixed_precision": "yes"}))
    status, _, complaint = run(capsys, f"train mlp --epochs 3 --resume {folder}")
    assert (status, "mixed_precision cannot be 'yes'" in complaint) == (1, True)


def test_it_is_in_the_help(capsys):
    _, printed, _ = run(capsys, "train --help")
    assert re.search(r"--mixed-precision\s+compute products in float16", printed)


@pytest.mark.parametrize(
    ("settings", "stated"),
    [("--epochs 6", 0.9), *(pytest.param(f"--seed {s}", 0.97, marks=FULL) for s in range(3))],
)
def test_the_convolutional_network_converges(settings, stated, capsys, tmp_path):
    found = result(capsys, f"cnn {settings} --mixed-precision")
    assert found["test_accuracy"] >= stated
    epochs = history(tmp_path / found["run"])
    assert all(epoch["loss_scale"] >= 1 for epoch in epochs)
    assert sum(epoch["skipped_steps"] for epoch in epochs) < 20
