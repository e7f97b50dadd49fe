"""The report: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

from rich.console import Console
from rich.table import Table

MEGABYTE = 1e6


@dataclass(frozen=True)
class Row:
    """The measurements of a workload; None for those that do not apply or were not requested."""

    workload: str
    peer: str
    minidl_ms: float
    peer_ms: float
    floor_ms: float | None = None
    minidl_peak_bytes: float | None = None
    peer_peak_bytes: float | None = None

    @property
    def ratio(self) -> float:
        """The speed of minidl relative to the peer's."""
        return self.peer_ms / self.minidl_ms

    @property
    def floor_share(self) -> float | None:
        """The roofline's part of minidl's time."""
        return None if self.floor_ms is None else self.floor_ms / self.minidl_ms

    def facts(self) -> dict[str, Any]:
        """All measurements by name."""
        return {**asdict(self), "ratio": self.ratio, "floor_share": self.floor_share}


def table(rows: Sequence[Row], peer: str) -> Table:
    """A line for each row; columns of memory only if it was measured."""
    shown = Table()
    shown.add_column("workload")
    headings = ["minidl ms", f"{peer} ms", "ratio", "floor"]
    with_memory = any(row.minidl_peak_bytes is not None for row in rows)
    if with_memory:
        headings += ["minidl MB", f"{peer} MB"]
    for heading in headings:
        shown.add_column(heading, justify="right")
    for row in rows:
        cells = [row.workload, _ms(row.minidl_ms), _ms(row.peer_ms), _ratio(row.ratio)]
        cells.append("" if row.floor_share is None else f"{row.floor_share:.0%}")
        if with_memory:
            cells += [_megabytes(row.minidl_peak_bytes), _megabytes(row.peer_peak_bytes)]
        shown.add_row(*cells)
    return shown


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _ratio(value: float) -> str:
    return f"[{'green' if value >= 1 else 'red'}]{value:.2f}[/]"


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{value / MEGABYTE:.1f}"


def summary(rows: Sequence[Row], peer: str) -> dict[str, Any]:
    """The geometric mean of the ratios to the peer, and the worst of them.

    Rows with a peer of their own, such as import-numpy, are not included.
    """
    against_peer = [row for row in rows if row.peer == peer]
    if not against_peer:
        return {"geomean": None, "worst": None, "worst_workload": None}
    worst = min(against_peer, key=lambda row: row.ratio)
    geomean = exp(sum(log(row.ratio) for row in against_peer) / len(against_peer))
    return {"geomean": geomean, "worst": worst.ratio, "worst_workload": worst.workload}


def show(
    rows: Sequence[Row], skipped: dict[str, str], peer: str, facts: dict[str, Any], as_json: bool
) -> None:
    """Print the table and its summary, and on request everything as a last line of JSON.

    `skipped` has, by the name of a workload, the reason why it has no row.
    """
    console = Console()
    console.print(table(rows, peer))
    for name, reason in skipped.items():
        console.print(f"{name} is left out: {reason}", highlight=False)
    console.print(f"ratio: {peer} / minidl;  floor: least possible time / minidl's")
    total = summary(rows, peer)
    if total["geomean"] is not None:
        console.print(
            f"geometric mean {total['geomean']:.2f}, "
            f"worst {total['worst']:.2f} ({total['worst_workload']})",
            highlight=False,
        )
    if as_json:
        found = {"rows": [row.facts() for row in rows], "skipped": skipped}
        print(json.dumps({**facts, **found, **total}))
