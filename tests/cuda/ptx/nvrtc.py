"""CUDA C++ → PTX or machine code by NVRTC of the pip package, which needs no GPU and no driver."""

import ctypes
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .errors import NotUnderstood

OPTIONS = ("-std=c++17", "-default-device")  # CuPy's, and those of minidl_cuda/launch.py


def package_folder() -> Path:
    """Where the nvidia-cuda-* packages are: …/site-packages/nvidia/cu13.

    Raises ModuleNotFoundError, with what to install, where they are missing.
    """
    spec = find_spec("nvidia")
    for place in spec.submodule_search_locations or [] if spec else []:
        for folder in sorted(Path(place).glob("cu1*"), reverse=True):
            if list(folder.glob("lib/libnvrtc.so*")):
                return folder
    raise ModuleNotFoundError("NVRTC is missing: pip install 'minidl[proofs]'")


@cache
def _library() -> ctypes.CDLL:
    folder = package_folder() / "lib"
    for name in sorted(folder.glob("libnvrtc-builtins.so*")):
        ctypes.CDLL(str(name), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(min(folder.glob("libnvrtc.so*"))))


def version() -> tuple[int, int]:
    """NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def _text(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    library = _library()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def cache_folder() -> Path:
    """Where what was compiled is kept: $MINIDL_CACHE/ptx, else ~/.cache/minidl/ptx."""
    root = os.environ.get("MINIDL_CACHE") or Path.home() / ".cache" / "minidl"
    folder = Path(root) / "ptx"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(target: Path, content: bytes) -> None:
    """Write a file of the cache, at once or not at all."""
    part = target.with_suffix(f".{os.getpid()}")
    part.write_bytes(content)
    part.replace(target)


def compile_cuda(
    code: str,
    architecture: str = "compute_80",
    options: Sequence[str] = (),
    name: str = "kernel.cu",
) -> bytes:
    """PTX for compute_80 and the like, a cubin for sm_80 and the like; kept for the next time.

    Raises NotUnderstood with NVRTC's log where the code does not compile.
    """
    folders = [Path(o.removeprefix("-I")) for o in options if o.startswith("-I")]
    headers = [path.read_text() for folder in folders for path in sorted(folder.glob("*.cuh"))]
    texts = (code, *headers, architecture, name, *options, *OPTIONS, str(version()))
    target = cache_folder() / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:24]}.out"
    if not target.exists():
        keep(target, _compiled(code, architecture, options, name))
    return target.read_bytes()


def _compiled(code: str, architecture: str, options: Sequence[str], name: str) -> bytes:
    library, program = _library(), ctypes.c_void_p()
    include = f"-I{package_folder() / 'include'}"
    flags = [f"-arch={architecture}", *OPTIONS, include, *options]
    library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), name.encode(), 0, None, None)
    try:
        array = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        if library.nvrtcCompileProgram(program, len(flags), array):
            raise NotUnderstood(_text(program, "ProgramLog").rstrip(b"\0").decode())
        if architecture.startswith("sm_"):
            return _text(program, "CUBIN")
        return _text(program, "PTX").rstrip(b"\0")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
