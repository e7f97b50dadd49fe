"""How far the proofs are: a bar in a terminal, a line for each part elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress(console: Console, what: str, parts: int) -> Iterator[Callable[[str], None]]:
    """A function to be told of each part that is done, in words."""
    if not console.is_terminal:
        yield lambda done: console.print(f"{what}: {escape(done)}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=parts)
        yield lambda done: bar.update(task, advance=1, description=f"{what}: {escape(done)}")
