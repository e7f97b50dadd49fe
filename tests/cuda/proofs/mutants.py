"""Try the seeded faults, and say which proof catches each."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.cuda.ptx.errors import NotUnderstood
from tests.cuda.ptx.nvrtc import compile_cuda

from . import offline
from .executed import EXECUTORS, ROOT
from .seeded import MUTANTS, Mutant
from .sources import FOLDER

PROOFS = ("offline", "ptx", "gcc", "asan", "tsan")
_LIMIT = 300  # seconds of a proof of a mutant


@dataclass
class Caught:
    """A mutant, and what each proof said: nothing if it let it pass."""

    mutant: Mutant
    by: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
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


def _executed(folder: Path, mutant: Mutant, executor: str) -> str:
    environment = {**os.environ, **EXECUTORS[executor], "MINIDL_PROOFS_KERNELS": str(folder)}
    environment |= {"MINIDL_PTX_ORDERS": "all"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.cuda.proofs.collect"]
    command += ["-p", "no:cacheprovider", *mutant.tests()]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        return ""
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


def try_mutant(mutant: Mutant, proofs: tuple[str, ...], stop_early: bool) -> Caught:
    """Apply a mutant to a copy of the kernels, and run the proofs on that."""
    result = Caught(mutant)
    try:
        text = mutant.apply()
        if not mutant.tests():
            raise ValueError("sample.json has no test of it: --update-sample")
    except (ValueError, FileNotFoundError) as error:
        result.error = str(error)
        return result
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "kernels"
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / mutant.file).write_text(text)
        for proof in proofs:
            said = (
                _offline(folder, mutant) if proof == "offline" else _executed(folder, mutant, proof)
            )
            if said:
                result.by[proof] = said
                if stop_early:
                    break
            else:
                result.missed.append(proof)
    return result


def main(console: Console, part: str = "", as_json: bool = False, quick: bool = False) -> int:
    """Try all mutants whose name or file contains a part; 0 if every one is caught.

    quick    one for each file, and stop at the first proof that catches it
    """
    chosen = [m for m in MUTANTS if part in m.name or part in m.file]
    if quick:
        chosen = list({m.file: m for m in chosen}.values())
    table = Table(title="Seeded faults, and which proof caught each", title_justify="left")
    for name in ("fault", "file", *PROOFS):
        table.add_column(name)
    with ThreadPoolExecutor(2) as pool:
        tried = list(pool.map(lambda m: try_mutant(m, PROOFS, quick), chosen))
    for row in tried:
        cells = [row.by.get(p, "passes" if p in row.missed else "–") for p in PROOFS]
        table.add_row(row.mutant.name, row.mutant.file, *(escape(c) for c in cells))
    console.print(table)
    survived = [row for row in tried if not row.by]
    for row in survived:
        console.print(
            f"[bold red]not caught[/]: {row.mutant.name}: {escape(row.error or 'all proofs pass')}"
        )
    console.print(
        f"{len(tried)} faults in {len({r.mutant.file for r in tried})} sources, "
        f"{len(survived)} not caught"
    )
    if as_json:
        print(json.dumps({"mutants": len(tried), "not_caught": len(survived), "sampled": quick}))
    return int(bool(survived))
