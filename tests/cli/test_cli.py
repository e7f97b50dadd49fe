"""The command `minidl`: what it prints, what it leaves behind, how it goes on."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import cli, io, train
from minidl.cli.tasks import images as tasks_of_images
from minidl.data import DataError, TensorDataset, catalog


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs leave their folders where the command is called."""
    monkeypatch.chdir(tmp_path)


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


# Training.


def test_training_ends_with_one_line_of_json(capsys):
    found = result(capsys, "--epochs 2")
    assert list(found) == ["test_accuracy", "seconds", "checkpoint", "run"]
    assert found["checkpoint"] == "runs/mlp-digits-1/best.safetensors"
    assert 0.6 < found["test_accuracy"] <= 1
    assert found["test_accuracy"] * 360 == pytest.approx(round(found["test_accuracy"] * 360))
    assert 0 < found["seconds"] < 60


def test_training_says_in_words_what_came_of_it(capsys):
    status, printed, complaints = run(capsys, "train mlp --epochs 1")
    assert (status, complaints) == (0, "")
    first, second, third = printed.splitlines()
    assert re.fullmatch(r"trained on 1294 images for 1 epoch: loss \d\.\d{4}", first)
    assert re.fullmatch(r"test accuracy \d\d\.\d\d% on 360 others, in \d+\.\d s", second)
    assert third.startswith("everything is in runs/mlp-digits-1; ")


def test_the_full_run_reaches_the_stated_accuracy(capsys):
    assert result(capsys, "")["test_accuracy"] >= 0.96


def test_the_convolutional_network_learns_the_digits(capsys):
    assert 0.9 < result(capsys, "--epochs 6", "cnn")["test_accuracy"] <= 1


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
    """Light and dark images, in place of what would be fetched."""
    light = np.random.default_rng(0).integers(0, 2, 64)
    images = np.ones((64, 1, 28, 28), "float32") * light[:, None, None, None].astype("float32")
    dataset = TensorDataset(images, light)
    _, epochs = tasks_of_images.DATA[data]
    monkeypatch.setitem(tasks_of_images.DATA, data, (lambda: (dataset, dataset), epochs))
    status, printed, complaints = run(capsys, f"train {model} --data {data}")
    assert (status, complaints) == (0, "")
    first, second, _ = printed.splitlines()
    assert first.startswith("trained on 58 images for 10 epochs: loss 0.")
    assert second.startswith("test accuracy 100.00% on 64 others, in ")


def test_data_that_cannot_be_fetched_is_no_traceback(capsys, monkeypatch):
    def unreachable():
        raise DataError("mnist cannot be fetched:\n  here: no route")

    monkeypatch.setitem(tasks_of_images.DATA, "mnist", (unreachable, 1))
    expected = "minidl: mnist cannot be fetched:\n  here: no route\n"
    assert run(capsys, "train cnn --data mnist") == (1, "", expected)


def test_on_a_terminal_the_network_is_shown_first(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, printed, _ = run(capsys, "train mlp --epochs 1")
    assert printed.index("17,226 parameters") < printed.index("trained on 1294 images")
    status, printed, _ = run(capsys, "train mlp --epochs 1 --json")
    assert (status, len(printed.splitlines())) == (0, 4)


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
    assert len(lines) == 4
    assert {"test_accuracy", "seconds", "checkpoint"} <= set(json.loads(lines[-1]))


def test_a_program_that_is_misused_says_so_in_few_lines():
    program = [sys.executable, "-m", "minidl", "train", "mlp", "--epochs", "0"]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (2, "")
    assert "Traceback" not in found.stderr
    assert "argument --epochs: must be a number above 0; got 0" in found.stderr


BAD_ARGUMENTS = {
    "": "the following arguments are required: COMMAND",
    "train": "the following arguments are required: model",
    "learn mlp": "invalid choice: 'learn'",
    "train gpt": "argument model: invalid choice: 'gpt'",
    "train mlp --epochs 0": "argument --epochs: must be a number above 0; got 0",
    "train mlp --epochs -3": "argument --epochs: must be a number above 0; got -3",
    "train mlp --epochs 1.5": "argument --epochs: invalid int value: '1.5'",
    "train mlp --epochs": "argument --epochs: expected one argument",
    "train mlp --batch-size none": "argument --batch-size: invalid int value: 'none'",
    "train mlp --lr 0": "argument --lr: must be a number above 0; got 0",
    "train mlp --lr nan": "argument --lr: must be a number above 0; got nan",
    "train mlp --lr inf": "argument --lr: must be a number above 0; got inf",
    "train mlp --seed 1.5": "argument --seed: invalid int value: '1.5'",
    "train mlp --validation 1": "argument --validation: must be a number ≥ 0 and below 1",
    "train mlp --save-every 0": "argument --save-every: must be a number above 0; got 0",
    "predict": "the following arguments are required: RUN",
    "data": "the following arguments are required: ACTION",
    "data fetch": "the following arguments are required: NAME",
    "train mlp --batchsize 3": "unrecognized arguments: --batchsize 3",
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.items())
def test_bad_arguments_are_refused_with_a_reason(capsys, arguments, message):
    status, printed, complaints = run(capsys, arguments)
    assert (status, printed) == (2, "")
    assert message in complaints
    assert complaints.startswith("usage: minidl")


def test_data_that_a_network_is_not_trained_on_are_refused(capsys):
    status, printed, complaints = run(capsys, "train cnn --data imagenet")
    assert (status, printed) == (1, "")
    assert complaints == "minidl: cnn is trained on digits, mnist, fashion-mnist\n"


COMMANDS = (
    "train",
    "predict",
    "generate",
    "recommend",
    "models",
    "data",
    "data list",
    "data fetch",
    "warmup",
    "info",
)


@pytest.mark.parametrize("arguments", ["--help", "-h", *(f"{c} --help" for c in COMMANDS)])
def test_help_is_readable(capsys, arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, printed, complaints = run(capsys, arguments)
    assert (status, complaints) == (0, "")
    assert printed.startswith("usage: minidl")
    assert max(map(len, printed.splitlines())) <= 80


def test_help_names_every_option_with_its_default(capsys):
    _, printed, _ = run(capsys, "train --help")
    words = " ".join(printed.split())
    defaults = {"epochs": "30 of digits, 10 of other images", "batch-size": 32, "lr": 0.001}
    defaults |= {"validation": 0.1, "runs": "runs", "seed": 0}
    for option, default in defaults.items():
        assert re.search(rf"--{option} \S+ [^-]*\({default}\b", words), option
    assert "digits (default) come with minidl" in words
    assert "--json" in words
    assert "mlp: " in words
    assert "cnn: " in words


# What a run leaves behind, and going on with it.


def test_a_run_leaves_a_folder_with_all_there_is_to_know(capsys, tmp_path):
    found = result(capsys, "--epochs 2 --lr 0.002 --seed 3")
    folder = tmp_path / found["run"]
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["model"] == "mlp"
    assert (settings["lr"], settings["seed"], settings["epochs"]) == (0.002, 3, 2)
    assert settings["minidl"] == minidl.__version__
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [0, 1]
    assert set(history[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert json.loads((folder / "result.json").read_text()) == found
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    weights = io.load(folder / "best.safetensors")["model"]
    assert weights["fc1.weight"].shape == (128, 64)


def test_each_run_has_a_folder_of_its_own(capsys):
    runs = [result(capsys, "--epochs 1")["run"] for _ in range(3)]
    assert runs == ["runs/mlp-digits-1", "runs/mlp-digits-2", "runs/mlp-digits-3"]
    assert (
        result(capsys, "--epochs 1 --runs elsewhere/deep")["run"] == "elsewhere/deep/mlp-digits-1"
    )


def test_without_validation_data_all_is_trained_on(capsys):
    _, printed, _ = run(capsys, "train mlp --epochs 1 --validation 0")
    assert printed.startswith("trained on 1437 images")


def weights(folder, name="last"):
    return {k: v.numpy() for k, v in io.load(folder / f"{name}.safetensors")["model"].items()}


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_a_run_goes_on_as_if_it_had_not_stopped(capsys, tmp_path):
    whole = result(capsys, "--epochs 4 --runs whole")
    result(capsys, "--epochs 2")
    resumed = result(capsys, "--epochs 4 --resume")
    assert resumed["run"] == "runs/mlp-digits-1"
    assert resumed["test_accuracy"] == whole["test_accuracy"]
    for name in ("last", "best"):
        folders = [tmp_path / root / "mlp-digits-1" for root in ("whole", "runs")]
        assert_same_weights(*(weights(folder, name) for folder in folders))
    lines = [(folder / "history.jsonl").read_text() for folder in folders]
    assert lines[0] == lines[1]


def test_an_interrupt_leaves_a_run_that_goes_on(capsys, monkeypatch, tmp_path):
    whole = result(capsys, "--epochs 2 --runs whole")
    add, seen = train.trainer.update.Updates.add, []

    def interrupted(self, *arguments):
        seen.append(1)
        if len(seen) == 50:
            raise KeyboardInterrupt
        return add(self, *arguments)

    monkeypatch.setattr(train.trainer.update.Updates, "add", interrupted)
    status, printed, complaints = run(capsys, "train mlp --epochs 2 --save-every 8")
    assert (status, printed) == (130, "")
    assert complaints == ("interrupted; to go on: minidl train mlp --resume runs/mlp-digits-1\n")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    found = result(capsys, "--resume runs/mlp-digits-1")
    assert found["test_accuracy"] == whole["test_accuracy"]
    folders = [tmp_path / root / "mlp-digits-1" for root in ("whole", "runs")]
    assert_same_weights(*map(weights, folders))


def test_with_nothing_to_resume_a_run_begins(capsys):
    status, printed, complaints = run(capsys, "train mlp --epochs 1 --resume")
    assert (status, complaints) == (0, "no run of mlp on digits in runs: a new one\n")
    assert "runs/mlp-digits-1" in printed


def with_setting(**changed):
    """Change a setting of a run."""

    def damage(run):
        path = run / "settings.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return damage


def test_what_is_no_folder_of_a_run_is_told_of(capsys, tmp_path):
    checkpoint = result(capsys, "--epochs 1")["checkpoint"]
    for given, fault in (
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path, "it has no settings.json"),
        (tmp_path / checkpoint, "it is a file"),
    ):
        status, printed, complaints = run(capsys, f"train mlp --resume {given}")
        assert (status, printed) == (1, "")
        assert complaints == f"minidl: {given} is no folder of a run: {fault}\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "settings.json").unlink(), "is no folder of a run"),
        (lambda run: (run / "settings.json").write_text("{"), "settings.json is damaged"),
        (lambda run: (run / "settings.json").write_text("[]"), "has not the settings of a run"),
        (lambda run: (run / "settings.json").write_text("[" * 9**5), "settings.json is damaged"),
        (lambda run: (run / "settings.json").write_text("9" * 9**5), "settings.json is damaged"),
        (lambda run: (run / "settings.json").write_bytes(b"\xff"), "settings.json is damaged"),
        (with_setting(epochs=None), "settings.json: epochs cannot be None"),
        (with_setting(shape=[1, 10**9, 10**9]), "settings.json: shape cannot be [1, 1000000000"),
        (with_setting(model="rnn"), "settings.json: model cannot be 'rnn'"),
        (with_setting(data=["digits"]), "settings.json: data cannot be ['digits']"),
        (with_setting(lr="0.1"), "settings.json: lr cannot be '0.1'"),
        (lambda run: (run / "last.safetensors").write_bytes(b"nothing"), "last.safetensors"),
        (lambda run: (run / "last.safetensors").write_bytes(b""), "last.safetensors"),
    ],
)
def test_a_damaged_run_is_refused_and_left_as_it_is(capsys, tmp_path, damage, message):
    folder = tmp_path / result(capsys, "--epochs 1")["run"]
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    status, printed, complaints = run(capsys, f"train mlp --epochs 3 --resume {folder}")
    assert (status, printed) == (1, "")
    assert complaints.startswith("minidl: ")
    assert message in complaints
    if "settings" not in message:
        before.pop("settings.json", None)  # where the larger number of epochs stands
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.items() <= after.items()


def test_a_run_does_not_go_on_with_other_settings(capsys):
    result(capsys, "--epochs 1")
    for option, own in (("--lr 0.01", "0.001"), ("--seed 4", "0"), ("--batch-size 9", "32")):
        name = option.split()[0].removeprefix("--")
        status, _, complaints = run(capsys, f"train mlp --resume {option}")
        assert status == 1
        assert f"has {name} {own}, not" in complaints
    status, _, complaints = run(capsys, "train cnn --resume runs/mlp-digits-1")
    assert status == 1
    assert "has model 'mlp', not 'cnn'" in complaints


def test_a_folder_that_cannot_be_made_is_said_so(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    status, printed, complaints = run(capsys, "train mlp --epochs 1 --runs file/runs")
    assert (status, printed) == (1, "")
    assert complaints.startswith("minidl: ")
    assert "file" in complaints
    assert "Traceback" not in complaints


# Using what was trained.


def test_predictions_of_the_runs_own_test_data(capsys):
    folder = result(capsys, "--epochs 15")["run"]
    status, printed, _ = run(capsys, f"predict {folder} --count 40")
    assert status == 0
    lines = printed.splitlines()
    assert len(lines) == 40
    shape = r"test \d+: +[\d.]+% \d +[\d.]+% \d +[\d.]+% \d +\(\d\)"
    assert all(re.fullmatch(shape, line) for line in lines)
    assert sum(line.split()[3] == line[-2] for line in lines) >= 36
    _, printed, _ = run(capsys, f"predict {folder}/last.safetensors --json --count 2")
    first = json.loads(printed.splitlines()[0])
    assert list(first) == ["image", "class", "probabilities", "truth"]
    assert 0 < sum(first["probabilities"].values()) <= 1


def test_predictions_of_images_in_files(capsys, tmp_path):
    folder = result(capsys, "--epochs 15")["run"]
    _, test = tasks_of_images.DATA["digits"][0]()
    images = test.tensors[0].numpy()[:6]
    expected = [
        line.split()[3] for line in run(capsys, f"predict {folder} --count 6")[1].splitlines()
    ]
    np.save("images.npy", images[:, 0])
    np.savez("images.npz", images=images)
    for name in ("images.npy", "images.npz"):
        lines = run(capsys, f"predict {folder} {name}")[1].splitlines()
        assert [line.split()[2] for line in lines] == expected
        assert lines[0].startswith(f"{name}[0]: ")
    image = pytest.importorskip("PIL.Image")
    big = np.kron(255 - 255 * images[0, 0], np.ones((10, 10)))
    image.fromarray(big.round().astype("uint8")).save("image.png")
    line = run(capsys, f"predict {folder} image.png --invert")[1]
    assert line.split()[2] == expected[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wide.npy", np.zeros((2, 9, 8)), "needs images of shape (1, 8, 8); got (2, 9, 8)"),
        ("objects.npy", np.array([{}, 1], dtype=object), "holds Python objects"),
        ("texts.npy", np.array(["a", "b"]), "needs an array of real numbers; got <U1"),
        ("dates.npy", np.zeros((8, 8), "M8[s]"), "needs an array of real numbers; got datetime"),
        ("records.npy", np.zeros((8, 8), "f4,i4"), "needs an array of real numbers"),
        ("empty.npy", b"", "empty.npy: not a sound NPY file"),
        ("none.npy", np.zeros((0, 8, 8)), "none.npy: holds no images"),
        ("nan.npy", np.full((8, 8), np.nan), "nan.npy: holds NaN or infinity"),
        ("zipped.npy", b"PK\x03\x04 and more", "zipped.npy: not a sound NPY file"),
        ("short.npy", b"\x93NUMPY\x01\x00", "short.npy: not a sound NPY file"),
        ("text.png", b"no image", "is no image of BMP, GIF, JPEG"),
        ("text.npz", b"no arrays", "text.npz"),
        ("missing.npy", None, "missing.npy"),
    ],
)
def test_files_that_are_no_images_are_refused(capsys, name, content, message):
    folder = result(capsys, "--epochs 1")["run"]
    if isinstance(content, bytes):
        with open(name, "wb") as file:
            file.write(content)
    elif content is not None:
        np.save(name, content, allow_pickle=True)
    status, printed, complaints = run(capsys, f"predict {folder} {name}")
    assert (status, printed) == (1, "")
    assert message in complaints


# Looking around.


def test_models_are_listed_with_their_sizes(capsys):
    status, printed, _ = run(capsys, "models")
    assert status == 0
    assert "mlp" in printed
    assert "109,386 for 28×28" in printed


def test_a_terminal_that_knows_only_ascii_gets_all_else():
    done = subprocess.run(
        [sys.executable, "-m", "minidl", "models"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "109,386 for 28?28" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "minidl", "models"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_what_minidl_runs_on(capsys):
    status, printed, _ = run(capsys, "info --json")
    facts = json.loads(printed)
    assert status == 0
    assert facts["minidl"] == minidl.__version__
    assert facts["parts"]["numpy"] == np.__version__
    assert facts["threads"] == minidl.get_num_threads()
    assert "megabytes" in facts["compiled"]
    assert facts["winograd"].startswith("not allowed (MINIDL_WINOGRAD=1 or")
    with minidl.allow_winograd():
        _, printed, _ = run(capsys, "info --json")
    assert json.loads(printed)["winograd"].startswith("allowed")
    _, printed, _ = run(capsys, "info")
    assert [line.split(":")[0] for line in printed.splitlines()] == list(facts)


def test_winograd_can_be_allowed_in_the_environment():
    for value, told in (("1", "allowed"), ("0", "not allowed"), ("", "not allowed")):
        command = [sys.executable, "-m", "minidl", "info", "--json"]
        environment = {**os.environ, "MINIDL_WINOGRAD": value}
        printed = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        assert json.loads(printed)["winograd"].startswith(told)


def test_data_is_listed_and_fetched(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    status, printed, _ = run(capsys, "data list")
    assert status == 0
    for entry in catalog.catalog():
        assert re.search(rf"{entry.name} .*{entry.samples:,}", printed)
    status, printed, _ = run(capsys, "data fetch digits")
    assert (status, printed.split(":")[0]) == (0, "digits")
    status, _, complaints = run(capsys, "data fetch imagenet")
    assert status == 1
    assert "there are digits, mnist, fashion-mnist" in complaints
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    status, _, complaints = run(capsys, "data fetch mnist")
    assert status == 1
    assert complaints.startswith("minidl: mnist")
