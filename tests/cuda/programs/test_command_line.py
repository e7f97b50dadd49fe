"""The command `minidl` on device "cuda": it trains as on the CPU, and runs go between them."""

import json
from pathlib import Path

import pytest

from tests.cuda.programs.runs import (
    assert_kernels_ran,
    assert_same_losses,
    assert_steps_wait_for_nothing,
    run,
)

SMALL = str(Path(__file__).with_name("small_data.py"))
STEPS = 20

# What each network is trained with here, and how many arrays a batch has.
NETWORKS = {
    "mlp": ("--epochs 1", 2),
    "cnn": ("--epochs 1 --batch-size 64", 2),
    "sentiment": ("--epochs 1 --batch-size 16", 3),
    "charlm": ("--epochs 1 --batch-size 4", 2),
}
SAMPLE = "sentiment"
DEVICES = "cpu", "cuda"


def command(folder, arguments, device="cpu", steps=None, program=SMALL):
    """Run the command; the default device is the CPU, as of a user who writes --device."""
    where = "" if device is None else f" --device {device}"
    return run([program, *(arguments + where).split()], "cpu", folder, steps)


def result(found):
    return json.loads(found.printed.splitlines()[-1])


@pytest.mark.parametrize(
    "network", [n if n == SAMPLE else pytest.param(n, marks=pytest.mark.full) for n in NETWORKS]
)
def test_a_network_trains_as_on_the_cpu_and_its_runs_are_used_on_either(network, tmp_path):
    settings, sent = NETWORKS[network]
    here, there = (
        command(tmp_path, f"train {network} {settings} --json --runs {device}", device)
        for device in DEVICES
    )
    assert_same_losses(here, there, STEPS)
    assert_steps_wait_for_nothing(there, sent=sent)
    assert_kernels_ran(there)
    assert not here.record["launches"]
    assert result(here).keys() == result(there).keys()
    assert result(there)["run"].startswith("cuda/")
    score = next(iter(result(here)))
    assert result(there)[score] == pytest.approx(result(here)[score], abs=2e-3)

    use = predicted if network != "charlm" else written
    use(tmp_path, result(there)["run"])
    if network != SAMPLE:
        use(tmp_path, result(here)["run"])


def predicted(folder, of_run):
    """Samples are classified alike on both devices."""
    cpu, gpu = (command(folder, f"predict {of_run} --count 3 --json", d) for d in DEVICES)
    assert sum(gpu.record["launches"].values()) > 0
    assert not cpu.record["launches"]
    lines = [[json.loads(line) for line in r.printed.splitlines()] for r in (cpu, gpu)]
    assert len(lines[0]) == 3
    for one, other in zip(*lines, strict=True):
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)
        del one["probabilities"], other["probabilities"]
        assert one == other


def written(folder, of_run):
    """The same text is written on both devices."""
    arguments = f"generate {of_run} --prompt the --length 40 --seed 3 --json"
    cpu, gpu = (command(folder, arguments, d) for d in DEVICES)
    assert sum(gpu.record["launches"].values()) > 0
    assert result(cpu) == result(gpu)
    assert len(result(gpu)["text"]) == 43


@pytest.mark.full
@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_on_the_other_device(first, second, tmp_path):
    train = "train mlp --batch-size 256 --json --epochs"
    whole = command(tmp_path, f"{train} 3 --runs whole")
    command(tmp_path, f"{train} 1", first)
    rest = command(tmp_path, f"{train} 3 --resume", second)
    assert result(rest)["run"] == "runs/mlp-digits-1"
    assert result(rest)["test_accuracy"] == pytest.approx(result(whole)["test_accuracy"], abs=3e-3)
    histories = [
        (tmp_path / r / "mlp-digits-1/history.jsonl").read_text().splitlines()
        for r in ("whole", "runs")
    ]
    for one, other in zip(*histories, strict=True):
        assert json.loads(other)["loss"] == pytest.approx(json.loads(one)["loss"], rel=1e-4)


def test_the_gpus_are_named(tmp_path):
    facts = json.loads(command(tmp_path, "info --json", None).printed)["devices"]
    assert list(facts) == ["cpu", "cuda:0", "cuda:1", "CUDA driver", "CUDA runtime", "CuPy"]
    assert facts["cuda:0"].startswith("stand-in, compute capability 7.5, 16.0 of 16.0 GiB free")
    printed = command(tmp_path, "info", None).printed
    assert "cuda:1 stand-in, compute capability 7.5" in printed


@pytest.mark.full
@pytest.mark.parametrize(
    ("network", "options"),
    [
        *[("mlp", ""), ("mlp", "--data mnist"), ("cnn", ""), ("cnn", "--data fashion-mnist")],
        *[("sentiment", ""), ("charlm", "--batch-size 4"), ("charlm", "--full --batch-size 4")],
    ],
)
def test_a_network_trains_on_the_real_data_as_on_the_cpu(network, options, tmp_path):
    sent = NETWORKS[network][1]
    arguments = f"-m minidl train {network} {options}"
    here, there = (
        run([*arguments.split(), "--device", device], "cpu", tmp_path, STEPS) for device in DEVICES
    )
    assert_same_losses(here, there, STEPS)
    assert_steps_wait_for_nothing(there, sent=sent)
    assert_kernels_ran(there)
