"""Compiling kernels: when they are first called, and then kept on disk.

The machine code lies in the user's cache folder (`$MINIDL_CACHE`, or else `minidl` in
`$XDG_CACHE_HOME` or `~/.cache`), not beside the source: an installation may be read-only, and
uninstalling it should leave nothing behind.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numba import cfunc, config, njit

from minidl.backends.folders import kept_in

_SETTINGS = {
    "error_model": "numpy",
    "fastmath": {"contract"},
    "nogil": True,
    "no_cfunc_wrapper": True,  # nobody calls them from C
}
# Of what Numba could make parallel, only the loops that say so.
_IMPLICIT = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
_ONLY_PRANGE = {"prange": True, **dict.fromkeys(_IMPLICIT, False)}


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    return kept_in("MINIDL_CACHE")


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop with NumPy's rules for division, without the interpreter lock.

    A product and a sum may become one instruction, which rounds once ("contract").
    """
    return _compile(function, cache_folder(), njit(**_SETTINGS, cache=True))


def inner(function: Callable[..., Any]) -> Any:
    """Compile a loop that only other kernels call, which keep its code with theirs."""
    return njit(**_SETTINGS, no_cpython_wrapper=True)(function)


def compile_to_address(function: Callable[..., Any], signature: Any) -> int:
    """Compile a function of addresses and integers, for kernels to call; where its code lies."""
    code = _compile(function, cache_folder(), cfunc(signature, cache=True))
    _alive.append(code)
    return code.address


_alive: list[Any] = []  # machine code is freed with the object that holds it


class parallel:  # noqa: N801 - a decorator
    """Compile a loop over pieces twice, each when it is first needed: for one thread, for several.

        @parallel
        def _twice(x, y, pieces):
            for piece in prange(pieces):
                ...  # the part of x and y that share(x.size, piece, pieces) tells

    It is called with the number of pieces that `threads.pieces` gives.  A second Python thread that
    comes while the pool is busy does its pieces one after the other: the result is the same.
    """

    _pool = Lock()

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__doc__ = function.__doc__
        self._alone = compiled(function)
        together = njit(**_SETTINGS, cache=True, parallel=_ONLY_PRANGE)
        self._team = _compile(function, cache_folder() / "parallel", together)

    def __call__(self, *arguments: Any) -> Any:
        """Run; the last argument is the number of pieces."""
        pieces = arguments[-1]
        if pieces == 1 or not self._pool.acquire(blocking=False):
            return self._alone(*arguments)
        try:
            return self._team(*arguments)
        finally:
            self._pool.release()


def as_contiguous(x: np.ndarray) -> np.ndarray:
    """The array as kernels were compiled for, contiguous and writeable; a copy if it is not.

    For any other layout Numba would compile them anew, which takes seconds.
    """
    return x if x.flags.carray else np.array(x, order="C")


@njit(inline="always")
def chunk_bounds(n: Any, piece: Any, pieces: Any) -> Any:
    """Where a piece of 0 … n begins and ends."""
    return n * piece // pieces, n * (piece + 1) // pieces


def _compile(function: Callable[..., Any], folder: Path, decorate: Callable[..., Any]) -> Any:
    """Give the function to Numba, its code to be kept in a folder.

    Where, Numba decides when it decorates, by a setting of the whole process, which is changed only
    for that moment.
    """
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        return decorate(function)
    finally:
        config.CACHE_DIR = before
