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
from minidl.backends.kernels.runtime.functions import Outlined
from minidl.backends.kernels.runtime.kernel import Kernel
from minidl.backends.kernels.runtime.machine_code import ObjectFile, symbol_of
from minidl.backends.kernels.runtime.signature import Signature


@global_compiler_lock
def object_file(item: Kernel | Outlined, signature: Signature | None) -> bytes:
    """The object file of a kernel for these arguments, or of an outlined function."""
    if isinstance(item, Outlined):
        compiled = compiled_outlined(item)
        return _object(outlined_module(item.name, compiled), compiled, item.name)
    assert signature is not None
    compiled, symbol = compiled_kernel(item, signature), symbol_of(item, signature)
    entry = Entry(symbol, signature, compiled, item.parallel)
    return _object(entry.module, compiled, symbol)


def _object(entry: Any, compiled: Any, symbol: str) -> bytes:
    """The function of this name in machine code, with what it calls, which nobody else sees."""
    machine = target_machine()
    module = llvm.parse_assembly(str(entry))
    module.link_in(compiled.library.optimized(), preserve=True)
    for thing in [*module.functions, *module.global_variables]:
        if not thing.is_declaration and thing.name != symbol:
            thing.linkage = "internal"
    _drop_unused(module, machine)
    module.verify()
    declared = [function.name for function in module.functions if function.is_declaration]
    needs = tuple(name for name in declared if name in Outlined.all)
    return ObjectFile(machine.emit_object(module), needs).to_bytes()


def _drop_unused(module: Any, machine: Any) -> None:
    """Drop what nobody calls.  The kernel is optimised already, and stays as it is."""
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
