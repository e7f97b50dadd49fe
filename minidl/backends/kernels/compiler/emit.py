"""Machine code: one object file for each kernel and signature, and each outlined function."""

from typing import Any

import llvmlite.binding as llvm
from numba.core.compiler_lock import global_compiler_lock

from minidl.backends.kernels.compiler.entry import Entry, outlined_module
from minidl.backends.kernels.compiler.frontend import (
    compiled_kernel,
    compiled_outlined,
    target_machine,
)
from minidl.backends.kernels.runtime import machine_code
from minidl.backends.kernels.runtime.functions import Outlined
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.machine_code import ObjectFile, symbol_of
from minidl.backends.kernels.runtime.signature import Signature


@global_compiler_lock
def object_file(item: Kernel | Outlined, signature: Signature | None) -> bytes:
    """The object file of a kernel for these arguments, or of an outlined function."""
    module = _module(item, signature)
    declared = [function.name for function in module.functions if function.is_declaration]
    needs = tuple(name for name in declared if name in machine_code.outlined)
    for name in set(declared).difference(needs):
        if name.startswith(_OF_NUMBA) or not _exists(name):
            raise ValueError(f"it calls {name}, which is not there when kernels run")
    return ObjectFile(target_machine(item.wide).emit_object(module), needs).to_bytes()


# What Numba's runtime has; kernels run without it.
_OF_NUMBA = ("NRT_", "numba_", "_numba")


def _exists(name: str) -> bool:
    """Whether a function is an intrinsic of LLVM's, or one of C that every process has."""
    return name.startswith("llvm.") or llvm.address_of_symbol(name) is not None


@global_compiler_lock
def instructions(item: Kernel | Outlined, signature: Signature | None) -> tuple[str, str]:
    """The same in LLVM's language and in assembly, for those who write kernels to read."""
    module = _module(item, signature)
    return str(module), target_machine(item.wide).emit_assembly(module)


def _module(item: Kernel | Outlined, signature: Signature | None) -> Any:
    """LLVM's module with one function for others, and what it calls, which nobody else sees."""
    symbol = symbol_of(item, signature)
    if isinstance(item, Outlined):
        compiled = compiled_outlined(item)
        entry = outlined_module(symbol, compiled)
    else:
        assert signature is not None
        compiled = compiled_kernel(item, signature)
        entry = Entry(symbol, signature, compiled, item.parallel).module
    module = llvm.parse_assembly(str(entry))
    module.link_in(compiled.library.optimized(item.wide), preserve=True)
    for thing in [*module.functions, *module.global_variables]:
        if not thing.is_declaration and thing.name != symbol:
            thing.linkage = "internal"
    module.verify()
    return module
