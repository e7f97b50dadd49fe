"""The table: for each kernel, which proofs it has had, and what they found."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .executed import Run
from .offline import TARGETS, Compiled

COLUMNS = ("values", "races", "asan", "tsan", *(f"sm_{t}" for t in TARGETS), "end to end")
_COLOURS = {"green": "green", "red": "bold red", "explained": "yellow"}


@dataclass
class Cell:
    """A proof of a kernel: green, red, or explained, and in what words."""

    state: str
    text: str
    detail: str = ""


@dataclass
class Proofs:
    """What all proofs found."""

    runs: dict[str, Run] = field(default_factory=dict)
    compiled: dict[str, dict[str, Compiled]] = field(default_factory=dict)
    end_to_end: Run | None = None
    asked: tuple[str, ...] = COLUMNS
    executed: frozenset[str] | None = None  # the kernels of the sample; None: all

    def row(self, kernel: str) -> dict[str, Cell]:
        """The cells of a kernel."""
        cells = {
            "values": lambda: self._values(kernel),
            "races": lambda: self._races(kernel),
            "asan": lambda: self._executed("asan", kernel),
            "tsan": lambda: self._executed("tsan", kernel),
            "end to end": lambda: self._end_to_end(kernel),
            **{f"sm_{t}": lambda t=t: self._offline(kernel, t) for t in TARGETS},  # type: ignore[misc]
        }
        return {name: cells[name]() for name in self.asked}

    def _executed(self, executor: str, kernel: str) -> Cell:
        run = self.runs.get(executor)
        if run is None:
            return Cell("explained", "not run")
        if self.executed is not None and kernel not in self.executed:
            return Cell("explained", "not sampled")
        tests = run.launched(kernel)
        if not tests and run.left_out:
            return Cell("explained", "not run yet")
        if not tests:
            detail = "; ".join(run.trouble)
            return Cell("red", "no test launched it", detail)
        failures = run.failures(kernel)
        if failures:
            return Cell("red", f"{len(failures)} of {len(tests)} tests failed", failures[0])
        return Cell("green", f"{len(tests)} tests")

    def _values(self, kernel: str) -> Cell:
        return self._executed("ptx", kernel)

    def _races(self, kernel: str) -> Cell:
        run = self.runs.get("ptx")
        if run is None:
            return Cell("explained", "not run")
        if self.executed is not None and kernel not in self.executed:
            return Cell("explained", "not sampled")
        found = run.kernels.get(kernel)
        if found is None and run.left_out:
            return Cell("explained", "not run yet")
        if found is None:
            return Cell("red", "never executed")
        if found["fault"]:
            return Cell("red", found["fault_kind"], found["fault"])
        if found["order_dependent"]:
            if "atomic" in kernel:  # there is a deterministic one beside it
                return Cell("explained", "float atomics")
            return Cell("red", "bits depend on the order of threads")
        return Cell("green", f"{found['launches']} launches")

    def _offline(self, kernel: str, target: str) -> Cell:
        compiled = self.compiled.get(kernel, {}).get(target)
        if compiled is None:
            sampled = any(target not in targets for targets in self.compiled.values())
            return Cell("explained", "not sampled") if sampled else Cell("red", "not compiled")
        faults = compiled.faults()
        if faults:
            return Cell("red", faults[0], "; ".join(faults))
        shared = f", {compiled.shared / 1024:.3g} K" if compiled.shared else ""
        return Cell("green", f"{compiled.registers} reg{shared}, {compiled.occupancy:.0%}")

    def _end_to_end(self, kernel: str) -> Cell:
        if self.end_to_end is None:
            return Cell("explained", "not run")
        tests = self.end_to_end.launched(kernel)
        if not tests:
            return Cell("explained", "in no program tried")
        failures = self.end_to_end.failures(kernel)
        if failures:
            return Cell("red", f"{len(failures)} of {len(tests)} failed", failures[0])
        return Cell("green", f"{len(tests)} programs")


def show(rows: dict[str, dict[str, Cell]], files: dict[str, str], console: Console) -> None:
    """Print the table, and under it every red cell in full."""
    table = Table(title="What is proven of each kernel without a GPU", title_justify="left")
    table.add_column("kernel", no_wrap=True)
    names = list(next(iter(rows.values()), {}))
    for name in names:
        table.add_column(name)
    last = None
    for kernel, cells in rows.items():
        if files[kernel] != last and last is not None:
            table.add_section()
        last = files[kernel]
        shown = [f"[{_COLOURS[c.state]}]{escape(c.text)}[/]" for c in cells.values()]
        table.add_row(kernel, *shown)
    console.print(table)
    for kernel, cells in rows.items():
        for name, cell in cells.items():
            if cell.state == "red":
                console.print(f"[bold red]{kernel}, {name}[/]: {escape(cell.detail or cell.text)}")


def summary(rows: dict[str, dict[str, Cell]]) -> dict[str, int]:
    """Kernels, cells, and cells by state."""
    cells = [cell for row in rows.values() for cell in row.values()]
    counts = {state: sum(c.state == state for c in cells) for state in _COLOURS}
    return {
        "kernels": len(rows),
        "cells": len(cells),
        "red_cells": counts["red"],
        "green_cells": counts["green"],
        "explained_cells": counts["explained"],
    }
