"""Compiling kernels: when they are first called, and then kept on disk.

The machine code lies in the user's cache folder (`$MINIDL_CACHE`, or else `minidl` in
`$XDG_CACHE_HOME` or `~/.cache`), not beside the source: an installation may be read-only, and
uninstalling it should leave nothing behind.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MINIDL_CACHE") or Path(user) / "minidl")


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop with NumPy's rules for division, without the interpreter lock.

    A product and a sum may become one instruction, which rounds once ("contract").
    Numba decides where to keep the code when it decorates, by a setting of the whole process,
    which is changed only for that moment.
    """
    before = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder())
    try:
        options = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}
        return njit(cache=True, **options)(function)
    finally:
        config.CACHE_DIR = before
