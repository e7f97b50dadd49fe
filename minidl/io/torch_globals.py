"""The global names allowed in PyTorch's files: plain data, dtypes and storage types."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.io.pickle_reader import Global, make_dict, make_key

_LARGEST = 2**63

_UNSIGNED = {f"uint{bits}": f"u{bits // 8}" for bits in (16, 32, 64)}
_CODES = {  # PyTorch's dtypes; bf16 is the upper half of a float32, to which it is converted
    **{"float32": "f4", "float64": "f8", "float16": "f2", "bfloat16": "bf16", "int64": "i8"},
    **{"int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1", "bool": "b1"},
    **{"complex64": "c8", "complex128": "c16"},
    **_UNSIGNED,
}
_STORAGES = {
    **{"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "bf16", "Long": "i8"},
    **{"Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "b1"},
    **{"ComplexFloat": "c8", "ComplexDouble": "c16", "Untyped": "u1"},
}
_SCALARS = {code for code in _CODES.values() if code != "bf16"}


@dataclass(frozen=True, eq=False)
class StorageType:
    """A storage class: its name, and the dtype code of its elements."""

    name: str
    code: str


def are_sizes(values: tuple[Any, ...]) -> bool:
    """Whether these are non-negative 64-bit integers."""
    return all(type(n) is int and 0 <= n < _LARGEST for n in values)


def parameter(tensor: Any, *_: Any) -> Tensor:
    """The tensor of a Parameter."""
    if type(tensor) is not Tensor:
        raise TypeError("no tensor")
    return tensor


def tensor_of_type(function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
    """A tensor with Python attributes, which are dropped."""
    rebuilds = type(function) is Global and function.name.startswith("torch._utils._rebuild_")
    if not rebuilds or function.make is None:
        raise TypeError("no way to make a tensor")
    if type(kind) is not Global or kind.name != "torch.Tensor":
        raise TypeError("a subclass of torch.Tensor")
    return function.make(*arguments)


def _text_as_bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes, as protocol 2 encodes them."""
    if type(text) is not str or encoding != "latin1":
        raise TypeError("no bytes")
    return text.encode("latin1")


def _bytearray(content: Any = b"") -> bytearray:
    if type(content) is not bytes:  # bytearray(n) would allocate n bytes
        raise TypeError("no bytes")
    return bytearray(content)


def _complex(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("no floats")
    return complex(real, imaginary)


def _members(items: Any = ()) -> list[Any]:
    if type(items) not in (list, tuple):
        raise TypeError("no list")
    return [make_key(item) for item in items]


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if type(sizes) is not tuple or not are_sizes(sizes):
        raise TypeError("no sizes")
    return sizes


def _device(kind: Any, index: Any = None) -> str:
    if type(kind) is not str or index is not None and not are_sizes((index,)):
        raise TypeError("no device")
    return kind if index is None else f"{kind}:{index}"


def _dtype(code: Any, *_: Any) -> np.dtype:
    if type(code) is not str or code not in _SCALARS:
        raise ValueError("no dtype of numbers")
    return np.dtype(code)


def _scalar(dtype: Any, content: Any) -> np.generic:
    """A NumPy scalar."""
    if not isinstance(dtype, np.dtype) or type(content) is not bytes:
        raise TypeError("no dtype, or no bytes")
    if len(content) != dtype.itemsize or dtype.kind == "b" and content > b"\1":
        raise ValueError(f"no element of {dtype}")
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)[0]


_MAKERS: dict[str, Callable[..., Any] | None] = {
    "collections.OrderedDict": make_dict,
    "collections.Counter": make_dict,
    "collections.defaultdict": lambda factory=None, items=(): make_dict(items),
    "builtins.set": lambda items=(): set(_members(items)),
    "builtins.frozenset": lambda items=(): frozenset(_members(items)),
    "builtins.complex": _complex,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _text_as_bytes,  # without arguments: none
    "_codecs.encode": _text_as_bytes,
    "torch.Size": _size,
    "torch.device": _device,
    "numpy.dtype": _dtype,
    "numpy._core.multiarray.scalar": _scalar,
    **dict.fromkeys(f"builtins.{name}" for name in ("dict", "float", "int", "list")),
    "torch.storage.TypedStorage": None,
    "torch.Tensor": None,
}
GLOBALS: dict[str, Any] = {
    **{name: Global(name, make) for name, make in _MAKERS.items()},
    **{f"torch.{name}": np.dtype("f4" if c == "bf16" else c) for name, c in _CODES.items()},
    **{
        f"{module}.{kind}Storage": StorageType(f"{module}.{kind}Storage", code)
        for module in ("torch", "torch.cuda", "torch.storage")
        for kind, code in _STORAGES.items()
    },
}
