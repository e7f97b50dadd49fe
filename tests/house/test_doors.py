"""Damaged, forged and hostile files at every door: each is read, or refused with a reason."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def faults(seed, count):
    """What is wrong about how damaged files are taken, and how many were tried."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.doors", str(seed), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *faults, last = map(json.loads, done.stdout.splitlines())
    return faults, last["done"]


def test_damaged_files_are_read_or_refused_with_a_reason():
    assert faults(seed=0, count=500) == ([], 500)


@pytest.mark.full
def test_50_000_damaged_files_are_read_or_refused_with_a_reason():
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for wrong, done in pool.map(lambda seed: faults(seed, 5000), range(1, 11)):
            assert (wrong, done) == ([], 5000)
