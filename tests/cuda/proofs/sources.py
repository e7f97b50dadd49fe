"""The kernels there are: every extern "C" function of every .cu in minidl_cuda/kernels."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tests.cuda.ptx.nvrtc import compile_cuda

FOLDER = Path(__file__).resolve().parents[3] / "minidl_cuda" / "kernels"


def files() -> list[Path]:
    """The CUDA sources."""
    return sorted(FOLDER.glob("*.cu"))


@cache
def headers(path: Path) -> frozenset[Path]:
    """The headers of minidl_cuda/kernels that a source includes, directly or through others."""
    names = re.findall(r'^#include "(\w+\.cuh)"', path.read_text(), re.M)
    own = {path.with_name(name) for name in names}
    return frozenset(own.union(*(headers(header) for header in own)))


@cache
def ptx(path: Path, architecture: str = "compute_80") -> str:
    """A source as PTX, with the options that it is compiled with on a GPU."""
    return compile_cuda(path.read_text(), architecture, (f"-I{FOLDER}",)).decode()


@cache
def kernels_of(path: Path) -> tuple[str, ...]:
    """The kernels of a source."""
    return tuple(sorted(re.findall(r"^\.visible \.entry (\w+)\(", ptx(path), re.M)))


def all_kernels() -> dict[str, Path]:
    """Every kernel, and where it is."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(ptx, files()))
    return {name: path for path in files() for name in kernels_of(path)}
