"""Nested structures: lists, tuples and dicts of tensors, as inputs and outputs of models.

The leaves of a dict are in the order of its sorted keys, as in Keras.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def is_nested(x: Any) -> bool:
    """Whether x is a list, a tuple or a dict."""
    return isinstance(x, list | tuple | dict)


def leaves(structure: Any) -> Iterator[Any]:
    """Yield the leaves of a structure; anything but a list, a tuple or a dict is one itself."""
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from leaves(structure[key])
    elif isinstance(structure, list | tuple):
        for part in structure:
            yield from leaves(part)
    else:
        yield structure


def flatten(structure: Any) -> list[Any]:
    """The leaves of a structure as a list."""
    return list(leaves(structure))


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with function(leaf) for each leaf."""
    if not is_nested(structure):
        return function(structure)
    if isinstance(structure, dict):
        return {key: map_leaves(function, part) for key, part in structure.items()}
    return _like(structure, [map_leaves(function, part) for part in structure])


def pack(structure: Any, values: Iterable[Any]) -> Any:
    """The structure with these values for its leaves, in the order of `flatten`."""
    return _pack(structure, iter(values))


def _pack(structure: Any, values: Iterator[Any]) -> Any:
    if not is_nested(structure):
        return next(values)
    if isinstance(structure, dict):
        packed = {key: _pack(structure[key], values) for key in sorted(structure)}
        return {key: packed[key] for key in structure}
    return _like(structure, [_pack(part, values) for part in structure])


def _like(structure: Any, parts: list[Any]) -> Any:
    """The parts as a list or tuple of the same type; a named tuple stays one."""
    make = getattr(structure, "_make", type(structure))
    return make(parts)
