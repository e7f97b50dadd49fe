"""Runs that are killed at any moment and resumed give the bits of a run that was not."""

import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from minidl import io

TRAIN = "train", "mlp", "--epochs", "4", "--save-every", "3", "--seed", "5", "--json", "--resume"


def start(folder):
    """The run in this folder, begun or gone on with."""
    command = [sys.executable, "-m", "minidl", *TRAIN, "--runs", str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def finish(folder):
    """Let the run come to its end; the seconds that it took."""
    started = time.monotonic()
    process = start(folder)
    _, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    return time.monotonic() - started


def kill(folder, seconds):
    """Kill the run after some seconds; whether it was still running."""
    process = start(folder)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0
    return False


def flat(tree, path=""):
    """The leaves of a tree by their paths."""
    if isinstance(tree, dict | list | tuple):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {key: leaf for k, x in items for key, leaf in flat(x, f"{path}.{k}").items()}
    return {path: np.asarray(tree)}


def left_behind(folder):
    """Everything that a run has saved, apart from how long it took."""
    (run,) = folder.glob("mlp-*")
    files = {name: flat(io.load(run / f"{name}.safetensors")) for name in ("last", "best")}
    return files, (run / "history.jsonl").read_text()


def assert_same(one, other):
    for name in ("last", "best"):
        assert one[0][name].keys() == other[0][name].keys()
        for path, leaf in one[0][name].items():
            np.testing.assert_array_equal(leaf, other[0][name][path], err_msg=f"{name}{path}")
    assert one[1] == other[1]


def kill_and_compare(tmp_path, kills, each):
    """Kill runs, each of them a few times, until `kills` is reached."""
    finish(tmp_path / "cold")  # which compiles what the others load
    whole = finish(tmp_path / "whole")
    needed = left_behind(tmp_path / "whole")
    moments, killed = random.Random(0), 0
    while killed < kills:
        folder = tmp_path / "killed"
        for _ in range(each):
            killed += kill(folder, moments.uniform(0.2 * whole, 1.1 * whole))
            for path in folder.glob("mlp-*/*.safetensors"):
                io.load(path)  # it is whole
        finish(folder)
        assert_same(left_behind(folder), needed)
        assert not list(folder.glob("mlp-*/.minidl-saving-*"))
        shutil.rmtree(folder)


def test_a_run_that_is_killed_goes_on_to_the_same_bits(tmp_path):
    kill_and_compare(tmp_path, 3, 3)


@pytest.mark.full
def test_two_hundred_kills_leave_no_trace(tmp_path):
    kill_and_compare(tmp_path, 200, 4)
