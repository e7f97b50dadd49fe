"""Checkpoints: the state of a training run, or the weights of a model, as a safetensors file.

Arrays are stored under readable names, so that any safetensors reader can load them; all else is
JSON in one metadata entry, with checksums that detect any flipped bit:

    minidl      {"format", "version", "tree": …, "arrays": {name: checksum}, "crc32": of the rest}
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends.registry import find
from minidl.checks import check_flags
from minidl.errors import DTypeError, MinidlError, describe, path_of
from minidl.io.atomic_write import atomic_write
from minidl.io.errors import CheckpointError
from minidl.io.safetensors_file import in_file_order, read, write
from minidl.io.torch_file import is_torch_file, load_torch
from minidl.io.tree import flatten, unflatten
from minidl.nn.module import Module

_ENTRY = "minidl"
_FORMAT, _VERSION = "minidl checkpoint", 1


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Save a tree: dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None.

        save("run.safetensors", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})

    The keys of dicts are strings and integers.  `load` returns an equal tree; a tensor or array
    that occurs several times is stored once, and shared again after loading.  Tensors are saved as
    constants, subclasses as their base types, big-endian arrays in native byte order.

    The file is replaced atomically: at any time `path` is the old file or the new one, complete.  A
    dict of tensors is saved as a weights file that PyTorch users can load.  Values that the format
    cannot represent, such as complex128 arrays, are a DTypeError, and a file that cannot be written
    is a CheckpointError.

    >>> from minidl import io
    >>> io.save("run.safetensors", {"step": 7, "weights": [minidl.ones(2)], "betas": (0.9, 0.999)})
    >>> state = io.load("run.safetensors")
    >>> state["step"], state["weights"][0].tolist(), state["betas"]
    (7, [1.0, 1.0], (0.9, 0.999))
    """
    target = path_of("save", path)
    tree, arrays = flatten(state)
    arrays = {name: in_file_order(array) for name, array in arrays.items()}
    document = {"format": _FORMAT, "version": _VERSION, "tree": tree}
    document["arrays"] = {name: _checksum(array) for name, array in arrays.items()}
    document["crc32"] = _crc32_of(document)
    with _errors_of(path, "cannot be written"), atomic_write(target) as new:
        write(new, arrays, {_ENTRY: _json(document)})


def load(path: str | os.PathLike[str], *, device: str | None = None) -> Any:
    """The tree saved by `save`, or the dict of tensors in any other safetensors file.

    device    where its tensors go: by default to the CPU, wherever they were when they were saved.
              What is loaded into a model or an optimiser goes to where that is

    Bfloat16, which NumPy lacks, becomes float32.  Nothing in a file is ever executed.  A file that
    is damaged, of another format, or unreadable is a CheckpointError.

    >>> from minidl import io
    >>> io.save("a.safetensors", {"x": minidl.ones((2, 3)), 3: [None, float("inf")]})
    >>> tree = io.load("a.safetensors")
    >>> tree["x"].shape, tree[3]
    ((2, 3), [None, inf])
    """
    source = path_of("load", path)
    where = find(device or "cpu")[1]
    with _errors_of(path, "cannot be read"):
        metadata, arrays = read(source)
        if _ENTRY in metadata:
            return unflatten(_checked(metadata[_ENTRY], arrays)["tree"], arrays, where)
        if any(text.startswith(_json({"format": _FORMAT})[:-1]) for text in metadata.values()):
            raise CheckpointError(f"is damaged: its metadata has no entry {_ENTRY!r}")
        return {name: Tensor(array).to(where) for name, array in arrays.items()}


def save_weights(path: str | os.PathLike[str], model: Module) -> None:
    """Save the parameters and buffers of a model: its `state_dict()`, with `save`.

    >>> from minidl import io
    >>> io.save_weights("model.safetensors", nn.Linear(3, 2))
    >>> {name: x.shape for name, x in io.load("model.safetensors").items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    state = _module("save_weights", model).state_dict()
    save(path_of("save_weights", path), state)


def load_weights(
    path: str | os.PathLike[str], model: Module, strict: bool = True
) -> tuple[list[str], list[str]]:
    """Load a weights file into a model; returns the missing and the unexpected names.

    The file may come from `save_weights` or any other writer of safetensors, or from torch.save;
    the format is detected from its content.  For a tensor that the model has under several names,
    one of them suffices.  With `strict`, missing and unexpected names are a CheckpointError;
    mismatched shapes always are.  On an error the model is unchanged.

    >>> from minidl import io
    >>> io.save_weights("model.safetensors", nn.Linear(3, 2, bias=False))
    >>> io.load_weights("model.safetensors", nn.Linear(3, 2), strict=False)
    (['bias'], [])
    """
    own = _module("load_weights", model).state_dict()
    path = path_of("load_weights", path)
    check_flags("load_weights", strict=strict)
    with _errors_of(path, "cannot be read"):
        reader = load_torch if is_torch_file(path) else load
    state = reader(path)
    with _errors_of(path, "cannot be loaded"):
        _check_is_weights(state, reader.__name__)
        loaded = {id(x.data) for name, x in own.items() if name in state}
        missing = [name for name in own if name not in state and id(own[name].data) not in loaded]
        unexpected = [name for name in state if name not in own]
        shapes = [
            f"{name} (is {state[name].shape}, needs {x.shape})"
            for name, x in own.items()
            if name in state and state[name].shape != x.shape
        ]
        if shapes or strict and (missing or unexpected):
            faults = {"missing": missing, "unexpected": unexpected, "of wrong shape": shapes}
            lines = [f"\n  {what}: {', '.join(names)}" for what, names in faults.items() if names]
            advice = "" if shapes else "\nstrict=False loads what fits"
            raise CheckpointError(f"does not fit {type(model).__name__}:{''.join(lines)}{advice}")
        model.load_state_dict(state, strict=False)
    return missing, unexpected


def _module(name: str, model: Any) -> Module:
    """The model; DTypeError unless it is one, as when the arguments are swapped."""
    if not isinstance(model, Module):
        raise DTypeError(
            f"{name}: needs a path and a Module; its second argument is {describe(model)}"
        )
    return model


@contextmanager
def _errors_of(path: str | os.PathLike[str], failure: str) -> Iterator[None]:
    """Convert errors in the block to CheckpointErrors that name the file."""
    try:
        yield
    except MinidlError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{os.fspath(path)}: {failure}: {reason}") from None


def _checked(text: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The document in the metadata, after verifying its checksum and those of the arrays."""
    try:
        document = json.loads(text)
        rest = {name: value for name, value in document.items() if name != "crc32"}
        crc32 = _crc32_of(rest)
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"its entry {_ENTRY!r} is damaged ({error})") from None
    kind, version = document.get("format"), document.get("version")
    if kind != _FORMAT:
        raise CheckpointError(f"is a {kind!r:.40}, not a {_FORMAT!r}")
    if type(version) is int and version > _VERSION:
        raise CheckpointError(
            f"was written by a newer minidl (version {version} of the format; this one reads "
            f"{_VERSION})"
        )
    if version != _VERSION or document.get("crc32") != crc32 or "tree" not in document:
        raise CheckpointError(f"its entry {_ENTRY!r} is damaged (its checksum is another)")
    _check_arrays(document.get("arrays"), arrays)
    return document


def _check_arrays(checksums: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Verify the checksums of the arrays."""
    if not isinstance(checksums, dict) or set(checksums) != set(arrays):
        names = sorted(set(arrays) ^ set(checksums if isinstance(checksums, dict) else ()))
        raise CheckpointError(f"its arrays are not those that were saved: {', '.join(names):.200}")
    for name, array in arrays.items():
        if _checksum(in_file_order(array)) != checksums[name]:
            raise CheckpointError(f"the array {name!r} is damaged: its checksum is another")


def _check_is_weights(state: Any, reader: str) -> None:
    """Raise unless a tree is a flat dict of arrays; a hint if the weights are one level down."""
    if not isinstance(state, dict):
        raise CheckpointError(f"holds no weights by name but a {type(state).__name__}")
    others = [str(name) for name, x in state.items() if not _is_array(x)]
    inner = [
        f"{reader}(path)[{name!r}]"
        for name, x in state.items()
        if isinstance(x, dict) and x and all(map(_is_array, x.values()))
    ]
    if inner:
        raise CheckpointError(
            f"holds more than weights: a dict of {', '.join(map(str, state)):.200}; "
            f"{', '.join(inner):.200} has weights, for model.load_state_dict"
        )
    if others:
        raise CheckpointError(
            f"holds more than weights ({', '.join(others):.200}); {reader}(path) gives all of it, "
            "for model.load_state_dict and the like"
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _checksum(array: np.ndarray) -> int:
    """CRC-32 of dtype, shape and bytes."""
    return zlib.crc32(array.data, zlib.crc32(f"{array.dtype.str} {array.shape}".encode()))


def _crc32_of(document: Mapping[str, Any]) -> int:
    return zlib.crc32(_json(document).encode())


_json: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
