"""minidl's own test-suite with the default device "cuda", over the stand-in.

    python -m tests.cuda.suite                    all of it, which takes an hour
    python -m tests.cuda.suite tests/ops/…        some files

prints for each file how many tests passed, failed and were skipped, and why each failure is none of
the backend's; what nobody has explained is an error.  Deferred checks are read at once here
(CUDA_LAUNCH_BLOCKING=1), since tests expect their errors from the call that made them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]

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
    ("", r"Unsupported type <class 'numpy\.", "it gives the GPU's arrays to NumPy, or the reverse"),
    ("", "Implicit conversion to a NumPy array", "it gives the GPU's arrays to NumPy"),
    ("", r"ndarray'> is <class 'numpy\.ndarray'>", "it asks for NumPy's own arrays"),
    ("", "Torch not compiled with CUDA", "PyTorch here is without CUDA: no memory to share"),
    ("test_optimisers_refuse_read_only_memory", "", "no memory of a GPU is read-only"),
    (
        "test_tensor_copies_and_asarray_shares",
        "",
        "a tensor on the GPU shares no memory with NumPy",
    ),
    (
        "test_arrays_that_share_memory_without",
        "",
        "a tensor on the GPU shares no memory with NumPy",
    ),
    ("test_the_representation_says", "cuda:0", "the representation names the device"),
    ("test_attributes_and_constants", "'cuda:0' != 'cpu'", "it asks for the device"),
    ("test_operations_take_it_as_the_dense", "DeviceError", "rows that NumPy made are on the CPU"),
    ("test_a_row_that_does_not_exist", "index ≥ 2147483647", "an index is named within 32 bits"),
    (
        "test_what_the_function_itself_writes",
        "f did something else",
        "an element of a GPU's array is a view, and a recomputation of writes to views fails: on "
        "the CPU too, where `total[:1] += 1` takes the place of `total[0] += 1`",
    ),
]


def is_elsewhere(file: str) -> bool:
    """Whether the file's subject is not what runs on the default device."""
    return any(file.startswith(prefix) for prefix in ELSEWHERE)


def files() -> list[str]:
    """The files of the suite."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    return [file for file in found if not is_elsewhere(file)]


def run(file: str) -> dict[str, list[str]]:
    """The outcome of each test of a file, and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        settings = {
            "MINIDL_DEVICE": "cuda",
            "CUDA_LAUNCH_BLOCKING": "1",
            "MINIDL_SUITE_REPORT": str(report),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "tests.cuda.suite_plugin", "--tb=short", file]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True
        )
        if not report.exists():
            return {file: ["failed", done.stdout[-2000:] + done.stderr[-2000:]]}
        outcomes: dict[str, list[str]] = json.loads(report.read_text())
        return outcomes


def why(test: str, said: str) -> str | None:
    """Why a failure is right; None if nobody has explained it."""
    for name, words, reason in EXPLAINED:
        if re.search(name, test) and re.search(words, said):
            return reason
    return None


def summary(file: str, outcomes: dict[str, list[str]]) -> tuple[str, list[str]]:
    """A line for the table, and the failures that nobody has explained."""
    counts = Counter(outcome for outcome, _ in outcomes.values())
    failed = {test: said for test, (outcome, said) in outcomes.items() if outcome == "failed"}
    reasons = Counter(why(test, said) for test, said in failed.items())
    unexplained = [f"{test}: {said[:300]}" for test, said in failed.items() if not why(test, said)]
    line = f"{file:48} {counts['passed']:6} passed {counts['failed']:4} failed"
    line += f" {counts['skipped']:4} skipped"
    for reason, count in reasons.items():
        line += f"\n{'':50}{count} failed: {reason or 'UNEXPLAINED'}"
    return line, unexplained


def main(chosen: list[str]) -> int:
    """Run the files and print the table; the exit status is 1 for an unexplained failure."""
    left = []
    for file in chosen or files():
        line, unexplained = summary(file, run(file))
        print(line, flush=True)
        left += unexplained
    print(*left, sep="\n")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
