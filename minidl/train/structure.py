"""Comparing a saved tree with one of the structure that it should have.

The checksum of a checkpoint says that it is what was saved, not what saved it: another program may
have written texts where numbers are due.
"""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor

# The kinds of values that may replace each other; a bool is tested before the number that it is.
_KINDS = {
    "a bool": bool,
    "a number": Real,
    "a text": str,
    "an array": Tensor | np.ndarray,
    "a dict": Mapping,
    "a list": list | tuple,
}


def structure_faults(saved: Any, own: Any, name: str) -> Iterator[str]:
    """How a saved tree differs in structure from an own one; what is None there may be anything.

    Dicts are compared in their common keys, lists as far as both go; tuples have one length.
    """
    kind = kind_of(own)
    if own is None:
        return
    if kind_of(saved) != kind:
        yield f"its {name} is {kind_of(saved)}, needs {kind}"
    elif kind == "a dict":
        for key in own:
            if key in saved:
                yield from structure_faults(saved[key], own[key], f"{name}.{key}")
    elif kind == "a list":
        if isinstance(own, tuple) and len(saved) != len(own):
            yield f"its {name} has {len(saved)} items, needs {len(own)}"
        for i, (of_saved, of_own) in enumerate(zip(saved, own, strict=False)):
            yield from structure_faults(of_saved, of_own, f"{name}.{i}")


def kind_of(value: Any) -> str:
    """The kind of a value, for messages."""
    kinds = (name for name, types in _KINDS.items() if isinstance(value, types))
    return next(kinds, f"{type(value).__name__} {value!r:.40}" if value is not None else "None")
