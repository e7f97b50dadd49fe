"""Trees of dicts, lists, tuples, arrays and values, flattened into JSON and named arrays.

Strings, bools, None, finite floats, lists and dicts with string keys are native to JSON.  An object
whose only name begins with $ encodes what JSON lacks:

    {"$tensor": name}    a Tensor                 {"$int": "0x…"}      an integer beyond 2⁵³
    {"$array": name}     a NumPy array            {"$float": "nan"}    nan, inf or -inf
    {"$tuple": […]}      a tuple                  {"$complex": [a, b]} a + b·i
    {"$dict": [[k, v]…]} any other dict           {"$scalar": [d, x]}  a NumPy scalar of dtype d
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.errors import ArgumentError, DTypeError
from minidl.io.errors import CheckpointError
from minidl.io.safetensors_file import DTYPES, METADATA

_HOST = device("cpu")
_DEEPEST = 100
_EXACT = 2**53  # integers up to here are exact in any JSON reader
_SCALARS = {dtype.name: dtype for dtype in (*DTYPES, np.dtype("complex128"))}


def flatten(state: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A tree as JSON, and its arrays, named by their paths: "model.0.weight".

    An array that occurs several times is stored once, under its first path.
    """
    encoder = _Encoder()
    return encoder.encode(state, ()), encoder.arrays


class _Encoder:
    """The encoder of a tree, which collects its arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[int, str] = {}  # by the id of the array

    def encode(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A subtree as JSON."""
        if len(path) > _DEEPEST:
            raise ArgumentError(
                f"save: {_dotted(path[:4])}… is nested more than {_DEEPEST} levels deep, or "
                "contains itself"
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Tensor):
            return {"$tensor": self._name(value.data, value.numpy(), path)}
        if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
            return {"$array": self._name(value, value, path)}
        if isinstance(value, dict):
            return self._encode_dict(value, path)
        if isinstance(value, list | tuple):
            items = [self.encode(item, (*path, i)) for i, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        return _encode_value(value, path)

    def _encode_dict(self, value: dict[Any, Any], path: tuple[Any, ...]) -> Any:
        wrong = [key for key in value if not isinstance(key, str | int)]
        if wrong:
            raise DTypeError(
                f"save: {_dotted(path)} has the key {wrong[0]!r}; keys are strings and integers"
            )
        items = [(key, self.encode(item, (*path, key))) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("$") for key in value):
            return dict(items)
        return {"$dict": [[_encode_value(key, path), item] for key, item in items]}

    def _name(self, identity: Any, array: np.ndarray, path: tuple[Any, ...]) -> str:
        """The name of an array, which is stored when it first occurs."""
        if id(identity) not in self._names:
            if array.dtype.newbyteorder("<") not in DTYPES:
                raise DTypeError(
                    f"save: {_dotted(path)} is of dtype {array.dtype}, which safetensors has not; "
                    f"has {', '.join(dtype.name for dtype in DTYPES)}"
                )
            name = self._names[id(identity)] = self._free_name(path)
            self.arrays[name] = array
        return self._names[id(identity)]

    def _free_name(self, path: tuple[Any, ...]) -> str:
        """The dotted path, with a suffix if that name is in use."""
        dotted = _dotted(path).encode(errors="backslashreplace").decode()
        name, count = dotted, 1
        while name in self.arrays or name == METADATA:
            count += 1
            name = f"{dotted}~{count}"
        return name


def _dotted(path: tuple[Any, ...]) -> str:
    """A path in the tree, joined by dots."""
    return ".".join(map(str, path)) if path else "state"


def _encode_value(value: Any, path: tuple[Any, ...]) -> Any:
    """A number or a string as JSON."""
    if isinstance(value, np.generic) and value.dtype.name in _SCALARS:
        return {"$scalar": [value.dtype.name, _encode_value(value.item(), path)]}
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else {"$int": hex(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, complex):
        return {"$complex": [_encode_value(x, path) for x in (value.real, value.imag)]}
    if isinstance(value, str) and not isinstance(value, np.generic):
        return value
    hint = "; give its state_dict()" if hasattr(value, "state_dict") else ""
    raise DTypeError(
        f"save: {_dotted(path)} is a {type(value).__name__}{hint}; a checkpoint holds dicts, "
        "lists, tuples, tensors, arrays, numbers, strings, bools and None"
    )


def unflatten(tree: Any, arrays: dict[str, np.ndarray], where: device = _HOST) -> Any:
    """The inverse of `flatten`, with tensors on a device; CheckpointError for an invalid tree."""
    return _Decoder(arrays, where).decode(tree, 0)


class _Decoder:
    """The decoder of a tree; all occurrences of a tensor become one Tensor."""

    def __init__(self, arrays: dict[str, np.ndarray], where: device) -> None:
        self._arrays, self._where = arrays, where
        self._tensors: dict[str, Tensor] = {}
        self._kinds: dict[str, Callable[[Any, int], Any]] = {
            "$tensor": lambda name, depth: self._tensor(name),
            "$array": lambda name, depth: self._array(name),
            "$tuple": lambda items, depth: tuple(self._items(items, depth)),
            "$dict": self._dict,
            "$int": lambda text, depth: int(_text(text), 16),
            "$float": lambda text, depth: float(_text(text)),
            "$complex": lambda parts, depth: complex(*self._items(parts, depth)),
            "$scalar": self._scalar,
        }

    def decode(self, node: Any, depth: int) -> Any:
        """A subtree at this depth."""
        if depth > _DEEPEST:
            raise CheckpointError(f"its tree is nested more than {_DEEPEST} levels deep")
        if isinstance(node, list):
            return self._items(node, depth)
        if not isinstance(node, dict):
            return node
        special = [name for name in node if name.startswith("$")]
        if not special:
            return {name: self.decode(item, depth + 1) for name, item in node.items()}
        if len(node) > 1 or special[0] not in self._kinds:
            raise CheckpointError(f"its tree has {special[0]!r:.40}, which means nothing")
        try:
            return self._kinds[special[0]](node[special[0]], depth)
        except CheckpointError:
            raise
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise CheckpointError(f"its tree has a wrong {special[0]} ({error})") from None

    def _items(self, nodes: Any, depth: int) -> list[Any]:
        if not isinstance(nodes, list):
            raise TypeError(f"needs a list, got {nodes!r:.40}")
        return [self.decode(node, depth + 1) for node in nodes]

    def _array(self, name: Any) -> np.ndarray:
        if type(name) is not str or name not in self._arrays:
            raise CheckpointError(f"its tree names the array {name!r:.80}, which is not there")
        return self._arrays[name]

    def _tensor(self, name: Any) -> Tensor:
        array = self._array(name)
        if name not in self._tensors:
            self._tensors[name] = Tensor(array).to(self._where)
        return self._tensors[name]

    def _dict(self, pairs: Any, depth: int) -> dict[Any, Any]:
        return {self.decode(key, depth): self.decode(item, depth + 1) for key, item in pairs}

    def _scalar(self, parts: Any, depth: int) -> np.generic:
        name, value = self._items(parts, depth)
        return _SCALARS[name].type(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"needs a text, got {value!r:.40}")
    return value
