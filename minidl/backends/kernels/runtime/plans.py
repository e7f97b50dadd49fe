"""Plans: what a kernel works out from shapes alone, such as tables of offsets, kept for next calls.

Tables grow with the sizes of images, and a program may use many sizes.  So plans are kept within a
number of bytes, not of entries: all of them together take at most `LIMIT` bytes, and those that
were used the longest time ago are dropped first.  A plan that is larger than that is made anew for
each call, which takes far longer than making its plan.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from threading import Lock
from typing import Any

import numpy as np

LIMIT = 64 << 20  # bytes

_OBJECTS = 2048  # bytes of the Python objects of a plan, roughly
_kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # the last one used is the last
_sizes = [0]  # the bytes of all of them
_lock = Lock()


def planned(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function returns for each of its arguments.

    They are positional, hashable, and checked: True would find the plan of 1.
    """

    @wraps(function)
    def plan(*arguments: Any) -> Any:
        key = function, arguments
        try:
            found = _kept[key][0]
            _kept.move_to_end(key)
        except KeyError:  # also if another thread dropped it between the two lines
            found = function(*arguments)
            _keep(key, found)
        return found

    return plan


def size_of(plan: Any) -> int:
    """The bytes of the arrays in a plan, which are in tuples in tuples."""
    if isinstance(plan, np.ndarray):
        return plan.nbytes
    return sum(map(size_of, plan)) if isinstance(plan, tuple) else 0


def bytes_kept() -> int:
    """The bytes of all plans that are kept."""
    return _sizes[0]


def forget() -> None:
    """Drop all plans."""
    with _lock:
        _kept.clear()
        _sizes[0] = 0


def _after_fork_in_child() -> None:
    """Another thread, which has not come along, may have held the lock."""
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _keep(key: Hashable, plan: Any) -> None:
    """Keep a plan, and drop the oldest ones for it."""
    size = size_of(plan) + _OBJECTS
    with _lock:
        if size > LIMIT or key in _kept:
            return
        _kept[key] = plan, size
        _sizes[0] += size
        while _sizes[0] > LIMIT:
            _, (_, dropped) = _kept.popitem(last=False)
            _sizes[0] -= dropped
