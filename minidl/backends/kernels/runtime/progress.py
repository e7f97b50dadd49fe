"""What a user sees while kernels are compiled: a line on the terminal, if there is one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_count = 0


@contextmanager
def shown(name: str) -> Iterator[None]:
    """Show that this kernel is being compiled, once and for all."""
    global _count
    _count += 1
    if not _is_terminal(sys.stderr):
        yield
        return
    from rich.console import Console

    message = f"compiling kernels, once: {_count}, {name}"
    with Console(stderr=True).status(message):
        yield


def _is_terminal(stream: Any) -> bool:
    """Whether a stream is one; there may be none, a closed one, or somebody's own."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False
