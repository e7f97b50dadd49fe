"""Compile a CUDA source with the host's compiler, into a library that is cached by its content.

The source is preprocessed first; in what comes out,

- `__shared__ T name[n];` becomes a reference to memory of the block (entry.h), and `extern
  __shared__ T name[];` one to its dynamic memory;
- the kernels are found, `extern "C" __global__ void name(…)`, and each gets an entry.
"""

import hashlib
import os
import platform
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_OPTIONS = [
    *("-std=c++20", "-fPIC", "-w", "-fno-strict-aliasing"),
    *("-fvisibility=hidden", "-fno-gnu-unique"),
]
_SERVER = ["-O1", "-g1", "-DMINIDL_SERVER"]  # of which compiling takes longer than running
MODES = {
    "gcc": ["-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math"],
    "asan": [*_SERVER, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "tsan": [*_SERVER, "-fsanitize=thread"],
}

_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?(\w+)\s*\('
)
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\([^)]*\)\s*)?([\w\s:]+?)\s*(\w+)\s*\[\s*\]\s*;"
)
_SHARED = re.compile(r"__shared__\s+((?:__align__\s*\([^)]*\)\s*)?)([^;=]+?);", re.DOTALL)


class CompilationError(RuntimeError):
    """What the compiler said of a source."""


def cache_folder() -> Path:
    """Where libraries are kept; MINIDL_HOST_CACHE in the environment names another folder."""
    named = os.environ.get("MINIDL_HOST_CACHE")
    folder = Path(named) if named else Path(tempfile.gettempdir(), f"minidl-host-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def machine() -> str:
    """The compiler and the processor: a library is for both."""
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return version.stdout + platform.machine() + flags


@cache
def _headers() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.h")))


def library(code: str, include: tuple[str, ...] = ()) -> tuple[Path, list[str]]:
    """The path of the library of a source, and the names of its kernels."""
    return _built(code, include, [*MODES["gcc"], "-shared"], "")


def program(code: str, include: tuple[str, ...], mode: str) -> tuple[Path, list[str]]:
    """The path of a program that runs the kernels of a source under sanitizers, and their names."""
    server = """#include "server.h"
int main() {
  const minidl::Entry entries[] = {ENTRIES};
  return minidl::serve(entries);
}
"""
    return _built(code, include, MODES[mode], server)


def _built(
    code: str, include: tuple[str, ...], options: list[str], main: str
) -> tuple[Path, list[str]]:
    text = _preprocessed(code, include)
    kernels = _KERNEL.findall(text)
    entries = "".join(f"MINIDL_KERNEL({name})\n" for name in kernels)
    main = main.replace("ENTRIES", ", ".join(f"minidl_launch_{name}" for name in kernels))
    whole = f'#include "cuda_on_host.h"\n{_placed(text)}\n{entries}{main}'
    options = [*_OPTIONS, *options, f"-I{HERE}"]
    key = "\n".join([whole, _headers(), machine(), *options])
    path = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:24]
    if not path.exists():
        _compile(whole, options, path)
    return path, kernels


def _preprocessed(code: str, include: tuple[str, ...]) -> str:
    folders = [f"-I{folder}" for folder in (*include, HERE / "include")]
    command = ["g++", "-x", "c++", "-std=c++20", "-E", "-DMINIDL_HOST", *folders, "-"]
    return _run(command, code)


def _placed(text: str) -> str:
    """The text with its shared variables in memory of the block."""
    text = _DYNAMIC.sub(
        lambda m: f"{m[1]}* const {m[2]} = reinterpret_cast<{m[1]}*>(minidl::shared_dynamic());",
        text,
    )
    return _SHARED.sub(lambda m: "".join(map(_variable, _declarators(m[2]))), text)


def _declarators(text: str) -> list[tuple[str, str, str]]:
    """(type, name, dimensions) of each variable in `float a[2][n], b`."""
    first, *others = _split(text)
    found = re.fullmatch(r"\s*(.*?)\s*(\w+)\s*((?:\[.*\])*)\s*", first, re.DOTALL)
    assert found, f"a shared variable that is not understood: {text}"
    kind = found[1]
    rest = [re.fullmatch(r"\s*(\w+)\s*((?:\[.*\])*)\s*", other, re.DOTALL) for other in others]
    return [(kind, found[2], found[3]), *((kind, m[1], m[2]) for m in rest if m)]


def _split(text: str) -> list[str]:
    """The parts between commas outside brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{<") - (c in ")]}>")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _variable(declarator: tuple[str, str, str]) -> str:
    kind, name, dimensions = declarator
    return (
        f"typedef {kind} {name}__type{dimensions}; "
        f"static const int {name}__slot = minidl::shared_slot(sizeof({name}__type)); "
        f"{name}__type& {name} = "
        f"*reinterpret_cast<{name}__type*>(minidl::shared_at({name}__slot)); "
    )


def _compile(code: str, options: list[str], path: Path) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    _run(["g++", "-x", "c++", *options, "-", "-o", str(part)], code)
    part.replace(path)  # at once: other processes see no half of it


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise CompilationError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
