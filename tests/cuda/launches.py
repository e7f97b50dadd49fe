"""What one training step of each model does on a GPU: with kernels, and by composites alone.

    python -m tests.cuda.launches                   a table
    python -m tests.cuda.launches lstm --kernels    also how often each kernel is launched
    python -m tests.cuda.launches lstm --where      and which line of minidl launches it
    python -m tests.cuda.launches --json            one line for each model

It is counted on the stand-in for CuPy; views are no launches.  A step is the third: it has forward
and backward pass, both ways of clipping, and the optimiser.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

import minidl
from tests.cuda import stand_in
from tests.cuda.stand_in.counters import Event
from tests.cuda.test_training import MODELS, steps


class Step(NamedTuple):
    """The events of a step, by kernels where there are some, and by composites."""

    kernels: list[Event]
    composites: list[Event]


def step(model: str) -> Step:
    """The third step of a model."""
    return Step(events(model, "fast"), events(model, "reference"))


def events(model: str, mode: str) -> list[Event]:
    """What happens in the third step of a model, with kernels in this mode."""
    counters = stand_in.counters
    counters.trace = True
    try:
        with minidl.kernels(mode):
            steps(model, "cuda", "adamw", counters.reset)
        return counters.events
    finally:
        counters.trace, counters.events = False, []


def launches(events: Sequence[Event]) -> Counter[str]:
    """How often each kernel was launched."""
    return Counter(event.what for event in events if event.kind == "launch")


def summary(model: str, found: Step) -> dict[str, Any]:
    """The numbers of a model."""
    kinds = Counter(event.kind for event in found.kernels)
    return {
        "model": model,
        "composites": launches(found.composites).total(),
        "kernels": kinds["launch"],
        "transfers": kinds["h2d"] + kinds["d2h"] + kinds["peer"],
        "synchronisations": kinds["sync"],
        "launches": dict(launches(found.kernels).most_common()),
    }


def _table(summaries: Sequence[dict[str, Any]]) -> Table:
    columns = "composites", "kernels", "transfers", "synchronisations"
    table = Table("one training step", *columns, title="launches, and what waits")
    for one in summaries:
        table.add_row(one["model"], *(f"{one[name]:,}" for name in columns))
    return table


def _table_of_kernels(model: str, events: Sequence[Event], where: bool) -> Table:
    table = Table(model, "launches", *(["where"] if where else []))
    rows = Counter(
        (event.what, " < ".join(_sites(event)) if where else "")
        for event in events
        if event.kind == "launch"
    )
    for (kernel, sites), count in rows.most_common():
        table.add_row(kernel, str(count), *([sites] if where else []))
    return table


def _sites(event: Event) -> list[str]:
    """The lines that led to a launch, without those that only dispatch."""
    dispatch = "launch.py", "primitive.py", "errors.py", "registry.py", "engine.py:197"
    return [site for site in event.sites if not any(part in site for part in dispatch)][:3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.cuda.launches", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("models", nargs="*", help=f"some of {', '.join(MODELS)} (all)")
    parser.add_argument("--kernels", action="store_true", help="how often each kernel is launched")
    parser.add_argument("--where", action="store_true", help="and by which lines")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each model")
    options = parser.parse_args(arguments)
    if unknown := set(options.models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    stand_in.install()
    found = {model: step(model) for model in options.models or MODELS}
    summaries = [summary(model, one) for model, one in found.items()]
    if options.json:
        print(*map(json.dumps, summaries), sep="\n")
        return 0
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(_table(summaries))
    if options.kernels or options.where:
        for model, one in found.items():
            console.print(_table_of_kernels(model, one.kernels, options.where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
