"""minidl's own tests with the default device "cuda", over the stand-in; a slice of them here."""

import re

import pytest

from tests.cuda import suite

SLICE = [
    "tests/autograd/test_complex.py",
    "tests/ops/test_indexing.py",
    "tests/ops/test_scatter.py",
    "tests/ops/test_sorting.py",
    "tests/ops/test_cumulative.py",
    "tests/ops/test_segments.py",
    "tests/autograd/test_tensor.py",
]


@pytest.mark.parametrize("file", SLICE)
def test_the_slice_passes_on_the_gpu(file):
    line, unexplained = suite.summary(file, suite.run(file))
    assert not unexplained, line


@pytest.mark.full
@pytest.mark.parametrize("file", sorted(set(suite.files()) - set(SLICE)))
def test_the_suite_passes_on_the_gpu(file):
    line, unexplained = suite.summary(file, suite.run(file))
    assert not unexplained, line


def test_failures_are_explained_by_their_name_and_what_they_say():
    name, said = "tests/nn/test_embedding.py::test_a_row_that_does_not_exist", "index ≥ 2147483647"
    assert suite.why(suite.Outcome(name, "failed", said))
    assert suite.why(suite.Outcome("tests/x.py::test_x", "failed", said)) is None
    assert suite.why(suite.Outcome(name, "failed", "assert 1 == 2")) is None


def test_explanations_that_explain_nothing_are_told():
    failed = suite.Outcome("test_a_row_that_does_not_exist", "failed", "index ≥ 2147483647")
    told = suite.needless({"a file": [failed]})
    assert len(told) == len(suite.EXPLAINED) - 1


PROGRAM = """
import os, subprocess, sys, time, pytest

def test_fine():
    code = "import minidl; print(minidl.ones(2).device)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert printed.strip() == "cuda:0"

def test_skipped():
    pytest.skip("for a reason")

def test_last():
    LAST
"""


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("os._exit(3)", "pytest ended with 3.*after .*test_skipped"),
        ("assert False", "assert False"),
    ],
)
def test_what_crashes_is_a_failure_of_its_file(last, said, tmp_path):
    file = tmp_path / "test_program.py"
    file.write_text(PROGRAM.replace("LAST", last))
    outcomes = suite.run(str(file))
    assert [found.outcome for found in outcomes] == ["passed", "skipped", "failed"]
    assert re.search(said, outcomes[-1].said, re.DOTALL)
    line, unexplained = suite.summary("a file", outcomes)
    assert "1 skipped: for a reason" in line
    assert len(unexplained) == 1


def test_what_hangs_is_a_failure_of_its_file(tmp_path):
    file = tmp_path / "test_program.py"
    file.write_text("import time\ndef test_slow(): time.sleep(60)")
    (found,) = suite.run(str(file), timeout=2)
    assert (found.outcome, found.said) == ("failed", "timed out after 2 s, before the first test")


def test_a_file_that_cannot_be_imported_is_a_failure(tmp_path):
    file = tmp_path / "test_broken.py"
    file.write_text("import nothing_of_this_name")
    (found,) = suite.run(str(file))
    assert (found.outcome, "nothing_of_this_name" in found.said) == ("failed", True)


def test_outcomes_that_are_kept_are_not_found_again(tmp_path, monkeypatch):
    calls = []
    outcome = suite.Outcome("tests/x.py::test_x", "passed", "")
    monkeypatch.setattr(suite, "run", lambda file, timeout: calls.append(file) or [outcome])
    for _ in range(2):
        assert suite.main(["a.py", "b.py", "--workers", "2", "--results", str(tmp_path)]) == 0
    assert sorted(calls) == ["a.py", "b.py"]
