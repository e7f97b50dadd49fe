"""The kernels there are: every extern "C" function of every .cu in minidl_cuda/kernels."""

from functools import cache
from pathlib import Path

from minidl_cuda import kernels
from tests.cuda.ptx.nvrtc import compile_cuda
from tests.cuda.ptx.parser import parse

FOLDER = Path(kernels.__file__).parent


def files() -> list[Path]:
    """The CUDA sources."""
    return sorted(FOLDER.glob("*.cu"))


@cache
def ptx(path: Path, architecture: str = "compute_80") -> str:
    """A source as PTX, with the options that it is compiled with on a GPU."""
    return compile_cuda(path.read_text(), architecture, (f"-I{FOLDER}",)).decode()


@cache
def kernels_of(path: Path) -> tuple[str, ...]:
    """The kernels of a source."""
    return tuple(sorted(f.name for f in parse(ptx(path)).functions if f.is_entry))


def all_kernels() -> dict[str, Path]:
    """Every kernel, and where it is."""
    return {name: path for path in files() for name in kernels_of(path)}
