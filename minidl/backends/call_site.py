"""The operation that is being computed, and the line of the program that called it.

A check that a device makes later needs to say where it came from.  Nothing is recorded for it in
operations, which would make all of them slower: the stack is looked at when a check is made.
"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).parents[2]
_PACKAGES = tuple(str(_HERE / name) + os.sep for name in ("minidl", "minidl_cuda"))


def call_site() -> str:
    """The outermost operation and its call: `embedding, called at train.py:12`."""
    frame, operation = sys._getframe(1), ""
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        if frame.f_code.co_name == "dispatch":  # of `minidl.autograd.primitive`
            operation = frame.f_locals["name"]
        frame = frame.f_back
    return f"{operation or 'an operation'}, called at {line_outside()}"


def line_outside() -> str:
    """The file and line of the innermost call outside minidl."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_inside(file: str) -> bool:
    return file.startswith(_PACKAGES)
