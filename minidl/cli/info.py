"""minidl info: versions, threads, devices, kernels and caches, for bug reports and benchmarks."""

import argparse
import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minidl import __version__, cuda
from minidl.backends import device_backend
from minidl.backends.kernels.runtime import level, machine_code
from minidl.backends.kernels.runtime.cache import cache_folder
from minidl.backends.mode import current
from minidl.backends.threads import get_num_threads
from minidl.data.download import data_folder
from minidl.errors import ArgumentError, DeviceError

_PARTS = "numpy", "numba", "llvmlite", "scipy", "safetensors", "rich"
_EXTRAS = {"matplotlib": "plots", "PIL": "images", "torch": "parity"}


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "info",
        help="show versions, threads, devices, kernels and caches",
        description="Show what minidl runs on: versions, BLAS, threads, devices, kernels, caches.",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each fact."""
    facts = _facts()
    if options.json:
        print(json.dumps(facts))
        return 0
    for name, fact in facts.items():
        if isinstance(fact, dict):
            fact = [f"{part} {value}" for part, value in fact.items()]
        if isinstance(fact, list):
            fact = ", ".join(fact)
        print(f"{name + ':':<12}{fact}")
    return 0


def _facts() -> dict[str, Any]:
    from minidl.backends.kernels.simd.intrinsics import LANES

    return {
        "minidl": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "parts": {name: _version(name) for name in _PARTS},
        "extras": {name: "yes" if find_spec(name) else f"no ({e})" for name, e in _EXTRAS.items()},
        "processor": f"{_processor()}, {os.cpu_count()} cores, {LANES} float32 in a vector",
        "threads": get_num_threads(),
        "winograd": _winograd(),
        "blas": _blas(),
        "devices": _devices(),
        "level": _level(),
        "library": _library(),
        "compiled": _files(cache_folder, "kernels-*/*.code"),
        "data": _files(data_folder, "**/*"),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _processor() -> str:
    """The model name of the processor, where it can be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _winograd() -> str:
    """Whether convolutions may use Winograd's algorithm, and what changes that."""
    if current.get().winograd:
        return "allowed (MINIDL_WINOGRAD=1): convolutions have no componentwise error bound"
    return "not allowed (MINIDL_WINOGRAD=1 or minidl.allow_winograd() allows it)"


def _blas() -> dict[str, Any]:
    """The BLAS that NumPy was built with, which computes minidl's larger matrix products."""
    import numpy as np

    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"name": built.get("name", "unknown"), "version": built.get("version", "unknown")}


def _devices() -> dict[str, str]:
    """What there is to compute on, and why there is no GPU."""
    found = {"cpu": ""}
    try:
        names = device_backend("cuda").devices()
    except DeviceError as error:
        return found | {"cuda": str(error)}
    for name in names:
        major, minor = cuda.get_device_capability(name)
        free, total = (bytes_ / 2**30 for bytes_ in cuda.mem_get_info(name))
        found[name] = (
            f"{cuda.get_device_name(name)}, compute capability {major}.{minor}, "
            f"{free:.1f} of {total:.1f} GiB free"
        )
    versions = cuda.versions()
    return found | {part: versions[part] for part in ("CUDA driver", "CUDA runtime", "CuPy")}


def _level() -> str:
    """The level of the processor that kernels are for, and those that could be chosen."""
    why = "MINIDL_LEVEL" if os.environ.get("MINIDL_LEVEL") else "the highest"
    others = ", ".join(found.name for found in level.available()) or "none that has a name"
    return f"{level.level().name} ({why}); this processor has {others}"


def _library() -> str:
    """Whether machine code was shipped, or why it is not used."""
    library = machine_code.library()
    if library.handle is None:
        return f"not used: {library.why_not}; kernels are compiled when they are first used"
    return f"used, with {len(library.functions)} functions"


def _files(place: Callable[[], Path], pattern: str) -> dict[str, Any]:
    """A folder, with the number and total size of its files."""
    try:
        folder = place()
    except ArgumentError as error:  # there is none
        return {"in": str(error), "files": 0, "megabytes": 0.0}
    sizes = [path.stat().st_size for path in folder.glob(pattern) if path.is_file()]
    return {"in": str(folder), "files": len(sizes), "megabytes": round(sum(sizes) / 1e6, 1)}
