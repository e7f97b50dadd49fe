"""Progress of what takes long, as a bar on the terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(iterable: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The elements, with a bar on stderr that says how many there were, if that is a terminal.

    total    how many there will be, if the iterable does not know

    >>> from minidl.recommend.progress import track
    >>> sum(track(range(4), "adding up"))
    6
    """
    if not sys.stderr.isatty():
        return iter(iterable)
    from rich.console import Console
    from rich.progress import track as with_bar

    console = Console(stderr=True)
    return iter(with_bar(iterable, what, total, console=console, transient=True))
