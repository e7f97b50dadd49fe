"""Try the seeded faults, and say which proof catches each: the first, or every one that does."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.cuda.ptx.errors import NotUnderstood
from tests.cuda.ptx.nvrtc import compile_cuda

from . import kept, offline
from .executed import EXECUTORS, ROOT
from .progress import progress
from .seeded import MUTANTS, Mutant
from .sources import FOLDER

PROOFS = ("offline", "ptx", "gcc", "asan", "tsan")
_LIMIT = 900  # seconds of a proof of a mutant
_EXAMPLES = 8  # that Hypothesis tries


@dataclass
class Caught:
    """A mutant, and what each proof said: nothing if it let it pass."""

    mutant: Mutant
    by: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)  # the proofs that did not
    error: str = ""


def _offline(folder: Path, mutant: Mutant) -> str:
    """What the gates say of the mutated source on sm_80 that they do not say of the true one."""
    path = folder / mutant.file
    if path.suffix != ".cu":
        return ""
    try:
        text = compile_cuda(path.read_text(), "compute_80", (f"-I{folder}",)).decode()
    except NotUnderstood as error:
        return f"does not compile: {error}"[:120]
    true = {fault for c in offline.compile_file(FOLDER / mutant.file, "80") for fault in c.faults()}
    found = [f for c in offline.compile_ptx(text, "80") for f in c.faults() if f not in true]
    return found[0] if found else ""


_KINDS = (
    ("race", r"\bFault: race|data race"),
    ("barrier", r"Fault: .*barrier"),
    ("uninitialised", r"Fault: .*uninitialised"),
    ("out of bounds", r"Fault: (out-of-bounds|misaligned)|AddressSanitizer|overflow"),
    ("undefined behaviour", r"runtime error"),
    ("fault", r"\bFault\b|SanitizerError"),
)


def _executed(folder: Path, mutant: Mutant, executor: str, tests: list[str]) -> str:
    """What these tests say of the mutated sources: nothing, if all pass."""
    how = ("mutant", mutant.apply(), executor, tests)
    known = kept.find(*how)
    if known is not None:
        return known["said"]
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out.json"
        said = _run(folder, mutant, executor, tests, out)
        if out.exists() and said != _UNFINISHED:
            depends = json.loads(out.read_text()).get("depends")
            if depends:
                kept.keep({"said": said, "tests": {}, "depends": depends}, *how)
    return said


_UNFINISHED = "not finished"


def _run(folder: Path, mutant: Mutant, executor: str, tests: list[str], out: Path) -> str:
    environment = {**os.environ, **EXECUTORS[executor], "MINIDL_PROOFS_KERNELS": str(folder)}
    environment |= {"MINIDL_PTX_ORDERS": "all", "MINIDL_PROOFS_OUT": str(out)}
    environment |= {"MINIDL_CUDA_EXAMPLES": str(_EXAMPLES)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.cuda.proofs.collect"]
    command += ["-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        return _UNFINISHED
    if done.returncode not in (0, 1):
        if done.returncode < 0 or "Fatal Python error" in done.stderr + done.stdout:
            return "crash"
        raise RuntimeError(
            f"{mutant.name}: pytest ended with {done.returncode}:\n{done.stdout[-800:]}"
        )
    if done.returncode == 0:
        return ""
    errors = "\n".join(line for line in done.stdout.splitlines() if line.startswith("E  "))
    return next((kind for kind, pattern in _KINDS if re.search(pattern, errors)), "wrong values")


def try_mutant(mutant: Mutant, every_proof: bool) -> Caught:
    """Apply a mutant to a copy of the kernels, and run the proofs on that.

    The tests are those of the sample that launch its kernels; if they let it pass, then all tests
    in the same files, until a proof does not.
    """
    result = Caught(mutant)
    try:
        text, tests = mutant.apply(), mutant.tests()
        if not tests:
            raise ValueError("sample.json has no test of it: --update-sample")
    except (ValueError, FileNotFoundError) as error:
        result.error = str(error)
        return result
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "kernels"
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / mutant.file).write_text(text)
        _try(result, folder, PROOFS, tests, every_proof)
        if not result.by:
            files = sorted({test.split("::")[0] for test in tests})
            _try(result, folder, PROOFS[1:], files, False)
    return result


def _try(
    result: Caught, folder: Path, proofs: tuple[str, ...], tests: list[str], every_proof: bool
) -> None:
    for proof in proofs:
        if proof == "offline":
            said = _offline(folder, result.mutant)
        else:
            said = _executed(folder, result.mutant, proof, tests)
        if said and said != _UNFINISHED:
            result.by[proof] = said
            result.passed.pop(proof, None)
            if not every_proof:
                return
        else:
            result.passed[proof] = said or "passes"


def main(console: Console, part: str, options: argparse.Namespace) -> int:
    """Try all mutants whose name or file contains a part; 0 if every one is caught."""
    chosen = [m for m in MUTANTS if part in m.name or part in m.file]
    if options.quick:  # one for each file
        chosen = list({m.file: m for m in chosen}.values())
    table = Table(title="Seeded faults, and which proof caught each", title_justify="left")
    for name in ("fault", "file", *PROOFS):
        table.add_column(name)
    tried = {}
    with (
        progress(console, "faults", len(chosen)) as tell,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        jobs = {pool.submit(try_mutant, m, options.every_proof): m for m in chosen}
        for job in as_completed(jobs):
            done = tried[jobs[job]] = job.result()
            by = ", ".join(f"{proof}: {said}" for proof, said in done.by.items())
            tell(f"{done.mutant.file}, {done.mutant.name}: {by or done.error or 'not caught'}")
    for mutant in chosen:
        cells = {**dict.fromkeys(PROOFS, "–"), **tried[mutant].passed, **tried[mutant].by}
        table.add_row(mutant.name, mutant.file, *(escape(cells[p]) for p in PROOFS))
    console.print(table)
    survived = [row for row in tried.values() if not row.by]
    for row in survived:
        console.print(
            f"[bold red]not caught[/]: {row.mutant.name}: {escape(row.error or 'all proofs pass')}"
        )
    files = {mutant.source or mutant.file for mutant in chosen}
    console.print(f"{len(tried)} faults in {len(files)} sources, {len(survived)} not caught")
    if options.json:
        counts = {"mutants": len(tried), "not_caught": len(survived), "sampled": options.quick}
        print(json.dumps(counts))
    return int(bool(survived))
