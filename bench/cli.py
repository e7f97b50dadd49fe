"""The command `python -m bench`."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import (
    data_loading,
    error_growth,
    libraries,
    machine,
    measure,
    memory_growth,
    processes,
    report,
    saved_tensors,
)
from bench.errors import BenchError, MissingTaskError
from bench.machine import Machine
from bench.report import Row
from bench.workloads import WORKLOADS, Fresh, Workload


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.memory_relu:
        return _memory_relu(options.json)
    if options.checkout and not (options.checkout / "minidl" / "__init__.py").is_file():
        parser.error(f"{options.checkout} is not a checkout: it has no minidl/__init__.py")
    if not options.checkout and not libraries.installed(options.peer):
        parser.error(f"{options.peer} is not installed here; pip install {options.peer}")
    if not Path("/proc/self/status").exists():
        if options.flat:
            parser.error("memory is read from /proc/self/status, which this system does not have")
        options.memory = False
    machine.limit_threads(options.threads)
    if options.device != "cpu" and (missing := _missing(options)):
        print(f"bench: skipped, {missing}", file=sys.stderr)
        return 0
    if options.flat:
        return _flat(options)
    if options.errors:
        return _errors(options)
    if options.loader:
        return _loader(options)
    try:
        return _compare_checkouts(options) if options.checkout else _compare(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compare the speed and memory of minidl with those of another library, on the "
        "same workloads, taking turns in one process.",
        epilog=f"workloads: {', '.join(WORKLOADS)}",
    )
    add = parser.add_argument
    add(
        "--peer",
        choices=libraries.PEERS,
        default="torch",
        help="the library to compare with (torch)",
    )
    add("--device", default="cpu", help="where both sides compute: cpu (default) or cuda")
    add("--checkout", type=Path, help="compare with another checkout of minidl instead")
    add("--threads", type=_positive, default=1, help="threads for each side (1)")
    add("--workloads", type=_workloads, help="comma-separated; default: all", metavar="NAMES")
    add("--rounds", type=_positive, default=15, help="turns of each side (15)")
    add("--no-memory", dest="memory", action="store_false", help="do not measure peak memory")
    add(
        "--memory-relu",
        action="store_true",
        help="only show the memory that ten recorded ReLUs save",
    )
    add(
        "--flat",
        type=_steps,
        metavar="STEPS",
        help="only train the cnn, and show whether its memory grows",
    )
    add(
        "--errors",
        type=_elements,
        metavar="ELEMENTS",
        help="only show how errors of sums grow, from 100 elements to so many",
    )
    add("--loader", action="store_true", help="only show how much of a step is loading its batch")
    add("--json", action="store_true", help="print the results as JSON on the last line")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs an integer ≥ 1; got {text!r}")
    return int(text)


def _steps(text: str) -> int:
    steps = _positive(text)
    if steps <= memory_growth.SETTLED:
        raise argparse.ArgumentTypeError(
            f"needs more than {memory_growth.SETTLED} steps; got {steps}"
        )
    return steps


def _elements(text: str) -> int:
    elements = _positive(text)
    if elements < 100:
        raise argparse.ArgumentTypeError(f"needs at least 100 elements; got {elements}")
    return elements


def _workloads(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no workload {', '.join(map(repr, unknown))}; there are {', '.join(WORKLOADS)}"
        )
    return names


def _compare(options: argparse.Namespace) -> int:
    """Measure the workloads one after another, and report."""
    load = os.getloadavg()[0]
    sides = [libraries.load("minidl"), libraries.load(options.peer)]
    _limit_threads(options.threads, sides)
    if options.device != "cpu":
        options.memory = False  # that of the host says little
        for side in sides:
            side.use(options.device)
    here = machine.measured(options.threads)
    facts = {**_facts(options, here), "load": load}
    Console().print(_heading(facts), highlight=False)
    rows, skipped = [], {}
    for name in options.workloads or WORKLOADS:
        _show_progress(f"measuring {name} …")
        try:
            rows.append(_row(name, options, sides, here))
        except MissingTaskError as reason:
            skipped[name] = str(reason)
    _show_progress("")
    report.show(rows, skipped, options.peer, facts, options.json)
    return 0


def _missing(options: argparse.Namespace) -> str:
    """Why nothing can be measured on the device; nothing if it can."""
    if options.checkout or options.flat or options.errors or options.loader:
        return f"as only workloads and a peer are measured on {options.device}"
    minidl = libraries.load("minidl")
    try:
        minidl.use(options.device)
    except Exception as error:  # there is no such device
        return str(error)
    peer = libraries.load(options.peer)
    try:
        peer.use(options.device)
    except AttributeError:
        reason = f"as {options.peer} is measured on the CPU alone"
    except Exception as error:
        reason = f"as {options.peer} finds no {options.device}: {error}"
    else:
        return ""
    minidl.use("cpu")
    return reason


def _show_progress(text: str) -> None:
    """Show a line that the next one overwrites; the thread of a spinner would disturb timings."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _row(name: str, options: argparse.Namespace, sides: Sequence[Any], here: Machine) -> Row:
    """All measurements of one workload."""
    workload = WORKLOADS[name]
    if isinstance(workload, Fresh) and options.device != "cpu":
        raise MissingTaskError("it is not of a GPU")
    if isinstance(workload, Fresh):
        return _fresh_row(name, workload, options.peer, sides)
    steps = measure.prepare(name, workload, sides)
    _limit_threads(options.threads, sides)  # also the pools that the first steps loaded
    if options.device != "cpu":
        pairs = zip(steps, sides, strict=True)
        steps = [measure.waited_for(step, side) for step, side in pairs]
        own, peers = measure.by_turns(steps, options.rounds)
        return Row(name, options.peer, own * 1e3, peers * 1e3)
    own, peers = measure.by_turns(steps, options.rounds)
    floor = here.floor(workload.flops, workload.bytes)
    peaks = (
        [processes.peak_memory(library, name) for library in ("minidl", options.peer)]
        if options.memory
        else (None, None)
    )
    return Row(name, options.peer, own * 1e3, peers * 1e3, floor * 1e3, *peaks)


def _fresh_row(name: str, workload: Fresh, peer: str, sides: Sequence[Any]) -> Row:
    """The row of an action in fresh interpreters."""
    arguments = []
    if workload.workload:
        arguments = [workload.workload]
        work = WORKLOADS[workload.workload]
        assert isinstance(work, Workload)
        for side in sides:
            libraries.task(side, work.task)  # raises MissingTaskError
    peer = workload.peer or peer
    commands = [[workload.action, library, *arguments] for library in ("minidl", peer)]
    own, peers = processes.median_seconds(commands, cold=workload.cold)
    return Row(name, peer, own * 1e3, peers * 1e3)


def _compare_checkouts(options: argparse.Namespace) -> int:
    """Measure this minidl and that of another checkout, in fresh interpreters by turns."""
    peer = str(options.checkout)
    rows = []
    for name in options.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        if isinstance(workload, Fresh) and workload.peer:
            continue  # a comparison with something other than the peer
        _show_progress(f"measuring {name} …")
        if isinstance(workload, Fresh):
            action, task, cold = workload.action, workload.workload, workload.cold
        else:
            action, task, cold = "step", name, False
        command = [action, "minidl", *([task] if task else [])]
        own, other = processes.median_seconds_of_checkouts(command, options.checkout, cold=cold)
        rows.append(Row(name, peer, own * 1e3, other * 1e3))
    _show_progress("")
    facts = {"peer": peer, "python": platform.python_version(), "threads": options.threads}
    report.show(rows, {}, peer, facts, options.json)
    return 0


def _limit_threads(threads: int, sides: Sequence[Any]) -> None:
    machine.limit_threads(threads)
    for side in sides:
        side.set_threads(threads)


def _facts(options: argparse.Namespace, here: Machine) -> dict[str, Any]:
    """The facts that the measurements depend on."""
    return {
        "peer": options.peer,
        "device": _named(options.device),
        "versions": {name: version(name) for name in ("minidl", options.peer, "numpy")},
        "python": platform.python_version(),
        "threads": options.threads,
        "blas": machine.blas(),
        "gemm_gflops": here.gemm / 1e9,
        "copy_gbytes": here.copy / 1e9,
    }


def _named(device: str) -> str:
    """The device, with the name of its GPU."""
    if device == "cpu":
        return device
    from minidl import cuda

    return f"{device}, {cuda.get_device_name(device)}"


def _heading(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{versions}, Python {facts['python']}; threads: {facts['threads']}; "
        f"device: {facts['device']}\n"
        f"BLAS: {facts['blas']}\n"
        f"machine: {facts['gemm_gflops']:.1f} GFLOP/s in GEMM, "
        f"{facts['copy_gbytes']:.1f} GB/s read and written in a copy\n"
        f"load before the start: {facts['load']:.1f} on {os.cpu_count()} cores"
    )


def _memory_relu(as_json: bool) -> int:
    """Print the memory that ten ReLUs save for backward."""
    saved, result = (count / saved_tensors.MEGABYTE for count in saved_tensors.relus())
    print(f"kept for backward by 10 ReLUs on a {result:.1f} MB float32 array: {saved:.2f} MB")
    if as_json:
        print(json.dumps({"kept_mb": saved, "array_mb": result}))
    return 0


def _flat(options: argparse.Namespace) -> int:
    """Print the memory resident in the course of training."""
    _limit_threads(options.threads, [libraries.load("minidl")])
    settled, last = (
        count / memory_growth.MEGABYTE for count in memory_growth.resident(options.flat)
    )
    print(
        f"resident while the cnn trains: {settled:.1f} MB after {memory_growth.SETTLED} steps, "
        f"{last:.1f} MB after {options.flat}"
    )
    if options.json:
        print(json.dumps({"steps": options.flat, "settled_mb": settled, "last_mb": last}))
    return 0


def _errors(options: argparse.Namespace) -> int:
    """Print the errors of sums and their like for growing numbers of elements."""
    _limit_threads(options.threads, [libraries.load("minidl"), libraries.load("torch")])
    results: dict[str, Any] = {}
    for dtype in ("float32", "float16"):
        results[dtype] = list(error_growth.measured(options.errors, dtype))
        Console(width=None if sys.stdout.isatty() else 160).print(
            error_growth.table(iter(results[dtype]), dtype)
        )
    if options.json:
        print(json.dumps({dtype: [g._asdict() for g in rows] for dtype, rows in results.items()}))
    return 0


def _loader(options: argparse.Namespace) -> int:
    """Print the part of an epoch of the cnn that is spent waiting for batches."""
    _limit_threads(options.threads, [libraries.load("minidl")])
    steps = data_loading.SAMPLES // data_loading.BATCH
    epochs = data_loading.epochs()
    for workers, seconds, waiting in epochs:
        print(
            f"cnn, {workers} workers: a step takes {seconds / steps * 1e3:.2f} ms, of which "
            f"{waiting / steps * 1e6:.0f} µs ({waiting / seconds:.2%}) to get its batch"
        )
    if options.json:
        print(json.dumps({"loader": [epoch._asdict() for epoch in epochs]}))
    return 0
