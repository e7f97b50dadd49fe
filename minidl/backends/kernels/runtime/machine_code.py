"""Where the machine code of kernels comes from.

It is looked for in this order:

1. in the *library* that was shipped with minidl, or built when it was installed, for this level of
   processors (`minidl.backends.kernels.compiler.build`);
2. among the *object files* in the cache, which earlier processes compiled (`runtime.cache`);
3. from the *compiler*, which is Numba, in processes of its own (`runtime.compiler_process`).

Library and object files hold the same machine code: the one are linked from the other.  So the
first call of a kernel is the only one that knows the difference.
"""

import ctypes
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minidl.backends.kernels.runtime import cache as object_files
from minidl.backends.kernels.runtime import compiler_process
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.runtime.signature import Signature

_METH_FASTCALL = 0x0080

outlined: dict[str, Any] = {}  # all outlined functions, by their names

lock = RLock()  # of all that is looked for, compiled and loaded
_alive: list[Any] = []  # machine code is freed with the object that owns it


class ObjectFile(NamedTuple):
    """Machine code, with the names of outlined functions that it calls."""

    code: bytes
    needs: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps({"needs": self.needs}).encode() + b"\n" + self.code

    @classmethod
    def from_bytes(cls, stored: bytes) -> "ObjectFile":
        """What to_bytes made."""
        header, _, code = stored.partition(b"\n")
        return cls(code, tuple(json.loads(header)["needs"]))


def symbol_of(item: Any, signature: Signature | None) -> str:
    """The name of a kernel's entry for these arguments, or of an outlined function."""
    if signature is None:
        return item.name
    return f"{item.name}({str(signature).replace(' ', ',')})"


# A kernel for some arguments, or an outlined function.
Item: TypeAlias = tuple[Any, Signature | None]


def entry(kernel: Any, signature: Signature, following: Sequence[Item] = ()) -> Callable[..., Any]:
    """The function of machine code that runs a kernel for these arguments.

    It returns NotImplemented for others.  If the kernel has to be compiled, the following ones will
    be, too.
    """
    symbol = symbol_of(kernel, signature)
    with lock:
        address = _shipped(symbol)
        if address is None:
            address = _linked(symbol, _compiled(kernel, signature, following))
        return _as_function(kernel.__name__, address)


def address_of(name: str) -> int:
    """Where the machine code of an outlined function lies."""
    with lock:
        address = _shipped(name)
        return _linked_outlined(name) if address is None else address


def prepare(items: Sequence[Item]) -> None:
    """Compile in the background what will be needed, and is neither shipped nor in the cache."""
    missing = [
        item
        for item in items
        if _shipped(symbol_of(*item)) is None and object_files.load(symbol_of(*item)) is None
    ]
    compiler_process.prefetch(missing)


# The library.


class Contents(NamedTuple):
    """What is in a library."""

    level: str  # of processors
    sources: str  # the digest of what it was compiled from
    sha256: str  # of the file
    functions: list[str]


def contents(library: Path) -> Contents:
    """The list beside a library."""
    return Contents(**json.loads(library.with_suffix(".json").read_text()))


class Library(NamedTuple):
    """The library for this level of processors, if there is one that can be used."""

    handle: ctypes.CDLL | None
    functions: frozenset[str] = frozenset()
    why_not: str = ""


@cache
def library() -> Library:
    """Open the library for this level of processors, or say why not."""
    path = library_path(level().name)
    try:
        functions = _checked(path)
        return Library(ctypes.CDLL(str(path)), functions)
    except _UnusableError as reason:
        return Library(None, why_not=str(reason))
    except OSError as error:
        return Library(None, why_not=f"it cannot be loaded: {error}")


class _UnusableError(Exception):
    pass


def _checked(path: Path) -> frozenset[str]:
    """The functions of a library that is for these sources, and for this Python."""
    if not path.exists():
        raise _UnusableError("there is none for this level")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        # whose objects have another header
        raise _UnusableError("it is not for free-threaded Python")
    try:
        listed, digest = contents(path), hashlib.sha256(path.read_bytes()).hexdigest()
        functions = frozenset(listed.functions)
    except (OSError, ValueError, TypeError):
        raise _UnusableError("it is damaged") from None
    if listed.sha256 != digest:
        raise _UnusableError("it is damaged")
    if listed.level != level().name:
        raise _UnusableError(f"it is for {listed.level}")
    if listed.sources != object_files.source_digest():
        raise _UnusableError("minidl/backends has changed since it was built")
    return functions


def library_path(name: str, system: str = sys.platform) -> Path:
    """Where the library for a level lies, if there is one."""
    folder = Path(__file__).parents[1] / "native"
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(system, ".so")
    return folder / f"{name}{suffix}"


def _shipped(symbol: str) -> int | None:
    """Where a function of the library lies; None if it has none of this name."""
    handle, functions, _ = library()
    if handle is None or symbol not in functions:
        return None
    return ctypes.cast(handle[symbol], ctypes.c_void_p).value


# Object files.


def _compiled(item: Any, signature: Signature | None, following: Sequence[Item] = ()) -> ObjectFile:
    """The object file of a kernel or an outlined function, from the cache or the compiler."""
    symbol, kept = symbol_of(item, signature), object_files.covers(item.function)
    stored = object_files.load(symbol) if kept else None
    if stored is None:
        prepare(following)
        stored = compiler_process.compile(item, signature)
        # The compiler has left it in the cache; if it could not, this warns.
        if kept and object_files.load(symbol) is None:
            object_files.store(symbol, stored)
    return ObjectFile.from_bytes(stored)


@cache
def _linked_outlined(name: str) -> int:
    return _linked(name, _compiled(outlined[name], None))


def _linked(symbol: str, file: ObjectFile) -> int:
    """Load an object file, and what it calls; where its function lies."""
    import llvmlite.binding as llvm

    _check_that_code_may_be_loaded()
    for name in file.needs:
        address = _shipped(name)
        llvm.add_symbol(name, _linked_outlined(name) if address is None else address)
    # With llvmlite's own memory manager, all sections are near each other, as relocations need it.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(), use_lmm=True)
    engine.add_object_file(llvm.ObjectFileRef.from_data(file.code))
    engine.finalize_object()
    _alive.append(engine)
    return engine.get_function_address(symbol)


@cache
def _check_that_code_may_be_loaded() -> None:
    import llvmlite.binding as llvm

    try:
        llvm.check_jit_execution()
    except OSError as error:
        raise compiler_process.CompilerError(
            f"this process must not make memory executable ({error}); install minidl with "
            '`-C kernels=host`, or compute with `minidl.kernels("reference")`'
        ) from None


def _machine() -> Any:
    """What LLVM's loader asks for, and owns from then on; it generates nothing."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine()


# Python's functions.


class _MethodDef(ctypes.Structure):
    """struct PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_OWN_TYPES = np.ndarray, np.float32, np.uint64  # what an entry compares the types of arguments with


def _as_function(name: str, address: int) -> Callable[..., Any]:
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p],
    )
    method = _MethodDef(name.encode(), address, _METH_FASTCALL, None)
    _alive.append(method)
    return make(ctypes.addressof(method), _OWN_TYPES, None)


# Forks.


def _after_fork_in_child() -> None:
    """Another thread, which has not come along, may have held the lock."""
    global lock
    lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
