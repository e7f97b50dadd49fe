"""Tensors and plain data from the pickles in PyTorch's files.

A storage is a block of bytes; a tensor is a strided view of one.  Element (i, j, …) of a tensor is
element offset + i·stride₀ + j·stride₁ + … of its storage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.io.errors import CheckpointError
from minidl.io.pickle_reader import Global
from minidl.io.torch_globals import GLOBALS, StorageType, are_sizes, parameter, tensor_of_type

_DEEPEST = 100
_MOST_AXES = 64  # the limit of NumPy arrays
_EMPTY = np.empty(0, np.uint8)
_SPARE = 2**26  # bytes of tensors that any file may have, since views can repeat elements

_PLAIN = (
    *(str, int, float, complex, bool, bytes, bytearray, type(None)),
    *(Tensor, np.dtype, np.generic),
)


@dataclass(frozen=True, eq=False)
class _Storage:
    """A storage, or a part of one: its bytes, their dtype code, and a key."""

    content: np.ndarray
    code: str
    key: tuple[Any, ...]


class TorchObjects:
    """The host of the pickle in a PyTorch file, which creates its tensors.

    read          returns the bytes of a storage, by its key
    file_size     in bytes; the tensors may take a few times as much
    is_model      whether the pickle looks like that of a Module
    big_endian    whether storages are big-endian
    """

    def __init__(
        self,
        read: Callable[[str], np.ndarray],
        file_size: int,
        is_model: bool = False,
        big_endian: bool = False,
    ) -> None:
        self._read, self._is_model = read, is_model
        self._order: Literal["<", ">"] = ">" if big_endian else "<"
        self._budget = 8 * file_size + _SPARE  # of bytes for tensors
        self._storages: dict[str, np.ndarray] = {}
        self._owned: set[str] = set()  # the storages that serve as the memory of a tensor
        self._tensors: dict[Any, Tensor] = {}
        self._globals = {**GLOBALS, **self._tensor_functions()}

    def _tensor_functions(self) -> dict[str, Global]:
        makers = {
            "_rebuild_tensor": self._tensor,
            "_rebuild_tensor_v2": self._tensor,
            "_rebuild_tensor_v3": self._tensor_of_dtype,
            "_rebuild_parameter": parameter,
            "_rebuild_parameter_with_state": parameter,
        }
        named = {f"torch._utils.{name}": make for name, make in makers.items()}
        named["torch._tensor._rebuild_from_type_v2"] = tensor_of_type
        return {name: Global(name, make) for name, make in named.items()}

    # The protocol of the pickle reader's host.

    def find(self, name: str) -> Any:
        """The stand-in for a global; a CheckpointError that names it, if there is none."""
        name = name.replace("__builtin__.", "builtins.").replace("numpy.core.", "numpy._core.")
        if name in self._globals:
            return self._globals[name]
        if self._is_model or name.startswith("torch.nn.modules."):
            raise CheckpointError(
                f"holds a whole model, of the class {name!r:.100}, which cannot be read without "
                "its code; in PyTorch, save model.state_dict() instead"
            )
        raise CheckpointError(
            f"holds more than tensors and plain data: it needs {name!r:.100}, and nothing that a "
            "file names is run"
        )

    def persistent(self, identifier: Any) -> _Storage:
        """The storage ("storage", class, key, device, number of elements[, view])."""
        kind, *rest = identifier if type(identifier) is tuple else (None,)
        is_storage = type(kind) is str and kind == "storage" and len(rest) in (4, 5)
        if not is_storage or type(rest[0]) is not StorageType:
            raise CheckpointError("its pickle has a persistent identifier that is no storage's")
        class_, key, _, count = rest[:4]
        if type(key) is not str or not are_sizes((count,)):
            raise CheckpointError("its pickle has a storage without a key or a size")
        content = self._content(key, count, _width(class_.code))
        begin, end = 0, count * _width(class_.code)
        if len(rest) == 5 and rest[4] is not None:
            begin, end = _part(rest[4], _width(class_.code), end)
        return _Storage(content[begin:end], class_.code, (key, class_.code, begin, end))

    def _content(self, key: str, count: int, width: int) -> np.ndarray:
        """The bytes of a storage of `count` elements, read once and cached."""
        if key not in self._storages:
            self._storages[key] = self._read(key)
        if count * width > len(self._storages[key]):
            raise CheckpointError(
                f"the storage {key!r:.40} is to have {count * width} bytes; it has "
                f"{len(self._storages[key])}"
            )
        return self._storages[key][: count * width]

    def build(self, value: Any, state: Any) -> Any:
        """The object: attributes of dicts are dropped, NumPy dtypes must be little-endian."""
        if type(value) is dict:
            return value
        if isinstance(value, np.dtype) and type(state) is tuple and state[1:2] in (("<",), ("|",)):
            return value
        raise CheckpointError(f"its pickle has a state for a {type(value).__name__}")

    # Tensors.

    def _tensor_of_dtype(self, storage: Any, *arguments: Any) -> Tensor:
        """A tensor of a dtype without a storage class."""
        dtype, offset, sizes, strides = arguments[5], *arguments[:3]
        if not isinstance(dtype, np.dtype) or type(storage) is not _Storage:
            raise TypeError("no dtype, or no storage")
        code = dtype.str[1:]
        typed = _Storage(storage.content, code, (*storage.key, code))
        return self._tensor(typed, offset, sizes, strides, *arguments[3:5], *arguments[6:])

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        sizes: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        """The tensor of a strided view; the same Tensor for the same view."""
        if type(storage) is not _Storage or type(sizes) is not tuple or type(strides) is not tuple:
            raise TypeError("no storage, or sizes or strides that are no tuples")
        if not are_sizes((offset, *sizes, *strides)) or len(sizes) != len(strides):
            raise ValueError("sizes, strides and offset are to be integers ≥ 0")
        if len(sizes) > _MOST_AXES:
            raise ValueError(f"{len(sizes)} axes, more than {_MOST_AXES}")
        bits = [name for name in ("conj", "neg") if (metadata or {}).get(name)]
        view = (storage.key, offset, sizes, strides, *bits)
        if view not in self._tensors:
            array = self._array(storage, offset, sizes, strides)
            array = np.conj(array) if "conj" in bits else array
            self._tensors[view] = Tensor(np.asarray(-array if "neg" in bits else array))
        return self._tensors[view]

    def _array(
        self, storage: _Storage, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
    ) -> np.ndarray:
        """The elements of a view: the storage's memory if the view is all of it, or a copy."""
        elements, width = _elements(storage, self._order), _width(storage.code)
        if 0 in sizes:
            return _native(np.empty(sizes, elements.dtype), storage.code)
        last = offset + sum((size - 1) * s for size, s in zip(sizes, strides, strict=True))
        if last >= len(elements):
            raise CheckpointError(
                f"a tensor of shape {sizes} reaches beyond its storage, {storage.key[0]!r:.40}: to "
                f"element {last} of {len(elements)}"
            )
        self._budget -= math.prod(sizes) * max(width, 4)
        if self._budget < 0:
            raise CheckpointError("its tensors take far more memory than the file has bytes")
        steps = [s * width if size > 1 else width for size, s in zip(sizes, strides, strict=True)]
        array = np.lib.stride_tricks.as_strided(elements[offset:], sizes, steps)
        key = storage.key[0]
        whole = array.flags.c_contiguous and array.nbytes == len(self._storages[key])
        if not whole or key in self._owned:
            return _native(array.copy(), storage.code)
        self._owned.add(key)
        return _native(array, storage.code)


class Survey(TorchObjects):
    """Records which storages are needed, without reading them; all tensors are empty.

    lengths    the number of elements and the element width, by key
    """

    def __init__(self, file_size: int, is_model: bool = False) -> None:
        super().__init__(lambda key: _EMPTY, file_size, is_model)
        self.lengths: dict[str, tuple[int, int]] = {}

    def _content(self, key: str, count: int, width: int) -> np.ndarray:
        self.lengths.setdefault(key, (count, width))
        return _EMPTY

    def _array(self, *_: Any) -> np.ndarray:
        return _EMPTY


def check_tree(tree: Any) -> Any:
    """The tree; CheckpointError unless it is plain data, not too deep and without cycles."""
    _height(tree, 0, {})
    return tree


def _height(node: Any, depth: int, heights: dict[int, int]) -> int:
    """The height of a subtree; shared subtrees are visited once."""
    height = heights.get(id(node), 0)
    if depth + height > _DEEPEST:
        raise CheckpointError(f"is nested more than {_DEEPEST} levels deep, or contains itself")
    if id(node) in heights or isinstance(node, _PLAIN):
        return height
    if not isinstance(node, dict | list | tuple | set | frozenset):
        what = getattr(node, "name", "a storage that is no tensor's")
        raise CheckpointError(f"holds more than tensors and plain data: {what:.100}")
    items = node.values() if isinstance(node, dict) else node
    heights[id(node)] = _DEEPEST  # so that a cycle exceeds the limit
    heights[id(node)] = 1 + max((_height(item, depth + 1, heights) for item in items), default=0)
    return heights[id(node)]


def _part(view: Any, width: int, size: int) -> tuple[int, int]:
    """The byte range of a view of a storage: (key, offset, number of elements)."""
    if type(view) is not tuple or len(view) != 3 or not are_sizes(view[1:]):
        raise CheckpointError("its pickle has a damaged view of a storage")
    begin, end = width * view[1], width * (view[1] + view[2])
    if end > size:
        raise CheckpointError(f"a view reaches beyond its storage: to byte {end} of {size}")
    return begin, end


def _width(code: str) -> int:
    """The size of an element in bytes."""
    return 2 if code == "bf16" else np.dtype(code).itemsize


def _elements(storage: _Storage, order: Literal["<", ">"]) -> np.ndarray:
    """A storage as an array of elements in the file's byte order, without a truncated last one."""
    width = _width(storage.code)
    dtype = np.dtype("u2" if storage.code == "bf16" else storage.code).newbyteorder(order)
    return storage.content[: len(storage.content) // width * width].view(dtype)


def _native(array: np.ndarray, code: str) -> np.ndarray:
    """The array in native byte order; bfloat16 as float32."""
    if code == "b1" and (array.view(np.uint8) > 1).any():
        raise CheckpointError("a tensor has bools other than 0 and 1")
    if code == "bf16":
        return np.left_shift(array.astype("u2"), 16, dtype="u4").view("f4")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
