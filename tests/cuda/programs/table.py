"""What a program did on its device, as tables."""

import sys

from rich.console import Console
from rich.table import Table

from tests.cuda.programs.record import Record


def show(found: Record) -> None:
    """Print to stderr how often each kernel ran, and what was transferred or waited for."""
    console = Console(file=sys.stderr)
    launches, others = Table("launched", "times"), Table("transferred or waited", "times", "where")
    for name, times in found.launches().most_common():
        launches.add_row(name, f"{times:,}")
    for (kind, what, where), times in found.waits().most_common():
        others.add_row(f"{kind}, {what}", f"{times:,}", where)
    for part in (launches, others):
        console.print(part)
    for kernel, times in found.composed.most_common():
        console.print(f"no kernel for {kernel} ({times} times)")
