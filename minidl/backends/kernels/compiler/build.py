"""Libraries of all kernels, ahead of time.

    python -m minidl.backends.kernels.compiler.build host

For each level of processors, every kernel is compiled for every signature that is declared beside
it, and the object files are linked to one library.  Object files are kept in the cache, so building
again takes seconds, and building after a change compiles what it concerns.

A library names the sources it was made from; where these have changed since, it is not used.  It
refers to nothing but functions of Python's stable ABI and of the C library, without versions: one
library serves all versions of Python (with a global interpreter lock) and NumPy.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from minidl.backends.kernels.compiler.declared import Item, compile_all, declared
from minidl.backends.kernels.runtime import cache, level, machine_code

# Everything that the machine code refers to, is there before it is loaded: symbols of Python, and
# of the C library that Python uses.
_OPTIONS = ["-shared", "-nostdlib", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,-s"]
_OPTIONS_OF_MACOS = ["-dynamiclib", "-undefined", "dynamic_lookup"]


def levels_named(words: Iterable[str]) -> list[str]:
    """The levels that `host` and `all` mean on this machine; the others by their names."""
    here = level.available()
    architectures = {found.architecture for found in here}
    every = [found.name for found in level.LEVELS.values() if found.architecture in architectures]
    meant = {
        "host": [found.name for found in here[:1]],
        "all": [name for name in every if name != "x86-64"],  # what no processor of today needs
    }
    names = [name for word in words for name in meant.get(word, [word])]
    for name in names:
        if name not in level.LEVELS:
            raise SystemExit(f"unknown level {name!r}; there are {', '.join(level.LEVELS)}")
    return list(dict.fromkeys(names))


# Linking.


def linker(architecture: str) -> list[str]:
    """The command that links for an architecture, the C compiler's.

    $CC, or cc, for this machine.  For another one, a cross compiler of its name, or zig's.
    """
    if _is_here(architecture):
        command = shlex.split(os.environ.get("CC", "")) or ["cc"]
        advice = "install one, or set CC"
    else:
        command = [f"{architecture}-linux-gnu-gcc"]
        advice = f"install {command[0]}, or ziglang with pip"
    if shutil.which(command[0]):
        return command
    if find_spec("ziglang") is None:
        raise SystemExit(f"no C compiler to link a library for {architecture}: {advice}")
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{architecture}-linux-gnu"]


def link(objects: Iterable[bytes], name: str) -> bytes:
    """The library for a level that object files are linked to."""
    architecture = level.LEVELS[name].architecture
    options = _OPTIONS_OF_MACOS if _system(architecture) == "darwin" else _OPTIONS
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i, code in enumerate(objects):
            files.append(Path(folder, f"{i}.o"))
            files[-1].write_bytes(code)
        made = Path(folder, "library")
        subprocess.run([*linker(architecture), *options, "-o", made, *files], check=True)
        return made.read_bytes()


def _system(architecture: str) -> str:
    """The system that code for an architecture is for: of another machine's, Linux."""
    return sys.platform if _is_here(architecture) else "linux"


def _is_here(architecture: str) -> bool:
    here = level.available()
    return bool(here) and here[0].architecture == architecture


# Building.


def build(name: str, folder: Path, items: Sequence[Item]) -> Path:
    """Build the library for a level into a folder, beside a list of what is in it."""
    objects = compile_all(items, name)
    library = link(objects.values(), name)
    contents = machine_code.Contents(
        level=name,
        sources=cache.source_digest() or "",
        sha256=hashlib.sha256(library).hexdigest(),
        functions=sorted(objects),
    )
    system = _system(level.LEVELS[name].architecture)
    path = folder / machine_code.library_path(name, system).name
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, library)
    _write(path.with_suffix(".json"), (json.dumps(contents._asdict(), indent=1) + "\n").encode())
    return path


def _write(path: Path, content: bytes) -> None:
    """Write a file at once, or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> int:
    """Build the libraries for some levels, and print what is in them."""
    parser = argparse.ArgumentParser(
        prog="python -m minidl.backends.kernels.compiler.build",
        description="Build libraries of all kernels.",
    )
    parser.add_argument(
        "levels", nargs="+", help=f"host, all, or some of {', '.join(level.LEVELS)}"
    )
    parser.add_argument("--folder", type=Path, default=machine_code.library_path("").parent)
    options = parser.parse_args()
    names = levels_named(options.levels)
    for name in names:
        linker(level.LEVELS[name].architecture)  # or else stop now, before minutes of compiling
    items, before = declared(), None
    for name in names:
        library = build(name, options.folder, items)
        functions = machine_code.contents(library).functions
        print(f"{library.name}: {len(functions)} functions, {library.stat().st_size / 1e6:.2f} MB")
        if functions == before:
            print("    the same as above")
        else:
            print(*(f"    {function}" for function in functions), sep="\n", flush=True)
        before = functions
    return 0


if __name__ == "__main__":
    sys.exit(main())
