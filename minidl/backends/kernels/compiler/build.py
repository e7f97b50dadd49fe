"""Libraries of all kernels, ahead of time.

    python -m minidl.backends.kernels.compiler.build host

For each level of processors, every kernel is compiled for every signature that is declared beside
it, and the object files are linked to one library.  Object files are kept in the cache, so building
again after a change of one level's list costs what changed.

A library names the sources it was made from; where these have changed since, it is not used.  It
refers to nothing but functions of Python's stable ABI and of the C library, without versions: one
library serves all versions of Python (with a global interpreter lock) and NumPy.
"""

import argparse
import hashlib
import json
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from typing import Any

from minidl.backends import kernels
from minidl.backends.kernels.runtime import cache, level, machine_code
from minidl.backends.kernels.runtime.compiler_process import Process
from minidl.backends.kernels.runtime.functions import Outlined
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.signature import Signature


def declared() -> list[tuple[Kernel | Outlined, Signature | None]]:
    """All kernels with their signatures, and the outlined functions."""
    for module in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        if not module.name.startswith(f"{kernels.__name__}.compiler"):
            import_module(module.name)
    own = [kernel for kernel in Kernel.all.values() if cache.covers(kernel.function)]
    return [
        *((kernel, signature) for kernel in own for signature in kernel.signatures),
        *((outlined, None) for outlined in machine_code.outlined.values()),
    ]


def compile_all(name: str, processes: int) -> dict[str, bytes]:
    """The object files of all that is declared, for a level, by their symbols."""
    items = declared()
    idle: Queue[Process] = Queue()
    for _ in range(processes):
        idle.put(Process(name))

    def compiled(item: tuple[Kernel | Outlined, Signature | None]) -> bytes:
        process = idle.get()
        process.ask(item[0].name, item[1])
        answer = process.answer()
        idle.put(process)
        return machine_code.ObjectFile.from_bytes(answer).code

    try:
        with ThreadPoolExecutor(processes) as pool:
            codes = list(_progress(pool.map(compiled, items), len(items), name))
    finally:
        while not idle.empty():
            idle.get().end()
    return {machine_code.symbol_of(*item): code for item, code in zip(items, codes, strict=True)}


def _progress(results: Iterable[Any], total: int, name: str) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(results, f"compiling for {name}", total, console=Console(stderr=True))


def linker(architecture: str) -> list[str] | None:
    """The command that links for an architecture: the C compiler's; None if there is none.

    $CC, or cc, for this machine.  For another one, a cross compiler of its name, or zig's.
    """
    here = level.available()
    if here and here[0].architecture == architecture:
        own = shlex.split(os.environ.get("CC", "")) or ["cc"]
        return own if shutil.which(own[0]) else _zig(architecture)
    cross = f"{architecture}-linux-gnu-gcc"
    return [cross] if shutil.which(cross) else _zig(architecture)


def _zig(architecture: str) -> list[str] | None:
    if find_spec("ziglang") is None:
        return None
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{architecture}-linux-gnu"]


def link(objects: dict[str, bytes], name: str, target: Path) -> None:
    """Link object files to the library of a level; RuntimeError without a linker."""
    command = linker(level.LEVELS[name].architecture)
    if command is None:
        raise RuntimeError(f"no C compiler to link a library for {name}: install one, or set CC")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i, code in enumerate(objects.values()):
            files.append(Path(folder, f"{i}.o"))
            files[-1].write_bytes(code)
        made = Path(folder, target.name)
        if sys.platform == "darwin":
            options = ["-dynamiclib", "-undefined", "dynamic_lookup"]
        else:
            options = ["-shared", "-nostdlib", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,-s"]
        subprocess.run([*command, *options, "-o", made, *files], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".tmp")
        shutil.copyfile(made, temporary)
        os.replace(temporary, target)


def build(name: str, folder: Path, processes: int) -> Path:
    """Build the library for a level into a folder, beside a list of what is in it."""
    objects = compile_all(name, processes)
    library = folder / machine_code.library_path(name).name
    link(objects, name, library)
    contents = machine_code.Contents(
        sources=cache.source_digest() or "",
        sha256=hashlib.sha256(library.read_bytes()).hexdigest(),
        functions=sorted(objects),
    )
    library.with_suffix(".json").write_text(json.dumps(contents._asdict(), indent=1) + "\n")
    return library


def main() -> int:
    """Build the libraries for some levels."""
    parser = argparse.ArgumentParser(
        prog="python -m minidl.backends.kernels.compiler.build",
        description="Build libraries of all kernels.",
    )
    parser.add_argument(
        "levels", nargs="+", help=f"host, all, or some of {', '.join(level.LEVELS)}"
    )
    parser.add_argument("--folder", type=Path, default=machine_code.library_path("").parent)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    for name in levels_named(options.levels):
        library = build(name, options.folder, options.processes)
        count = len(machine_code.contents(library).functions)
        print(f"{library}: {count} functions, {library.stat().st_size / 1e6:.2f} MB")
    return 0


def levels_named(words: Iterable[str]) -> list[str]:
    """The levels that `host` and `all` mean on this machine; the others by their names."""
    here = [found.name for found in level.available()]
    meant = {"host": here[:1], "all": [name for name in here if name != "x86-64"]}
    names = [name for word in words for name in meant.get(word, [word])]
    for name in names:
        if name not in level.LEVELS:
            raise SystemExit(f"unknown level {name!r}; there are {', '.join(level.LEVELS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
