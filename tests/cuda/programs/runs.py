"""Programs run twice, on the CPU and on the stand-in, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[3]
LIMIT = 1500  # seconds; whole examples take minutes under gcc

_WITHIN_AN_EPOCH = slice(2, 10)  # the first steps prepare, and at the end its losses are read


class Run(NamedTuple):
    """What a program printed, and what was recorded."""

    printed: str
    record: dict[str, Any]


def run(arguments: list[str], device: str, folder: Path, steps: int | None = None) -> Run:
    """Run a program with a default device."""
    report = folder / f"{device}.json"
    command = [sys.executable, "-m", "tests.cuda.stand_in", "--quiet", "--json", str(report)]
    command += ["--steps", str(steps)] if steps else []
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    settings = {"MINIDL_DEVICE": device, "PYTHONPATH": path, "COLUMNS": "100"}
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env={**os.environ, **settings},
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(done.stdout, json.loads(report.read_text()))


def on_both(arguments: list[str], folder: Path, steps: int | None = None) -> tuple[Run, Run]:
    """Run a program on the CPU, then on the GPU."""
    return run(arguments, "cpu", folder, steps), run(arguments, "cuda", folder, steps)


def assert_same_losses(here: Run, there: Run, steps: int) -> None:
    """The losses of the first steps, to 1e-4 relatively."""
    found, expected = (r.record["losses"][:steps] for r in (there, here))
    assert len(found) == steps
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0)


def assert_kernels_ran(found: Run) -> None:
    """On the device, and in float32 a kernel wherever the contract has one."""
    assert sum(found.record["launches"].values()) > 0
    assert not [call for call in found.record["composed"] if "float64" not in call]


def assert_steps_wait_for_nothing(found: Run, *, sent: int, read: int = 0) -> None:
    """Each step launches something, and sends and reads what the program says, no more."""
    steps = found.record["steps"][_WITHIN_AN_EPOCH]
    assert len(steps) == 8
    for step in steps:
        assert step["launch"] > 0
        counts = [step.get(kind, 0) for kind in ("h2d", "d2h", "sync", "peer")]
        assert counts == [sent, read, 0, 0], "\n".join(step["where"][:9])
