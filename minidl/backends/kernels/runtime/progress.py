"""What a user sees while kernels are compiled: a line on the terminal, if there is one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_count = 0


@contextmanager
def shown(name: str) -> Iterator[None]:
    """Show that this kernel is being compiled, once and for all."""
    global _count
    _count += 1
    if not sys.stderr or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    message = f"compiling kernels, once: {_count}, {name}"
    with Console(stderr=True).status(message):
        yield
