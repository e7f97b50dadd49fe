"""minidl's own test-suite with the default device "cuda", over the stand-in.

    python -m tests.cuda.suite                    all of it, which takes hours
    python -m tests.cuda.suite tests/ops/…        some files
    python -m tests.cuda.suite --workers 4        four files at a time
    python -m tests.cuda.suite --results FOLDER   keep the outcomes, and run what is not there yet

prints for each file how many tests passed, failed and were skipped, and why each failure is none of
the backend's; what nobody has explained is an error.  Deferred checks are read at once here
(CUDA_LAUNCH_BLOCKING=1), since tests expect their errors from the call that made them.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

ROOT = Path(__file__).parents[2]
SITE = ROOT / "tests/cuda/suite_site"  # for the programs that tests start
TIMEOUT = 1800.0  # seconds for one file

# Files whose subject is the CPU, or another device, and what takes their place for the GPU.
ELSEWHERE = {
    "tests/backends/kernels/": "the CPU's kernels; tests/cuda/kernels has the GPU's",
    "tests/backends/test_cpu_quota.py": "threads of the CPU",
    "tests/backends/test_dlpack.py": "memory of the host; tests/cuda/test_two_devices.py",
    "tests/backends/test_fork.py": "threads of the CPU",
    "tests/backends/test_threads.py": "threads of the CPU",
    "tests/backends/test_products.py": "the CPU's products; tests/cuda/kernels/test_gemm.py",
    "tests/cuda/": "these tests",
    "tests/house/": "source text",
    "tests/packaging/": "wheels",
    "tests/bench/": "measurements",
    "tests/bits/": "the bits of the CPU's kernels",
}

# (the test, what it said, why that is right)
EXPLAINED = [
    ("test_a_row_that_does_not_exist", "index ≥ 2147483647", "an index is named within 32 bits"),
    (
        "test_misuse_is_explained.*cross_entropy: (label|place|vector)",
        "Actual message: 'cross_entropy: index (4|-1) is outside 0 … 3'",
        "a check on the GPU tells the index, and not where it stands",
    ),
    (
        r"ops/nn/test_attention.py::test_a_query_that_sees_one_key.*float32",
        r"(0\.99999994|1\.00000011)\d+ \(ACTUAL\), 1 \(DESIRED\)",
        "backward, logits are added up in another order: exp(s − log Σ exp s) is rounded",
    ),
    (
        r"test_float16_gives_what_float32_gives.*\[(log_)?softmax\]",
        "Arrays are not equal",
        "the kernels save y in float16 for the way back, as PyTorch's do",
    ),
    (
        r"test_float16_gives_what_float32_gives.*\[scaled_dot_product_attention\]",
        "Arrays are not equal",
        "tensor cores take the weights of the values in float16, as FlashAttention's do",
    ),
    (
        r"nn/test_norm.py::test_memory_is_flat\[True\]",
        "< 120000",
        "what the stand-in gives to gcc's kernels is in cycles, which Python collects later",
    ),
]


def is_elsewhere(file: str) -> bool:
    """Whether the file's subject is not what runs on the default device."""
    return any(file.startswith(prefix) for prefix in ELSEWHERE)


def files() -> list[str]:
    """The files of the suite."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    return [file for file in found if not is_elsewhere(file)]


@dataclass
class Outcome:
    """How a test ended, what it said, and the files and lines of its traceback."""

    test: str
    outcome: str
    said: str
    frames: tuple[str, ...] = ()


def run(file: str, timeout: float = TIMEOUT) -> list[Outcome]:
    """The outcome of each test of a file; a crash and a timeout are failures of the file."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.jsonl")
        ended = _pytest(file, report, timeout)
        written = report.read_text() if report.exists() else ""
    lines = [json.loads(line) for line in written.rpartition("\n")[0].splitlines()]
    finished = bool(lines) and "finished" in lines[-1]
    outcomes: dict[str, Outcome] = {}
    for line in lines[: len(lines) - finished]:
        found = Outcome(**line)
        if found.test not in outcomes or outcomes[found.test].outcome != "failed":
            outcomes[found.test] = found
    if not finished:
        last = f"after {list(outcomes)[-1]}" if outcomes else "before the first test"
        outcomes[file] = Outcome(file, "failed", f"{ended}, {last}")
    return list(outcomes.values())


def _pytest(file: str, report: Path, timeout: float) -> str:
    """Run a file; how the process ended, in words."""
    settings = {
        "MINIDL_DEVICE": "cuda",
        "CUDA_LAUNCH_BLOCKING": "1",
        "MINIDL_SUITE_REPORT": str(report),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.cuda.suite_plugin", "--tb=short", file]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
        return f"pytest ended with {process.returncode}: {output[-2000:]}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what the tests started
        process.communicate()
        return f"timed out after {timeout:.0f} s"


def why(failure: Outcome) -> str | None:
    """Why a failure is right; None if nobody has explained it."""
    for name, words, reason in EXPLAINED:
        if re.search(name, failure.test) and re.search(words, failure.said):
            return reason
    return None


def summary(file: str, outcomes: list[Outcome]) -> tuple[str, list[str]]:
    """A line for the table, and the failures that nobody has explained."""
    counts = Counter(found.outcome for found in outcomes)
    failed = [found for found in outcomes if found.outcome == "failed"]
    reasons = Counter(why(found) for found in failed)
    unexplained = [
        f"UNEXPLAINED {found.test}: {found.said[:300]} {' '.join(found.frames[-1:])}"
        for found in failed
        if not why(found)
    ]
    line = f"{file:48} {counts['passed']:6} passed {counts['failed']:4} failed"
    line += f" {counts['skipped']:4} skipped"
    for reason, count in reasons.items():
        line += f"\n{'':50}{count} failed: {reason or 'UNEXPLAINED'}"
    for reason, count in Counter(f.said for f in outcomes if f.outcome == "skipped").items():
        line += f"\n{'':50}{count} skipped: {reason.removeprefix('Skipped: ')}"
    return line, unexplained


def _kept(file: str, results: Path | None, timeout: float) -> list[Outcome]:
    """The outcomes of a file: those that are kept, or else of a run, which are kept then."""
    if not results:
        return run(file, timeout)
    kept = results / f"{file.replace('/', '.')}.json"
    if not kept.exists():
        found = run(file, timeout)
        unfinished = kept.with_suffix(".part")
        unfinished.write_text(json.dumps([vars(outcome) for outcome in found], indent=1))
        unfinished.replace(kept)
    return [Outcome(**outcome) for outcome in json.loads(kept.read_text())]


def run_all(
    chosen: list[str], workers: int, timeout: float, results: Path | None
) -> dict[str, list[Outcome]]:
    """The outcomes of each file, under a bar, with a line for each as it is done."""
    found = {}
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(width=None if sys.stdout.isatty() else 200)
    with Progress(*columns, console=console) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("", total=len(chosen))
        running = {pool.submit(_kept, file, results, timeout): file for file in chosen}
        for done in as_completed(running):
            found[running[done]] = done.result()
            bar.advance(task)
            line, _ = summary(running[done], done.result())
            console.print(f"{len(found)}/{len(chosen)} {line}", markup=False, highlight=False)
    return {file: found[file] for file in chosen}


def table(found: dict[str, list[Outcome]]) -> tuple[str, list[str]]:
    """All files' lines and the totals, and the failures that nobody has explained."""
    lines, left = [], []
    for file, outcomes in found.items():
        line, unexplained = summary(file, outcomes)
        lines.append(line)
        left += unexplained
    everything = [outcome for outcomes in found.values() for outcome in outcomes]
    total, _ = summary(f"{len(found)} files", everything)
    return "\n".join([*lines, total]), left


def needless(found: dict[str, list[Outcome]]) -> list[str]:
    """The explanations of failures that do not happen any more."""
    failed = [x for outcomes in found.values() for x in outcomes if x.outcome == "failed"]
    reasons = {why(x) for x in failed}
    return [f"NEEDLESS {reason}" for *_, reason in EXPLAINED if reason not in reasons]


def main(given: list[str] | None = None) -> int:
    """Run the files and print the table.

    The exit status is 1 for an unexplained failure and, of the whole suite, for an explanation that
    explains nothing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.cuda.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", help="files of tests; all that are not elsewhere")
    parser.add_argument("--workers", type=int, default=1, help="files at a time")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one file")
    parser.add_argument("--results", type=Path, help="a folder that keeps the outcomes")
    options = parser.parse_args(given)
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
    chosen = options.files or files()
    found = run_all(chosen, options.workers, options.timeout, options.results)
    text, left = table(found)
    left += [] if options.files else needless(found)
    print(text, *left, sep="\n")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
