"""The command `minidl` on texts: classifiers, language models, and what they write."""

import json
import re

import numpy as np
import pytest

from minidl import cli, train
from minidl.cli.tasks import characters, sentiment
from minidl.cli.tasks.task import cosine
from minidl.data import DataError
from tests.cli.test_cli import assert_same_weights, elsewhere, run, weights, with_setting

__all__ = ["elsewhere"]  # a fixture that each test uses

rng = np.random.default_rng(0)
GOOD, BAD = ["good", "fine", "a joy"], ["bad", "dull", "a bore"]
NOVEL = "the whale and the sea; " * 230


def sentences(n):
    """Sentences of nonsense with a word of praise or blame in it, and neutral ones."""
    pairs = []
    for i in range(n):
        filler = [f"w{k}" for k in rng.integers(0, 30, rng.integers(1, 12))]
        score = (1.0, -1.0, 0.0)[i % 3 if i % 10 == 0 else i % 2] * rng.uniform(1, 3)
        word = rng.choice(GOOD if score > 0 else BAD)
        pairs.append((" ".join([*filler, word]) + "!", score))
    return pairs


SNIPPETS = sentences(400)
RATED = sum(score != 0 for _, score in SNIPPETS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small data, in place of what would be fetched."""
    monkeypatch.setitem(sentiment.DATA, "movie-snippets", lambda: SNIPPETS)
    monkeypatch.setitem(characters.DATA, "moby-dick", lambda: NOVEL)


def result(capsys, arguments):
    status, printed, complaints = run(capsys, f"train {arguments} --json")
    assert (status, complaints) == (0, "")
    return json.loads(printed.splitlines()[-1])


def call(capsys, *arguments):
    """As `run`, for arguments with spaces in them."""
    status = cli.main(list(arguments))
    printed = capsys.readouterr()
    return status, printed.out, printed.err


# Sentiment.


def test_a_classifier_of_texts_is_trained_and_used(capsys, tmp_path):
    found = result(capsys, "sentiment --epochs 6 --lr 0.01")
    assert list(found) == ["test_accuracy", "seconds", "checkpoint", "run"]
    assert found["run"] == "runs/sentiment-movie-snippets-1"
    assert found["test_accuracy"] > 0.9
    folder = tmp_path / found["run"]
    names = {path.name for path in folder.iterdir()}
    assert names >= {"settings.json", "vocabulary.json", "history.jsonl", "best.safetensors"}

    status, printed, _ = call(capsys, "predict", str(folder), "w1 w2 good!", "W3, w4 BAD")
    assert status == 0
    first, second = printed.splitlines()
    assert re.fullmatch(r" *[\d.]+% positive +[\d.]+% negative   w1 w2 good!", first)
    assert re.fullmatch(r" *[\d.]+% negative +[\d.]+% positive   W3, w4 BAD", second)
    for arguments in (["never seen", "--json"], ["--json", "never seen"]):
        assert call(capsys, "predict", str(folder), *arguments)[0] == 0
    assert call(capsys, "predict", "--json", str(folder), "never seen")[0] == 0
    status, printed, _ = call(capsys, "predict", str(folder), "--json", "never seen")
    line = json.loads(printed)
    assert list(line) == ["text", "class", "probabilities"]
    assert sum(line["probabilities"].values()) == pytest.approx(1)

    status, printed, _ = run(capsys, f"predict {folder} --count 8 --json")
    lines = [json.loads(line) for line in printed.splitlines()]
    assert len(lines) == 8
    assert {line["text"] for line in lines} <= {text for text, _ in SNIPPETS}
    assert sum(line["class"] == line["truth"] for line in lines) >= 6
    for text in ("", "  ", "\n"):
        status, printed, complaints = call(capsys, "predict", str(folder), text)
        assert (status, printed) == (1, "")
        assert "a text needs a word; got" in complaints


def test_it_says_in_words_what_came_of_it(capsys):
    status, printed, complaints = run(capsys, "train sentiment --epochs 1")
    assert (status, complaints) == (0, "")
    first, second, _ = printed.splitlines()
    trained = RATED - RATED // 10
    assert re.fullmatch(rf"trained on {trained} texts for 1 epoch: loss \d\.\d{{4}}", first)
    assert re.fullmatch(rf"test accuracy \d+\.\d\d% on {RATED // 10} others, in .* s", second)


def test_the_seed_chooses_the_split_and_all_else(capsys, tmp_path):
    runs = [result(capsys, f"sentiment --epochs 1 --seed {seed}")["run"] for seed in (1, 1, 2)]
    first, same, other = (weights(tmp_path / folder) for folder in runs)
    assert_same_weights(first, same)
    assert any((first[k].shape != other[k].shape) or (first[k] != other[k]).any() for k in first)


def test_a_part_may_be_held_out_for_validation(capsys, tmp_path):
    found = result(capsys, "sentiment --epochs 2 --validation 0.2")
    lines = (tmp_path / found["run"] / "history.jsonl").read_text().splitlines()
    assert {"val_loss", "val_accuracy", "lr"} <= set(json.loads(lines[0]))


# Language models.


def test_a_language_model_is_trained_and_writes(capsys, tmp_path):
    found = result(capsys, "charlm --epochs 12 --batch-size 8")
    assert list(found) == ["bits_per_character", "seconds", "checkpoint", "run"]
    assert found["run"] == "runs/charlm-moby-dick-1"
    assert 0 < found["bits_per_character"] < 2.5

    command = ["generate", found["run"], "--prompt", "the wh", "--length", "30", "--seed", "3"]
    status, printed, complaints = call(capsys, *command)
    assert (status, complaints) == (0, "")
    assert len(printed) == len("the wh") + 30 + 1
    assert printed.startswith("the wh")
    assert call(capsys, *command)[1] == printed
    line = json.loads(call(capsys, *command, "--json")[1])
    assert line == {"text": printed[:-1], "seed": 3}
    likeliest = [
        call(capsys, *command, *more)[1] for more in (["--temperature", "0"], ["--top-k", "1"])
    ]
    assert likeliest[0] == likeliest[1]
    status, printed, _ = call(
        capsys, "generate", f"{found['run']}/last.safetensors", "--prompt", "t"
    )
    assert (status, len(printed)) == (0, 502)


def test_a_language_model_says_how_well_it_predicts(capsys):
    status, printed, complaints = run(capsys, "train charlm --epochs 1 --batch-size 4")
    assert (status, complaints) == (0, "")
    lines = printed.splitlines()
    trained = round(len(NOVEL) * 0.9)
    assert lines[0].startswith(f"trained on {trained} characters for 1 epoch: loss ")
    pattern = rf"\d\.\d{{3}} bits per character on {len(NOVEL) - trained} others, in .* s"
    assert re.fullmatch(pattern, lines[1])
    assert lines[2].startswith("it writes: ")


def interrupted_after(monkeypatch, steps):
    """Have Ctrl-C pressed in the middle of a step."""
    add, seen = train.trainer.update.Updates.add, []

    def interrupted(self, *arguments):
        seen.append(1)
        if len(seen) > steps:
            raise KeyboardInterrupt
        return add(self, *arguments)

    monkeypatch.setattr(train.trainer.update.Updates, "add", interrupted)


@pytest.mark.parametrize(
    ("network", "data"), [("sentiment", "movie-snippets"), ("charlm", "moby-dick")]
)
def test_an_interrupted_run_goes_on_with_the_same_bits(
    capsys, monkeypatch, tmp_path, network, data
):
    settings = {"sentiment": "--epochs 2", "charlm": "--epochs 2 --batch-size 16 --seed 5"}[network]
    whole = result(capsys, f"{network} {settings} --runs whole")
    with monkeypatch.context() as patch:
        interrupted_after(patch, 4)
        status, printed, complaints = run(capsys, f"train {network} {settings} --save-every 1")
    assert (status, printed) == (130, "")
    folder = f"runs/{network}-{data}-1"
    assert complaints == f"interrupted; to go on: minidl train {network} --resume {folder}\n"
    found = result(capsys, f"{network} --resume")
    del whole["seconds"], found["seconds"]
    score = "test_accuracy" if network == "sentiment" else "bits_per_character"
    assert found[score] == whole[score]
    assert_same_weights(
        weights(tmp_path / "whole" / f"{network}-{data}-1"), weights(tmp_path / folder)
    )


def test_the_full_run_is_of_a_larger_network():
    short, full = (characters.Characters.defaults({"full": flag}) for flag in (False, True))
    assert full["num_layers"] > short["num_layers"]
    assert full["epochs"] > short["epochs"]


def test_learning_rates_rise_and_fall():
    factor = cosine(100, warmup=4)
    assert [round(factor(step), 3) for step in (0, 1, 4, 52, 100, 200)] == [
        *(0.2, 0.4, 0.996),
        *(0.469, 0, 0),
    ]
    assert cosine(0)(0) == cosine(10)(0) == 1


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mlp --data moby-dick", "mlp is trained on digits, mnist, fashion-mnist"),
        ("charlm --data digits", "charlm is trained on moby-dick"),
        ("sentiment --data moby-dick", "sentiment is trained on movie-snippets"),
        ("sentiment --full", "sentiment has no --full"),
        ("mlp --full", "mlp has no --full"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys, tmp_path, arguments, message):
    status, printed, complaints = run(capsys, f"train {arguments}")
    assert (status, printed, complaints) == (1, "", f"minidl: {message}\n")
    assert not list(tmp_path.iterdir())


def test_texts_that_cannot_be_fetched_are_no_traceback(capsys, monkeypatch):
    def unreachable():
        raise DataError("moby-dick cannot be fetched:\n  here: no route")

    monkeypatch.setitem(characters.DATA, "moby-dick", unreachable)
    expected = "minidl: moby-dick cannot be fetched:\n  here: no route\n"
    assert run(capsys, "train charlm") == (1, "", expected)


def test_commands_for_other_networks_say_so(capsys, monkeypatch):
    classifier = result(capsys, "sentiment --epochs 1")["run"]
    status, _, complaints = run(capsys, f"generate {classifier}")
    assert (status, "has no language model" in complaints) == (1, True)
    monkeypatch.setitem(characters.DATA, "moby-dick", lambda: NOVEL.replace("; ", "’; "))
    writer = result(capsys, "charlm --epochs 1")["run"]
    status, _, complaints = run(capsys, f"predict {writer} text")
    assert (status, "minidl generate" in complaints) == (1, True)
    for prompt, message in (
        ("Call me", "has 'C', 'm', which the network has never seen\n"),
        ("the 'sea", "never seen; its text has ’\n"),
        ("", "the prompt is empty"),
    ):
        status, printed, complaints = call(capsys, "generate", writer, "--prompt", prompt)
        assert (status, printed) == (1, "")
        assert message in complaints


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("generate", "the following arguments are required: RUN"),
        ("generate run --length 0", "argument --length: must be a number above 0"),
        ("generate run --temperature -1", "argument --temperature: must be a number ≥ 0"),
        ("generate run --temperature nan", "argument --temperature: must be a number ≥ 0"),
        ("generate run --top-k 0", "argument --top-k: must be a number above 0"),
        ("generate run --seed x", "argument --seed: invalid int value"),
    ],
)
def test_bad_arguments_are_refused_with_a_reason(capsys, arguments, message):
    status, printed, complaints = run(capsys, arguments)
    assert (status, printed) == (2, "")
    assert message in complaints


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "vocabulary.json").unlink(), "has no vocabulary.json"),
        (lambda run: (run / "vocabulary.json").write_text("{}"), "is no vocabulary"),
        (
            lambda run: (run / "vocabulary.json").write_text(
                '{"tokens": ["a"], "padding": null, "unknown": null}'
            ),
            "safetensors",
        ),
        (with_setting(hidden_size=10**9), "hidden_size cannot be 1000000000"),
        (with_setting(word_dropout=1), "word_dropout cannot be 1"),
        (with_setting(data="digits"), "data cannot be 'digits'"),
        (with_setting(model="charlm"), "data cannot be 'movie-snippets'"),
    ],
)
def test_a_damaged_run_is_refused(capsys, tmp_path, damage, message):
    folder = tmp_path / result(capsys, "sentiment --epochs 1")["run"]
    damage(folder)
    for command in (["predict", str(folder), "good"], ["generate", str(folder)]):
        status, printed, complaints = call(capsys, *command)
        assert (status, printed) == (1, "")
        assert complaints.startswith("minidl: ")
        assert message in complaints


def test_networks_are_listed_with_their_sizes(capsys):
    status, printed, _ = run(capsys, "models")
    assert status == 0
    for name in ("mlp", "cnn", "sentiment", "charlm"):
        assert re.search(rf"^{name} ", printed, re.MULTILINE)
    assert re.search(r"parameters: [\d,]+ for 10,000 words", printed)
    assert re.search(r"parameters: [\d,]+, [\d,]+ with --full, for 83 characters", printed)


# The real data.


@pytest.mark.full
def test_the_classifier_reaches_the_stated_accuracy(capsys, monkeypatch):
    monkeypatch.undo()
    scores = [result(capsys, f"sentiment --seed {seed}")["test_accuracy"] for seed in range(3)]
    assert np.mean(scores) >= 0.77


@pytest.mark.full
@pytest.mark.parametrize(("settings", "stated"), [("", 2.25), ("--full", 2.03)])
def test_the_language_model_reaches_the_stated_bits(capsys, monkeypatch, settings, stated):
    monkeypatch.undo()
    assert result(capsys, f"charlm {settings}")["bits_per_character"] <= stated
