"""SciPy and scikit-learn accept tensors where they accept any conforming array."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests/ops/scientific.py"
NAMES = re.findall(r'^    "([\w.]+)": \(', PROGRAM.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes():
    settings = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-m", "tests.ops.scientific"]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_give_what_arrays_give(outcomes, name):
    assert outcomes[name] == "right"


def test_every_call_was_made(outcomes):
    assert list(outcomes) == NAMES
