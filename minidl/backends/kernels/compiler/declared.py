"""Compiling all kernels that are declared, before anybody calls them.

Processes share the work (`runtime.compiler_process`); each leaves in the cache what it compiled.
So what was interrupted goes on where it stopped.
"""

import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from queue import Queue
from typing import Any, TypeAlias

from minidl.backends import kernels, threads
from minidl.backends.kernels.runtime import cache, machine_code
from minidl.backends.kernels.runtime.compiler_process import Process
from minidl.backends.kernels.runtime.functions import Outlined
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.signature import Signature

Item: TypeAlias = tuple[Kernel | Outlined, Signature | None]

_MOST_PROCESSES = 8  # each takes 200 MB


def declared() -> list[Item]:
    """All kernels, with each signature that is declared beside them, and the outlined functions."""
    for module in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        if not module.name.startswith(f"{kernels.__name__}.compiler"):
            import_module(module.name)
    kernels_and_types = [
        (kernel, types) for kernel in _own(Kernel.all) for types in kernel.signatures
    ]
    return [*kernels_and_types, *((outlined, None) for outlined in _own(machine_code.outlined))]


def _own(functions: Mapping[str, Any]) -> list[Any]:
    """Those of minidl's; programs have others."""
    return [found for found in functions.values() if cache.covers(found.function)]


def missing(items: Iterable[Item]) -> list[Item]:
    """Those that would be compiled when they are called: in no library and not in the cache."""
    shipped = machine_code.library().functions
    symbols = ((item, machine_code.symbol_of(*item)) for item in items)
    return [item for item, s in symbols if s not in shipped and cache.load(s) is None]


def compile_all(items: Sequence[Item], target: str) -> dict[str, bytes]:
    """The object files of functions, for a level of processors, by their symbols."""
    processes = [Process(target) for _ in range(min(threads.cores(), _MOST_PROCESSES, len(items)))]
    idle: Queue[Process] = Queue()
    for process in processes:
        idle.put(process)

    def compiled(item: Item) -> bytes:
        process = idle.get()
        try:
            process.ask(item[0].name, item[1])
            return machine_code.ObjectFile.from_bytes(process.answer()).code
        finally:
            idle.put(process)

    pool = ThreadPoolExecutor(max(1, len(processes)))
    try:
        codes = list(_progress(pool.map(compiled, items), len(items), target))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:  # one that still compiles was interrupted
            process.end()
    return {machine_code.symbol_of(*item): code for item, code in zip(items, codes, strict=True)}


def _progress(results: Iterable[bytes], total: int, target: str) -> Iterable[bytes]:
    """The results, with a bar on the terminal, if there is one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        results,
        f"compiling kernels for {target}",
        total,
        console=console,
        disable=not sys.stderr.isatty(),
    )
