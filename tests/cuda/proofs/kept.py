"""What a file of tests did under an executor is kept, until something that it depends on changes.

So a run that was stopped goes on where it was, and after a change only the files that it concerns
run anew: a test depends on the modules that were imported, and on the sources of the kernels that
were launched.
"""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.cuda.host.build import machine
from tests.cuda.ptx.nvrtc import cache_folder

from . import sources

ROOT = Path(__file__).resolve().parents[3]
_OWN = "tests/cuda/proofs/"  # decides what runs, not what it does


def dependencies(kernels: list[str]) -> dict[str, str]:
    """Digests of what this process imported, and of the sources of these kernels and executors."""
    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {Path(file).resolve() for file in modules if file}
    where = sources.all_kernels()
    for source in {where[name] for name in kernels if name in where}:
        paths |= {source, *sources.headers(source)}
    for folder in ("host", "ptx/runtime"):
        paths |= set((ROOT / "tests/cuda" / folder).glob("*.h"))
    names = sorted(str(p.relative_to(ROOT)) for p in paths if p.is_relative_to(ROOT))
    return {name: _digest(name) for name in names if not name.startswith(_OWN)}


@cache
def _digest(name: str) -> str:
    path = ROOT / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else "none"


def _place(*how: Any) -> Path:
    text = repr((how, sys.version, np.__version__, machine()))
    folder = cache_folder().parent / "proofs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def find(*how: Any) -> dict[str, Any] | None:
    """What was kept of a run, if all it depends on is as it was."""
    place = _place(*how)
    if not place.exists():
        return None
    found = json.loads(place.read_text())
    same = all(_digest(name) == digest for name, digest in found["depends"].items())
    return found if same else None


def keep(found: dict[str, Any], *how: Any) -> None:
    """Keep what a run found, if all tests of it passed."""
    if not any(row["outcome"] == "failed" for row in found["tests"].values()):
        part = _place(*how).with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(_place(*how))
