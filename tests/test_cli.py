"""The command `minidl`, and the training that it runs."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import cli, nn
from minidl.data import DataError, DataLoader, TensorDataset
from minidl.optim import SGD
from minidl.train import accuracy, train_epoch


def run(capsys, arguments):
    """The exit status, and what the command prints and complains about."""
    try:
        status = cli.main(arguments.split())
    except SystemExit as stopped:
        status = stopped.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def result(capsys, arguments, model="mlp"):
    """The line of JSON that a successful run ends with."""
    status, printed, complaints = run(capsys, f"train {model} --json {arguments}")
    assert (status, complaints) == (0, "")
    return json.loads(printed.splitlines()[-1])


# The command.


def test_training_ends_with_one_line_of_json(capsys):
    found = result(capsys, "--epochs 2")
    assert list(found) == ["test_accuracy", "seconds"]
    assert 0.6 < found["test_accuracy"] <= 1
    assert found["test_accuracy"] * 360 == pytest.approx(round(found["test_accuracy"] * 360))
    assert 0 < found["seconds"] < 60


def test_training_says_in_words_what_came_of_it(capsys):
    status, printed, complaints = run(capsys, "train mlp --epochs 1")
    assert (status, complaints) == (0, "")
    first, second = printed.splitlines()
    assert re.fullmatch(r"trained on 1437 pictures for 1 epoch: loss \d\.\d{4}", first)
    assert re.fullmatch(r"test accuracy \d\d\.\d\d% on 360 others, in \d+\.\d s", second)


def test_the_full_run_reaches_the_stated_accuracy(capsys):
    assert result(capsys, "")["test_accuracy"] >= 0.96


def test_the_convolutional_network_learns_the_digits(capsys):
    assert 0.9 < result(capsys, "--epochs 4", "cnn")["test_accuracy"] <= 1


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_the_full_run_of_the_convolutional_network_reaches_the_stated_accuracy(capsys, seed):
    assert result(capsys, f"--seed {seed}", "cnn")["test_accuracy"] >= 0.97


@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "settings", "stated"),
    [("mlp", "--data mnist", 0.975), ("cnn", "--data fashion-mnist --epochs 8", 0.905)],
)
def test_the_full_runs_on_large_data_reach_the_stated_accuracy(capsys, model, settings, stated):
    assert result(capsys, settings, model)["test_accuracy"] >= stated


@pytest.mark.parametrize(("model", "data"), [("mlp", "mnist"), ("cnn", "fashion-mnist")])
def test_other_data_is_learned_for_ten_epochs(capsys, monkeypatch, model, data):
    """Light and dark pictures, in place of what would be fetched."""
    light = np.random.default_rng(0).integers(0, 2, 64)
    pictures = np.ones((64, 1, 28, 28), "float32") * light[:, None, None, None]
    dataset = TensorDataset(pictures, light)
    _, epochs = cli._DATA[data]
    monkeypatch.setitem(cli._DATA, data, (lambda: (dataset, dataset), epochs))
    status, printed, complaints = run(capsys, f"train {model} --data {data}")
    assert (status, complaints) == (0, "")
    first, second = printed.splitlines()
    assert first.startswith("trained on 64 pictures for 10 epochs: loss 0.")
    assert second.startswith("test accuracy 100.00% on 64 others, in ")


def test_data_that_cannot_be_fetched_is_no_traceback(capsys, monkeypatch):
    def unreachable():
        raise DataError("mnist cannot be fetched:\n  here: no route")

    monkeypatch.setitem(cli._DATA, "mnist", (unreachable, 1))
    expected = "minidl: mnist cannot be fetched:\n  here: no route\n"
    assert run(capsys, "train cnn --data mnist") == (1, "", expected)


def test_on_a_terminal_the_network_is_shown_first(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, printed, _ = run(capsys, "train mlp --epochs 1")
    assert printed.index("17,226 parameters") < printed.index("trained on 1437 pictures")
    status, printed, _ = run(capsys, "train mlp --epochs 1 --json")
    assert (status, len(printed.splitlines())) == (0, 3)


def test_one_seed_one_result(capsys):
    settings = "--epochs 1 --batch-size 100 --lr 0.003 --seed"
    runs = [result(capsys, f"{settings} {seed}")["test_accuracy"] for seed in (1, 1, 2, 3, 4)]
    assert runs[0] == runs[1]
    assert len(set(runs)) > 2


def test_every_option_has_its_effect(capsys):
    options = ["--epochs 1", "--epochs 2", "--epochs 1 --batch-size 7", "--epochs 1 --lr 0.01"]
    lines = [run(capsys, f"train mlp {o}")[1].splitlines()[0].split("loss ")[1] for o in options]
    assert len(set(lines)) == 4


def test_as_a_program_it_does_the_same():
    program = [sys.executable, "-m", "minidl", "train", "mlp", "--epochs", "1", "--json"]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert found.stderr == ""
    lines = found.stdout.splitlines()
    assert len(lines) == 3
    assert set(json.loads(lines[-1])) == {"test_accuracy", "seconds"}


def test_a_program_that_is_misused_says_so_in_few_lines():
    program = [sys.executable, "-m", "minidl", "train", "mlp", "--epochs", "0"]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (2, "")
    assert "Traceback" not in found.stderr
    assert "argument --epochs: must be a number above 0; got 0" in found.stderr


BAD_ARGUMENTS = {
    "": "the following arguments are required: command",
    "train": "the following arguments are required: model",
    "learn mlp": "invalid choice: 'learn'",
    "train gpt": "argument model: invalid choice: 'gpt'",
    "train cnn --data imagenet": "argument --data: invalid choice: 'imagenet'",
    "train mlp --epochs 0": "argument --epochs: must be a number above 0; got 0",
    "train mlp --epochs -3": "argument --epochs: must be a number above 0; got -3",
    "train mlp --epochs 1.5": "argument --epochs: invalid int value: '1.5'",
    "train mlp --epochs": "argument --epochs: expected one argument",
    "train mlp --batch-size none": "argument --batch-size: invalid int value: 'none'",
    "train mlp --lr 0": "argument --lr: must be a number above 0; got 0",
    "train mlp --lr nan": "argument --lr: must be a number above 0; got nan",
    "train mlp --lr inf": "argument --lr: must be a number above 0; got inf",
    "train mlp --seed 1.5": "argument --seed: invalid int value: '1.5'",
    "train mlp --batchsize 3": "unrecognized arguments: --batchsize 3",
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.items())
def test_bad_arguments_are_refused_with_a_reason(capsys, arguments, message):
    status, printed, complaints = run(capsys, arguments)
    assert (status, printed) == (2, "")
    assert message in complaints
    assert complaints.startswith("usage: minidl")


@pytest.mark.parametrize("arguments", ["--help", "-h", "train --help"])
def test_help_is_readable(capsys, arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, printed, complaints = run(capsys, arguments)
    assert (status, complaints) == (0, "")
    assert printed.startswith("usage: minidl")
    assert max(map(len, printed.splitlines())) <= 80


def test_help_names_every_option_with_its_default(capsys):
    _, printed, _ = run(capsys, "train --help")
    words = " ".join(printed.split())
    defaults = {"epochs": "30 of digits, 10 of others", "batch-size": 32, "lr": 0.001, "seed": 0}
    for option, default in defaults.items():
        assert re.search(rf"--{option} \S+ [^-]*\(default: {default}\)", words), option
    assert re.search(r"--data \{digits,mnist,fashion-mnist\} .*\(default: digits\)", words)
    assert "--json" in words
    assert "mlp: " in words
    assert "cnn: " in words


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train_epoch", interrupted)
    assert run(capsys, "train mlp") == (130, "", "interrupted\n")


# Training, step by step.


def small_problem():
    """Points of two classes, and a network that starts from nothing."""
    x = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
    model = nn.Linear(2, 2)
    nn.init.fill(model.weight, 0)
    nn.init.fill(model.bias, 0)
    return TensorDataset(x, (x[:, 0] > 0).astype("int64")), model


def test_an_epoch_gives_the_mean_loss_of_a_sample_and_shows_that_of_each_batch():
    dataset, model = small_problem()
    shown = []
    optimizer = SGD(model.parameters(), lr=1.0)
    mean = train_epoch(model, optimizer, DataLoader(dataset, 4), shown.append)
    assert shown[0] == pytest.approx(np.log(2))
    assert shown[1] < shown[0]
    assert mean == pytest.approx(np.average(shown, weights=[4, 4, 2]))


def test_an_epoch_steps_along_the_gradient_of_each_batch_alone():
    dataset, model = small_problem()
    expected = [p.numpy().copy() for p in model.parameters()]
    optimizer = SGD(model.parameters(), lr=0.5)
    for x, target in DataLoader(dataset, 5):
        loss = minidl.cross_entropy(model(x), target)
        gradients = minidl.gradients(loss, list(model.parameters()))
        expected = [p - 0.5 * g.numpy() for p, g in zip(expected, gradients, strict=True)]
        train_epoch(model, optimizer, [(x, target)])
        for p, value in zip(model.parameters(), expected, strict=True):
            np.testing.assert_allclose(p, value, rtol=1e-6, atol=1e-7)


def test_accuracy_is_the_share_of_right_answers():
    dataset, model = small_problem()
    x, target = dataset.tensors
    nn.init.fill(model.weight, minidl.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert accuracy(model, DataLoader(dataset, 3)) == 1
    assert accuracy(model, [(x, 1 - target)]) == 0
    half = minidl.concat([target[:5], 1 - target[5:]])
    assert accuracy(model, DataLoader(TensorDataset(x, half), 4)) == 0.5


def test_training_drops_out_and_testing_does_not():
    dataset, model = small_problem()
    model = nn.Sequential(nn.Dropout(1.0), model)
    nn.init.fill(model[1].weight, minidl.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert accuracy(model, DataLoader(dataset, 3)) == 1
    assert train_epoch(model, SGD(model.parameters()), [dataset.tensors]) == pytest.approx(
        np.log(2), rel=1e-6
    )
    assert accuracy(model, DataLoader(dataset, 3)) == 1


def test_nothing_to_train_or_test_on_gives_nothing():
    _, model = small_problem()
    assert train_epoch(model, SGD(model.parameters()), []) == 0
    assert accuracy(model, []) == 0
