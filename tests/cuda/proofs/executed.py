"""Run the shared tests of kernels under each executor, and say for each kernel how that went."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from . import kept
from .progress import progress

ROOT = Path(__file__).resolve().parents[3]
KERNEL_TESTS, PROGRAMS = "tests/cuda/kernels", "tests/cuda/programs"
EXECUTORS = {
    "gcc": {"MINIDL_CUDA_EXECUTOR": "gcc"},
    "ptx": {"MINIDL_CUDA_EXECUTOR": "ptx", "MINIDL_PTX_CHECKED": "1"},
    "asan": {"MINIDL_CUDA_EXECUTOR": "asan"},
    "tsan": {"MINIDL_CUDA_EXECUTOR": "tsan"},
}


@dataclass
class Run:
    """What tests did under an executor: `tests` by their name, `kernels` by theirs."""

    executor: str
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    kernels: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)  # files that ended before their end
    left_out: list[str] = field(default_factory=list)  # files of which nothing is kept

    def add(self, other: "Run") -> None:
        """Join what another part of the tests did."""
        self.tests |= other.tests
        self.trouble += other.trouble
        self.left_out += other.left_out
        for name, row in other.kernels.items():
            own = self.kernels.setdefault(name, row)
            if own is row:
                continue
            own["launches"] += row["launches"]
            own["order_dependent"] += row["order_dependent"]
            own["fault"] = own["fault"] or row["fault"]
            own["fault_kind"] = own["fault_kind"] or row["fault_kind"]
            own["largest"] = max(own["largest"], row["largest"], key=_bytes)

    def launched(self, kernel: str) -> list[str]:
        """The tests that launched a kernel."""
        return [name for name, row in self.tests.items() if kernel in row.get("kernels", ())]

    def failures(self, kernel: str) -> list[str]:
        """What went wrong in tests that launched it, unless another kernel is named for it."""
        found = []
        for name in self.launched(kernel):
            row = self.tests[name]
            if row["outcome"] == "failed" and not _names_another(row, kernel):
                found.append(f"{name}: {row['message']}")
        return found


def _bytes(row: dict[str, int]) -> int:
    return row.get("unique_read", 0) + row.get("unique_written", 0)


def _names_another(row: dict[str, Any], kernel: str) -> bool:
    words = row["message"].replace("(", " ").replace(",", " ").replace(":", " ").split()
    named = [name for name in row["kernels"] if name in words]
    return bool(named) and kernel not in named


def files_of_tests(folder: str = KERNEL_TESTS) -> list[tuple[str, ...]]:
    """The files of tests in a folder, each by itself, short ones first: they are soon done."""
    paths = sorted((ROOT / folder).glob("test_*.py"), key=lambda p: (p.stat().st_size, p))
    return [(str(path.relative_to(ROOT)),) for path in paths]


@dataclass(frozen=True)
class Choice:
    """Which tests run, and how.

    tests     their names; None: all
    thin      of each function only so many; 0: all
    orders    of threads, under PTX: "all", or one
    examples  that Hypothesis tries; 0: as many as the executor is good for
    fresh     run those too of which what they did is kept
    kept      run none: what is kept has to do
    seconds   that a process may take
    """

    tests: tuple[str, ...] | None = None
    thin: int = 0
    orders: str = ""
    examples: int = 0
    fresh: bool = False
    kept: bool = False
    seconds: float = 3600

    def of(self, files: tuple[str, ...]) -> list[str] | None:
        """The chosen tests that are in these files."""
        if self.tests is None:
            return None
        return [test for test in self.tests if test.split("::")[0] in files]

    def environment(self) -> dict[str, str]:
        """What tells tests and executors of it."""
        return {
            "MINIDL_PTX_ORDERS": self.orders,
            "MINIDL_PROOFS_THIN": str(self.thin or ""),
            "MINIDL_CUDA_EXAMPLES": str(self.examples or ""),
        }


def run_files(files: tuple[str, ...], executor: str, choice: Choice) -> Run:
    """Some files of tests in a process of their own, or what was kept of them."""
    tests = choice.of(files)
    how = (executor, files, tests, *choice.environment().values())
    found = None if choice.fresh else kept.find(*how)
    if found is not None:
        return Run(executor, found["tests"], found["kernels"])
    if choice.kept:
        return Run(executor, left_out=list(files))
    done = Run(executor)
    with tempfile.TemporaryDirectory() as folder:
        out, wanted = Path(folder) / "out.json", Path(folder) / "tests"
        environment = {**os.environ, **EXECUTORS[executor], **choice.environment()}
        environment["MINIDL_PROOFS_OUT"] = str(out)
        if tests is not None:
            wanted.write_text("\n".join(tests))
            environment["MINIDL_PROOFS_TESTS"] = str(wanted)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.cuda.proofs.collect"]
        command += ["-p", "no:cacheprovider", *files]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            output, _ = process.communicate(timeout=choice.seconds)
            if process.returncode not in (0, 1, 5):
                done.trouble.append(f"{' '.join(files)}: {output.decode(errors='replace')[-500:]}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            done.trouble.append(f"{' '.join(files)}: not finished after {choice.seconds:.0f} s")
        if out.exists():
            found = json.loads(out.read_text())
            done.tests, done.kernels = found["tests"], found["kernels"]
            if not done.trouble:
                kept.keep(found, *how)
    return done


def run(
    executor: str,
    parts: list[tuple[str, ...]],
    choice: Choice = Choice(),
    workers: int = 2,
    console: Console | None = None,
) -> Run:
    """These files of tests, or some tests of them, under an executor: each part in a process."""
    total = Run(executor)
    with (
        progress(console or Console(quiet=True), executor, len(parts)) as tell,
        ThreadPoolExecutor(workers) as pool,
    ):
        jobs = {pool.submit(run_files, part, executor, choice): part for part in parts}
        for job in as_completed(jobs):
            done = job.result()
            seconds = sum(row["seconds"] for row in done.tests.values())
            what = jobs[job][0] if len(jobs[job]) == 1 else f"{len(jobs[job])} files"
            tell(f"{what}, {len(done.tests)} tests, {seconds:.0f} s")
            total.add(done)
    return total


def cover(run_: Run, kernels: list[str]) -> list[str]:
    """A few quick tests that launch every one of these kernels, if any test does."""
    passed = {n: r for n, r in run_.tests.items() if r["outcome"] == "passed"}
    missing, chosen = set(kernels), []
    while missing:
        gains = {
            n: len(missing & set(r["kernels"])) / (0.05 + r["seconds"]) for n, r in passed.items()
        }
        best = max(gains, key=gains.__getitem__, default=None)
        if best is None or not gains[best]:
            break
        chosen.append(best)
        missing -= set(passed[best]["kernels"])
    return chosen
