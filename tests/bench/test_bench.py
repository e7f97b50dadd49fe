"""The benchmarks: both sides do the same work, and the report is right."""

import json
from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from bench import (
    child,
    cli,
    data_loading,
    error_growth,
    libraries,
    machine,
    measure,
    processes,
    report,
    workloads,
)
from bench.errors import BenchError, MissingTaskError
from bench.report import Row
from bench.workloads import WORKLOADS, Fresh
from tests.oracle import INSTALLED, torch

SMALL = {
    "classifier": workloads.classifier(20, 32, 4, batch=16),
    "convnet": workloads.convnet(batch=2, side=11),
    "convolution": workloads.convolution(2, (3, 4), side=6, kernel=3),
    "depthwise convolution": workloads.convolution(2, (4, 4), 6, kernel=3, padding=1, groups=4),
    "batchnorm": workloads.batchnorm(4, 3, 5, 6),
    "maxpool": workloads.maxpool(2, 3, 7, 6, kernel=2),
    "elementwise": workloads.elementwise(1000),
    "rnn": workloads.recurrent("rnn", 3, 5, steps=4, batch=3),
    "lstm": workloads.recurrent("lstm", 3, 5, steps=4, batch=3),
    "gru": workloads.recurrent("gru", 3, 5, steps=4, batch=3),
    "lstm step": workloads.recurrent_step("lstm", 3, 5),
    "gru step": workloads.recurrent_step("gru", 3, 5),
    "softmax_ce": workloads.softmax_ce(16, 10),
    "transformer": workloads.transformer(8, heads=2, hidden=12, batch=3, length=5),
    "attention": workloads.attention(2, 7, 12, heads=3),
    "causal attention": workloads.attention(2, 7, 12, heads=3, causal=True),
    "masked attention": workloads.attention(2, 7, 12, heads=3, masked=True),
    "embedding": workloads.embedding(50, 8, ids=20),
    "sparse_embedding": workloads.sparse_embedding(50, 8, ids=(4, 5)),
    "adam": workloads.adam((3, 4), (5,)),
    "fused adam": workloads.adam((3, 4), (5,), fused=True),
}
TIMED = {name: work for name, work in WORKLOADS.items() if not isinstance(work, Fresh)}


@pytest.mark.parametrize("name", SMALL)
def test_the_tasks_do_in_minidl_what_they_do_in_pytorch(name):
    torch.set_num_threads(1)
    sides = [libraries.load(library) for library in ("minidl", "torch")]
    measure.prepare(name, SMALL[name], sides)


@pytest.mark.parametrize("name", TIMED)
def test_every_workload_has_a_task_and_a_least_cost(name):
    assert callable(libraries.task(libraries.load("minidl"), TIMED[name].task))
    assert TIMED[name].flops > 0
    assert TIMED[name].bytes > 0


def test_the_small_workloads_are_of_every_task():
    assert {work.task for work in SMALL.values()} == {work.task for work in TIMED.values()}


@pytest.mark.parametrize("name", [n for n, work in WORKLOADS.items() if isinstance(work, Fresh)])
def test_what_new_interpreters_do_exists(name):
    work = WORKLOADS[name]
    assert work.action in ("import", "first-step")
    assert work.workload is None or work.workload in TIMED


def test_the_share_of_loading_is_measured_for_each_number_of_workers(monkeypatch):
    monkeypatch.setattr(data_loading, "SAMPLES", 64)
    found = data_loading.epochs()
    assert [share.workers for share in found] == [0, 1, 2]
    assert all(0 < share.waiting < share.seconds for share in found)


@pytest.mark.parametrize("name", SMALL)
def test_arguments_are_drawn_anew_and_alike(name):
    one, other = SMALL[name].arguments(), SMALL[name].arguments()
    np.testing.assert_equal(one, other)
    assert not any(np.shares_memory(x, y) for x in arrays_in(one) for y in arrays_in(other))


def arrays_in(value):
    """The arrays of a nested structure."""
    if isinstance(value, np.ndarray):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    several = isinstance(values, Iterable) and not isinstance(values, str)
    return [x for y in values for x in arrays_in(y)] if several else []


def test_two_checkouts_are_measured_by_turns_each_with_its_own_package(monkeypatch, tmp_path):
    """The other package is a stand-in that records each import of it."""
    package = tmp_path / "minidl"
    package.mkdir()
    (package / "__init__.py").write_text(
        "with open(__file__ + '.log', 'a') as file:\n    file.write('imported ')\n"
    )
    monkeypatch.setattr(processes, "FRESH_RUNS", 2)
    own, other = processes.median_seconds_of_checkouts(["import", "minidl"], tmp_path)
    assert (package / "__init__.py.log").read_text() == "imported " * 3
    assert own > 0
    assert other > 0


def test_the_seconds_of_a_step_are_measured():
    assert child.seconds_per_step("minidl", "mlp-tiny") > 0


def test_a_folder_without_minidl_is_no_checkout(capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(["--checkout", str(tmp_path)])
    assert "is not a checkout: it has no minidl/__init__.py" in capsys.readouterr().err


def test_checkouts_have_a_row_for_each_workload_that_has_no_peer_of_its_own(monkeypatch, capsys):
    commands = []

    def seconds(command, checkout, cold):
        commands.append((command, cold))
        return 1e-3, 2e-3

    monkeypatch.setattr(processes, "median_seconds_of_checkouts", seconds)
    monkeypatch.setattr(machine, "limit_threads", lambda threads: None)
    root = str(processes.ROOT)
    names = "mlp,import,import-numpy,first-step-cold"
    assert cli.main(["--checkout", root, "--workloads", names, "--json"]) == 0
    assert commands == [
        (["step", "minidl", "mlp"], False),
        (["import", "minidl"], False),
        (["first-step", "minidl", "mlp"], True),
    ]
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["ratio"] for row in found["rows"]] == [2, 2, 2]
    assert found["geomean"] == pytest.approx(2)


def test_the_least_cost_of_a_convolution():
    work = workloads.convolution(2, (6, 4), side=5, kernel=3, padding=1, groups=2)
    places, weights = 2 * 4 * 5 * 5, 4 * 3 * 3 * 3
    assert work.flops == 3 * 2 * places * 3 * 3 * 3, "each place sums over half of the channels"
    assert work.bytes == 4 * 2 * (2 * 6 * 5 * 5 + places + weights + 4)


def library(result):
    """A library whose only task gives this."""
    return SimpleNamespace(
        __name__="library", numpy=np.asarray, elementwise=lambda **_: lambda: [result]
    )


@pytest.mark.parametrize("other", [[1.0, 2.001], [1.0, np.nan], [1.0], [[1.0, 2.0]]])
def test_sides_that_disagree_are_not_compared(other):
    sides = library(np.array([1.0, 2.0])), library(np.array(other))
    with pytest.raises(BenchError, match="result 0 of step 0 differs"):
        measure.prepare("name", SMALL["elementwise"], sides)


def test_what_a_library_lacks_is_said():
    with pytest.raises(MissingTaskError, match="library has no maxpool"):
        measure.prepare("name", SMALL["maxpool"], [library(0), library(0)])


@pytest.mark.skipif(not INSTALLED, reason="needs PyTorch")
def test_errors_of_sums_stay_within_the_bound_and_are_shown(capsys):
    for growth in error_growth.measured(
        1000, "float32", ["sum, axis 0 of (n/4, 4)", "var, axis 0"]
    ):
        assert len(growth.ours) == len(growth.theirs) == 2
        assert max(growth.ours) <= 2
    with pytest.raises(SystemExit):
        cli.main(["--errors", "10"])
    assert "at least 100" in capsys.readouterr().err


def test_the_last_line_is_json(capsys):
    rows = [
        Row("fast", "torch", minidl_ms=1.0, peer_ms=4.0, floor_ms=0.5),
        Row("slow", "torch", minidl_ms=2.0, peer_ms=2.0, minidl_peak_bytes=3e6),
        Row("import-numpy", "numpy", minidl_ms=1.0, peer_ms=0.1),
    ]
    report.show(rows, {"adam": "it has no optimisers"}, "torch", {"threads": 1}, as_json=True)
    *table, last = capsys.readouterr().out.strip().splitlines()
    assert "adam is left out: it has no optimisers" in table
    found = json.loads(last)
    assert [row["ratio"] for row in found["rows"]] == [4.0, 1.0, 0.1]
    assert found["rows"][0]["floor_share"] == 0.5
    assert found["rows"][1]["minidl_peak_bytes"] == 3e6
    assert (found["geomean"], found["worst"], found["worst_workload"]) == (2.0, 1.0, "slow")
    assert found["skipped"] == {"adam": "it has no optimisers"}
    assert found["threads"] == 1


def test_without_a_gpu_nothing_is_measured_and_that_is_said(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for arguments in (["--device", "cuda"], ["--device", "cuda", "--loader"]):
        assert cli.main(arguments) == 0
        assert "bench: skipped, " in capsys.readouterr().err
    assert minidl.get_default_device() == "cpu"
